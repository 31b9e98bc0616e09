//! A real-time thread beside a normal one on the same processor: it never waits busily for a thread
//! that it keeps from running.
#![cfg(target_os = "linux")]

mod common;

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use common::child::{isolated, report};
use common::{KIB, MIB};
use slabuf::{Pool, PoolBuilder};

const TRIMS: u32 = 300;
/// How many times the processor time of a normal thread's trims those of a real-time thread may
/// take. A thread that waits busily is stopped by the kernel after 0.95 s of processor time or
/// never: more than a thousand times as much.
const MOST: u32 = 40;
/// After this many seconds the kernel ends a process whose real-time thread hangs.
const WATCHDOG_SECONDS: u32 = 120;

/// Lets the calling thread run on the first of the processors that it may use, and on no other.
fn stay_on_one_processor() -> io::Result<()> {
    // SAFETY: a set of processors is an array of integers, for which zeros are valid.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the pointer is to a set of the size given.
    let result = unsafe { libc::sched_getaffinity(0, mem::size_of_val(&set), &raw mut set) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let first = (0..libc::CPU_SETSIZE as usize).find(|number| {
        // SAFETY: the number is below the size of a set.
        unsafe { libc::CPU_ISSET(*number, &set) }
    });
    // SAFETY: as above.
    let mut one: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: as above.
    unsafe { libc::CPU_SET(first.expect("a thread runs somewhere"), &mut one) };
    // SAFETY: the pointer is to a set of the size given, only read.
    match unsafe { libc::sched_setaffinity(0, mem::size_of_val(&one), &raw const one) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes the calling thread a real-time thread of the lowest priority.
fn become_real_time() -> io::Result<()> {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: the pointer is to a parameter of the right type, only read.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The calling thread's processor time.
fn processor_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a place for the answer.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Trims beside an owner on the same processor; the trims' processor time, and how many buffers the
/// owner dropped meanwhile. `None` if the thread may not become what it is to be.
fn trims_beside_an_owner(pool: &Pool, real_time: bool) -> Option<(Duration, usize)> {
    let (done, dropped) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let owner = scope.spawn(|| {
            stay_on_one_processor().expect("the trimmer did it before");
            while !done.load(Relaxed) {
                drop([64, 1_400, 12 * KIB].map(|len| pool.alloc_unsafe(len)));
                dropped.fetch_add(3, Relaxed);
            }
        });
        let trimmer = scope.spawn(|| {
            let prepared = stay_on_one_processor().and_then(|()| match real_time {
                true => become_real_time(),
                false => Ok(()),
            });
            let mut used = None;
            if let Err(refused) = &prepared {
                println!("left out: {refused}");
            } else {
                let mut sum = Duration::ZERO;
                for _ in 0..TRIMS {
                    // The owner runs, and is interrupted wherever it is when the trimmer wakes up.
                    thread::sleep(Duration::from_micros(200));
                    let before = processor_time();
                    pool.trim();
                    sum += processor_time() - before;
                }
                used = Some(sum);
            }
            done.store(true, Relaxed);
            used
        });
        let used = trimmer.join().expect("no panic");
        owner.join().expect("no panic");
        used.map(|used| (used, dropped.load(Relaxed)))
    })
}

fn no_trim_waits_busily(test: &str, set: fn(PoolBuilder) -> PoolBuilder) {
    isolated(test, || {
        // SAFETY: takes a number; ends this process by a signal unless it has ended before.
        unsafe { libc::alarm(WATCHDOG_SECONDS) };
        let pool = set(Pool::builder()).build().expect("valid settings");
        let normal = trims_beside_an_owner(&pool, false);
        let real_time = trims_beside_an_owner(&pool, true);
        let (Some((normal, _)), Some((real_time, dropped))) = (normal, real_time) else {
            report("left out: no permission");
            return;
        };
        report(&format!(
            "{TRIMS} trims: {normal:?} of processor time, in real time {real_time:?}; {dropped} buffers dropped"
        ));
        assert!(dropped > 0, "the owner made no progress");
        assert!(
            real_time < MOST * normal.max(Duration::from_millis(5)),
            "{real_time:?}, and {normal:?} for a normal thread"
        );
    });
}

#[test]
fn a_trim_of_a_plain_pool_waits_asleep() {
    no_trim_waits_busily("a_trim_of_a_plain_pool_waits_asleep", |pool| pool);
}

#[test]
fn a_trim_of_a_limited_pool_waits_asleep() {
    no_trim_waits_busily("a_trim_of_a_limited_pool_waits_asleep", |pool| {
        pool.limit(64 * MIB)
    });
}

#[test]
fn a_trim_of_a_pool_with_marks_waits_asleep() {
    no_trim_waits_busily("a_trim_of_a_pool_with_marks_waits_asleep", |pool| {
        pool.high_water_mark(MIB)
    });
}
