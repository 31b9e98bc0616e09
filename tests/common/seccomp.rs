//! Filters for system calls: `membarrier` fails, or ends the process.

use std::io;
use std::ptr;

/// What a filter does to a call of `membarrier`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Filter {
    /// The call fails with this error.
    Refuse(i32),
    /// The call ends the process with `SIGSYS`.
    Kill,
}

impl Filter {
    fn action(self) -> u32 {
        match self {
            Filter::Refuse(errno) => libc::SECCOMP_RET_ERRNO | errno as u32,
            Filter::Kill => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }

    /// Installs the filter for all threads of this process, and for those they start. It can't be
    /// removed.
    ///
    /// Numbers of system calls are those of this program's architecture: programs of others are not
    /// filtered.
    pub(crate) fn install(self) -> io::Result<()> {
        let instruction = |code: u32, jt, jf, k| libc::sock_filter {
            code: code as u16,
            jt,
            jf,
            k,
        };
        let (load, jump, give) = (
            libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            libc::BPF_RET | libc::BPF_K,
        );
        let mut program = [
            // The number is the first field of `seccomp_data`.
            instruction(load, 0, 0, 0),
            instruction(jump, 0, 1, libc::SYS_membarrier as u32),
            instruction(give, 0, 0, self.action()),
            instruction(give, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let filter = libc::sock_fprog {
            len: program.len() as u16,
            filter: program.as_mut_ptr(),
        };
        // SAFETY: this option takes four integers and no pointer.
        let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `filter` names an array of as many instructions as it says; both live until the
        // call returns, and the kernel copies them.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_TSYNC,
                ptr::from_ref(&filter),
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

/// Calls `membarrier` to ask what it can do.
pub(crate) fn call_membarrier() -> io::Result<()> {
    // SAFETY: the query takes three integers and changes nothing.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, 0, 0, 0) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
