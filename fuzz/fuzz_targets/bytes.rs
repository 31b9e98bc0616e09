//! A buffer, and what it freezes into, against a `BytesMut`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slabuf_fuzz::wire;

fuzz_target!(|program: wire::Program| wire::run(&program));
