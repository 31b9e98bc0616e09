//! Pools, as objects of functions that `index.js` wraps.
//!
//! They are functions that hold their pool, and not methods of a class: napi finds the receiver of
//! a method in a table that all threads of the process lock, which costs more than an allocation.

use crate::array_buffer::{RawValue, into_js};
use crate::budget::Shared;
use crate::error::{is_limit, of_alloc, of_config};
use crate::gc_pressure::GcPressure;
use crate::take;
use crate::usage;
use crate::waiting::Requests;
use napi::bindgen_prelude::{Function, FunctionCallContext, Object, ToNapiValue};
use napi::{Env, Error, Result, sys};
use napi_derive::napi;
use slabuf::{AllocError, Budget, Buffer, Pool};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Settings, in bytes where they are numbers. An absent setting has slabuf's default.
#[napi(object, object_to_js = false)]
pub struct PoolOptions {
    /// Most bytes that the pool may map.
    pub limit: Option<f64>,
    /// Bytes in a slab.
    pub slab_size: Option<f64>,
    /// Whether memory is wiped when it is freed.
    pub zero_on_free: Option<bool>,
    /// Whether `allocUnsafe` zeroes too.
    pub zero_fill: Option<bool>,
    /// Bytes of freed memory that are kept for reuse.
    pub cache_limit: Option<f64>,
}

/// Creates a pool.
#[napi]
pub fn pool<'env>(env: &'env Env, options: PoolOptions) -> Result<Object<'env>> {
    build(env, &options, None)
}

pub(crate) fn build<'env>(
    env: &'env Env,
    options: &PoolOptions,
    budget: Option<(&Budget, &Rc<Shared>)>,
) -> Result<Object<'env>> {
    let limit = options.limit.map(|bytes| bytes as usize);
    let mut builder = Pool::builder();
    if let Some(bytes) = limit {
        builder = builder.limit(bytes);
    }
    if let Some(bytes) = options.slab_size {
        builder = builder.slab_size(bytes as usize);
    }
    if let Some(on) = options.zero_on_free {
        builder = builder.zero_on_free(on);
    }
    if let Some(on) = options.zero_fill {
        builder = builder.zero_fill(on);
    }
    if let Some(bytes) = options.cache_limit {
        builder = builder.cache_limit(bytes as usize);
    }
    if let Some((budget, _)) = budget {
        builder = builder.budget(budget);
    }
    match builder.build() {
        Ok(pool) => functions(env, NodePool::new(pool, limit, budget.map(|(_, it)| it))),
        Err(error) => Err(of_config(env, &error)),
    }
}

/// Returns the global pool.
#[napi]
pub fn global_pool(env: &Env) -> Result<Object<'_>> {
    functions(env, NodePool::new(Pool::global().clone(), None, None))
}

/// Returns unused memory of all pools to the system, and the number of bytes.
#[napi]
pub fn trim_all() -> f64 {
    slabuf::trim_all() as f64
}

/// One environment's handle to a pool.
pub(crate) struct NodePool {
    /// `None` after `close`.
    pool: RefCell<Option<Pool>>,
    pressure: Option<GcPressure>,
    budget: Option<Rc<Shared>>,
    requests: Requests,
    /// Number of requests whose time was over.
    timed_out: Cell<u64>,
}

impl NodePool {
    fn new(pool: Pool, limit: Option<usize>, budget: Option<&Rc<Shared>>) -> Self {
        Self {
            pool: RefCell::new(Some(pool)),
            pressure: limit.map(GcPressure::new),
            budget: budget.map(Rc::clone),
            requests: Requests::default(),
            timed_out: Cell::new(0),
        }
    }

    fn with<T>(&self, call: impl FnOnce(&Pool) -> Result<T>) -> Result<T> {
        match &*self.pool.borrow() {
            Some(pool) => call(pool),
            None => Err(Error::from_reason("the pool is closed")),
        }
    }

    /// Allocates an `ArrayBuffer`.
    pub(crate) fn take(&self, env: &Env, len: usize, zeroed: bool) -> Result<sys::napi_value> {
        let allocated = self.with(|pool| {
            Ok(match zeroed {
                true => pool.try_alloc(len),
                false => pool.try_alloc_unsafe(len),
            })
        })?;
        self.finish(env, allocated)
    }

