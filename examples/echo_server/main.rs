//! An echo server with bounded memory: 1,000 connections share a pool with a limit of 4 MiB. A read
//! buffer of 64 KiB per connection would take 64 MB.
//!
//! ```text
//! cargo run --release --example echo_server                  # ten seconds, a line per second
//! cargo run --release --example echo_server -- --scarce      # slow clients that wait for memory
//! cargo run --release --example echo_server -- --bytes-mut   # the same with BytesMut
//! cargo run --release --example echo_server -- --compare 7   # both, seven rounds, medians
//! ```
//!
//! The server (`server.rs`) starts its load generator (`client.rs`) as a separate process, which
//! compares every byte that it receives. Both use the loopback interface only and end by
//! themselves. The exit code is 1 if a connection was dropped, a byte was wrong, or the pool
//! exceeded its limit.

#[path = "../shared/cli.rs"]
mod cli;
mod client;
mod compare;
mod counters;
mod descriptors;
mod options;
mod server;

use options::{Options, Role};
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(options::USAGE, Options::parse, |options| {
        Ok(match run(&options)? {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    })
}

/// Returns `false` if a connection, a byte or the limit was violated.
fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
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
