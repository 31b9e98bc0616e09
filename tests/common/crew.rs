//! Threads that run jobs one at a time and are idle in between.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

type Job = Arc<dyn Fn(usize) + Send + Sync>;

struct Member {
    jobs: Sender<Job>,
    done: Receiver<()>,
    thread: JoinHandle<()>,
}

/// Threads that live until the crew is dismissed, blocked in the kernel while they have no job.
pub(crate) struct Crew(Vec<Member>);

impl Crew {
    pub(crate) fn of(count: usize) -> Self {
        let member = |number| {
            let (jobs, received) = channel::<Job>();
            let (report, done) = channel();
            let thread = std::thread::spawn(move || {
                for job in received {
                    job(number);
                    // The job's captures are dropped before the crew counts as idle.
                    drop(job);
                    report.send(()).expect("the crew waits for its members");
                }
            });
            Member { jobs, done, thread }
        };
        Self((0..count).map(member).collect())
    }

    /// Runs `job` on all threads at once, each with its number, and returns when the last has
    /// finished.
    pub(crate) fn each(&self, job: impl Fn(usize) + Send + Sync + 'static) {
        let job: Job = Arc::new(job);
        for member in &self.0 {
            member.jobs.send(job.clone()).expect("the member lives");
        }
        for member in &self.0 {
            member.done.recv().expect("no job panics");
        }
    }

    /// Ends all threads and waits until their thread-local destructors have run.
    pub(crate) fn dismiss(self) {
        for member in self.0 {
            drop(member.jobs);
            member.thread.join().expect("no job panics");
        }
    }
}
