//! Converts a slabuf buffer into a JavaScript `ArrayBuffer` that owns its memory, without a copy.
//!
//! # Safety
//!
//! After [`into_js`] one `ArrayBuffer` owns the memory. There are two owners:
//!
//! - *A backing store* (see [`store`](crate::store)). V8 returns the memory once, after the last
//!   `ArrayBuffer` that uses the store is gone, on whichever thread that happens. The store may
//!   move between `ArrayBuffer`s, threads and isolates before that; JavaScript cannot reach the
//!   memory later.
//! - *An environment*, through Node-API, if [`store`](crate::store) is not available. Node calls
//!   [`finalize`] once: after V8 has freed the store, or when the environment ends. In the second
//!   case the store may still be in use, because JavaScript can transfer it to another thread (a
//!   byte stream does, `markAsUntransferable` notwithstanding). [`finalize`] then leaks the memory
//!   and adds its length to [`leaked`].
//!
//! slabuf buffers may be freed on any thread, so both need no further synchronisation.

use crate::error::of_refusal;
use crate::store;
use napi::bindgen_prelude::ToNapiValue;
use napi::{Env, Result, Status, sys};
use slabuf::{Buffer, RawOwner};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of buffers that [`finalize`] leaked.
static LEAKED: AtomicU64 = AtomicU64::new(0);

/// Returns the bytes of buffers whose environment ended before them, and which Node-API cannot
/// free.
pub(crate) fn leaked() -> u64 {
    LEAKED.load(Ordering::Relaxed)
}

/// The parts of a buffer, as two pointers and a length that C code can hold.
pub(crate) struct Parts {
    pub(crate) start: *mut c_void,
    pub(crate) len: usize,
    pub(crate) owner: *mut c_void,
}

impl Parts {
    pub(crate) fn of(buffer: Buffer) -> Self {
        let (start, len, owner) = buffer.into_raw_parts();
        Self {
            start: start.cast(),
            len,
            owner: owner.into_ptr().cast(),
        }
    }

    /// Frees the buffer.
    ///
    /// # Safety
    ///
    /// The parts came from [`Parts::of`], are used for this once, and nothing uses the memory any
    /// more.
    pub(crate) unsafe fn free(self) {
        // SAFETY: the caller guarantees that the parts are those of one buffer which nothing else
        // uses.
        drop(unsafe {
            Buffer::from_raw_parts(
                self.start.cast(),
                self.len,
                RawOwner::from_ptr(self.owner.cast()),
            )
        });
    }
}

/// A JavaScript value on its way to JavaScript, within the call that made it.
pub(crate) struct RawValue(pub(crate) sys::napi_value);

impl ToNapiValue for RawValue {
    unsafe fn to_napi_value(_env: sys::napi_env, value: Self) -> Result<sys::napi_value> {
        Ok(value.0)
    }
}

/// Makes an `ArrayBuffer` of `buffer`'s memory. Node throws if it refuses.
pub(crate) fn into_js(env: &Env, buffer: Buffer) -> Result<sys::napi_value> {
    let len = buffer.len();
    if len == 0 {
        return empty(env);
    }
    let parts = Parts::of(buffer);
    match store::array_buffer(parts) {
        Ok(value) => Ok(value),
        Err(parts) => external(env, parts),
    }
}

fn empty(env: &Env) -> Result<sys::napi_value> {
    let mut value = null_mut();
    // SAFETY: `env` is that of the running call; Node-API takes a null data pointer as "not
    // wanted".
    let status = unsafe { sys::napi_create_arraybuffer(env.raw(), 0, null_mut(), &raw mut value) };
    match status {
        sys::Status::napi_ok => Ok(value),
        _ => Err(of_refusal(env, 0, Status::from(status))),
    }
}

/// Makes an external `ArrayBuffer`, which the environment owns. The buffer's length travels in a
/// box.
fn external(env: &Env, parts: Parts) -> Result<sys::napi_value> {
    let (start, len) = (parts.start, parts.len);
    let hint = Box::into_raw(Box::new(parts));
    let mut value = null_mut();
    // SAFETY: `env` is that of the running call; `start` is good for `len` bytes, which nothing
    // else uses, until `finalize`, which gets `hint`.
    let status = unsafe {
        sys::napi_create_external_arraybuffer(
            env.raw(),
            start,
            len,
            Some(finalize),
            hint.cast(),
            &raw mut value,
        )
    };
    if status == sys::Status::napi_ok {
        return Ok(value);
    }
    // With these, Node has refused before it looked at the memory: either the runtime forbids
    // external memory, or a termination is pending. With any other, Node calls the finalizer
    // itself.
    if status == sys::Status::napi_no_external_buffers_allowed
        || (status == sys::Status::napi_pending_exception && value.is_null())
    {
        // SAFETY: `hint` came from `Box::into_raw` above, and Node has not taken it.
        let parts = unsafe { Box::from_raw(hint) };
        // SAFETY: the parts are those of the buffer that Node refused.
        unsafe { parts.free() };
    }
    Err(of_refusal(env, len, Status::from(status)))
}

/// Frees the memory of a dead external `ArrayBuffer`, or leaks it if the environment is ending.
unsafe extern "C" fn finalize(env: sys::napi_env, _start: *mut c_void, hint: *mut c_void) {
    // SAFETY: Node passes the hint that `external` gave it, once.
    let parts = unsafe { Box::from_raw(hint.cast::<Parts>()) };
    if is_ending(env) {
        LEAKED.fetch_add(parts.len as u64, Ordering::Relaxed);
        return;
    }
    // SAFETY: the environment goes on, so Node calls this because V8 has freed the backing store.
    unsafe { parts.free() };
}

/// Returns whether an environment refuses to run JavaScript, as it does from the start of its end.
fn is_ending(env: sys::napi_env) -> bool {
    let mut global = null_mut();
    // SAFETY: `env` is that of the running finalizer; Node has opened a handle scope for it.
    if unsafe { sys::napi_get_global(env, &raw mut global) } != sys::Status::napi_ok {
        return true;
    }
    let mut has = false;
    // SAFETY: as above; `global` is an object.
    let status = unsafe { sys::napi_has_element(env, global, 0, &raw mut has) };
    status != sys::Status::napi_ok
}
