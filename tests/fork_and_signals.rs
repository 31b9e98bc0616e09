//! What `docs/limits.md` promises for forked children and signal handlers.

#![cfg(target_os = "linux")]

mod common;

use common::child::isolated;
use common::{holds_stamp, is_all, stamp};
use slabuf::{Buffer, Pool};
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst,
};
use std::thread;

/// Allocates and frees until a flag stops it, in and out of every cache.
fn churn(pool: &Pool, stop: &AtomicBool) {
    let mut round = 0;
    while !stop.load(SeqCst) {
        round += 1;
        let row: Vec<Buffer> = (0..200).map(|n| pool.alloc(n * 97 % 20_000)).collect();
        drop(row);
        if round % 16 == 0 {
            pool.trim();
            assert!(pool.usage().external < 1 << 30);
        }
    }
}

/// Other threads may hold any lock at the fork: the child uses its buffers' bytes and ends.
#[test]
fn a_child_of_a_threaded_process_uses_its_buffers() {
    isolated("a_child_of_a_threaded_process_uses_its_buffers", || {
        for pool in [
            Pool::builder().build().unwrap(),
            Pool::builder().limit(64 << 20).build().unwrap(),
        ] {
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| churn(&pool, &stop));
                }
                let mut row = [1, 1000, 8000, 9000, 40_000].map(|len| pool.alloc(len));
                let frozen = pool.copy_from_slice(&[7; 5000]).freeze();
                for round in 0..40 {
                    row.iter_mut().for_each(|buffer| stamp(buffer, round));
                    fork_and_check(&mut row, &frozen, round);
                    // What the child has written is its own.
                    assert!(row.iter().all(|buffer| holds_stamp(buffer, round)));
                }
                stop.store(true, SeqCst);
            });
            pool.trim();
            assert_eq!(pool.usage().external, 0);
        }
    });
}

fn fork_and_check(row: &mut [Buffer], frozen: &[u8], round: u64) {
    // SAFETY: the child reads and writes memory that is its own, and ends with `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "no fork");
    if child == 0 {
        let mut whole = is_all(frozen, 7);
        for buffer in row {
            whole &= holds_stamp(buffer, round);
            stamp(buffer, !round);
            whole &= holds_stamp(buffer, !round);
        }
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(i32::from(!whole)) };
    }
    let mut status = 0;
    // SAFETY: waits for this process' own child; the pointer is to a number of the right type.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child of round {round}");
}

static START: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static LEN: AtomicUsize = AtomicUsize::new(0);
static HANDLED: AtomicU32 = AtomicU32::new(0);
static WRONG: AtomicU64 = AtomicU64::new(0);

/// Every byte is the number of the last signal; makes it that of this one.
extern "C" fn handler(_: libc::c_int) {
    let last = HANDLED.load(SeqCst) as u8;
    let (start, len) = (START.load(SeqCst), LEN.load(SeqCst));
    for at in 0..len {
        // SAFETY: within a live buffer, which no other code touches while the handler is installed.
        let byte = unsafe { start.add(at) };
        // SAFETY: as above.
        if unsafe { byte.read() } != last {
            WRONG.fetch_add(1, SeqCst);
        }
        // SAFETY: as above.
        unsafe { byte.write(last.wrapping_add(1)) };
    }
    HANDLED.fetch_add(1, SeqCst);
}

/// The handler interrupts allocations and drops of the same pool on the same thread.
#[test]
fn a_signal_handler_uses_a_buffers_bytes() {
    isolated("a_signal_handler_uses_a_buffers_bytes", || {
        let pool = Pool::builder().build().unwrap();
        for len in [2000, 20_000] {
            let mut shared = pool.alloc(len);
            HANDLED.store(0, SeqCst);
            LEN.store(len, SeqCst);
            START.store(shared.as_mut_ptr(), SeqCst);
            // SAFETY: all zero is a valid `sigaction`.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            action.sa_sigaction = handler as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = libc::SA_RESTART;
            // SAFETY: the handler uses atomics and the buffer alone.
            let set = unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) };
            assert_eq!(set, 0);
            // SAFETY: names the calling thread, which outlives the scope below.
            let this_thread = unsafe { libc::pthread_self() };
            let done = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    while !done.load(SeqCst) {
                        // SAFETY: the thread waits for this one at the end of the scope.
                        unsafe { libc::pthread_kill(this_thread, libc::SIGUSR1) };
                        thread::yield_now();
                    }
                });
                while HANDLED.load(SeqCst) < 50 {
                    let row: Vec<Buffer> = (0..64).map(|n| pool.alloc(n * 331)).collect();
                    assert!(row.iter().all(|buffer| is_all(buffer, 0)));
                }
                done.store(true, SeqCst);
            });
            LEN.store(0, SeqCst);
            assert_eq!(WRONG.load(SeqCst), 0);
            let first = shared[0];
            assert!(is_all(&shared, first));
            drop(shared);
            pool.trim();
            assert_eq!(pool.usage().external, 0);
        }
    });
}
