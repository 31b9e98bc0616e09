//! An echo server whose memory is bounded: 1,000 connections under one pool with a limit of 4 MiB, where
//! a read buffer for each connection would take 64 MB.
//!
//! ```text
//! cargo run --release --example echo_server                  # ten seconds, figures each second
//! cargo run --release --example echo_server -- --scarce      # slow clients: connections wait for memory
//! cargo run --release --example echo_server -- --bytes-mut   # the same server, a BytesMut for each connection
//! cargo run --release --example echo_server -- --compare 7   # both in turn, seven times, medians
//! ```
//!
//! The server is `server.rs`. It starts its load generator, `client.rs`, as a process of its own; that one compares
//! every byte that comes back. All of it is on the loopback interface and ends by itself. The exit code is 1 if a
//! connection was dropped, a byte was wrong, or the pool went above its limit.

mod client;
mod compare;
mod descriptors;
mod figures;
mod options;
mod server;

use options::{Options, Role};
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match Options::from_args() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `false`: it ran, and something went wrong that should not.
fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    if options.role == Role::Help {
        print!("{}", options::HELP);
        return Ok(true);
    }
    if let Role::Compare { rounds } = options.role {
        return compare::run(options, rounds);
    }
    descriptors::provide(options.connections)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match options.role {
            Role::Client { port } => client::run(options, port).await,
            _ => server::run(options).await,
        }
    })
}
