//! Compares a buffer and its frozen views with a `BytesMut`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slabuf_fuzz::bytes;

fuzz_target!(|program: bytes::Program| bytes::run(&program));
