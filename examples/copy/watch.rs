//! Runs one flow: a reader thread, a consumer thread, and the calling thread, which shows the
//! progress.

use std::io::{self, Write};
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::counters::Counters;
use crate::failure::Failure;

const REDRAW: Duration = Duration::from_millis(50);
const BAR: &str = "{bar:24} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left  {msg}";

/// The result of a flow.
pub(crate) struct Flow {
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
    /// Time that the reader waited for memory.
    pub(crate) waited: Duration,
}

pub(crate) fn run(
    len: u64,
    counters: &Counters,
    read: impl FnOnce() -> Result<Duration, Failure> + Send,
    consume: impl FnOnce() -> Result<(), Failure> + Send,
) -> Result<Flow, Failure> {
    counters.restart();
    let start = Instant::now();
    let (running, ended) = channel::<()>();
    let also_running = running.clone();
    let (read, consumed) = thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let _until_end = running;
            read()
        });
        let consumer = scope.spawn(move || {
            let _until_end = also_running;
            consume()
        });
        show(len, counters, &ended);
        (join(reader), join(consumer))
    });
    let took = start.elapsed();
    // If both failed, the consumer failed first.
    consumed?;
    let (bytes, _, _) = counters.now();
    Ok(Flow {
        bytes,
        took,
        waited: read?,
    })
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Draws the bar until both threads have ended, and prints a line at each eighth of the way.
fn show(len: u64, counters: &Counters, ended: &Receiver<()>) {
    let bar = ProgressBar::new(len);
    bar.set_style(ProgressStyle::with_template(BAR).expect("a valid template"));
    let mut next = len / 8;
    while ended.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
        let (done, queued, memory) = counters.now();
        let mib = |bytes: u64| bytes >> 20;
        let text = format!(
            "queue {} external {} rss {} MiB",
            mib(queued),
            mib(memory.external),
            mib(memory.rss)
        );
        if done >= next {
            // The output may be closed.
            let percent = done * 100 / len.max(1);
            let _ = bar.suspend(|| writeln!(io::stdout(), "{percent:>3} % {text}"));
            next = (done / (len / 8).max(1) + 1) * (len / 8);
        }
        bar.set_message(text);
        bar.set_position(done);
    }
    bar.finish_and_clear();
}
