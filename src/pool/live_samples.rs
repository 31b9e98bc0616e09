//! Live samples: the sampler's records, matched with the slabs and mappings that hold the buffers.

use crate::inner::PoolInner;
use crate::pool::snapshot::{self, SlabSnapshot};
use std::backtrace::Backtrace;
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A live buffer whose allocation was sampled. From
/// [`Pool::live_samples`](crate::Pool::live_samples).
///
/// A buffer that grows into other memory keeps its age and its site.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LiveSample {
    /// The address of the first byte of its slot or mapping.
    pub address: usize,
    /// The requested length in bytes, of the allocation or of the last move to other memory.
    pub len: usize,
    /// The size of its slot or mapping in bytes.
    pub capacity: usize,
    /// The time since the allocation.
    pub age: Duration,
    /// The slab or span that contains its slot; `None` if the buffer has its own mapping.
    /// `slots_out` of its `slots` belong to live buffers, including this one (exact if no other
    /// thread used the pool meanwhile).
    pub slab: Option<SlabSnapshot>,
    stack: Arc<Backtrace>,
}

/// Crates whose frames lie between the allocating function and the capture.
const INNER: [&str; 6] = ["slabuf", "std", "core", "alloc", "bytes", "backtrace_rs"];

impl LiveSample {
    /// Returns the place of the allocation as text: the innermost function of the call stack that
    /// belongs neither to this crate, nor to the standard library, nor to `bytes`. If the program
    /// has debug information, the text includes file and line. Otherwise an inlined function shows
    /// as the one that it was inlined in. Without symbols the text is "unknown".
    ///
    /// # Complexity
    ///
    /// The first call for a sample looks up the symbols of its stack. The first call of all reads
    /// the program's symbols from its file, which may take a tenth of a second.
    pub fn site(&self) -> String {
        site_in(&self.stack.to_string())
    }

    /// Returns the call stack of the allocation. Its symbols are looked up when it is printed for
    /// the first time.
    pub fn stack(&self) -> &Backtrace {
        &self.stack
    }
}

/// Returns the site in a call stack that the standard library printed. Each function has a line
/// with its name, which starts with a number unless the function is inlined in the one before; a
/// line with its place follows if the place is known.
fn site_in(stack: &str) -> String {
    let mut lines = stack.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        let number = line.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        let name = line[number..].trim_start_matches(": ");
        let place = lines.next_if(|line| line.starts_with("at "));
        let place = place.map(|line| &line["at ".len()..]);
        // This crate's own frames come first. Without a name, their end is unknown.
        if name.is_empty() || name.starts_with("<unknown>") {
            break;
        }
        if !is_inner(name) && !place.is_some_and(|place| is_library(name, place)) {
            return match place {
                Some(place) => format!("{name} ({place})"),
                None => name.to_owned(),
            };
        }
    }
    "unknown".to_owned()
}

fn is_inner(name: &str) -> bool {
    let is_part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let first = name.trim_start_matches(['<', '&', '[', '(', '*']);
    let first = first.trim_start_matches("mut ").trim_start_matches("dyn ");
    let end = first.find(|c| !is_part_of_name(c)).unwrap_or(first.len());
    INNER.contains(&&first[..end])
}

/// Whether a place is in the sources of one of these crates. If the program has line tables only,
/// names have no path that shows their crate.
fn is_library(name: &str, place: &str) -> bool {
    if place.contains("/rustc/") || place.contains("/rustlib/") {
        return true;
    }
    let path = name.split('<').next();
    let has_path = path.is_some_and(|path| path.is_empty() || path.contains("::"));
    // This file's path without its end: relative in this crate's own workspace.
    let sources = file!().trim_end_matches("pool/live_samples.rs");
    !has_path && (place.contains("/bytes-1.") || is_below(sources, place))
}

/// Whether a place is below a folder of sources. Places below the current directory are relative to
/// it.
fn is_below(sources: &str, place: &str) -> bool {
    let Some(relative) = place.strip_prefix("./") else {
        return place.starts_with(sources);
    };
    let parts = sources.match_indices('/').map(|(at, _)| &sources[at + 1..]);
    // `src/` alone would be that of any crate.
    relative.starts_with(sources)
        || parts
            .filter(|part| part.len() > "src/".len())
            .any(|part| relative.starts_with(part))
}

