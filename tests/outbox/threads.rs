//! Threads that share an outbox.

use crate::scripted::Scripted;
use slabuf::{Buffer, Outbox, OutboxError};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// Blocks the calling thread until the test opens it.
#[derive(Clone)]
struct Gate {
    open: Arc<(Mutex<bool>, Condvar)>,
    entered: Arc<AtomicBool>,
    writer: Scripted,
}

impl Gate {
    fn closed() -> Self {
        Self {
            open: Arc::default(),
            entered: Arc::default(),
            writer: Scripted::default(),
        }
    }

    fn wait_entered(&self) {
        while !self.entered.load(SeqCst) {
            thread::yield_now();
        }
    }

    fn open(&self) {
        *self.open.0.lock().unwrap() = true;
        self.open.1.notify_all();
    }

    fn pass(&self) {
        self.entered.store(true, SeqCst);
        let open = self.open.0.lock().unwrap();
        drop(self.open.1.wait_while(open, |open| !*open).unwrap());
    }
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pass();
        self.writer.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.pass();
        self.writer.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_thread_that_writes_writes_what_others_queue() {
    let gate = Gate::closed();
    let outbox = Outbox::builder().max_pieces(3).build(gate.clone());
    thread::scope(|scope| {
        let first = scope.spawn(|| outbox.write("a"));
        gate.wait_entered();
        // The writer is busy, and no thread waits for it.
        assert!(outbox.write("b").unwrap());
        assert!(!outbox.write("c").unwrap());
        assert!(outbox.write("d").is_err());
        let error = outbox.write_timeout("d", Duration::from_millis(1));
        assert!(matches!(
            error,
            Err(OutboxError::TimedOut {
                pieces: 3,
                max_pieces: 3,
                ..
            })
        ));
        let error = outbox.drain_timeout(Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let waiting = scope.spawn(|| outbox.write_timeout("d", Duration::MAX));
        let draining = scope.spawn(|| outbox.drain());
        gate.open();
        assert!(first.join().unwrap().unwrap());
        waiting.join().unwrap().unwrap();
        draining.join().unwrap().unwrap();
    });
    assert_eq!(outbox.queued(), 0);
    assert_eq!(gate.writer.written(), b"abcd");
}

#[test]
fn a_cork_holds_back_what_comes_while_another_writes() {
    let gate = Gate::closed();
    let outbox = Outbox::new(gate.clone());
    thread::scope(|scope| {
        let first = scope.spawn(|| outbox.write("a"));
        gate.wait_entered();
        outbox.cork();
        outbox.write("b").unwrap();
        outbox.write("c").unwrap();
        gate.open();
        assert!(first.join().unwrap().unwrap());
    });
    assert_eq!((gate.writer.written(), outbox.queued()), (b"a".to_vec(), 2));
    assert!(outbox.uncork());
    assert_eq!((gate.writer.calls(), outbox.queued()), (vec![1, 2], 0));
}

#[test]
fn a_writer_that_panics_goes_back_with_what_it_had() {
    struct Panics(bool);
    impl Write for Panics {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(!std::mem::replace(&mut self.0, false), "fails once");
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let outbox = Outbox::new(Panics(true));
    let write = std::panic::AssertUnwindSafe(|| outbox.write("abc"));
    assert!(std::panic::catch_unwind(write).is_err());
    assert_eq!(outbox.queued(), 3);
    outbox.drain().unwrap();
    assert_eq!(outbox.queued(), 0);
}

/// Each piece consists of a thread number, its own number n, and n bytes.
#[test]
fn threads_lose_no_piece_and_each_keeps_its_order() {
    const THREADS: u8 = 4;
    const PIECES: u8 = 250;
    let writer = Scripted::default();
    let outbox = Outbox::builder()
        .limit(600)
        .max_pieces(5)
        .build(writer.clone());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let outbox = &outbox;
            scope.spawn(move || {
                for number in 0..PIECES {
                    let mut piece = Buffer::alloc_filled(2 + usize::from(number), [number]);
                    piece[0] = thread;
                    if number % 7 == 0 {
                        outbox.cork();
                    }
                    outbox.write_timeout(piece, Duration::MAX).unwrap();
                    if number % 7 == 0 {
                        outbox.uncork();
                    }
                }
                outbox.drain().unwrap();
            });
        }
    });
    let written = writer.written();
    let mut next = [0; THREADS as usize];
    let mut left = &written[..];
    while let [thread, number, ..] = *left {
        assert_eq!(number, next[usize::from(thread)]);
        let (piece, behind) = left.split_at(2 + usize::from(number));
        assert!(piece[1..].iter().all(|byte| *byte == number));
        next[usize::from(thread)] = number + 1;
        left = behind;
    }
    assert_eq!(next, [PIECES; THREADS as usize]);
    assert_eq!(outbox.queued(), 0);
}
