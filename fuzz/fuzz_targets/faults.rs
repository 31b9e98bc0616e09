//! As `ops`, on systems that refuse calls by a plan.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slabuf_fuzz::{execute, program::FaultyProgram};

fuzz_target!(|program: FaultyProgram| execute::run(&program.0));
