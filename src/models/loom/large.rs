//! Models of large buffers, of the mappings that threads keep, of their counters, and of the limit.

use super::*;

#[test]
fn loom_leases_stay_within_their_bound() {
    model(|| {
        let rig = Rig::new(|config| config.lease_limit = PAGE);
        let lease = |inner: &PoolInner, _: &ThreadCache| inner.lease(PAGE);
        let (a, b) = (rig.spawn(lease), rig.spawn(lease));
        let (a, b) = (a.join().unwrap().get(), b.join().unwrap().get());
        assert!(a != b, "there is room for one of them");
        rig.inner().end_lease(PAGE);
        rig.finish();
    });
}

#[test]
fn loom_no_sum_misses_a_thread_that_ends() {
    model(|| {
        let rig = Rig::new(|_| ());
        let own = rig.attach();
        own.cache().large_live.add(PAGE);
        let ending = thread::spawn(move || own.detach());
        assert_eq!(rig.usage().large_live, PAGE as u64);
        ending.join().unwrap();
        rig.inner().count_large_live(PAGE.wrapping_neg());
        rig.finish();
    });
}

#[test]
fn loom_the_last_handle_goes_while_a_large_buffer_comes_home() {
    model(|| {
        let rig = Rig::new(|_| ());
        let large = Sent(rig.inner().alloc_large(PAGE).unwrap());
        let dropper = thread::spawn(move || {
            let large = large.get();
            let inner = rig.inner();
            inner.retain();
            inner.free_large(large);
            PoolInner::release(rig.inner);
        });
        rig.close();
        dropper.join().unwrap();
        rig.assert_gone();
    });
}

#[test]
fn loom_a_cached_mapping_is_taken_while_another_is_evicted() {
    model(|| {
        let rig = Rig::new(|config| config.cache_limit = PAGE);
        let pair = Sent([0; 2].map(|_| rig.inner().alloc_large(PAGE).unwrap()));
        let giver = rig.spawn(move |inner, _| {
            // The second mapping exceeds the bound: the first is evicted, unless it was allocated
            // before.
            for large in pair.get() {
                inner.free_large(large);
            }
        });
        let taker = rig.spawn(|inner, _| {
            let large = inner.alloc_large(PAGE).unwrap();
            // SAFETY: this thread owns the mapping.
            unsafe { LargeAlloc::of(large).base().write(1) };
            inner.free_large(large);
        });
        giver.join().unwrap();
        taker.join().unwrap();
        assert!(rig.inner().mappings.resident() <= PAGE);
        rig.finish();
    });
}

#[test]
fn loom_the_limit_holds_when_two_threads_reach_it() {
    bounded_model(2, || {
        let rig = Rig::new(|config| config.limit = Some(3 * PAGE));
        let body = move |inner: &'static PoolInner, _: &ThreadCache| {
            let taken: Result<_, AllocFailure> = inner.alloc_large(2 * PAGE);
            assert!(inner.mapper.mapped() <= 3 * PAGE);
            match taken {
                Ok(large) => {
                    inner.free_large(large);
                    true
                }
                Err(refused) => {
                    assert_eq!(refused, AllocFailure::Limit);
                    false
                }
            }
        };
        let (a, b) = (rig.spawn(body), rig.spawn(body));
        let (a, b) = (a.join().unwrap().get(), b.join().unwrap().get());
        assert!(a || b, "the limit has room for one of them");
        // The bytes that the refused request had counted are available again.
        rig.inner().trim();
        let large = rig.inner().alloc_large(3 * PAGE).unwrap();
        rig.inner().free_large(large);
        rig.finish();
    });
}
