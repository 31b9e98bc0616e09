//! Programs of operations on several pools, compared with a `Vec<u8>`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slabuf_fuzz::{ops, program::Program};

fuzz_target!(|program: Program| ops::run(&program));
