//! Who holds my memory? A pool that remembers one take in ten, a program with a leak, and the two tables
//! that show it.
//!
//! `cargo run --release --example who_holds`
//!
//! Requests come and go in bursts. One in a hundred leaves a small buffer behind in a list of sessions that nobody ever clears: little in
//! bytes, but each holds a slab of 8 KiB nearly alone.

use std::error::Error;
use std::thread;
use std::time::Duration;

use slabuf::{Buffer, Pool, SampleTable};

const BURSTS: usize = 10;
/// Requests under way at once in a burst.
const REQUESTS: usize = 4_000;

#[inline(never)]
fn read_request(pool: &Pool) -> Buffer {
    pool.alloc(600)
}

#[inline(never)]
fn open_session(pool: &Pool) -> Buffer {
    pool.copy_from_slice(&[b'x'; 600])
}

#[inline(never)]
fn load_index(pool: &Pool) -> Buffer {
    pool.alloc(1 << 20)
}

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder().sample(10).build()?;
    let indexes: Vec<_> = (0..40).map(|_| load_index(&pool)).collect();
    thread::sleep(Duration::from_millis(50));

    let mut sessions = Vec::new();
    for _ in 0..BURSTS {
        let mut under_way = Vec::new();
        for number in 0..REQUESTS {
            under_way.push(read_request(&pool));
            if number % 100 == 0 {
                sessions.push(open_session(&pool));
            }
        }
    }

    println!("{}\n", pool.usage());
    let samples = pool.live_samples();
    println!("{} live samples, one take in ten", samples.len());
    println!("\nThe oldest:\n{}", SampleTable::oldest(&samples, 5));
    println!(
        "\nThose that hold slabs nearly alone:\n{}",
        SampleTable::lonely(&samples, 5)
    );
    drop((indexes, sessions));
    Ok(())
}
