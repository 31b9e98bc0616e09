//! Reader, writer and comparer. The queue between two threads is unbounded; the pool's limit bounds
//! its memory. A reader that is ahead waits at the limit until the other thread drops a buffer.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use slabuf::{AllocError, Buffer, Pool};

use crate::counters::Counters;
use crate::direct::{BLOCK, Named};
use crate::failure::Failure;

/// Interval at which waiting threads check for a signal.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// Bytes in one write. The kernel caches a write in memory blocks of up to its length. On a virtual
/// machine that had returned its large blocks to the host, writes of 128 KiB took three times as
/// long as of 64 KiB.
const PIECE: usize = 64 << 10;

/// Reads the file to its end. Returns the time that it waited for memory.
pub(crate) fn read(
    file: &Named<'_>,
    (pool, chunk): (&Pool, usize),
    queue: Sender<Buffer>,
    counters: &Counters,
) -> Result<Duration, Failure> {
    let mut waited = Duration::ZERO;
    loop {
        let start = Instant::now();
        let mut buffer = alloc(pool, chunk, counters)?;
        waited += start.elapsed();
        counters.note_external(pool);

        let read = file.fill(&mut buffer);
        let len = read.map_err(Failure::at("read", file.path))?;
        buffer.truncate(len);
        counters.enqueue(len);
        // If the receiver is gone, its thread has failed and returns the error.
        if len == 0 || queue.send(buffer).is_err() || len < chunk {
            return Ok(waited);
        }
    }
}

/// Allocates a buffer as soon as the pool has room. This wait is the whole backpressure.
/// A chunk is longer than a slab, so it has its own mapping, which starts at a page: the alignment
/// suffices for direct I/O.
fn alloc(pool: &Pool, len: usize, counters: &Counters) -> Result<Buffer, Failure> {
    loop {
        counters.check_signal()?;
        match pool.alloc_unsafe_timeout(len, SIGNAL_CHECK) {
            Err(AllocError::TimedOut { .. }) => (),
            outcome => return outcome.map_err(|error| Failure::new(error.to_string())),
        }
    }
}

/// Writes the received buffers, at most `rate` bytes per second.
pub(crate) fn write(
    file: &Named<'_>,
    queue: Receiver<Buffer>,
    rate: Option<u64>,
    counters: &Counters,
) -> Result<(), Failure> {
    let start = Instant::now();
    let mut written = 0;
    for buffer in queue {
        counters.check_signal()?;
        // Only writes through the page cache need small pieces.
        let piece = if file.is_direct() {
            buffer.capacity()
        } else {
            PIECE
        };
        for piece in buffer.chunks(piece) {
            file.write_all(piece).map_err(|error| {
                Failure::new(format!(
                    "cannot write to {}: {error} (after {written} bytes)",
                    file.path.display()
                ))
            })?;
            written += piece.len() as u64;
        }
        if let Some(rate) = rate {
            sleep_until(start, written as f64 / rate as f64, counters)?;
        }
        counters.dequeue(buffer.len());
    }
    Ok(())
}

/// Sleeps until `seconds` after `start`, or a signal.
fn sleep_until(start: Instant, seconds: f64, counters: &Counters) -> Result<(), Failure> {
    loop {
        let left = seconds - start.elapsed().as_secs_f64();
        if left <= 0.0 {
            return Ok(());
        }
        counters.check_signal()?;
        thread::sleep(SIGNAL_CHECK.min(Duration::from_secs_f64(left)));
    }
}

/// Compares the received buffers with the file, chunk by chunk. `scratch` has the length of a
/// chunk.
pub(crate) fn compare(
    file: &Named<'_>,
    queue: Receiver<Buffer>,
    mut scratch: Buffer,
    counters: &Counters,
) -> Result<(), Failure> {
    let mut compared = 0;
    for buffer in queue {
        counters.check_signal()?;
        // Whole blocks, so that a copy that is longer than the source is detected.
        let part = &mut scratch[..buffer.len().next_multiple_of(BLOCK)];
        let len = file
            .fill(part)
            .map_err(Failure::at("read back", file.path))?;
        if buffer != part[..len] {
            return Err(differ(file.path, compared));
        }
        compared += len as u64;
        counters.dequeue(len);
    }
    let beyond = file.fill(&mut scratch[..1]);
    let beyond = beyond.map_err(Failure::at("read back", file.path))?;
    if beyond > 0 {
        return Err(differ(file.path, compared));
    }
    Ok(())
}

fn differ(path: &Path, offset: u64) -> Failure {
    Failure::new(format!(
        "the copy for {} differs from the source, in the chunk at byte {offset} or in its length; it is removed",
        path.display()
    ))
}
