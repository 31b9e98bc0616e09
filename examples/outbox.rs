//! Compares an `Outbox` with a `BufWriter` and with one write per piece: number of write calls and
//! time for ten million bytes in pieces of 100, to `/dev/null` and through a TCP socket to a reader
//! thread.
//!
//! ```text
//! cargo run --release --example outbox              # 100,000 pieces of 100 bytes
//! cargo run --release --example outbox -- 4000      # 2,500 pieces of 4000 bytes
//! ```

use slabuf::{Buffer, Outbox, Piece};
use std::error::Error;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

#[path = "shared/cli.rs"]
mod cli;

const BYTES: usize = 10_000_000;
const ROUNDS: usize = 9;

const USAGE: &str = "\
Usage: outbox [PIECE_LEN]

Writes ten million bytes in pieces of PIECE_LEN bytes (default: 100) with an Outbox, with a BufWriter and
with one write per piece, to /dev/null and over TCP. Prints the calls and the median time of each.";

/// Counts the calls. Each is a system call in this example.
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

type Method = fn(&mut Counted<Box<dyn Write>>, Vec<Buffer>) -> io::Result<()>;

const METHODS: [(&str, Method); 5] = [
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

/// Returns a socket and the thread that reads from its other end.
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

fn time(
    method: Method,
    len: usize,
    over_socket: bool,
) -> Result<(Duration, usize), Box<dyn Error>> {
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
    method(&mut writer, pieces)?;
    let calls = writer.calls;
    drop(writer);
    if let Some(reader) = reader {
        let read = reader.join().map_err(|_| "the reader panicked")??;
        assert_eq!(read, BYTES / len * len);
    }
    Ok((start.elapsed(), calls))
}

fn main() -> ExitCode {
    cli::main(USAGE, parse, |len| run(&mut io::stdout().lock(), len))
}

/// Returns the length of a piece; `None` if the user asks for help.
fn parse(arguments: Vec<OsString>) -> Result<Option<usize>, String> {
    let Some(len) = cli::at_most_one(arguments)? else {
        return Ok(None);
    };
    match len.as_deref().unwrap_or("100").parse() {
        Ok(len) if (1..=BYTES).contains(&len) => Ok(Some(len)),
        _ => Err(format!(
            "PIECE_LEN {}: not a number from 1 to {BYTES}",
            len.unwrap_or_default()
        )),
    }
}

fn run(out: &mut impl Write, len: usize) -> Result<ExitCode, Box<dyn Error>> {
    let pieces = BYTES / len;
    writeln!(
        out,
        "{pieces} pieces of {len} bytes, freed after the write; median of {ROUNDS} rounds\n"
    )?;
    writeln!(out, "| method | to | calls | ms |\n|---|---|---:|---:|")?;
    for over_socket in [false, true] {
        // All methods in each round, so that other load on the machine affects all of them.
        let mut times = vec![Vec::new(); METHODS.len()];
        let mut calls = vec![0; METHODS.len()];
        for _ in 0..ROUNDS {
            for (index, (_, method)) in METHODS.iter().enumerate() {
                let (elapsed, count) = time(*method, len, over_socket)?;
                times[index].push(elapsed);
                calls[index] = count;
            }
        }
        let to = if over_socket { "TCP" } else { "`/dev/null`" };
        for (index, (name, _)) in METHODS.iter().enumerate() {
            times[index].sort();
            let median = times[index][ROUNDS / 2].as_secs_f64() * 1e3;
            writeln!(out, "| {name} | {to} | {} | {median:.2} |", calls[index])?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
