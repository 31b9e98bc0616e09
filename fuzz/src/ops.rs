//! Runs a program on one thread and recounts after each step.

use crate::harness::{PoolUnderTest, Sums, build_pools, check_apart, fake};
use crate::model_buffer::ModelBuffer;
use crate::oracle::{PoolOracle, Refusal};
use crate::program::{Change, ConfigProgram, Length, Make, Program, Step};
use slabuf::fake_os::Fault;
use slabuf::{AllocError, Budget, ConfigError, Pool, PoolUsage, memory_usage};

/// Maximum number of live buffers.
const MAX_BUFFERS: usize = 48;
/// Total bytes that a program may request; further requests get a small length.
const MAX_WORK: usize = 3 << 20;
/// Huge requests of a program, in bytes and in number, if it may make any.
const HUGE: usize = 4 << 20;
const MAX_HUGE: u32 = 3;
/// Threads that a program may start: they take much longer than other steps.
const MAX_THREADS: u32 = 2;

/// The pools of a program and its live buffers.
pub struct Executor {
    pools: Vec<PoolUnderTest>,
    buffers: Vec<ModelBuffer>,
    work_left: usize,
    huge_left: u32,
    threads_left: u32,
    turn: u8,
}

/// Runs a program to its end.
pub fn run(program: &Program) {
    let pools = build_pools(&program.pools, program.collide);
    let mut executor = Executor::new(pools);
    executor.huge_left = if program.huge { MAX_HUGE } else { 0 };
    executor.run(&program.steps);
}

/// Builds a pool with any settings, or checks the documented error.
pub fn run_config(program: &ConfigProgram) {
    let settings = program.settings;
    let fake = fake(0, &settings);
    let oracle = PoolOracle {
        number: 0,
        settings,
    };
    let budget = settings.budget.map(Budget::new);
    let built = settings.build(fake, budget.as_ref());
    assert_eq!(built.is_err(), settings.expected_error().is_some());
    match built {
        Ok(pool) => {
            // A pool maps nothing before its first buffer.
            assert_eq!(pool.usage(), PoolUsage::default());
            let pool = PoolUnderTest {
                oracle,
                handles: vec![pool],
                fake: (!settings.real).then_some(fake),
                budget,
                faulty: false,
            };
            Executor::new(vec![pool]).run_from_first_buffer(&program.steps);
        }
        Err(error) => {
            let (setting, given) = match error {
                ConfigError::SlabSize { given, .. } => ("slab_size", Some(given)),
                ConfigError::Budget { given, .. } => ("budget", Some(given)),
                ConfigError::Limit { given, .. } => ("limit", Some(given)),
                ConfigError::LimitAboveBudget { limit, budget, .. } => {
                    assert_eq!(Some(budget), settings.budget);
                    ("limit and budget", Some(limit))
                }
                ConfigError::CacheLimit { given, .. } => ("cache_limit", Some(given)),
                ConfigError::HighWaterMark { given, .. } => ("high_water_mark", Some(given)),
                ConfigError::LowWaterMark { given, .. } => ("low_water_mark", Some(given)),
                ref other => panic!("{other:?} for {settings:?}"),
            };
            assert_eq!(settings.expected_error(), Some(setting));
            let expected = match setting {
                "slab_size" => Some(settings.slab_size),
                "budget" => settings.budget,
                "limit" | "limit and budget" => settings.limit,
                "high_water_mark" => settings.high_water_mark,
                "low_water_mark" => settings.low_water_mark,
                _ => settings.cache_limit,
            };
            assert_eq!(given, expected);
            let words = setting.split(" and ");
            let mut unnamed = words.filter(|word| !error.to_string().contains(word));
            assert_eq!(unnamed.next(), None, "{error}");
        }
    }
}

impl Executor {
    /// Creates an executor of steps on these pools.
    pub fn new(pools: Vec<PoolUnderTest>) -> Self {
        Self {
            pools,
            buffers: Vec::new(),
            work_left: MAX_WORK,
            huge_left: 0,
            threads_left: MAX_THREADS,
            turn: 0,
        }
    }

    fn run(mut self, steps: &[Step]) {
        for step in steps {
            self.step(*step);
        }
        self.end();
    }

    /// Checks that any accepted limit allows a buffer of one slab.
    fn run_from_first_buffer(mut self, steps: &[Step]) {
        let Length(len) = self.within_work(Length(self.pools[0].oracle.settings.slab_size));
        self.take(0, Make::Copied, Length(len), false);
        assert_eq!(self.buffers.len(), 1, "no room for a first buffer");
        self.run(steps);
    }

