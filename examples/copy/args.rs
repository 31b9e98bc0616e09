//! Parses the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::size;

pub(crate) const DEFAULT_LIMIT: usize = 4 << 20;
pub(crate) const DEFAULT_CHUNK: usize = 512 << 10;
/// Each chunk has its own mapping of whole pages on any machine, so two chunks exactly fill a limit
/// of two.
const CHUNK_STEP: usize = 64 << 10;
const MAX_CHUNK: usize = 1 << 30;

pub(crate) const USAGE: &str = "\
Usage: copy [OPTIONS] SOURCE DESTINATION

Copies a file through the buffers of one pool with a limit. One thread reads, one writes. The copy is
written to a temporary file beside the destination, compared with the source, then renamed.

  --limit SIZE        limit of the pool, at least two chunks (default: 4M)
  --chunk SIZE        bytes in one buffer: 64K to 1G, in steps of 64K (default: 512K)
  --write-rate SIZE   bytes that the writer writes per second, to simulate a slow destination (default: no bound)
  --no-backpressure   uses a pool without a limit: data that is read and not yet written stays in memory
  --direct            bypasses the page cache (O_DIRECT) where the file system supports it
  --fsync             waits until the destination is on the disk
  --no-verify         does not compare the files afterwards
  -h, --help          prints this text

SIZE is a number of bytes, or a number with the suffix K, M, G or T (1024, 1024 x 1024, ...).";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) source: PathBuf,
    pub(crate) destination: PathBuf,
    /// `None`: no backpressure.
    pub(crate) limit: Option<usize>,
    pub(crate) chunk: usize,
    /// Bytes per second.
    pub(crate) write_rate: Option<u64>,
    pub(crate) direct: bool,
    pub(crate) fsync: bool,
    pub(crate) verify: bool,
}

/// Parses the arguments. Returns `None` if the user asks for help.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Options>, String> {
    let text = |error: lexopt::Error| error.to_string();
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut limit, mut chunk, mut write_rate) = (None, DEFAULT_CHUNK, None);
    let (mut backpressure, mut direct, mut fsync, mut verify) = (true, false, false, true);
    let mut paths = Vec::new();
    while let Some(argument) = parser.next().map_err(text)? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("limit") => limit = Some(size::parse("--limit", &parser.value().map_err(text)?)?),
            Long("chunk") => chunk = size::parse("--chunk", &parser.value().map_err(text)?)?,
            Long("write-rate") => {
                write_rate =
                    Some(size::parse("--write-rate", &parser.value().map_err(text)?)? as u64);
            }
            Long("no-backpressure") => backpressure = false,
            Long("direct") => direct = true,
            Long("fsync") => fsync = true,
            Long("no-verify") => verify = false,
            Value(path) => paths.push(PathBuf::from(path)),
            unknown => return Err(text(unknown.unexpected())),
        }
    }
    let count = paths.len();
    let [source, destination] = <[PathBuf; 2]>::try_from(paths)
        .map_err(|_| format!("a SOURCE and a DESTINATION are needed, {count} given"))?;
    if !backpressure && limit.is_some() {
        return Err("--limit and --no-backpressure exclude each other".to_owned());
    }
    let limit = backpressure.then_some(limit.unwrap_or(DEFAULT_LIMIT));
    check(chunk, limit, write_rate)?;
    Ok(Some(Options {
        source,
        destination,
        limit,
        chunk,
        write_rate,
        direct,
        fsync,
        verify,
    }))
}

fn check(chunk: usize, limit: Option<usize>, write_rate: Option<u64>) -> Result<(), String> {
    if chunk > MAX_CHUNK || chunk == 0 || !chunk.is_multiple_of(CHUNK_STEP) {
        return Err(format!(
            "--chunk {chunk}: it must be {CHUNK_STEP} to {MAX_CHUNK} bytes, in steps of {CHUNK_STEP}"
        ));
    }
    if let Some(limit) = limit
        && limit < 2 * chunk
    {
        return Err(format!(
            "--limit {limit}: with a --chunk of {chunk} bytes it must be at least {} bytes, two chunks",
            2 * chunk
        ));
    }
    if write_rate == Some(0) {
        return Err("--write-rate 0: it must be at least 1 byte per second".to_owned());
    }
    Ok(())
}
