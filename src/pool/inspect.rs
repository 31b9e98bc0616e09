//! Inspecting a pool: counters, snapshots, samples.

use super::Pool;
use crate::inner::PoolInner;
use crate::pool::live_samples::{self, LiveSample};
use crate::pool::snapshot::{self, Snapshot};
use crate::pool::usage::{self, PoolUsage};

impl Pool {
    /// Returns the pool's counters, in bytes. See [`PoolUsage`].
    ///
    /// ```
    /// let pool = slabuf::Pool::builder().build()?;
    /// let small = pool.alloc(100);
    /// let large = pool.alloc(100_001);
    /// assert_eq!(pool.usage().array_buffers, 8192 + 100_001);
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Complexity
    ///
    /// Linear in the number of threads that use the pool and of its large mappings. Locks the
    /// pool's structures one after the other, 64 mappings at a time; makes no system call.
    pub fn usage(&self) -> PoolUsage {
        usage::of_pool(PoolInner::of(self.inner))
    }

    /// Returns where the pool's memory is: every region with its slabs, and every mapping of a
    /// large buffer. See [`Snapshot`].
    ///
    /// ```
    /// use slabuf::{Pool, SlabState};
    ///
    /// let pool = Pool::builder().build()?;
    /// let small = pool.alloc(8192);
    /// let large = pool.alloc(100_000);
    /// let snapshot = pool.snapshot();
    /// assert_eq!(snapshot.slabs_in(SlabState::Empty), pool.usage().slabs_empty);
    /// assert_eq!(snapshot.slab_at(small.as_ptr().addr()).unwrap().slot_size, 8192);
    /// assert_eq!(snapshot.mappings[0].live, Some(100_000));
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Complexity
    ///
    /// Linear in the number of slabs, large mappings and threads that use the pool. Locks the
    /// pool's structures one after the other, each time for one region, one size class or 64
    /// mappings; makes no system call.
    pub fn snapshot(&self) -> Snapshot {
        snapshot::of_pool(PoolInner::of(self.inner))
    }

    /// Returns the live buffers whose allocations were [sampled](crate::PoolBuilder::sample): where
    /// in the program each was allocated, its age, and how many slots of its slab are in use.
    /// Oldest first; empty if the pool does not sample. The example `who_holds` prints them as
    /// tables.
    ///
    /// ```
    /// use slabuf::Pool;
    ///
    /// let pool = Pool::builder().sample(1).build()?;
    /// let forgotten = pool.alloc(100);
    /// let samples = pool.live_samples();
    /// assert_eq!((samples[0].len, samples[0].capacity), (100, forgotten.capacity()));
    /// assert_eq!(samples[0].slab.unwrap().slots_out, 1);
    /// println!("{} bytes, allocated in {}", samples[0].len, samples[0].site());
    /// # Ok::<(), slabuf::ConfigError>(())
    /// ```
    ///
    /// # Complexity
    ///
    /// As [`snapshot`](Self::snapshot), and linear in the number of samples. First it returns the
    /// slots in all threads' magazines to their slabs, to distinguish them from slots in use; that
    /// may make system calls (`membarrier`, `munmap`).
    pub fn live_samples(&self) -> Vec<LiveSample> {
        live_samples::of_pool(PoolInner::of(self.inner))
    }
}