    fn sums(&self, pool: usize) -> Sums {
        let mut sums = Sums::default();
        sums.add(&self.pools[pool].oracle, &self.buffers);
        sums
    }

    fn pool_of(&self, number: u8) -> usize {
        usize::from(number) % self.pools.len()
    }

    fn buffer_of(&self, number: u8) -> Option<usize> {
        usize::from(number).checked_rem(self.buffers.len())
    }

    /// Returns the length, or a small one if the program has requested its total.
    fn within_work(&mut self, len: Length) -> Length {
        if len.0 >= HUGE && self.huge_left > 0 {
            self.huge_left -= 1;
            return len;
        }
        let len = if len.0 > self.work_left {
            len.0 % 512
        } else {
            len.0
        };
        self.work_left = self.work_left.saturating_sub(len);
        Length(len)
    }

    /// Executes one step and checks the invariants.
    pub fn step(&mut self, step: Step) {
        self.turn = self.turn.wrapping_add(37);
        match step {
            Step::Take {
                pool,
                make,
                len,
                peek,
            } => self.take(self.pool_of(pool), make, len, peek),
            Step::TakeTooMuch(pool, which) => self.take_too_much(self.pool_of(pool), which),
            Step::Change(buffer, change) => self.change(buffer, change),
            Step::Clone(buffer) => self.clone_buffer(buffer),
            Step::Drop(buffer) => drop(self.pick(buffer)),
            Step::DropMany(from, count) => {
                for _ in 0..count % 16 {
                    drop(self.pick(from));
                }
            }
            Step::DropElsewhere(buffer) => self.drop_elsewhere(buffer),
            Step::Trim(pool) => {
                let pool = self.pool_of(pool);
                self.pools[pool].trim(&self.sums(pool));
            }
            Step::Wait(pool, ms) => {
                if let Some(fake) = self.pools[self.pool_of(pool)].fake {
                    fake.advance_ms(u64::from(ms));
                }
            }
            Step::CheckAll => self.check_all(),
            Step::CloneHandle(pool) => {
                let pool = self.pool_of(pool);
                let another = self.pools[pool].handle().cloned();
                self.pools[pool].handles.extend(another);
            }
            Step::DropHandle(pool) => self.drop_handle(self.pool_of(pool)),
            Step::Refuse(pool, fault) => self.refuse(self.pool_of(pool), fault),
            Step::Heal(pool) => {
                let pool = self.pool_of(pool);
                let sums = self.sums(pool);
                self.pools[pool].heal(&sums);
            }
        }
        self.check();
    }

    /// Compares the counters of every pool with a recount; checks that no buffers share a byte.
    fn check(&self) {
        for number in 0..self.pools.len() {
            self.pools[number].check(&self.sums(number));
        }
        check_apart(self.buffers.iter().map(|buffer| buffer.extent).collect());
    }

    fn check_all(&self) {
        self.buffers.iter().for_each(ModelBuffer::verify);
        // The counters of the process are the sums over its pools, with the closed ones.
        let mut external = Pool::global().usage().external;
        for pool in &self.pools {
            match (pool.fake, pool.handle()) {
                (Some(fake), _) => external += fake.mapped() as u64,
                (None, Some(handle)) => external += handle.usage().external,
                // A closed pool on the real system cannot be inspected.
                (None, None) => return,
            }
        }
        let usage = memory_usage();
        assert_eq!(usage.external, external, "{usage}");
        assert!(usage.array_buffers <= usage.external, "{usage}");
    }

    fn take(&mut self, pool: usize, make: Make, len: Length, peek: bool) {
        let Length(len) = self.within_work(len);
        let make = match make {
            Make::ConcatToLen(to) => Make::ConcatToLen(self.within_work(to)),
            other => other,
        };
        if self.buffers.len() == MAX_BUFFERS {
            self.buffers
                .swap_remove(usize::from(self.turn) % MAX_BUFFERS);
        }
        let this = &self.pools[pool];
        let Some(handle) = this.handle() else { return };
        match ModelBuffer::take(handle, this.oracle, make, len, self.turn) {
            Ok(mut buffer) => {
                if peek {
                    buffer.peek();
                }
                self.buffers.push(buffer);
            }
            Err(refusal) => this.judge(&refusal, true),
        }
    }

