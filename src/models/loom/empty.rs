//! Models of handles created from buffers while the pool's last handle is dropped.

use super::*;

/// Creates and drops a handle, as `Buffer::pool` and its caller do.
fn come_and_go(rig: Rig) {
    rig.inner().add_handle_from_buffer();
    if rig.inner().remove_handle() {
        rig.inner().close();
        PoolInner::release(rig.inner);
    }
}

#[test]
fn loom_a_handle_comes_from_a_buffer_while_the_last_one_goes() {
    model(|| {
        let rig = Rig::new(|_| ());

        // A buffer without memory holds a reference.
        rig.inner().retain();
        let buffer = thread::spawn(move || {
            come_and_go(rig);
            PoolInner::release(rig.inner);
        });
        if rig.inner().remove_handle() {
            rig.inner().close();
            PoolInner::release(rig.inner);
        }
        buffer.join().unwrap();
        rig.assert_gone();
    });
}

#[test]
fn loom_two_buffers_of_a_closed_pool_have_handles_at_once() {
    model(|| {
        let rig = Rig::new(|_| ());

        rig.inner().retain();
        rig.inner().retain();
        rig.close();
        let other = thread::spawn(move || {
            come_and_go(rig);
            PoolInner::release(rig.inner);
        });
        come_and_go(rig);
        PoolInner::release(rig.inner);
        other.join().unwrap();
        rig.assert_gone();
    });
}
