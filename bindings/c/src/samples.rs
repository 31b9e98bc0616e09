//! Samples: where a program allocated its live buffers.

use crate::handle_table::{self, slabuf_pool};
use crate::status::{guard, slabuf_status};
use crate::versioned_struct::{self, Plain};
use slabuf_rust::LiveSample;
use std::ffi::c_char;

/// Bytes of a sample's site, including the zero at its end.
pub const SLABUF_SITE_SIZE: usize = 256;

/// A live buffer whose allocation was sampled.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct slabuf_sample {
    /// The address of the first byte of its slot or mapping.
    address: u64,
    /// The requested length in bytes: at the allocation, or when the buffer last moved.
    len: u64,
    /// Bytes of its slot or mapping.
    capacity: u64,
    /// The time since the allocation, in milliseconds.
    age_ms: u64,
    /// The slots of its slab; 0 if the buffer has a mapping of its own.
    slab_slots: u64,
    /// The slots of its slab that are in use, including its own.
    slab_slots_in_use: u64,
    /// The function that allocated, with file and line if the program has debug information. Ends
    /// in a zero; cut to fit. Without symbols, "unknown".
    site: [c_char; SLABUF_SITE_SIZE],
}

// SAFETY: six integers of eight bytes, and an array of bytes.
unsafe impl Plain for slabuf_sample {
    const FIRST: usize = 304;
}
const _: () = assert!(size_of::<slabuf_sample>() == 304);

impl slabuf_sample {
    fn of(sample: &LiveSample) -> Self {
        let mut site = [0; SLABUF_SITE_SIZE];
        let text = caller(&sample.stack().to_string()).unwrap_or_else(|| sample.site());
        // The last byte stays zero.
        for (to, from) in site[..SLABUF_SITE_SIZE - 1].iter_mut().zip(text.bytes()) {
            *to = from as c_char;
        }
        Self {
            address: sample.address as u64,
            len: sample.len as u64,
            capacity: sample.capacity as u64,
            age_ms: u64::try_from(sample.age.as_millis()).unwrap_or(u64::MAX),
            slab_slots: sample.slab.map_or(0, |slab| u64::from(slab.slots)),
            slab_slots_in_use: sample.slab.map_or(0, |slab| u64::from(slab.slots_out)),
            site,
        }
    }
}

/// Returns the caller of this library's outermost C function in a call stack as the standard
/// library prints it, with file and line if they are known.
fn caller(stack: &str) -> Option<String> {
    let mut lines = stack.lines().map(str::trim);
    let mut exported = false;
    while let Some(line) = lines.next() {
        let Some((number, name)) = line.split_once(": ") else {
            continue;
        };
        if number.parse::<u32>().is_err() {
            continue;
        }
        match (name.starts_with("slabuf_"), exported) {
            (true, _) => exported = true,
            (false, false) => (),
            (false, true) => {
                let place = lines.next().and_then(|line| line.strip_prefix("at "));
                return Some(match place {
                    Some(place) => format!("{name} at {place}"),
                    None => name.to_owned(),
                });
            }
        }
    }
    None
}

/// Lists the sampled live buffers of a pool, oldest first.
///
/// Fills in at most capacity elements, each of size bytes: sizeof(slabuf_sample). Sets *count to
/// the number of all samples, which may be above capacity. samples may be null if capacity is 0.
/// The first call in a process reads the program's symbols from its file, which may take a tenth of
/// a second.
///
/// # Safety
///
/// samples can be written for capacity elements of size bytes, and count can be written; no thread
/// destroys the pool during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn slabuf_pool_samples_get(
    pool: *const slabuf_pool,
    samples: *mut slabuf_sample,
    size: usize,
    capacity: usize,
    count: *mut usize,
) -> slabuf_status {
    let list = |pool: &slabuf_rust::Pool| {
        let mut live = pool.live_samples();
        live.sort_by_key(|sample| std::cmp::Reverse(sample.age));
        Ok(live.iter().map(slabuf_sample::of).collect())
    };
    slabuf_status::of(guard(|| {
        // SAFETY: the caller guarantees that no thread destroys the pool.
        let values = || unsafe { handle_table::with(pool, list) };
        // SAFETY: the caller guarantees that the array and the counter can be written.
        unsafe { versioned_struct::write_array(samples, size, capacity, count, values) }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_is_the_frame_behind_the_c_function() {
        let stack = "\
   0: slabuf::inner::sampler::Sampler::record
             at /src/sampler.rs:5:9
   1: __rust_try
   2: slabuf_pool_alloc
             at /src/pool.rs:90:5
   3: fill
             at /program.c:17:5
   4: main
";
        assert_eq!(caller(stack).as_deref(), Some("fill at /program.c:17:5"));
        let bare = "   0: a\n   1: slabuf_alloc\n   2: fill\n   3: main\n";
        assert_eq!(caller(bare).as_deref(), Some("fill"));
        assert_eq!(caller("   0: main\n             at x.rs:1:1\n"), None);
        assert_eq!(caller("   0: slabuf_alloc\n"), None);
        assert_eq!(caller("<disabled>"), None);
    }
}
