//! Memory that the process has never touched.
//!
//! An allocator may reuse memory that was freed before, and each one releases memory to the system
//! differently or not at all. Therefore each sample runs in a new process, which allocates blocks
//! one after another and keeps them, so that every page is touched for the first time.

use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use crate::allocator::{Allocator, touch_every};
use crate::resident::page_bytes;
use crate::stopwatch::nanos_each;

/// The argument with which a program of this package runs and prints one sample.
pub const CHILD_FLAG: &str = "--first-touch";

/// Bytes of one sample, and the maximum and minimum number of blocks.
const SAMPLE_BYTES: usize = 128 << 20;
const MOST_BLOCKS: usize = 1024;
const LEAST_BLOCKS: usize = 3;

/// Starts this program again for one sample. Returns `None` if that failed.
pub(super) fn in_new_process(allocator: &str, len: usize) -> Option<f64> {
    let program = std::env::current_exe().ok()?;
    let child = Command::new(program)
        .args([CHILD_FLAG, allocator, &len.to_string()])
        .output()
        .ok()?;
    let printed = String::from_utf8(child.stdout).ok()?;
    printed.trim().parse().ok()
}

/// Touches `bytes` and releases them to the system. The host of a virtual machine may have
/// reclaimed free memory, and its next use would measure the host.
///
/// Uses huge pages if available: the kernel splits them into small ones, but not vice versa.
fn have_memory_backed(bytes: usize) {
    let mut memory: Vec<u8> = Vec::with_capacity(bytes);
    #[cfg(target_os = "linux")]
    {
        const HUGE: usize = 2 << 20;
        let start = memory
            .as_mut_ptr()
            .map_addr(|address| address.next_multiple_of(HUGE));
        // SAFETY: the advice changes no contents; the range is in the vector's capacity, whose
        // start was moved up by less than a huge page. A refusal is harmless.
        unsafe { libc::madvise(start.cast(), bytes - HUGE, libc::MADV_HUGEPAGE) };
    }
    memory.resize(bytes, 1);
    drop(black_box(memory));
}

/// Returns the nanoseconds of allocating one block of `len` and touching its pages. To be called
/// once per process.
pub fn nanos_for_each_block<A: Allocator>(allocator: &A, len: usize) -> f64 {
    let page = usize::try_from(page_bytes()).expect("a page fits the address space");
    let count = (SAMPLE_BYTES / len).clamp(LEAST_BLOCKS, MOST_BLOCKS);
    have_memory_backed(2 * count * len);
    // Excludes what an allocator sets up once per process.
    drop(allocator.take(len / 2));
    let mut blocks = Vec::with_capacity(count);
    let start = Instant::now();
    for _ in 0..count {
        let mut block = allocator.take(len);
        touch_every::<A>(&mut block, len, page);
        blocks.push(block);
    }
    nanos_each(start.elapsed(), count as f64)
}
