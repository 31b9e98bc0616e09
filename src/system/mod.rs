//! Memory statistics of the operating system and of this process.
//!
//! The values are read at each call and not cached. A value that is not known is `None`, never an
//! error. On Linux they come from `/proc` ([proc(5)]) and from the memory controller of cgroup v1
//! or v2 ([cgroup v2]), the same sources that [Node.js] uses. On other Unix systems only
//! [`total_memory`] is known, on other systems no value is.
//!
//! ```
//! use slabuf::system;
//!
//! let mib = |bytes: Option<u64>| bytes.map_or("?".to_owned(), |bytes| (bytes >> 20).to_string());
//! println!("{} of {} MiB are free", mib(system::free_memory()), mib(system::total_memory()));
//! println!("{} MiB of them are open to this process", mib(system::available_memory()));
//! ```
//!
//! # Safety
//!
//! Two safe functions of this module contain unsafe code. `sysconf` calls the C function of that
//! name, which has a number as parameter and accesses no memory of this crate. `heap` looks up
//! `mallinfo2` by name and calls it through a pointer of the type that glibc declares for it; it
//! has no parameters, returns a plain structure by value, and acquires malloc's own locks.
//!
//! [proc(5)]: https://man7.org/linux/man-pages/man5/proc_meminfo.5.html
//! [cgroup v2]: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory
//! [Node.js]: https://nodejs.org/api/process.html#processconstrainedmemory

#[cfg(any(target_os = "linux", target_os = "android", test))]
mod parse;

/// Returns the physical memory of the machine, in bytes; `None` if it is unknown.
///
/// On Linux this is `MemTotal` of `/proc/meminfo`: the memory that the kernel can use, which is
/// slightly less than the installed memory. It is the value of Node's [`os.totalmem()`]. In a
/// container it is still the memory of the whole machine: see [`constrained_memory`] for the
/// container's share.
///
/// # Example
///
/// ```
/// use slabuf::system;
///
/// if let (Some(total), Some(free)) = (system::total_memory(), system::free_memory()) {
///     assert!(free <= total);
/// }
/// ```
///
/// # Complexity
///
/// Constant. Makes three or four system calls (open, read, close), and one if there is no `/proc`.
///
/// [`os.totalmem()`]: https://nodejs.org/api/os.html#ostotalmem
#[must_use]
pub fn total_memory() -> Option<u64> {
    platform::total()
}

/// Returns the memory that new allocations can use before the machine swaps, in bytes; `None` if it
/// is unknown.
///
/// On Linux this is `MemAvailable` of `/proc/meminfo`, the kernel's estimate of free memory and
/// reclaimable caches, as in Node's [`os.freemem()`]. It is `MemFree` on kernels before 3.14, which
/// have no such estimate. It is the value for the whole machine: see [`available_memory`] for the
/// part that a cgroup leaves.
///
/// # Example
///
/// ```
/// let free = slabuf::system::free_memory();
/// println!("{} MiB free", free.unwrap_or(0) >> 20);
/// # assert!(free.is_some_and(|free| free > 0) || !cfg!(target_os = "linux"));
/// ```
///
/// # Complexity
///
/// Constant. Makes three or four system calls (open, read, close).
///
/// [`os.freemem()`]: https://nodejs.org/api/os.html#osfreemem
#[must_use]
pub fn free_memory() -> Option<u64> {
    platform::free()
}

/// Returns the memory that this process can still allocate, in bytes; `None` if it is unknown.
///
/// This is [`free_memory`], or the memory that this process's cgroup and its ancestors leave (limit
/// less usage, the least of all levels) if that is less. It is the value of Node's
/// [`process.availableMemory()`]. A cgroup's usage includes the page cache of the files that its
/// processes read, so the value tends to be too low.
///
/// # Example
///
/// ```
/// use slabuf::system;
///
/// // Never more than the machine has free; less in a container that is nearly full.
/// if let Some(available) = system::available_memory() {
///     println!("room for {} buffers of 200 MiB", available / 2 / (200 << 20));
///     # assert!(Some(available) <= system::total_memory());
/// }
/// ```
///
/// # Complexity
///
/// Linear in the depth of the cgroup. Makes up to a dozen system calls for each level and a few
/// more.
///
/// [`process.availableMemory()`]: https://nodejs.org/api/process.html#processavailablememory
#[must_use]
pub fn available_memory() -> Option<u64> {
    let free = free_memory()?;
    Some(platform::constraint().map_or(free, |constraint| free.min(constraint.headroom)))
}

