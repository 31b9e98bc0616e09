//! Budgets, as objects of functions that `lib/budget.js` wraps. They create their pools themselves,
//! so that no handle of a budget goes through JavaScript.

use crate::array_buffer::RawValue;
use crate::gc_pressure::GcPressure;
use crate::pool::{self, PoolOptions, function};
use crate::usage;
use napi::bindgen_prelude::Object;
use napi::{Env, Error, JsValue, Result};
use napi_derive::napi;
use slabuf::Budget;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What a budget and its pools share, in the environment that created them.
pub(crate) struct Shared {
    pub(crate) pressure: GcPressure,
    /// Number of requests whose time was over.
    pub(crate) timed_out: Cell<u64>,
}

/// One environment's handle to a budget.
struct NodeBudget {
    /// `None` after `close`.
    budget: RefCell<Option<Budget>>,
    shared: Rc<Shared>,
}

impl NodeBudget {
    fn with<T>(&self, call: impl FnOnce(&Budget) -> Result<T>) -> Result<T> {
        match &*self.budget.borrow() {
            Some(budget) => call(budget),
            None => Err(Error::from_reason("the budget is closed")),
        }
    }
}

/// Creates a budget, as an object of functions:
///
/// - `pool(options)` creates a pool of it;
/// - `usage()` and `trim()` are the crate's;
/// - `close()` drops the handle, but not the budget's pools.
// Without memory for its own structures, `Budget::new` panics.
#[napi(catch_unwind)]
pub fn budget(env: &Env, bytes: f64) -> Result<Object<'_>> {
    let budget = Rc::new(NodeBudget {
        budget: RefCell::new(Some(Budget::new(bytes as usize))),
        shared: Rc::new(Shared {
            pressure: GcPressure::new(bytes as usize),
            timed_out: Cell::new(0),
        }),
    });
    let mut object = Object::new(env)?;
    function(env, &mut object, "pool", &budget, |context, budget| {
        let options: PoolOptions = context.get(0)?;
        budget.with(|handle| {
            let made = pool::build(context.env, &options, Some((handle, &budget.shared)))?;
            Ok(RawValue(made.raw()))
        })
    })?;
    function(env, &mut object, "usage", &budget, |_, budget| {
        budget.with(|handle| Ok(usage::of_budget(handle, budget.shared.timed_out.get())))
    })?;
    function(env, &mut object, "trim", &budget, |_, budget| {
        budget.with(|budget| Ok(budget.trim() as f64))
    })?;
    function(env, &mut object, "close", &budget, |_, budget| {
        let closed = budget.budget.take();
        drop(closed);
        Ok(())
    })?;
    Ok(object)
}
