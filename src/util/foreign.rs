//! Calls of foreign code that must not unwind into this crate: wakers and event subscribers.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Panics of payloads' destructors, one inside the other, that are dropped. The next is leaked.
const NESTED: usize = 8;

/// Calls foreign code and ends its panic here, where the panic hook has reported it. The panic's
/// payload is dropped; its destructor is foreign code too, and may panic.
pub(crate) fn call(code: impl FnOnce()) {
    let mut panicked = catch_unwind(AssertUnwindSafe(code));
    for _ in 0..NESTED {
        let Err(payload) = panicked else { return };
        panicked = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    }
    std::mem::forget(panicked);
}
