//! Programs for several threads, which hand buffers over.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slabuf_fuzz::{lanes, program::LanesProgram};

fuzz_target!(|program: LanesProgram| lanes::run(&program));
