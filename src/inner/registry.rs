//! The list of live pools, for the figures of the whole process.
//!
//! Built on `std` also under loom: models do not sum up processes.

use crate::error::AllocFailure;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

static POOLS: Mutex<Pools> = Mutex::new(Pools(Vec::new()));

/// The live pools, opaque here; atomic only so that the list may go from thread to thread.
pub(crate) struct Pools(Vec<AtomicPtr<()>>);

impl Pools {
    pub(crate) fn iter(&self) -> impl Iterator<Item = NonNull<()>> {
        self.0
            .iter()
            .filter_map(|pool| NonNull::new(pool.load(Relaxed)))
    }
}

/// The live pools. A pool takes itself out before it is freed, and so lives while the guard does.
pub(crate) fn pools() -> MutexGuard<'static, Pools> {
    POOLS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn register(pool: NonNull<()>) -> Result<(), AllocFailure> {
    let mut pools = pools();
    pools.0.try_reserve(1).map_err(|_| AllocFailure::System)?;
    pools.0.push(AtomicPtr::new(pool.as_ptr()));
    Ok(())
}

pub(crate) fn unregister(pool: NonNull<()>) {
    pools()
        .0
        .retain(|entry| entry.load(Relaxed) != pool.as_ptr());
}
