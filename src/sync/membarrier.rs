//! The heavy fence: `membarrier(2)` with `MEMBARRIER_CMD_PRIVATE_EXPEDITED`.
//!
//! # Safety
//!
//! The call takes two numbers and no address; it reads and writes no memory of this process.

#[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
mod platform {
    use std::sync::OnceLock;

    fn call(command: libc::c_int) -> bool {
        // SAFETY: a command and flags of 0; no pointer is passed.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    fn try_register() -> bool {
        call(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
    }

    pub(crate) fn register() -> bool {
        static REGISTERED: OnceLock<bool> = OnceLock::new();
        *REGISTERED.get_or_init(try_register)
    }

    pub(crate) fn fence() -> bool {
        let fence = || call(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED);
        // EPERM means that the process is not registered (any more): registers it and tries once
        // more.
        fence() || (try_register() && fence())
    }
}

#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(miri))))]
mod platform {
    pub(crate) fn register() -> bool {
        false
    }

    pub(crate) fn fence() -> bool {
        false
    }
}

/// Registers the process for [`fence`], once. Returns `false` if the system has no such call or
/// refuses it, as old kernels and seccomp filters do. May make a system call.
pub(super) fn register() -> bool {
    platform::register()
}

/// Executes a full fence on every processor that runs a thread of this process. Returns `false` if
/// the system refuses. Makes a system call.
pub(super) fn fence() -> bool {
    platform::fence()
}
