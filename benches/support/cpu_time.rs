//! The processor time of the calling thread, which does not include other programs.

use std::time::Duration;

/// Returns the processor time since the thread began.
pub(crate) fn now() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for the write of the result.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) } != 0;
    assert!(!failed, "this system has no clock for a thread's time");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
