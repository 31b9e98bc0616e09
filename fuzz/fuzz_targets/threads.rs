//! Programs for several threads, which send buffers to each other.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slabuf_fuzz::{program::ThreadsProgram, threads};

fuzz_target!(|program: ThreadsProgram| threads::run(&program));