/// Returns the limit that the operating system sets on this process's memory, in bytes; `None` if
/// there is none, or if it is unknown.
///
/// On Linux this is the least limit of this process's memory cgroup and its ancestors: `memory.max`
/// and `memory.high` in cgroup v2, `memory.limit_in_bytes` in v1, under the mount points
/// `/sys/fs/cgroup` and `/sys/fs/cgroup/memory`. `max`, and a limit above [`total_memory`], count
/// as none. It is the value of Node's [`process.constrainedMemory()`], which ignores the ancestors.
/// On other systems it is `None`.
///
/// # Example
///
/// ```
/// use slabuf::system;
///
/// match system::constrained_memory() {
///     None => println!("no limit but the machine's {:?} bytes", system::total_memory()),
///     Some(limit) => println!("limited to {limit} bytes"),
/// }
/// # assert!(system::constrained_memory() <= system::total_memory());
/// ```
///
/// # Complexity
///
/// Linear in the depth of the cgroup. Makes up to a dozen system calls for each level and a few
/// more.
///
/// [`process.constrainedMemory()`]: https://nodejs.org/api/process.html#processconstrainedmemory
#[must_use]
pub fn constrained_memory() -> Option<u64> {
    platform::constraint().map(|constraint| constraint.limit)
}

/// Returns the bytes of this process that are resident in memory (`/proc/self/statm`); 0 if the
/// number is unknown.
///
/// Allocates no heap memory. The kernel sums the number from per-processor counters, so it can be
/// off by some pages.
pub(crate) fn rss() -> u64 {
    platform::rss().unwrap_or(0)
}

/// Statistics of the process's malloc heap, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeapUsage {
    /// Bytes that malloc got from the system.
    pub(crate) total: u64,
    /// Bytes in use by the program.
    pub(crate) used: u64,
}

/// Returns the statistics of glibc's malloc: its arenas and its mappings for single allocations;
/// zeros on other systems.
///
/// `mallinfo2` exists since glibc 2.33. It is looked up at each call, so that a program still links
/// and runs with an older version, and gets zeros there. Locks each arena in turn and walks its
/// free lists.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn heap() -> HeapUsage {
    type Mallinfo2 = unsafe extern "C" fn() -> libc::mallinfo2;
    // SAFETY: the name is a C string, and RTLD_DEFAULT is one of dlsym's own handles.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr()) };
    if symbol.is_null() {
        return HeapUsage::default();
    }
    // SAFETY: the symbol is not null, is as large as a function pointer, and names a function that
    // malloc.h declares as `struct mallinfo2 mallinfo2(void)`.
    let mallinfo2 = unsafe { std::mem::transmute::<*mut libc::c_void, Mallinfo2>(symbol) };
    // SAFETY: it has no parameters, may be called on any thread and only reads malloc's state.
    let info = unsafe { mallinfo2() };
    HeapUsage {
        total: (info.arena as u64).saturating_add(info.hblkhd as u64),
        used: (info.uordblks as u64).saturating_add(info.hblkhd as u64),
    }
}

/// Returns zeros: this system has no such statistics.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn heap() -> HeapUsage {
    HeapUsage::default()
}

/// The memory limits of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android", test)),
    allow(dead_code, reason = "only Linux reports one")
)]
struct Constraint {
    /// The least limit of all levels.
    limit: u64,
    /// The least value of limit less usage of all levels.
    headroom: u64,
}

