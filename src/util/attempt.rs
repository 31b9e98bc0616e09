//! What the calling thread may use while it runs the attempt of a waiter.

use crate::sync::thread_local_const;
use std::cell::Cell;

/// The memory that a waiter's attempt may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Memory that the pool has mapped, and more of its budget.
    Any,
    /// Memory that the pool with this index has mapped: another waiter is before it in the queue
    /// for the budget.
    Mapped(usize),
}

thread_local_const! {
    // This has no destructor, so it exists until the thread's end.
    static CURRENT: Cell<Option<Attempt>> = Cell::new(None);
}

fn current() -> Option<Attempt> {
    CURRENT.with(Cell::get)
}

/// Sets the calling thread's attempt, and restores it on drop, also when a panic unwinds.
struct Current(Option<Attempt>);

impl Current {
    fn set(attempt: Option<Attempt>) -> Self {
        Self(CURRENT.with(|current| current.replace(attempt)))
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.0));
    }
}

/// Returns whether the calling thread runs the attempt of a waiter, which must not wake itself.
pub(crate) fn is_running() -> bool {
    current().is_some()
}

/// Returns whether the calling thread may map more memory of its budget for the pool with this
/// index. A hook of the heap may allocate from other pools during an attempt.
pub(crate) fn may_use_budget(pool: usize) -> bool {
    current() != Some(Attempt::Mapped(pool))
}

/// Runs the attempt of a waiter.
pub(crate) fn run<T>(attempt: Attempt, body: impl FnOnce() -> T) -> T {
    let _current = Current::set(Some(attempt));
    body()
}

/// Runs foreign code, which is not part of the calling thread's attempt.
pub(crate) fn suspend<T>(body: impl FnOnce() -> T) -> T {
    let _current = Current::set(None);
    body()
}
