//! The cost of sampling: ns per pair (allocation and free), in pools with and without it.
//!
//! `cargo bench --bench sampling`. The pools alternate, so that other load affects all of them. The
//! printed value is the tenth best of a hundred rounds, to exclude disturbances.

use std::hint::black_box;
use std::time::Instant;

use slabuf::{ConfigError, Pool};

const ROUNDS: usize = 100;
const LENGTHS: [usize; 3] = [64, 1400, 16 << 10];

fn main() -> Result<(), ConfigError> {
    let pools = [
        ("neither limit nor marks", Pool::builder().build()?),
        ("with a limit", Pool::builder().limit(1 << 30).build()?),
        (
            "with a high-water mark",
            Pool::builder().high_water_mark(1 << 30).build()?,
        ),
        (
            "sampled, 1 in 10,000",
            Pool::builder().sample(10_000).build()?,
        ),
        ("sampled, 1 in 100", Pool::builder().sample(100).build()?),
        ("sampled, 1 in 1", Pool::builder().sample(1).build()?),
    ];
    let mut measured = vec![Vec::new(); pools.len() * LENGTHS.len()];
    for _ in 0..ROUNDS {
        for (place, (_, pool)) in pools.iter().enumerate() {
            for (column, len) in LENGTHS.iter().enumerate() {
                measured[place * LENGTHS.len() + column].push(nanoseconds(pool, *len));
            }
        }
    }
    print!("{:<26}", "ns for a pair of");
    LENGTHS.iter().for_each(|len| print!("{len:>10} B"));
    println!();
    for (place, (name, _)) in pools.iter().enumerate() {
        print!("{name:<26}");
        for column in 0..LENGTHS.len() {
            let rounds = &mut measured[place * LENGTHS.len() + column];
            rounds.sort_unstable_by(f64::total_cmp);
            print!("{:>12.1}", rounds[ROUNDS / 10]);
        }
        println!();
    }
    Ok(())
}

/// For one pair of some 1 ms of them.
fn nanoseconds(pool: &Pool, len: usize) -> f64 {
    let mut count = 0u32;
    let start = Instant::now();
    while start.elapsed().as_micros() < 1000 {
        for _ in 0..256 {
            black_box(pool.alloc_unsafe(black_box(len)).as_ptr());
        }
        count += 256;
    }
    start.elapsed().as_nanos() as f64 / f64::from(count)
}