/// Returns a value of the running system that is a whole number, at least 1.
#[cfg(unix)]
fn sysconf(name: libc::c_int) -> Option<u64> {
    // SAFETY: sysconf accepts any number, and returns -1 for one that it does not know.
    let value = unsafe { libc::sysconf(name) };
    u64::try_from(value).ok().filter(|&value| value > 0)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod platform {
    use super::{Constraint, parse, sysconf};
    use std::fs::File;
    use std::io::{ErrorKind, Read};

    pub(super) fn total() -> Option<u64> {
        meminfo("MemTotal")
    }

    pub(super) fn free() -> Option<u64> {
        meminfo("MemAvailable").or_else(|| meminfo("MemFree"))
    }

    pub(super) fn rss() -> Option<u64> {
        let mut text = [0; 256];
        parse::statm(
            head("/proc/self/statm", &mut text)?,
            sysconf(libc::_SC_PAGESIZE)?,
        )
    }

    pub(super) fn constraint() -> Option<Constraint> {
        let cgroup = std::fs::read("/proc/self/cgroup").ok()?;
        let read = |path: &str| std::fs::read_to_string(path).ok();
        parse::constraint(&String::from_utf8_lossy(&cgroup), total()?, read)
    }

    /// Returns one value of `/proc/meminfo`. The values that this module needs are in its first
    /// lines.
    fn meminfo(key: &str) -> Option<u64> {
        let mut text = [0; 512];
        parse::meminfo(head("/proc/meminfo", &mut text)?, key)
    }

    /// Reads the beginning of a text file, as much as fits into `buffer`.
    fn head<'a>(path: &str, buffer: &'a mut [u8]) -> Option<&'a str> {
        let mut file = File::open(path).ok()?;
        let mut len = 0;
        while len < buffer.len() {
            match file.read(&mut buffer[len..]) {
                Ok(0) => break,
                Ok(n) => len += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        std::str::from_utf8(&buffer[..len]).ok()
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod platform {
    use super::Constraint;

    #[cfg(unix)]
    pub(super) fn total() -> Option<u64> {
        super::sysconf(libc::_SC_PHYS_PAGES)?.checked_mul(super::sysconf(libc::_SC_PAGESIZE)?)
    }

    #[cfg(not(unix))]
    pub(super) fn total() -> Option<u64> {
        None
    }

    pub(super) fn free() -> Option<u64> {
        None
    }

    pub(super) fn rss() -> Option<u64> {
        None
    }

    pub(super) fn constraint() -> Option<Constraint> {
        None
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_values_are_in_order() {
        let total = total_memory();
        assert!(free_memory() <= total);
        assert!(available_memory() <= total);
        assert!(constrained_memory() <= total);
        assert!(rss() <= total.unwrap_or(u64::MAX));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_knows_the_machine_and_the_process() {
        assert!(total_memory().is_some_and(|total| total >= 1 << 20 && total % 1024 == 0));
        assert!(free_memory().is_some_and(|free| free > 0));
        assert!(available_memory().is_some());
        assert!(rss() >= 64 << 10, "a process of {} bytes", rss());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_total_is_what_sysconf_says() {
        let pages = sysconf(libc::_SC_PHYS_PAGES).unwrap();
        let total = pages * sysconf(libc::_SC_PAGESIZE).unwrap();
        assert_eq!(total_memory(), Some(total));
    }

    #[cfg(unix)]
    #[test]
    fn sysconf_refuses_a_name_it_does_not_know() {
        assert_eq!(sysconf(libc::c_int::MAX), None);
    }

    /// Returns whether `step` holds in one of several tries: the other tests of this process
    /// allocate and free memory too.
    #[cfg(target_os = "linux")]
    fn holds_undisturbed(step: impl Fn() -> bool) -> bool {
        (0..50).any(|_| step())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn rss_rises_and_falls_by_what_is_written() {
        const LEN: u64 = 64 << 20;
        const NEARLY: u64 = LEN / 10 * 9;
        assert!(holds_undisturbed(|| {
            let before = rss();
            let filled = std::hint::black_box(vec![1_u8; LEN as usize]);
            let during = rss();
            drop(filled);
            let after = rss();
            during >= before + NEARLY && during <= before + 2 * LEN && after + NEARLY <= during
        }));
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn the_heap_rises_and_falls_by_what_is_taken() {
        const LEN: u64 = 64 << 20;
        const NEARLY: u64 = LEN / 10 * 9;
        assert!(heap().used > 0 && heap().total > 0);
        assert!(holds_undisturbed(|| {
            let before = heap();
            let taken = std::hint::black_box(Vec::<u8>::with_capacity(LEN as usize));
            let during = heap();
            drop(taken);
            let after = heap();
            let rose = |from: u64, to: u64| to >= from + NEARLY && to <= from + 2 * LEN;
            rose(before.used, during.used)
                && rose(before.total, during.total)
                && rose(after.used, during.used)
                && [before, during, after]
                    .iter()
                    .all(|heap| heap.used <= heap.total)
        }));
    }
}
