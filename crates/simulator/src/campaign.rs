//! Many seeds: all shipped protocols or one, on all cores.
//!
//! **Invariants**
//! - INV-Z8: what a campaign finds, and its trace hash, do not depend on how its seeds were split.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    draw::mix,
    plan::{Depth, Plan},
    protocols::Protocol,
    subject::{Failure, Subject},
};

/// How many seeds a worker takes at a time.
const CHUNK: u64 = 512;
/// Every so many seeds a plan is run twice.
const TWICE_EVERY: u64 = 256;

/// Many runs.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// What is run; they share the seeds.
    pub protocols: Vec<&'static Protocol>,
    /// At which level.
    pub level: Depth,
    /// Among how many devices; 3 to 6, by seed, without.
    pub devices: Option<u8>,
    /// With which seeds.
    pub seeds: Range<u64>,
    /// On how many threads.
    pub threads: usize,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How many runs.
    pub runs: u64,
    /// How many of them broke a promise.
    pub failed: u64,
    /// A hash over all that happened.
    pub trace_hash: u64,
    /// How many things happened.
    pub events: u64,
    /// How many devices finished, saw an abort, or gave up.
    pub outcomes: [u64; 3],
    /// How many faults of each class were planned ([`Fault::class`](crate::plan::Fault::class)).
    pub faults: BTreeMap<&'static str, u64>,
    /// How often each showed ([`Tally::classes`](crate::engine::Tally::classes)).
    pub shown: BTreeMap<&'static str, u64>,
    /// The plan with the least seed that failed.
    pub first: Option<(&'static Protocol, Plan)>,
}

impl Report {
    /// Both.
    #[must_use]
    fn join(mut self, other: Self) -> Self {
        self.runs += other.runs;
        self.failed += other.failed;
        self.trace_hash = self.trace_hash.wrapping_add(other.trace_hash);
        self.events += other.events;
        for (sum, it) in self.outcomes.iter_mut().zip(other.outcomes) {
            *sum += it;
        }
        for (class, count) in other.faults {
            *self.faults.entry(class).or_default() += count;
        }
        for (class, count) in other.shown {
            *self.shown.entry(class).or_default() += count;
        }
        self.first = match (self.first, other.first) {
            (Some(one), Some(other)) => Some(if one.1.seed <= other.1.seed { one } else { other }),
            (one, other) => one.or(other),
        };
        self
    }
}

impl Campaign {
    /// Runs it. `progress` is told how many runs are done, now and then.
    ///
    /// # Errors
    /// When so few devices cannot run one of the protocols.
    pub fn run(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<Report, String> {
        let next = AtomicU64::new(self.seeds.start);
        let worker = || -> Result<Report, String> {
            let mut subjects: Vec<Subject> =
                self.protocols.iter().map(|it| Subject::new(it, self.level)).collect();
            let mut report = Report::default();
            let mut plan = Plan::default();
            loop {
                let from = next.fetch_add(CHUNK, Ordering::Relaxed);
                if self.seeds.end <= from {
                    return Ok(report);
                }
                let chunk = from..self.seeds.end.min(from + CHUNK);
                let done = chunk.end - chunk.start;
                for seed in chunk {
                    self.one(&mut subjects, &mut plan, seed, &mut report)?;
                }
                progress(done);
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads.max(1)).map(|_| scope.spawn(worker)).collect();
            let failed = |_| "a thread of the simulation broke".to_owned();
            workers
                .into_iter()
                .try_fold(Report::default(), |sum, it| Ok(sum.join(it.join().map_err(failed)??)))
        })
    }

    /// The first failure of a report, and the smallest plan that fails like it.
    #[must_use]
    pub fn explain(&self, report: &Report) -> Option<Failure> {
        let (protocol, plan) = report.first.as_ref()?;
        Subject::new(protocol, self.level).shrink(plan)
    }

    fn one(
        &self,
        subjects: &mut [Subject],
        plan: &mut Plan,
        seed: u64,
        report: &mut Report,
    ) -> Result<(), String> {
        let index = (seed % subjects.len().max(1) as u64) as usize;
        let none = || "no protocol to run".to_owned();
        let subject = subjects.get_mut(index).ok_or_else(none)?;
        let devices = self.devices.unwrap_or(3 + (mix(seed) % 4) as u8);
        let shape = subject.shape(devices)?;
        plan.redraw(seed, &shape);
        let run = if seed.is_multiple_of(TWICE_EVERY) {
            subject.run_twice(plan)
        } else {
            subject.run(plan)
        };
        report.runs += 1;
        report.trace_hash = report.trace_hash.wrapping_add(mix(run.hash ^ mix(seed)));
        report.events += u64::from(run.events);
        let outcomes = [run.outcomes.finished, run.outcomes.aborted, run.outcomes.left];
        for (sum, devices) in report.outcomes.iter_mut().zip(outcomes) {
            *sum += devices.len() as u64;
        }
        for fault in &plan.faults {
            *report.faults.entry(fault.class()).or_default() += 1;
        }
        for (class, count) in run.tally.classes() {
            *report.shown.entry(class).or_default() += u64::from(count);
        }
        if run.violation.is_some() {
            report.failed += 1;
            // Seeds come in ascending order to each worker.
            report.first.get_or_insert_with(|| (subject.protocol(), plan.clone()));
        }
        Ok(())
    }
}
