//! Compares an outbox, blocking or asynchronous, with a queue of `Vec<u8>`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slabuf_fuzz::outbox;

fuzz_target!(|program: outbox::Program| outbox::run(&program));
