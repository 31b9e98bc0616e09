//! Models of pools that are closed and of threads that end, with buffers on their way.

use super::*;
use shuttle::sync::mpsc;

/// Threads allocate, send their buffers to the next one, and drop their handles.
#[test]
fn shuttle_a_pool_is_closed_while_buffers_move() {
    model(|| {
        let rig = Rig::new(|builder| builder);
        let fake = rig.fake;
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| mpsc::channel()).unzip();
        let mut senders = senders.into_iter().cycle();
        senders.next();
        let threads: Vec<_> = receivers
            .into_iter()
            .zip(senders)
            .map(|(receiver, sender)| {
                rig.spawn(move |rig| {
                    for _ in 0..2 {
                        let _ = sender.send(rig.pool.alloc_unsafe(any(&LENGTHS)));
                    }
                    for _ in 0..2 {
                        let buffer: Buffer = receiver.recv().unwrap();
                        // A handle from a buffer, perhaps of a closed pool.
                        let pool = buffer.pool();
                        drop(buffer);
                        drop(pool);
                    }
                })
            })
            .collect();
        drop(rig);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_gone(fake);
    });
}

/// Threads use an index again that another thread frees.
#[test]
fn shuttle_pools_come_and_go() {
    model(|| {
        let threads = [(); 2].map(|()| {
            thread::spawn(|| {
                for _ in 0..2 {
                    let rig = Rig::new(|builder| builder);
                    let buffers =
                        [any(&LENGTHS), any(&LENGTHS)].map(|len| rig.pool.alloc_unsafe(len));
                    let other = rig.spawn(|rig| drop(rig.pool.alloc_unsafe(any(&LENGTHS))));
                    drop(buffers);
                    other.join().unwrap();
                    let fake = rig.fake;
                    drop(rig);
                    assert_eq!(fake.mapped(), 0);
                }
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
    });
}
