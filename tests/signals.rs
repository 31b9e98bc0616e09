//! What `docs/limits.md` promises for signal handlers.

#![cfg(target_os = "linux")]

mod common;

use common::child::isolated;
use common::is_all;
use slabuf::{Buffer, Pool};
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst,
};
use std::thread;

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
