//! `ArrayBuffer`s whose backing store owns a buffer, through V8's own interface (`store.cc`).
//!
//! # Safety
//!
//! V8's interface is C++, and binary compatible within one ABI version of Node. The functions that
//! `store.cc` uses are declared alike in the headers of the versions in [`ALIKE`], so a build for
//! one of them runs with all. With any other version, [`enable`] leaves the interface alone.

use crate::array_buffer::Parts;
use napi::bindgen_prelude::{JsObjectValue, Object};
use napi::{Env, Result, sys};
use napi_derive::napi;
use std::sync::OnceLock;

/// Whether `store.cc` may be called. Set when the first environment loads the addon.
static ENABLED: OnceLock<bool> = OnceLock::new();

/// Decides, for the whole process, whether backing stores own the memory, and exports the decision
/// as `backingStores`. The environment variable `SLABUF_NODE_API` forbids it.
#[napi(module_exports)]
pub fn enable(mut exports: Object<'_>, env: Env) -> Result<()> {
    let process: Object<'_> = env.get_global()?.get_named_property("process")?;
    let versions: Object<'_> = process.get_named_property("versions")?;
    let abi: String = versions.get_named_property("modules")?;
    let enabled = *ENABLED.get_or_init(|| {
        std::env::var_os("SLABUF_NODE_API").is_none() && abi.parse().is_ok_and(shim::fits)
    });
    exports.set("backingStores", enabled)
}

/// Makes an `ArrayBuffer` in the running call's isolate, or returns the parts if that is not
/// available.
pub(crate) fn array_buffer(parts: Parts) -> std::result::Result<sys::napi_value, Parts> {
    match ENABLED.get() {
        Some(true) => shim::array_buffer(parts),
        _ => Err(parts),
    }
}

#[cfg(backing_stores)]
mod shim {
    use super::{Parts, sys};
    use std::ffi::{c_int, c_void};

    /// ABI versions whose V8 declares the used functions alike: Node 20, 22, 24, 25 and 26.
    const ALIKE: [u32; 5] = [115, 127, 137, 141, 147];

    type Deleter = unsafe extern "C" fn(*mut c_void, usize, *mut c_void);

    unsafe extern "C" {
        fn slabuf_store_abi() -> c_int;
        fn slabuf_store_max_len() -> usize;
        fn slabuf_store_array_buffer(
            start: *mut c_void,
            len: usize,
            free_memory: Deleter,
            owner: *mut c_void,
        ) -> sys::napi_value;
    }

    pub(super) fn fits(abi: u32) -> bool {
        // SAFETY: returns a constant.
        let built_for = unsafe { slabuf_store_abi() } as u32;
        abi == built_for || (ALIKE.contains(&abi) && ALIKE.contains(&built_for))
    }

    #[inline]
    pub(super) fn array_buffer(parts: Parts) -> std::result::Result<sys::napi_value, Parts> {
        // SAFETY: returns a constant.
        if parts.len > unsafe { slabuf_store_max_len() } {
            return Err(parts);
        }
        // SAFETY: `enable` has checked the ABI. Only callbacks of Node call this, so there is a
        // current isolate with an open handle scope. The parts are those of one buffer; `free` gets
        // them back.
        Ok(unsafe { slabuf_store_array_buffer(parts.start, parts.len, free, parts.owner) })
    }

    /// V8's deleter of a backing store.
    unsafe extern "C" fn free(start: *mut c_void, len: usize, owner: *mut c_void) {
        let parts = Parts { start, len, owner };
        // SAFETY: V8 passes what `array_buffer` gave it, once, when no `ArrayBuffer` uses the
        // store.
        unsafe { parts.free() };
    }
}

#[cfg(not(backing_stores))]
mod shim {
    use super::{Parts, sys};

    pub(super) fn fits(_abi: u32) -> bool {
        false
    }

    pub(super) fn array_buffer(parts: Parts) -> std::result::Result<sys::napi_value, Parts> {
        Err(parts)
    }
}
