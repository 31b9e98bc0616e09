//! The load generator. Each connection sends a message, reads its echo, compares every byte, and
//! repeats.

use crate::options::Options;
use std::error::Error;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Time limit of an echo and of a connect.
const ECHO_TIMEOUT: Duration = Duration::from_secs(60);
/// Length of the pattern from which messages are cut at different offsets.
const PATTERN: usize = 1 << 20;
/// Bytes of an echo that are read and compared per read call.
const PIECE: usize = 64 << 10;

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    /// Requests whose echo was complete before the end of the run.
    in_time: AtomicU64,
    wrong: AtomicU64,
    longest_us: AtomicU64,
}

/// The end of a connection.
enum End {
    /// After its last echo.
    Done,
    /// Closed by the server because the client never read, as intended.
    Cut,
}

struct Load {
    pattern: Vec<u8>,
    message: usize,
    requests: usize,
    pause: Duration,
    counts: Counts,
}

/// Runs the load and prints one line for the server.
pub(crate) async fn run(options: &Options, port: u16) -> Result<bool, Box<dyn Error>> {
    let load = Arc::new(Load {
        pattern: pattern(PATTERN + options.message),
        message: options.message,
        requests: options.requests,
        pause: options.pause,
        counts: Counts::default(),
    });
    let mut streams = Vec::with_capacity(options.connections);
    for number in 0..options.connections {
        let stream = timeout(ECHO_TIMEOUT, connect(options, port)).await;
        let stream = stream.map_err(|_| format!("connection {number} timed out"))?;
        streams.push(stream.map_err(|error| format!("connection {number}: {error}"))?);
    }
    let idle = streams.split_off(options.connections - options.idle);
    let start = Instant::now();
    let mut connections = JoinSet::new();
    for (number, stream) in streams.into_iter().enumerate() {
        let (load, end) = (load.clone(), start + options.duration);
        let stuck = number < options.stuck;
        connections.spawn(async move {
            match stuck {
                true => load.never_read(stream).await,
                false => load.exchange(stream, number, end).await,
            }
        });
    }
    let (mut done, mut cut, mut dropped) = (0, 0, 0);
    let mut elapsed = Duration::ZERO;
    while let Some(end) = connections.join_next().await {
        match end? {
            Ok(End::Done) => {
                done += 1;
                elapsed = start.elapsed();
            }
            Ok(End::Cut) => cut += 1,
            Err(error) => {
                dropped += 1;
                eprintln!("a connection was dropped: {error}");
            }
        }
    }
    for stream in &idle {
        match stream.try_read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            other => {
                dropped += 1;
                eprintln!("an idle connection was dropped: {other:?}");
            }
        }
    }
    writeln!(
        io::stdout(),
        "done={done} cut={cut} dropped={dropped} wrong={} requests={} in_time={} longest_us={} elapsed_us={}",
        load.counts.wrong.load(Relaxed),
        load.counts.requests.load(Relaxed),
        load.counts.in_time.load(Relaxed),
        load.counts.longest_us.load(Relaxed),
        elapsed.min(options.duration).as_micros(),
    )?;
    Ok(true)
}

async fn connect(options: &Options, port: u16) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if options.socket_buffer > 0 {
        socket.set_recv_buffer_size(options.socket_buffer)?;
    }
    let stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Returns xorshift bytes: without a short period, so that misplaced bytes are detected.
fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

impl Load {
    /// Exchanges messages until `end`, and completes the message in progress.
    async fn exchange(
        &self,
        mut stream: TcpStream,
        number: usize,
        end: Instant,
    ) -> io::Result<End> {
        let mut piece = vec![0; self.message.min(PIECE)];
        let mut at = number.wrapping_mul(7919);
        for _ in 0..self.requests {
            let start = Instant::now();
            if start >= end {
                break;
            }
            at = (at + 4099) % PATTERN;
            let message = &self.pattern[at..at + self.message];
            let (mut reader, mut writer) = stream.split();
            let echo = async {
                if !self.pause.is_zero() {
                    sleep(self.pause).await;
                }
                for expected in message.chunks(PIECE) {
                    let piece = &mut piece[..expected.len()];
                    reader.read_exact(piece).await?;
                    let wrong = match *piece == *expected {
                        true => 0,
                        false => piece.iter().zip(expected).filter(|(a, b)| a != b).count(),
                    };
                    self.counts.wrong.fetch_add(wrong as u64, Relaxed);
                }
                Ok(())
            };
            // Writes and reads concurrently: the server echoes before the message is complete.
            let both = async { tokio::try_join!(writer.write_all(message), echo) };
            timeout(ECHO_TIMEOUT, both).await??;
            self.counts.requests.fetch_add(1, Relaxed);
            if Instant::now() < end {
                self.counts.in_time.fetch_add(1, Relaxed);
            }
            let took = start.elapsed().as_micros() as u64;
            self.counts.longest_us.fetch_max(took, Relaxed);
        }
        Ok(End::Done)
    }

    /// Sends until the server closes the connection.
    async fn never_read(&self, mut stream: TcpStream) -> io::Result<End> {
        let sending = async { while stream.write_all(&self.pattern).await.is_ok() {} };
        match timeout(ECHO_TIMEOUT, sending).await {
            Ok(()) => Ok(End::Cut),
            Err(_) => Err(io::Error::other(
                "the client never read, and the server did not close the connection",
            )),
        }
    }
}
