//! Provides a file descriptor per connection.

use std::error::Error;
use std::io;

/// Descriptors for other purposes than connections.
const OTHERS: usize = 64;

/// Raises the soft limit of the process to what `connections` need.
#[cfg(unix)]
pub(crate) fn provide(connections: usize) -> Result<(), Box<dyn Error>> {
    let needed = (connections + OTHERS) as libc::rlim_t;
    let mut bound = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: writes one `rlimit`, which `bound` is.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut bound) } != 0 {
        return Err(io::Error::last_os_error().into());
    }
    if bound.rlim_cur >= needed {
        return Ok(());
    }
    if bound.rlim_max < needed {
        return Err(format!(
            "--connections {connections} needs {needed} file descriptors, and the limit of this process is {} (ulimit -Hn)",
            bound.rlim_max
        )
        .into());
    }
    bound.rlim_cur = needed;
    // SAFETY: reads one `rlimit`, which `bound` is.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &bound) } != 0 {
        return Err(io::Error::last_os_error().into());
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn provide(_: usize) -> Result<(), Box<dyn Error>> {
    Ok(())
}