    /// Requests lengths that no pool can provide, and one above the limit.
    fn take_too_much(&self, pool: usize, which: u8) {
        const MAX_LEN: usize = (1 << 47) - (1 << 21);
        let this = &self.pools[pool];
        let Some(handle) = this.handle() else { return };
        let lengths = [usize::MAX, isize::MAX as usize, 1 << 60, MAX_LEN + 1];
        let requested = match (which / 5, this.oracle.settings.bound()) {
            (0, bound) if bound < MAX_LEN => bound.max(this.oracle.settings.slab_size) + 1,
            _ => lengths[usize::from(which) % lengths.len()],
        };
        let outcome = match which % 5 {
            0 => handle.try_alloc(requested),
            1 => handle.try_alloc_unsafe(requested),
            2 => handle.try_alloc_unsafe_slow(requested),
            3 => handle.try_with_capacity(requested),
            _ => handle.try_concat_to_len(&[[1]], requested),
        };
        let error = outcome.expect_err("a buffer larger than can be");
        assert!(error.to_string().contains(&requested.to_string()));
        let limited = matches!(
            error,
            AllocError::LimitExceeded { .. } | AllocError::BudgetExceeded { .. }
        );
        assert!(limited || requested > MAX_LEN || this.faulty);
        this.judge(&Refusal { error, requested }, true);
    }

    fn change(&mut self, buffer: u8, change: Change) {
        let Some(at) = self.buffer_of(buffer) else {
            return;
        };
        let change = match change {
            Change::Grow(n) => Change::Grow(self.within_work(n)),
            Change::Resize(n, byte) => Change::Resize(self.within_work(n), byte),
            Change::Reserve(n) => Change::Reserve(self.within_work(n)),
            Change::Append(n) => Change::Append(self.within_work(n)),
            // Works byte by byte, which is slow.
            Change::AppendEach(n) => Change::AppendEach(Length(n.0 % 5000)),
            Change::Print(n) => Change::Print(self.within_work(n)),
            Change::ReserveExact(n) => Change::ReserveExact(self.within_work(n)),
            Change::ShrinkTo(n) => Change::ShrinkTo(self.within_work(n)),
            other => other,
        };
        let outcome = self.buffers[at].change(change, self.turn);
        if let Err(refusal) = outcome {
            self.pools[self.buffers[at].oracle.number].judge(&refusal, true);
        }
        if self.buffers[at].is_gone() {
            self.buffers.swap_remove(at);
        }
    }

    fn clone_buffer(&mut self, buffer: u8) {
        let Some(at) = self.buffer_of(buffer) else {
            return;
        };
        if self.buffers.len() == MAX_BUFFERS || self.buffers[at].size() > self.work_left {
            return;
        }
        self.work_left -= self.buffers[at].size();
        match self.buffers[at].try_clone() {
            Ok(copy) => self.buffers.extend(copy),
            Err(refusal) => self.pools[self.buffers[at].oracle.number].judge(&refusal, true),
        }
    }

    fn pick(&mut self, buffer: u8) -> Option<ModelBuffer> {
        let buffer = self.buffers.swap_remove(self.buffer_of(buffer)?);
        buffer.verify();
        Some(buffer)
    }

    /// Drops the buffer on a thread that then ends and flushes its caches.
    fn drop_elsewhere(&mut self, buffer: u8) {
        if self.threads_left == 0 {
            return;
        }
        let Some(buffer) = self.pick(buffer) else {
            return;
        };
        self.threads_left -= 1;
        let dropper = std::thread::spawn(move || drop(buffer));
        dropper.join().expect("dropping never panics");
    }

    fn drop_handle(&mut self, pool: usize) {
        let this = &mut self.pools[pool];
        // If the system refuses to unmap when the last buffer of a closed pool is dropped, there is
        // no retry.
        if this.handles.len() > 1 || !this.faulty {
            this.handles.pop();
        }
    }

    fn refuse(&mut self, pool: usize, fault: Fault) {
        let this = &mut self.pools[pool];
        if let Some(fake) = this.fake
            && !this.handles.is_empty()
        {
            fake.set_fault(Some(fault));
            this.faulty = true;
        }
    }

    /// Drops everything, trims and closes the pools, and checks that nothing is left.
    fn end(mut self) {
        self.check_all();
        while let Some(buffer) = self.buffers.pop() {
            drop(buffer);
        }
        self.check();
        self.pools.into_iter().for_each(PoolUnderTest::end);
    }
}
