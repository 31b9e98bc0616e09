//! Destructors of `pthread_key`s. They run after all thread-local destructors of their thread.

use std::ffi::c_void;
use std::sync::OnceLock;
use std::thread::Builder;

use super::common::MIB;

/// A stack, and with it a thread's storage, that the C library unmaps as soon as the thread has
/// ended: its cache of stacks is smaller. What still points there is found by a fault.
pub(crate) const UNMAPPED_STACK: usize = 64 * MIB;

type Job = Box<dyn FnOnce() + Send>;

/// Runs the job that a thread left as the value of its key.
///
/// # Safety
///
/// `job` comes from `Box::into_raw` of a `Box<Job>`, which nothing else uses.
unsafe extern "C" fn run_job(job: *mut c_void) {
    // SAFETY: the caller's promise.
    let job = unsafe { Box::from_raw(job.cast::<Job>()) };
    job();
}

/// The key whose destructor runs jobs.
fn job_key() -> libc::pthread_key_t {
    static KEY: OnceLock<libc::pthread_key_t> = OnceLock::new();
    *KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: the pointer is to a key that lives until the call returns; the destructor may be
        // called with every value that `at_key_destruction` sets, and no other function sets any.
        let result = unsafe { libc::pthread_key_create(&raw mut key, Some(run_job)) };
        assert_eq!(result, 0, "a key is free");
        key
    })
}

/// Runs `before` on a new thread, `job` in the destructor of one of its keys, and waits until its
/// storage is gone.
pub(crate) fn at_key_destruction(
    before: impl FnOnce() + Send + 'static,
    job: impl FnOnce() + Send + 'static,
) {
    let job: Box<Job> = Box::new(Box::new(job));
    let thread = Builder::new().stack_size(UNMAPPED_STACK).spawn(move || {
        before();
        let value: *mut c_void = Box::into_raw(job).cast();
        // SAFETY: the key exists; its destructor gets the box that `value` came from.
        let result = unsafe { libc::pthread_setspecific(job_key(), value) };
        assert_eq!(result, 0);
    });
    let thread = thread.expect("there is room for a stack");
    thread.join().expect("no panic");
}
