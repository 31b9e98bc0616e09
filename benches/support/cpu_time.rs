//! The calling thread's own processor time: what other programs do on the machine is not in it.

use std::time::Duration;

/// Since the thread began.
pub(crate) fn now() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the answer.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) } != 0;
    assert!(!failed, "this system has no clock for a thread's time");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
