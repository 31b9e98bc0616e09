//! Any settings: a pool that works, or the documented error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slabuf_fuzz::{ops, program::ConfigProgram};

fuzz_target!(|program: ConfigProgram| ops::run_config(&program));
