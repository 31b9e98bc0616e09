//! A table of live samples.

use std::cmp::Reverse;
use std::fmt;

use slabuf::{LiveSample, SlabSnapshot};

/// Some live samples. `Display` prints a row for each, with age, length, capacity, the live slots
/// of its slab, and its site.
pub(crate) struct SampleTable<'a> {
    pub(crate) rows: Vec<&'a LiveSample>,
}

impl<'a> SampleTable<'a> {
    /// Selects the oldest samples, at most `rows` of them, oldest first.
    pub(crate) fn oldest(samples: &'a [LiveSample], rows: usize) -> Self {
        let mut all: Vec<_> = samples.iter().collect();
        all.sort_by_key(|sample| Reverse(sample.age));
        all.truncate(rows);
        Self { rows: all }
    }

    /// Selects samples that hold slabs nearly alone: at most a quarter of the slots of their slab
    /// are live. At most `rows` of them, ordered by the bytes of slab for each live slot, most
    /// first, then by age.
    pub(crate) fn lonely(samples: &'a [LiveSample], rows: usize) -> Self {
        let held = |sample: &&LiveSample| {
            let slab = sample.slab.filter(|slab| 4 * slab.slots_out <= slab.slots);
            slab.map(|slab| bytes_held(sample, &slab))
        };
        let mut all: Vec<_> = samples.iter().filter(|s| held(s).is_some()).collect();
        all.sort_by_key(|sample| Reverse((held(sample), sample.age)));
        all.truncate(rows);
        Self { rows: all }
    }
}

/// Returns the bytes of the sample's slab divided by the number of its live slots.
pub(crate) fn bytes_held(sample: &LiveSample, slab: &SlabSnapshot) -> usize {
    sample.capacity * slab.slots as usize / slab.slots_out.max(1) as usize
}

impl fmt::Display for SampleTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() {
            return f.write_str("no live samples");
        }
        let (age, len, capacity, live) = ("age", "len", "capacity", "live slots");
        write!(
            f,
            "{age:>8}  {len:>8}  {capacity:>8}  {live:>10}  allocated in"
        )?;
        for row in &self.rows {
            let (age, len, capacity) = (format!("{:.1?}", row.age), row.len, row.capacity);
            let live = match &row.slab {
                Some(slab) => format!("{} of {}", slab.slots_out, slab.slots),
                None => "mapping".to_owned(),
            };
            let site = row.site();
            write!(f, "\n{age:>8}  {len:>8}  {capacity:>8}  {live:>10}  {site}")?;
        }
        Ok(())
    }
}