pub(crate) fn of_pool(inner: &PoolInner) -> Vec<LiveSample> {
    let Some(sampler) = &inner.sampler else {
        return Vec::new();
    };
    inner.flush_all();
    let now = Instant::now();
    let samples = sampler.samples();
    let mut mappings = snapshot::large_mappings(inner);
    mappings.sort_unstable_by_key(|mapping| mapping.key);
    let slabs = snapshot::of_pool(inner);
    let mut live = Vec::with_capacity(samples.len());
    for (key, sample) in samples {
        let mut found = LiveSample {
            address: key,
            len: sample.len,
            capacity: 0,
            age: now.saturating_duration_since(sample.born),
            slab: None,
            stack: sample.stack,
        };
        if let Ok(place) = mappings.binary_search_by_key(&key, |mapping| mapping.key) {
            // Without a requested length, the mapping was freed meanwhile.
            let mapping = &mappings[place];
            let Some(requested_len) = mapping.requested_len else {
                continue;
            };
            found.address = mapping.address;
            found.len = requested_len;
            found.capacity = mapping.capacity;
        } else {
            // If the slab is empty or released, the buffer was dropped meanwhile.
            let slab = slabs.slab_at(key).filter(|slab| slab.slots_out > 0);
            let Some(slab) = slab else { continue };
            found.capacity = slab.slot_size;
            found.slab = Some(*slab);
        }
        live.push(found);
    }
    live.sort_by_key(|sample| Reverse(sample.age));
    live
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_site_is_the_first_frame_outside_of_the_crate() {
        let stack = "   0: <std::backtrace::Backtrace>::force_capture
             at /rustc/0123/library/std/src/backtrace.rs:313:9
   1: slabuf::sampler::Sampler::remember
             at ./src/sampler.rs:100:30
      <&slabuf::pool::Pool as slabuf::source::Source>::take
   2: <T as core::convert::Into<U>>::into
             at /rustc/0123/library/inner/src/convert/mod.rs:776:9
   3: slabuf_user::open
             at ./src/open.rs:12:5
   4: main
";
        assert_eq!(site_in(stack), "slabuf_user::open (./src/open.rs:12:5)");
        assert_eq!(site_in("   0: slabuf::a\n   1: app::b\n"), "app::b");
        assert_eq!(site_in("   0: <unknown>\n   1: <unknown>\n"), "unknown");
        let stripped = "   0: <unknown>\n   1: <unknown>\n   2: __libc_start_main\n";
        assert_eq!(site_in(stripped), "unknown");
        let of_this_crate = file!().replace("live_samples", "mod");
        let line_tables = format!(
            "   0: force_capture
             at /rustc/0123/library/std/src/backtrace.rs:313:9
   1: alloc<&slabuf::pool::Pool>
             at ./{of_this_crate}:100:30
   2: put<slabuf::buffer::Buffer>
             at /registry/bytes-1.10.0/src/buf/buf_mut.rs:200:9
   3: open<u8>
             at ./lib/open.rs:12:5
"
        );
        assert_eq!(site_in(&line_tables), "open<u8> (./lib/open.rs:12:5)");
        let registry = "/home/me/.cargo/registry/slabuf-0.2.0/src/";
        let in_root = "./home/me/.cargo/registry/slabuf-0.2.0/src/";
        for folder in [registry, in_root, "./registry/slabuf-0.2.0/src/"] {
            assert!(
                is_below(registry, &format!("{folder}lib.rs:1:1")),
                "{folder}"
            );
        }
        for place in [
            "./src/lib.rs:1:1",
            "/home/me/app/src/lib.rs:1:1",
            "./me/a.rs:1:1",
        ] {
            assert!(!is_below(registry, place), "{place}");
        }
        assert_eq!(site_in("disabled"), "disabled");
        assert_eq!(site_in(""), "unknown");
    }
}
