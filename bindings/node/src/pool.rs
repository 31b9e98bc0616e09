//! Pools, as the class that `index.js` wraps.

use crate::error::{Result, of_alloc, of_config};
use crate::pressure::Pressure;
use crate::usage::PoolUsage;
use crate::{buffer, usage};
use napi::{Env, Unknown};
use napi_derive::napi;
use slabuf::{AllocError, Buffer, Pool};

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

/// A pool.
#[napi]
pub struct NativePool {
    pool: Pool,
    pressure: Pressure,
}

#[napi]
impl NativePool {
    /// A pool of its own.
    #[napi(constructor)]
    pub fn new(env: &Env, options: PoolOptions) -> Result<Self> {
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
            Ok(pool) => Ok(Self::of(pool)),
            Err(error) => Err(of_config(env, &error)),
        }
    }

    /// The global pool.
    #[napi(factory)]
    pub fn global() -> Self {
        Self::of(Pool::global().clone())
    }

    fn of(pool: Pool) -> Self {
        Self {
            pool,
            pressure: Pressure::default(),
        }
    }

    /// A `Buffer` of `len` zeros; `len` is not 0.
    #[napi]
    pub fn alloc<'env>(&self, env: &'env Env, len: f64) -> Result<Unknown<'env>> {
        self.finish(env, self.pool.try_alloc(len as usize))
    }

    /// A `Buffer` of `len` stale bytes; `len` is not 0.
    #[napi]
    pub fn alloc_unsafe<'env>(&self, env: &'env Env, len: f64) -> Result<Unknown<'env>> {
        self.finish(env, self.pool.try_alloc_unsafe(len as usize))
    }

    fn finish<'env>(
        &self,
        env: &'env Env,
        taken: std::result::Result<Buffer, AllocError>,
    ) -> Result<Unknown<'env>> {
        match taken {
            Ok(buffer) => {
                self.pressure.took(buffer.len());
                buffer::into_node(env, buffer)
            }
            Err(error) => {
                if let AllocError::LimitExceeded { limit, .. } = error {
                    self.pressure.full(env, limit);
                }
                Err(of_alloc(env, &error))
            }
        }
    }

    /// The pool's figures.
    #[napi]
    pub fn usage(&self) -> PoolUsage {
        usage::of(&self.pool)
    }

    /// Gives back to the system what no buffer uses: how many bytes that was.
    #[napi]
    pub fn trim(&self) -> f64 {
        self.pool.trim() as f64
    }
}
