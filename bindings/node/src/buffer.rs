//! A slabuf buffer's memory as a Node `Buffer`, and its way back.
//!
//! # Safety
//!
//! From [`into_node`] on the memory belongs to one external `ArrayBuffer`. Node calls [`give_back`] once, on the
//! environment's own thread: in a turn of the event loop after V8 has freed the `ArrayBuffer`'s store, or when the
//! environment ends, after it has detached the `ArrayBuffer`. Nobody can reach the bytes by then. The
//! `ArrayBuffer` is marked as not transferable by Node, so no other environment gets at them.

use crate::error::of_refusal;
use napi::bindgen_prelude::ToNapiValue;
use napi::{Env, Result, Status, sys};
use slabuf::{Buffer, RawOwner};
use std::ffi::c_void;
use std::ptr::null_mut;

/// A `Buffer` on its way to JavaScript, within the call that made it.
pub(crate) struct NodeBuffer(sys::napi_value);

impl ToNapiValue for NodeBuffer {
    unsafe fn to_napi_value(_env: sys::napi_env, value: Self) -> Result<sys::napi_value> {
        Ok(value.0)
    }
}

/// A Node `Buffer` of `buffer`'s memory, without a copy. The owner's word travels as the finalizer's hint, so
/// nothing is allocated for it on the Rust heap.
///
/// If Node refuses, the memory may or may not have been given back by then, so it is left alone.
pub(crate) fn into_node(env: &Env, buffer: Buffer) -> Result<NodeBuffer> {
    let (start, len, owner) = buffer.into_raw_parts();
    let hint = owner.into_ptr();
    let mut value = null_mut();
    // SAFETY: `env` is that of the running call; `start` is good for `len` bytes, which nobody else uses, until
    // `give_back`, which gets `start` and the owner's word.
    let status = unsafe {
        sys::napi_create_external_buffer(
            env.raw(),
            len,
            start.cast(),
            Some(give_back),
            hint,
            &raw mut value,
        )
    };
    match status {
        sys::Status::napi_ok => Ok(NodeBuffer(value)),
        sys::Status::napi_no_external_buffers_allowed => {
            // SAFETY: the parts are those of one buffer; this status means that Node has not taken them.
            drop(unsafe { Buffer::from_raw_parts(start, len, owner) });
            Err(of_refusal(env, len, Status::from(status)))
        }
        _ => Err(of_refusal(env, len, Status::from(status))),
    }
}

/// Gives the memory of a dead `ArrayBuffer` back to its pool.
unsafe extern "C" fn give_back(_env: sys::napi_env, start: *mut c_void, owner: *mut c_void) {
    // SAFETY: Node passes what `into_node` gave it, once. The length plays no part in giving memory back.
    drop(unsafe { Buffer::from_raw_parts(start.cast(), 0, RawOwner::from_ptr(owner)) });
}
