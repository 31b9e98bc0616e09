//! Models of a system that refuses calls at random.

use super::*;

const CALLS: [Option<Call>; 6] = [
    Some(Call::Map),
    Some(Call::Align),
    Some(Call::Unmap),
    Some(Call::Purge),
    Some(Call::Membarrier),
    None,
];

fn refuse_at_random(rig: &Rig) {
    let fault = Fault {
        call: any(&CALLS),
        first: any(&[0, 1, 2, 5]),
        count: any(&[1, 2, u64::MAX]),
    };
    rig.fake.set_fault(Some(fault));
}

#[test]
fn shuttle_the_system_refuses_calls() {
    model(|| {
        let rig = Rig::new(|builder| builder.limit(128 * KIB).cache_limit(32 * KIB));
        refuse_at_random(&rig);
        let threads = [(); 3].map(|()| {
            rig.spawn(|rig| {
                let mut live = Vec::new();
                for _ in 0..4 {
                    live.extend(rig.pool.try_alloc_unsafe(any(&LENGTHS)).ok());
                    match any(&[0, 1, 2, 3]) {
                        0 => live.clear(),
                        1 => drop(rig.pool.trim()),
                        2 => refuse_at_random(rig),
                        _ => live.truncate(1),
                    }
                }
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        rig.finish();
    });
}

/// Waiters are woken by mappings that could not be unmapped when they can be, at the latest.
#[test]
fn shuttle_waiters_while_the_system_refuses_to_unmap() {
    model(|| {
        let rig = Rig::new(|builder| builder.limit(64 * KIB));
        let held = [30 * KIB, 20 * KIB].map(|len| rig.pool.alloc_unsafe(len));
        rig.fake.set_fault(Some(Fault {
            call: Some(Call::Unmap),
            first: any(&[0, 1]),
            count: any(&[1, 2, 3]),
        }));
        let waits = [40 * KIB, 1000]
            .map(|len| rig.spawn(move |rig| drop(rig.pool.alloc_unsafe_timeout(len, LONG))));
        let frees = held.map(|buffer| rig.spawn(move |_| drop(buffer)));
        for thread in frees {
            thread.join().unwrap();
        }
        rig.fake.set_fault(None);
        // A free wakes the first waiter; a trim finds what was kept.
        rig.pool.trim();
        for thread in waits {
            thread.join().unwrap();
        }
        rig.finish();
    });
}
