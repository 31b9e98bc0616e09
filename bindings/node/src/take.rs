//! `takeZeroed(length)` and `takeStale(length)`: the functions behind every allocation, written
//! against Node-API directly.
//!
//! napi-rs' closures box their arguments and results, which costs more than the allocation.
//!
//! # Safety
//!
//! The function object holds one reference to its pool, as a pointer in Node-API's `data`.
//! [`release`] drops it when V8 collects the function or the environment ends, after which Node
//! makes no calls.

use crate::pool::NodePool;
use napi::{Env, Result, Status, check_status, sys};
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::rc::Rc;

/// Makes the function that allocates zeroed or stale `ArrayBuffer`s from a pool.
pub(crate) fn function<const ZEROED: bool>(
    env: &Env,
    pool: &Rc<NodePool>,
) -> Result<sys::napi_value> {
    let data = Rc::into_raw(Rc::clone(pool)).cast_mut().cast::<c_void>();
    let mut function = null_mut();
    // SAFETY: `env` is that of the running call; the name has four bytes; `data` is what `take`
    // expects.
    let status = unsafe {
        sys::napi_create_function(
            env.raw(),
            c"take".as_ptr(),
            4,
            Some(take::<ZEROED>),
            data,
            &raw mut function,
        )
    };
    let created = check_status!(status).and_then(|()| {
        // SAFETY: `function` was made just now; `release` gets `data` once.
        check_status!(unsafe {
            sys::napi_add_finalizer(
                env.raw(),
                function,
                data,
                Some(release),
                null_mut(),
                null_mut(),
            )
        })
    });
    if created.is_err() {
        // SAFETY: from `into_raw` above; no finalizer has it, and JavaScript never sees the
        // function.
        drop(unsafe { Rc::from_raw(data.cast::<NodePool>()) });
    }
    created.map(|()| function)
}

unsafe extern "C" fn release(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `function` passed the pointer of one reference, and Node calls this once.
    drop(unsafe { Rc::from_raw(data.cast::<NodePool>()) });
}

/// Allocates. Returns null with an exception pending if that fails.
unsafe extern "C" fn take<const ZEROED: bool>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    let mut count = 1;
    let mut argument = null_mut();
    let mut data = null_mut();
    // SAFETY: Node passes a live `env` and `info`; there is room for one argument.
    let status = unsafe {
        sys::napi_get_cb_info(
            env,
            info,
            &raw mut count,
            &raw mut argument,
            null_mut(),
            &raw mut data,
        )
    };
    if status != sys::Status::napi_ok {
        return null_mut();
    }
    let mut len = 0.0;
    // SAFETY: an absent argument is `undefined`, which is a value.
    let status = unsafe { sys::napi_get_value_double(env, argument, &raw mut len) };
    if status != sys::Status::napi_ok {
        // SAFETY: `env` as above; the text ends in a zero; no code.
        unsafe { sys::napi_throw_type_error(env, null(), c"a length is a number".as_ptr()) };
        return null_mut();
    }
    // SAFETY: `data` is the pointer of a reference that the running function holds.
    let pool = unsafe { &*data.cast::<NodePool>() };
    let env = Env::from_raw(env);
    match pool.take(&env, len as usize, ZEROED) {
        Ok(value) => value,
        // `error` has thrown, but for failures inside napi, whose status says nothing of use.
        Err(error) => {
            if error.status != Status::PendingException {
                let _ = env.throw_error(&error.reason, Some("ERR_SLABUF"));
            }
            null_mut()
        }
    }
}
