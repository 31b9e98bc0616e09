//! Reader, writer, comparer. What is between two threads is in an unbounded queue: the pool bounds it. A reader that
//! is ahead finds the pool at its limit, and waits there until the other side has dropped a buffer.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use slabuf::{AllocError, Buffer, Pool};

use crate::direct::{BLOCK, Named};
use crate::failure::Failure;
use crate::figures::Figures;

/// How long anybody sleeps before they look whether there was a signal.
const PATIENCE: Duration = Duration::from_millis(50);

/// Bytes in one write. The kernel caches a write in blocks of memory up to its length, and large blocks are what a
/// virtual machine has given back to its host: on such a one writes of 128 KiB took three times as long as of 64 KiB.
const PIECE: usize = 64 << 10;

/// Reads the file to its end. Returns how long it waited for memory.
pub(crate) fn read(
    file: &Named<'_>,
    (pool, chunk): (&Pool, usize),
    queue: Sender<Buffer>,
    figures: &Figures,
) -> Result<Duration, Failure> {
    let mut waited = Duration::ZERO;
    loop {
        let start = Instant::now();
        let mut buffer = take(pool, chunk, figures)?;
        waited += start.elapsed();
        figures.note_external(pool);

        let read = file.fill(&mut buffer);
        let len = read.map_err(Failure::at("read", file.path))?;
        buffer.truncate(len);
        figures.enqueue(len);
        // Nobody there: whoever took the buffers has failed, and says why.
        if len == 0 || queue.send(buffer).is_err() || len < chunk {
            return Ok(waited);
        }
    }
}

/// A buffer, as soon as the pool has room. This is all the backpressure there is. A chunk is longer than a slab, so it
/// has a mapping of its own, which starts at a page: aligned enough for direct I/O.
fn take(pool: &Pool, len: usize, figures: &Figures) -> Result<Buffer, Failure> {
    loop {
        figures.check_signal()?;
        match pool.alloc_unsafe_timeout(len, PATIENCE) {
            Err(AllocError::TimedOut { .. }) => (),
            taken => return taken.map_err(|error| Failure::new(error.to_string())),
        }
    }
}

/// Writes what comes, at most `rate` bytes a second.
pub(crate) fn write(
    file: &Named<'_>,
    queue: Receiver<Buffer>,
    rate: Option<u64>,
    figures: &Figures,
) -> Result<(), Failure> {
    let start = Instant::now();
    let mut written = 0;
    for buffer in queue {
        figures.check_signal()?;
        // What passes the cache by needs no small pieces.
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
            sleep_until(start, written as f64 / rate as f64, figures)?;
        }
        figures.dequeue(buffer.len());
    }
    Ok(())
}

/// Sleeps until `seconds` after `start`, or a signal.
fn sleep_until(start: Instant, seconds: f64, figures: &Figures) -> Result<(), Failure> {
    loop {
        let left = seconds - start.elapsed().as_secs_f64();
        if left <= 0.0 {
            return Ok(());
        }
        figures.check_signal()?;
        thread::sleep(PATIENCE.min(Duration::from_secs_f64(left)));
    }
}

/// Compares what comes with the file, chunk by chunk. `scratch` is as long as a chunk.
pub(crate) fn compare(
    file: &Named<'_>,
    queue: Receiver<Buffer>,
    mut scratch: Buffer,
    figures: &Figures,
) -> Result<(), Failure> {
    let mut compared = 0;
    for buffer in queue {
        figures.check_signal()?;
        // Whole blocks: a copy that is longer than the source is seen, too.
        let part = &mut scratch[..buffer.len().next_multiple_of(BLOCK)];
        let len = file
            .fill(part)
            .map_err(Failure::at("read back", file.path))?;
        if buffer != part[..len] {
            return Err(differ(file.path, compared));
        }
        compared += len as u64;
        figures.dequeue(len);
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
