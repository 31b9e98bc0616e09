//! A first look: the constructors, `freeze`, a pool with a limit, the counters.
//!
//! ```text
//! cargo run --example quickstart
//! ```

use std::error::Error;

use slabuf::{AllocError, Buffer, Pool, memory_usage};

fn main() -> Result<(), Box<dyn Error>> {
    constructors();
    freeze();
    pool_with_a_limit()?;
    println!("The whole process, all pools:\n{}", memory_usage());
    Ok(())
}

fn constructors() {
    let zeroed = Buffer::alloc(5);
    let filled = Buffer::alloc_filled(5, "ab");
    let copied = Buffer::from("hello");
    let joined = Buffer::concat(&[&copied[..], b", ", b"world"]);
    println!("alloc(5)               {:?}", &zeroed[..]);
    println!("alloc_filled(5, \"ab\")  {}", text(&filled));
    println!("concat                 {}", text(&joined));

    // Fast, but with whatever an earlier buffer left: write before you show it to anyone.
    let mut scratch = Buffer::alloc_unsafe(5);
    scratch.copy_from_slice(b"12345");
    println!("alloc_unsafe, written  {}", text(&scratch));

    // Grows as a `Vec` does.
    let mut growing = Buffer::with_capacity(16);
    growing.extend_from_slice(b"grows ");
    growing.extend_from_slice(&copied);
    println!("with_capacity, grown   {}\n", text(&growing));
}

fn freeze() {
    let message = Buffer::from("header|body");
    let before = message.as_ptr();
    let frozen = message.freeze();
    let body = frozen.slice(7..);
    println!(
        "freeze                 {} and its slice {}; copied: {}\n",
        text(&frozen),
        text(&body),
        before != frozen.as_ptr()
    );
}

fn pool_with_a_limit() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder().limit(8 * 1024 * 1024).build()?;
    let mut held = Vec::new();
    let refusal = loop {
        match pool.try_alloc(1024 * 1024) {
            Ok(buffer) => held.push(buffer),
            Err(error) => break error,
        }
    };
    println!("limit of 8 MiB         {} buffers of 1 MiB", held.len());
    println!("then                   {refusal}");
    assert!(matches!(refusal, AllocError::LimitExceeded { .. }));

    held.pop();
    held.push(pool.try_alloc(1024 * 1024)?);
    let usage = pool.usage();
    println!(
        "one dropped, one taken array_buffers {}, external {}",
        usage.array_buffers, usage.external
    );

    drop(held);
    let given_back = pool.trim();
    let external = pool.usage().external;
    println!("all dropped, trim()    {given_back} bytes given back, external {external}\n");
    Ok(())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("this example holds ASCII only")
}
