//! The same as `ops`, on systems that refuse calls by a plan.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slabuf_fuzz::{ops, program::FaultyProgram};

fuzz_target!(|program: FaultyProgram| ops::run(&program.0));
