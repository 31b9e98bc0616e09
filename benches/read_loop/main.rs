//! Read loops over a loopback connection, and splitting without one: `Buffer` beside `BytesMut`.
//!
//! `cargo bench --bench read_loop [ROUNDS]` runs every row of both in turn, and prints medians and
//! the medians of each round's ratios. The reader's times are its thread's own processor time and
//! the time on the clock.

#[path = "../support/cpu_time.rs"]
mod cpu_time;
mod parts;

use std::hint::black_box;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use slabuf::Buffer;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const KIB: usize = 1 << 10;
/// Bytes of each connection.
const TOTAL: usize = 64_000_000;
const FRAME: usize = 1000;
/// Of one write of the sender.
const WRITE: usize = 64 * KIB;
const ROUNDS: usize = 9;

/// A buffer to read into.
pub(crate) trait ReadBuffer: Buf + BufMut + Sized {
    fn with_capacity(capacity: usize) -> Self;
    fn split_and_freeze(&mut self, len: usize) -> Bytes;
}

impl ReadBuffer for Buffer {
    fn with_capacity(capacity: usize) -> Self {
        Buffer::with_capacity(capacity)
    }

    fn split_and_freeze(&mut self, len: usize) -> Bytes {
        self.split_to(len).freeze()
    }
}

impl ReadBuffer for BytesMut {
    fn with_capacity(capacity: usize) -> Self {
        BytesMut::with_capacity(capacity)
    }

    fn split_and_freeze(&mut self, len: usize) -> Bytes {
        self.split_to(len).freeze()
    }
}

/// What is done with the bytes that a read has brought.
#[derive(Clone, Copy)]
enum Consume {
    Split,
    Copy,
    Frames,
}

impl Consume {
    const ALL: [(&str, Consume); 3] = [
        ("split_to(len).freeze()", Consume::Split),
        ("copy_to_bytes(len)", Consume::Copy),
        ("frames of 1000 B", Consume::Frames),
    ];
}

/// Of one connection.
struct Cost {
    reads: f64,
    clock_ms: f64,
    cpu_ms: f64,
}

fn main() {
    // `cargo bench` passes `--bench`.
    let rounds = std::env::args().find_map(|argument| argument.parse().ok());
    let rounds = rounds.unwrap_or(ROUNDS).max(1);
    read_loops(rounds);
    println!();
    parts::table(rounds);
}

fn read_loops(rounds: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .expect("a runtime");
    println!(
        "| capacity | consumed by | reads | clock, ms | cpu, ms | reads ratio | clock ratio | cpu ratio |"
    );
    println!("|--:|---|--:|--:|--:|--:|--:|--:|");
    for capacity in [8 * KIB, 64 * KIB] {
        for (name, consume) in Consume::ALL {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            // The first round warms both up.
            for round in 0..=rounds {
                let mut run = |ours_first: bool| match ours_first {
                    true => ours.push(runtime.block_on(connection::<Buffer>(capacity, consume))),
                    false => {
                        theirs.push(runtime.block_on(connection::<BytesMut>(capacity, consume)))
                    }
                };
                run(round % 2 == 0);
                run(round % 2 != 0);
            }
            let columns: [fn(&Cost) -> f64; 3] = [|c| c.reads, |c| c.clock_ms, |c| c.cpu_ms];
            let pairs = || ours.iter().zip(&theirs).skip(1);
            let cells = columns.map(|column| {
                let [ours, theirs] = [
                    median(pairs().map(|(ours, _)| column(ours))),
                    median(pairs().map(|(_, theirs)| column(theirs))),
                ];
                format!("{ours:.1}, {theirs:.1}")
            });
            let ratios = columns.map(|column| {
                let ratio = median(pairs().map(|(ours, theirs)| column(ours) / column(theirs)));
                format!("{ratio:.3}")
            });
            println!(
                "| {} KiB | `{name}` | {} | {} |",
                capacity / KIB,
                cells.join(" | "),
                ratios.join(" | ")
            );
        }
    }
}

pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Starts a thread that writes all bytes to the first client.
fn sender() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let bytes = vec![7; WRITE];
        let mut left = TOTAL;
        while left > 0 {
            let len = left.min(WRITE);
            stream
                .write_all(&bytes[..len])
                .expect("the reader reads all");
            left -= len;
        }
    });
    (address, thread)
}

async fn connection<B: ReadBuffer>(capacity: usize, consume: Consume) -> Cost {
    let (address, thread) = sender();
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let mut buffer = B::with_capacity(capacity);
    let (mut reads, mut consumed) = (0.0, 0);
    let (clock, cpu) = (Instant::now(), cpu_time::now());
    while stream.read_buf(&mut buffer).await.expect("a read") > 0 {
        reads += 1.0;
        consumed += take_out(&mut buffer, consume);
    }
    let clock_ms = clock.elapsed().as_secs_f64() * 1e3;
    let cpu_ms = (cpu_time::now() - cpu).as_secs_f64() * 1e3;
    assert_eq!(consumed + buffer.remaining(), TOTAL);
    thread.join().expect("the sender has ended");
    Cost {
        reads,
        clock_ms,
        cpu_ms,
    }
}

fn take_out<B: ReadBuffer>(buffer: &mut B, consume: Consume) -> usize {
    let before = buffer.remaining();
    match consume {
        Consume::Split => drop(black_box(buffer.split_and_freeze(before))),
        Consume::Copy => drop(black_box(buffer.copy_to_bytes(before))),
        Consume::Frames => {
            while buffer.remaining() >= FRAME {
                drop(black_box(buffer.split_and_freeze(FRAME)));
            }
        }
    }
    before - buffer.remaining()
}
