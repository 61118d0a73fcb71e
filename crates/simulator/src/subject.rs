//! What is tried: a protocol at a level.

use crate::{
    engine::{Engine, Level, Run, Violation},
    ledgers::{Keyed, Ledgers},
    level::Scripts,
    plan::{Depth, Plan, Replay, Shape},
    protocols::Protocol,
    shrink::shrink,
    trace::Trace,
};

/// An engine, whatever its level.
trait Runs {
    fn run(&mut self, plan: &Plan) -> Run;
    fn trace(&mut self, plan: &Plan) -> (Run, Trace);
}

impl<L: Level> Runs for Engine<L> {
    fn run(&mut self, plan: &Plan) -> Run {
        Self::run(self, plan)
    }

    fn trace(&mut self, plan: &Plan) -> (Run, Trace) {
        Self::trace(self, plan)
    }
}

/// A protocol at a level.
pub struct Subject {
    protocol: &'static Protocol,
    level: Depth,
    engine: Box<dyn Runs>,
    /// The shapes for so many devices, as far as they were asked for.
    shapes: Vec<(u8, Shape)>,
}

/// A plan that failed, and the smallest that fails in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What was broken.
    pub violation: Violation,
    /// The run.
    pub replay: Replay,
    /// The smallest run that fails like it.
    pub smallest: Replay,
    /// How many runs it took to find that.
    pub tries: u32,
}

impl Subject {
    /// A protocol at a level.
    #[must_use]
    pub fn new(protocol: &'static Protocol, level: Depth) -> Self {
        let engine: Box<dyn Runs> = match level {
            Depth::L1 => Box::new(Engine::new(Scripts::new(protocol))),
            Depth::L2 => Box::new(Engine::new(Ledgers::new(protocol))),
            Depth::L2Keyed => Box::new(Engine::new(Ledgers::<Keyed>::signed_by(protocol))),
        };
        Self { protocol, level, engine, shapes: Vec::new() }
    }

    /// The protocol.
    #[must_use]
    pub const fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    /// The shape of its plans.
    ///
    /// # Errors
    /// When so few devices cannot run it.
    pub fn shape(&mut self, devices: u8) -> Result<Shape, String> {
        if let Some((_, shape)) = self.shapes.iter().find(|it| it.0 == devices) {
            return Ok(*shape);
        }
        let shape = Shape { chains: self.level != Depth::L1, ..self.protocol.shape(devices)? };
        self.shapes.push((devices, shape));
        Ok(shape)
    }

    /// Runs a plan.
    pub fn run(&mut self, plan: &Plan) -> Run {
        self.engine.run(plan)
    }

    /// Runs a plan twice.
    pub fn run_twice(&mut self, plan: &Plan) -> Run {
        let (one, other) = (self.engine.run(plan), self.engine.run(plan));
        if one == other {
            one
        } else {
            Run { violation: Some(Violation::NotDeterministic), ..other }
        }
    }

    /// Runs a plan and tells everything that happened.
    pub fn trace(&mut self, plan: &Plan) -> (Run, Trace) {
        self.engine.trace(plan)
    }

    /// The run of a plan as a line.
    #[must_use]
    pub fn replay(&self, plan: &Plan) -> Replay {
        let protocol = self.protocol.name.to_owned();
        Replay { protocol, level: self.level, plan: plan.clone() }
    }

    /// The smallest plan that breaks the same promise as this one; none if it breaks none. If what
    /// the plan asks for is within what the protocol promises, so is the smallest.
    pub fn shrink(&mut self, plan: &Plan) -> Option<Failure> {
        let violation = self.run_twice(plan).violation?;
        let promise = self.protocol.promise;
        let protocol = self.protocol;
        let within = |plan: &Plan, shape: Shape| {
            let liars = plan.byzantine();
            liars.is_subset(shape.may_lie)
                && liars.len() <= usize::from(promise.liars(plan.devices, plan.threshold))
        };
        let promised = self.shape(plan.devices).is_ok_and(|it| within(plan, it));
        let (smallest, tries) = shrink(
            plan,
            |it| protocol.threshold(it),
            |candidate| {
                let shape = self.shape(candidate.devices);
                let kept = shape.is_ok_and(|it| !promised || within(candidate, it));
                let failed = |it: Run| it.violation.map(|it| it.code()) == Some(violation.code());
                kept && failed(self.run_twice(candidate))
            },
        );
        let (replay, smallest) = (self.replay(plan), self.replay(&smallest));
        Some(Failure { violation, replay, smallest, tries })
    }
}
