//! Parses the command line.

use lexopt::{Arg, Parser, ValueExt};
use std::error::Error;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::time::Duration;

pub(crate) const USAGE: &str = "\
Usage: echo_server [OPTIONS]

Runs an echo server under a memory limit, and its load generator. Uses the loopback interface only and
ends by itself. Prints a line per second and a last line of counters.

  --connections N        concurrent connections [1000]
  --seconds N            how long the clients send [10]
  --requests N           at most N messages per connection [no bound]
  --message BYTES        length of a message; the client waits for its echo [16384]
  --read BYTES           length of the server's read buffer [65536]
  --limit BYTES          limit of the pool [4194304]
  --write-timeout MS     closes the connection of a client that does not read for this time [5000]
  --pause MS             time that a client waits before it reads an echo [0]
  --socket-buffer BYTES  socket buffers of the kernel; 0 for its default [0]
  --stuck N              N of the clients send and never read [0]
  --idle N               N of the clients connect and send nothing [0]
  --scarce               the same as --message 65536 --pause 20 --socket-buffer 4096
  --bytes-mut            a BytesMut of the read size per connection, instead of the pool
  --compare ROUNDS       runs the pool and BytesMut alternately, in separate processes; prints medians
  -h, --help             prints this text";

/// The role of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The server, which starts a client.
    Server,
    /// The load generator; connects to the server's port.
    Client { port: u16 },
    /// Starts servers alternately.
    Compare { rounds: usize },
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) role: Role,
    pub(crate) bytes_mut: bool,
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
    pub(crate) requests: usize,
    pub(crate) message: usize,
    pub(crate) read: usize,
    pub(crate) limit: usize,
    pub(crate) write_timeout: Duration,
    pub(crate) pause: Duration,
    pub(crate) socket_buffer: u32,
    pub(crate) stuck: usize,
    pub(crate) idle: usize,
}

impl Options {
    /// Returns `None` if the user asks for help.
    pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Option<Self>, String> {
        Self::try_parse(arguments).map_err(|error| error.to_string())
    }

    fn try_parse(arguments: Vec<OsString>) -> Result<Option<Self>, Box<dyn Error>> {
        let mut options = Self {
            role: Role::Server,
            bytes_mut: false,
            connections: 1000,
            duration: Duration::from_secs(10),
            requests: usize::MAX,
            message: 16 << 10,
            read: 64 << 10,
            limit: 4 << 20,
            write_timeout: Duration::from_secs(5),
            pause: Duration::ZERO,
            socket_buffer: 0,
            stuck: 0,
            idle: 0,
        };
        let mut parser = Parser::from_args(arguments);
        while let Some(arg) = parser.next()? {
            let name = match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long(name) => name.to_owned(),
                other => return Err(other.unexpected().into()),
            };
            options.set(&name, &mut parser)?;
        }
        options.check()?;
        Ok(Some(options))
    }

    fn set(&mut self, name: &str, parser: &mut Parser) -> Result<(), Box<dyn Error>> {
        match name {
            "bytes-mut" => self.bytes_mut = true,
            "scarce" => {
                self.message = 64 << 10;
                self.pause = Duration::from_millis(20);
                self.socket_buffer = 4 << 10;
            }
            // Only for the processes that the example starts itself.
            "server" => self.role = Role::Server,
            "client" => {
                let port = number(name, parser, 1..=u16::MAX.into())?;
                self.role = Role::Client {
                    port: u16::try_from(port)?,
                };
            }
            "compare" => {
                self.role = Role::Compare {
                    rounds: number(name, parser, 1..=100)?,
                }
            }
            "connections" => self.connections = number(name, parser, 1..=20_000)?,
            "seconds" => self.duration = Duration::from_secs(number(name, parser, 1..=600)? as u64),
            "requests" => self.requests = number(name, parser, 1..=1_000_000_000)?,
            "message" => self.message = number(name, parser, 1..=1 << 20)?,
            "read" => self.read = number(name, parser, 1..=16 << 20)?,
            "limit" => self.limit = number(name, parser, 1..=1 << 40)?,
            "write-timeout" => self.write_timeout = millis(name, parser, 10..=60_000)?,
            "pause" => self.pause = millis(name, parser, 0..=30_000)?,
            "socket-buffer" => {
                self.socket_buffer = u32::try_from(number(name, parser, 0..=1 << 30)?)?;
            }
            "stuck" => self.stuck = number(name, parser, 0..=20_000)?,
            "idle" => self.idle = number(name, parser, 0..=20_000)?,
            _ => return Err(Arg::Long(name).unexpected().into()),
        }
        Ok(())
    }

    /// Checks the rules that involve two options.
    fn check(&self) -> Result<(), String> {
        let Self {
            connections,
            stuck,
            idle,
            ..
        } = *self;
        if stuck + idle > connections {
            return Err(format!(
                "--stuck {stuck} and --idle {idle}: together at most --connections, {connections}"
            ));
        }
        let (pause, timeout) = (self.pause.as_millis(), self.write_timeout.as_millis());
        if pause * 2 > timeout {
            return Err(format!(
                "--pause {pause}: at most half of --write-timeout, {}, or the server cuts such clients off",
                timeout / 2
            ));
        }
        Ok(())
    }
}

fn number(
    name: &str,
    parser: &mut Parser,
    range: RangeInclusive<usize>,
) -> Result<usize, Box<dyn Error>> {
    let text = parser.value()?.string()?;
    let bounds = format!("a number from {} to {}", range.start(), range.end());
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("--{name} {text}: not {bounds}").into()),
    }
}

fn millis(
    name: &str,
    parser: &mut Parser,
    range: RangeInclusive<usize>,
) -> Result<Duration, Box<dyn Error>> {
    Ok(Duration::from_millis(number(name, parser, range)? as u64))
}
