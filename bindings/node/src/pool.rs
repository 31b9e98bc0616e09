//! Pools, as objects of functions that `index.js` wraps.
//!
//! Functions that have their pool with them, and no class: napi finds the receiver of a method in a table
//! that all threads of the process lock, and a call took 275 ns before it did anything.

use crate::buffer::{NodeBuffer, into_node};
use crate::error::{of_alloc, of_config};
use crate::pressure::Pressure;
use crate::usage;
use napi::bindgen_prelude::{FunctionCallContext, Object, ToNapiValue};
use napi::{Env, Result};
use napi_derive::napi;
use slabuf::{AllocError, Buffer, Pool};
use std::rc::Rc;

/// Settings, in bytes where they are numbers. What is absent has slabuf's default.
#[napi(object, object_to_js = false)]
pub struct PoolOptions {
    /// The most that the pool may map.
    pub limit: Option<f64>,
    /// Bytes in a slab.
    pub slab_size: Option<f64>,
    /// Whether memory is wiped when it is given back.
    pub zero_on_free: Option<bool>,
    /// Whether `allocUnsafe` zeroes too.
    pub zero_fill: Option<bool>,
    /// Bytes of freed memory that are kept for reuse.
    pub cache_limit: Option<f64>,
}

/// A pool of its own.
#[napi]
pub fn pool<'env>(env: &'env Env, options: PoolOptions) -> Result<Object<'env>> {
    let mut builder = Pool::builder();
    if let Some(bytes) = options.limit {
        builder = builder.limit(bytes as usize);
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
    match builder.build() {
        Ok(pool) => functions(env, pool),
        Err(error) => Err(of_config(env, &error)),
    }
}

/// The global pool.
#[napi]
pub fn global_pool(env: &Env) -> Result<Object<'_>> {
    functions(env, Pool::global().clone())
}

/// One environment's handle to a pool.
struct NodePool {
    pool: Pool,
    pressure: Pressure,
}

impl NodePool {
    fn finish(
        &self,
        env: &Env,
        taken: std::result::Result<Buffer, AllocError>,
    ) -> Result<NodeBuffer> {
        match taken {
            Ok(buffer) => {
                self.pressure.took(buffer.len());
                into_node(env, buffer)
            }
            Err(error) => {
                if let AllocError::LimitExceeded {
                    limit: Some(limit), ..
                } = error
                {
                    self.pressure.full(env, limit);
                }
                Err(of_alloc(env, &error))
            }
        }
    }
}

/// `alloc(length)`, `allocUnsafe(length)`, `usage()` and `trim()`. A length of 0 gives a Buffer without memory.
fn functions(env: &Env, pool: Pool) -> Result<Object<'_>> {
    let pool = Rc::new(NodePool {
        pool,
        pressure: Pressure::default(),
    });
    let mut object = Object::new(env)?;
    function(env, &mut object, "alloc", &pool, |context, pool| {
        let len: f64 = context.get(0)?;
        pool.finish(context.env, pool.pool.try_alloc(len as usize))
    })?;
    function(env, &mut object, "allocUnsafe", &pool, |context, pool| {
        let len: f64 = context.get(0)?;
        pool.finish(context.env, pool.pool.try_alloc_unsafe(len as usize))
    })?;
    function(env, &mut object, "usage", &pool, |_, pool| {
        Ok(usage::of(&pool.pool))
    })?;
    function(env, &mut object, "trim", &pool, |_, pool| {
        Ok(pool.pool.trim() as f64)
    })?;
    Ok(object)
}

/// A property that is a function, whose pool lives as long as it does.
fn function<Return: ToNapiValue + 'static>(
    env: &Env,
    object: &mut Object<'_>,
    name: &str,
    pool: &Rc<NodePool>,
    body: fn(&FunctionCallContext<'_>, &NodePool) -> Result<Return>,
) -> Result<()> {
    let pool = Rc::clone(pool);
    let function = env.create_function_from_closure::<(), Return, _>(name, move |context| {
        body(&context, &pool)
    })?;
    object.set(name, function)
}
