//! The allocators that are compared, each behind [`crate::allocator::Allocator`].

mod bytes_mut;
mod global_alloc;
mod object_pool;
mod slabuf;
mod zero_pool;

use crate::contestant::Contestant;

/// Returns all contestants, the crate first.
#[must_use]
pub fn contestants() -> Vec<Box<dyn Contestant>> {
    vec![
        Box::new(slabuf::GlobalPool),
        Box::new(slabuf::ExplicitPool::new()),
        Box::new(global_alloc::glibc()),
        Box::new(global_alloc::jemalloc()),
        Box::new(global_alloc::mimalloc()),
        #[cfg(feature = "snmalloc")]
        Box::new(global_alloc::snmalloc()),
        Box::new(bytes_mut::SystemBytesMut),
        Box::new(zero_pool::SharedZeroPool::new()),
        Box::new(object_pool::ObjectPools::new()),
    ]
}
