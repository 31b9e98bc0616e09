//! Pressure: the queue of waiters, what requests that fail share, budgets, and watermarks.

pub(crate) mod budget;
pub(crate) mod transit;
pub(crate) mod wait_queue;
pub(crate) mod wake;
pub(crate) mod watermark;
