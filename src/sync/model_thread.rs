//! A thread's handle in models.
//!
//! Loom forgets an `unpark` of a running thread if another thread locks the mutex that this thread
//! has locked last. So a handle has a token of its own, which no model sees: `unpark` in loom
//! orders the accesses of both threads, also if it is forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

loom::thread_local! {
    static TOKEN: Arc<AtomicBool> = Arc::default();
}

/// The handle of a thread that can be woken.
#[derive(Clone)]
pub(crate) struct Thread {
    thread: loom::thread::Thread,
    token: Arc<AtomicBool>,
}

/// Returns the handle of the calling thread.
pub(crate) fn current_thread() -> Thread {
    Thread {
        thread: loom::thread::current(),
        token: TOKEN.with(Arc::clone),
    }
}

impl Thread {
    pub(crate) fn unpark(&self) {
        self.token.store(true, SeqCst);
        self.thread.unpark();
    }
}

/// Blocks the calling thread until it is unparked.
pub(crate) fn park() {
    let token = TOKEN.with(Arc::clone);
    while !token.swap(false, SeqCst) {
        loom::thread::park();
    }
}
