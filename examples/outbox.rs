//! What an outbox saves: calls of the writer and time for ten million bytes in pieces of 100, to `/dev/null` and through a
//! TCP socket to a thread that reads, against a `BufWriter` and against one write for each piece.
//!
//! ```text
//! cargo run --release --example outbox              # 100,000 pieces of 100 bytes
//! cargo run --release --example outbox -- 4000      # 2,500 pieces of 4000 bytes
//! ```

use slabuf::{Buffer, Outbox, Piece};
use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const BYTES: usize = 10_000_000;
const ROUNDS: usize = 9;

/// Counts the calls, each of which is a system call here.
struct Counted<W> {
    writer: W,
    calls: usize,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        self.writer.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.calls += 1;
        self.writer.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

type Way = fn(&mut Counted<Box<dyn Write>>, Vec<Buffer>) -> io::Result<()>;

const WAYS: [(&str, Way); 5] = [
    ("`write_all` of each piece", each),
    ("`Outbox`, not corked", uncorked),
    ("`Outbox`, corked up to the mark", corked),
    ("the same, frozen first", frozen),
    ("`BufWriter` of 64 KiB", buffered),
];

fn each(writer: &mut Counted<Box<dyn Write>>, pieces: Vec<Buffer>) -> io::Result<()> {
    pieces.iter().try_for_each(|piece| writer.write_all(piece))
}

fn uncorked(writer: &mut Counted<Box<dyn Write>>, pieces: Vec<Buffer>) -> io::Result<()> {
    let outbox = Outbox::new(writer);
    for piece in pieces {
        if !outbox.write(piece)? {
            outbox.drain()?;
        }
    }
    outbox.flush()
}

fn cork(
    writer: &mut Counted<Box<dyn Write>>,
    pieces: impl Iterator<Item = Piece>,
) -> io::Result<()> {
    let outbox = Outbox::new(writer);
    outbox.cork();
    for piece in pieces {
        if !outbox.write(piece)? {
            outbox.drain()?;
        }
    }
    outbox.flush()
}

fn corked(writer: &mut Counted<Box<dyn Write>>, pieces: Vec<Buffer>) -> io::Result<()> {
    cork(writer, pieces.into_iter().map(Piece::from))
}

fn frozen(writer: &mut Counted<Box<dyn Write>>, pieces: Vec<Buffer>) -> io::Result<()> {
    let pieces = pieces.into_iter();
    cork(writer, pieces.map(|piece| Piece::from(piece.freeze())))
}

fn buffered(writer: &mut Counted<Box<dyn Write>>, pieces: Vec<Buffer>) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(64 << 10, writer);
    pieces
        .iter()
        .try_for_each(|piece| writer.write_all(piece))?;
    writer.flush()
}

fn null() -> io::Result<Box<dyn Write>> {
    let file = OpenOptions::new().write(true).open("/dev/null")?;
    Ok(Box::new(file))
}

/// Counts the bytes it reads.
type Reader = JoinHandle<io::Result<usize>>;

/// A socket, and the thread that reads from its other end.
fn socket() -> io::Result<(Box<dyn Write>, Reader)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    near.set_nodelay(true)?;
    let (mut far, _) = listener.accept()?;
    let reader = thread::spawn(move || {
        let (mut room, mut all) = (vec![0; 1 << 20], 0);
        loop {
            match far.read(&mut room)? {
                0 => return Ok(all),
                count => all += count,
            }
        }
    });
    Ok((Box::new(near), reader))
}

fn time(way: Way, len: usize, over_socket: bool) -> Result<(Duration, usize), Box<dyn Error>> {
    let pieces = (0..BYTES / len).map(|_| Buffer::alloc_filled(len, "x"));
    let pieces: Vec<_> = pieces.collect();
    let (writer, reader) = if over_socket {
        let (near, reader) = socket()?;
        (near, Some(reader))
    } else {
        (null()?, None)
    };
    let mut writer = Counted { writer, calls: 0 };
    let start = Instant::now();
    way(&mut writer, pieces)?;
    let calls = writer.calls;
    drop(writer);
    if let Some(reader) = reader {
        let read = reader.join().map_err(|_| "the reader panicked")??;
        assert_eq!(read, BYTES / len * len);
    }
    Ok((start.elapsed(), calls))
}

fn main() -> Result<(), Box<dyn Error>> {
    let len = match std::env::args().nth(1) {
        None => 100,
        Some(len) => len.parse::<NonZeroUsize>()?.get(),
    };
    let pieces = BYTES / len;
    println!("{pieces} pieces of {len} bytes, dropped after; median of {ROUNDS} rounds\n");
    println!("| way | to | calls | ms |\n|---|---|---:|---:|");
    for over_socket in [false, true] {
        // All ways in each round, so that what else the machine does meets all of them.
        let mut times = vec![Vec::new(); WAYS.len()];
        let mut calls = vec![0; WAYS.len()];
        for _ in 0..ROUNDS {
            for (index, (_, way)) in WAYS.iter().enumerate() {
                let (elapsed, count) = time(*way, len, over_socket)?;
                times[index].push(elapsed);
                calls[index] = count;
            }
        }
        let to = if over_socket { "TCP" } else { "`/dev/null`" };
        for (index, (name, _)) in WAYS.iter().enumerate() {
            times[index].sort();
            let median = times[index][ROUNDS / 2].as_secs_f64() * 1e3;
            println!("| {name} | {to} | {} | {median:.2} |", calls[index]);
        }
    }
    Ok(())
}
