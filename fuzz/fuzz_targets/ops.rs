//! Programs of operations on several pools, against the bytes in a `Vec`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slabuf_fuzz::{ops, program::Program};

fuzz_target!(|program: Program| ops::run(&program));
