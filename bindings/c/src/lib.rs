//! The C interface of `slabuf`. `include/slabuf.h` is written from these sources by cbindgen.
//!
//! # Safety
//!
//! The functions are called from C. A pointer that is not null and is aligned is taken to point to what its type
//! says; who calls sees to it. What the pointee holds is checked as far as that is possible: a buffer by its
//! seal (see `buffer`), a pool by its number (see `pools`), a struct of settings or figures by its size (see
//! `sized`). No panic passes (see `status::guard`).

#![allow(non_camel_case_types)]

pub mod buffer;
pub mod pool;
pub mod pools;
pub mod settings;
mod sized;
pub mod status;
pub mod usage;
