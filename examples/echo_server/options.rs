//! The command line.

use lexopt::{Arg, Parser, ValueExt};
use std::error::Error;
use std::ops::RangeInclusive;
use std::time::Duration;

pub(crate) const HELP: &str = "\
An echo server under a memory limit, and its load. Loopback only; ends by itself.

  --connections N       connections at once [1000]
  --seconds N           how long the clients send [10]
  --requests N          and at most so many messages for each connection [no bound]
  --message BYTES       what a client sends before it waits for the echo [16384]
  --read BYTES          the server's read buffer [65536]
  --limit BYTES         the pool's limit [4194304]
  --write-timeout MS    after so long a client that does not read is cut off [5000]
  --pause MS            clients wait so long before they read an echo [0]
  --socket-buffer BYTES the kernel's buffers between server and client; 0: its own choice [0]
  --stuck N             so many of the clients send and never read [0]
  --idle N              and so many connect and say nothing [0]
  --scarce              the same as --message 65536 --pause 20 --socket-buffer 4096
  --bytes-mut           a BytesMut of the read size for each connection, instead of the pool
  --compare ROUNDS      the pool and BytesMut in turn, in processes of their own; medians
";

/// What this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Help,
    /// The server; it starts a client.
    Server,
    /// The load generator, against a server's port.
    Client {
        port: u16,
    },
    /// Starts servers in turn.
    Compare {
        rounds: usize,
    },
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
    pub(crate) fn from_args() -> Result<Self, Box<dyn Error>> {
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
        let mut parser = Parser::from_env();
        while let Some(arg) = parser.next()? {
            let Arg::Long(name) = arg else {
                return Err(arg.unexpected().into());
            };
            let name = name.to_owned();
            options.set(&name, &mut parser)?;
        }
        options.check()?;
        Ok(options)
    }

    fn set(&mut self, name: &str, parser: &mut Parser) -> Result<(), Box<dyn Error>> {
        match name {
            "help" => self.role = Role::Help,
            "bytes-mut" => self.bytes_mut = true,
            "scarce" => {
                self.message = 64 << 10;
                self.pause = Duration::from_millis(20);
                self.socket_buffer = 4 << 10;
            }
            // For the processes that this one starts.
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

    /// What depends on two of them.
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
