//! The pool's own structures on the Rust heap, where `Box::new` would abort the process.

use crate::error::AllocFailure;
use std::ptr::NonNull;

/// A box, leaked; `Box::from_raw` takes it back.
pub(crate) fn try_box<T>(value: T) -> Result<NonNull<T>, AllocFailure> {
    let mut one = Vec::new();
    one.try_reserve_exact(1).map_err(|_| AllocFailure::System)?;
    one.push(value);
    let boxed: Box<[T; 1]> = one.try_into().map_err(|_| AllocFailure::System)?;
    // An array of one has the layout of its element.
    Ok(NonNull::from(Box::leak(boxed)).cast())
}
