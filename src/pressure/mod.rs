//! Pressure: the queue of waiters, and watermarks.

pub(crate) mod wait_queue;
pub(crate) mod watermark;