    fn finish(
        &self,
        env: &Env,
        allocated: std::result::Result<Buffer, AllocError>,
    ) -> Result<sys::napi_value> {
        match allocated {
            Ok(buffer) => {
                for pressure in self.pressures() {
                    pressure.allocated(buffer.len());
                }
                into_js(env, buffer)
            }
            Err(error) => {
                if is_limit(&error) {
                    self.collect(env);
                }
                Err(of_alloc(env, &error))
            }
        }
    }

    /// Returns those of the limit and of the budget.
    fn pressures(&self) -> impl Iterator<Item = &GcPressure> {
        let shared = self.budget.as_ref().map(|shared| &shared.pressure);
        self.pressure.iter().chain(shared)
    }

    fn collect(&self, env: &Env) {
        for pressure in self.pressures() {
            pressure.request(env);
        }
    }

    /// Gives up a request whose time is over.
    fn expire(&self, number: u32) {
        if self.requests.cancel(number) {
            self.timed_out.set(self.timed_out.get() + 1);
            if let Some(shared) = &self.budget {
                shared.timed_out.set(shared.timed_out.get() + 1);
            }
        }
    }
}

/// Makes the functions of a pool:
///
/// - `takeZeroed(length)` and `takeStale(length)` allocate an `ArrayBuffer`;
/// - `usage()`, `trim()` and `available()` are the crate's;
/// - `close()` drops the pool's handle, and all waiting requests;
/// - `wait(length, zeroed, woken)` adds a waiting request and returns its number, `poll(number)`
///   returns its `ArrayBuffer` or null, `cancel(number)` gives it up, `expire(number)` does
///   the same when its time is over, `collect()` makes V8 collect garbage.
fn functions(env: &Env, pool: NodePool) -> Result<Object<'_>> {
    let pool = Rc::new(pool);
    let mut object = Object::new(env)?;
    let (zeroed, stale) = (
        take::function::<true>(env, &pool)?,
        take::function::<false>(env, &pool)?,
    );
    object.set("takeZeroed", RawValue(zeroed))?;
    object.set("takeStale", RawValue(stale))?;
    function(env, &mut object, "usage", &pool, |_, pool| {
        pool.with(|handle| Ok(usage::of(handle, pool.timed_out.get())))
    })?;
    function(env, &mut object, "trim", &pool, |_, pool| {
        pool.with(|pool| Ok(pool.trim() as f64))
    })?;
    function(env, &mut object, "available", &pool, |_, pool| {
        pool.with(|pool| Ok(pool.available().map_or(f64::INFINITY, |bytes| bytes as f64)))
    })?;
    function(env, &mut object, "close", &pool, |_, pool| {
        pool.requests.cancel_all();
        let closed = pool.pool.take();
        drop(closed);
        Ok(())
    })?;
    function(env, &mut object, "wait", &pool, |context, pool| {
        let len: f64 = context.get(0)?;
        let zeroed: bool = context.get(1)?;
        let woken: Function<'_, (), ()> = context.get(2)?;
        let callback = || woken.build_threadsafe_function().weak::<true>().build();
        pool.with(|handle| pool.requests.add(handle, len as usize, zeroed, callback))
    })?;
    function(env, &mut object, "poll", &pool, |context, pool| {
        let number: u32 = context.get(0)?;
        let Some(result) = pool.requests.poll(number) else {
            return Ok(None);
        };
        let value = pool.finish(context.env, result)?;
        Ok(Some(RawValue(value)))
    })?;
    function(env, &mut object, "cancel", &pool, |context, pool| {
        pool.requests.cancel(context.get(0)?);
        Ok(())
    })?;
    function(env, &mut object, "expire", &pool, |context, pool| {
        pool.expire(context.get(0)?);
        Ok(())
    })?;
    function(env, &mut object, "collect", &pool, |context, pool| {
        pool.collect(context.env);
        Ok(())
    })?;
    Ok(object)
}

/// Sets a property to a function, which holds a reference to its pool or budget.
pub(crate) fn function<Owner: 'static, Return: ToNapiValue + 'static>(
    env: &Env,
    object: &mut Object<'_>,
    name: &str,
    owner: &Rc<Owner>,
    body: fn(&FunctionCallContext<'_>, &Owner) -> Result<Return>,
) -> Result<()> {
    let owner = Rc::clone(owner);
    let function = env.create_function_from_closure::<(), Return, _>(name, move |context| {
        body(&context, &owner)
    })?;
    object.set(name, function)
}
