//! Memory whose start is a multiple of a requested alignment.

use super::alloc::{Source, take_aligned};
use super::{Fill, RawBuffer};
use crate::error::AllocFailure;
use crate::inner::slots::Classes;
use crate::pool::Pool;

/// Allocates memory for `len` bytes at a multiple of `alignment`, a power of two up to the page
/// size: a slot if the pool has a class for it, otherwise a mapping.
pub(crate) fn alloc(
    pool: &Pool,
    len: usize,
    alignment: usize,
    fill: Fill,
) -> Result<RawBuffer, AllocFailure> {
    let table = pool.table;
    let any_size = table.class_of(len).map(Classes::from);
    let aligned = any_size.and_then(|classes| classes.aligned_to(alignment, table));
    match aligned {
        Some(classes) => take_aligned(pool, classes, len, fill),
        None => pool.take_mapping(len, fill),
    }
}
