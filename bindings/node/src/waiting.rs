//! Requests that wait for memory of a full pool, without blocking the event loop.
//!
//! A request is the crate's `AllocFuture`, polled on the event loop's thread. Its waker is called
//! on the thread that frees memory, often one of V8's own; it schedules the pool's callback in
//! JavaScript, which polls the requests again.

use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use slabuf::{AllocError, AllocFuture, Buffer, Pool};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// The callback in JavaScript. It is weak: it does not keep the event loop running.
pub(crate) type Callback = ThreadsafeFunction<(), (), (), Status, false, true>;

/// The waker of one request.
struct Alarm {
    callback: Arc<Callback>,
    /// Whether the request must be polled: at first, and after each wake-up.
    rung: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        // Release: pairs with the Acquire in `Request::poll`.
        if !self.rung.swap(true, Ordering::Release) {
            self.callback
                .call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }
}

struct Request {
    future: AllocFuture,
    alarm: Arc<Alarm>,
}

impl Request {
    fn poll(&mut self) -> Poll<Result<Buffer, AllocError>> {
        // Acquire: pairs with the Release in `Alarm::wake`.
        if !self.alarm.rung.swap(false, Ordering::Acquire) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(&self.alarm));
        Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker))
    }
}

/// The requests of one pool in one environment, by number.
#[derive(Default)]
pub(crate) struct Requests {
    last: Cell<u32>,
    waiting: RefCell<BTreeMap<u32, Request>>,
    callback: RefCell<Option<Arc<Callback>>>,
}

impl Requests {
    /// Adds a request and returns its number. Builds the callback for the first.
    pub(crate) fn add(
        &self,
        pool: &Pool,
        len: usize,
        zeroed: bool,
        callback: impl FnOnce() -> napi::Result<Callback>,
    ) -> napi::Result<u32> {
        let mut shared = self.callback.borrow_mut();
        let callback = match &*shared {
            Some(callback) => Arc::clone(callback),
            None => Arc::clone(shared.insert(Arc::new(callback()?))),
        };
        let future = match zeroed {
            true => pool.alloc_async(len),
            false => pool.alloc_unsafe_async(len),
        };
        let rung = AtomicBool::new(true);
        let alarm = Arc::new(Alarm { callback, rung });
        let number = self.last.get().wrapping_add(1);
        self.last.set(number);
        let mut waiting = self.waiting.borrow_mut();
        waiting.insert(number, Request { future, alarm });
        Ok(number)
    }

    /// Polls a request, and forgets it when it is ready. `None` while it waits, and for a number
    /// that belongs to no request.
    pub(crate) fn poll(&self, number: u32) -> Option<Result<Buffer, AllocError>> {
        let mut waiting = self.waiting.borrow_mut();
        let polled = waiting.get_mut(&number)?.poll();
        let Poll::Ready(result) = polled else {
            return None;
        };
        let done = waiting.remove(&number);
        drop(waiting);
        drop(done);
        Some(result)
    }

    /// Gives a request up, and returns whether it waited.
    pub(crate) fn cancel(&self, number: u32) -> bool {
        let cancelled = self.waiting.borrow_mut().remove(&number);
        cancelled.is_some()
    }

    /// Gives all requests up.
    pub(crate) fn cancel_all(&self) {
        let cancelled = self.waiting.take();
        drop(cancelled);
    }
}
