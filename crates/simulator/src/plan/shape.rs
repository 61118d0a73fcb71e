//! Drawing plans: what a protocol promises, and the plans within it.

use aura_choreography::{Dev, DeviceSet};

use crate::{
    draw::{Draws, Purpose},
    plan::{FOR_EVER, Fault, Plan, Strategy},
};

/// Under which lies a protocol keeps what it promises. Crashes, partitions and slow networks are
/// always within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// How many members may lie.
    pub byzantine_members: Liars,
    /// Whether those who decide may be among them.
    pub byzantine_decider: bool,
}

/// How many devices may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liars {
    /// None.
    None,
    /// Fewer than 2m − N: so many share any two quorums.
    Few,
    /// Any number.
    Any,
}

impl Promise {
    /// Deciders are believed; what the others do breaks nothing.
    pub const MEMBERS: Self = Self { byzantine_members: Liars::Any, byzantine_decider: false };
    /// Deciders are believed, and of the others all but a few.
    pub const FEW_MEMBERS: Self = Self { byzantine_members: Liars::Few, byzantine_decider: false };
    /// Nobody is believed alone: a few devices lie, whoever they are.
    pub const QUORUM: Self = Self { byzantine_members: Liars::Few, byzantine_decider: true };
    /// Everybody is believed.
    pub const NOBODY: Self = Self { byzantine_members: Liars::None, byzantine_decider: false };

    /// How many devices may lie.
    #[must_use]
    pub fn liars(self, devices: u8, threshold: u8) -> u8 {
        match self.byzantine_members {
            Liars::None => 0,
            Liars::Few => (2 * threshold).saturating_sub(devices).saturating_sub(1),
            Liars::Any => devices.saturating_sub(1),
        }
    }
}

/// What plans are drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// How many devices take part.
    pub devices: u8,
    /// How many of them are a quorum.
    pub threshold: u8,
    /// How many of them may lie at most.
    pub liars: u8,
    /// Who may lie.
    pub may_lie: DeviceSet,
    /// Whether what a device says is a chain, of which a liar can keep two.
    pub chains: bool,
}

impl Shape {
    /// The shape of plans within a promise, where `deciders` decide.
    #[must_use]
    pub fn within(promise: Promise, devices: u8, threshold: u8, deciders: DeviceSet) -> Self {
        let all = DeviceSet::all(usize::from(devices));
        let may_lie = if promise.byzantine_decider { all } else { all.difference(deciders) };
        let liars = promise.liars(devices, threshold);
        Self { devices, threshold, liars, may_lie, chains: false }
    }
}

impl Plan {
    /// The plan that this seed draws.
    #[must_use]
    pub fn from_seed(seed: u64, shape: &Shape) -> Self {
        let mut plan = Self::default();
        plan.redraw(seed, shape);
        plan
    }

    /// Makes this plan the one that this seed draws, without giving its memory back.
    pub fn redraw(&mut self, seed: u64, shape: &Shape) {
        let mut drawing = Drawing { draws: Draws::new(seed), next: 0 };
        self.seed = seed;
        self.devices = shape.devices;
        self.threshold = shape.threshold;
        self.jitter = 1 + drawing.below(6);
        self.faults.clear();
        drawing.network(&mut self.faults, shape);
        drawing.devices(&mut self.faults, shape);
        drawing.liars(&mut self.faults, shape);
        drawing.absent(&mut self.faults, shape);
    }
}

/// The draws of one plan, one after the other: a plan is drawn once, so nothing moves in it.
struct Drawing {
    draws: Draws,
    next: u64,
}

impl Drawing {
    fn below(&mut self, bound: u32) -> u32 {
        self.next += 1;
        self.draws.below(u64::from(bound), Purpose::Plan, self.next, 0) as u32
    }

    /// Once in `of` times.
    fn once_in(&mut self, of: u32) -> bool {
        self.below(of) == 0
    }

    fn dev(&mut self, shape: &Shape) -> u8 {
        self.below(u32::from(shape.devices)) as u8
    }

    fn network(&mut self, faults: &mut Vec<Fault>, shape: &Shape) {
        if self.once_in(6) {
            faults.push(Fault::Latency { by: 1 + self.below(4) });
        }
        if self.once_in(3) {
            faults.push(Fault::Loss { per_mille: 1 + self.below(300) });
        }
        if self.once_in(5) {
            faults.push(Fault::Duplicate { per_mille: 1 + self.below(500) });
        }
        if self.once_in(4) {
            faults.push(Fault::Reorder { by: 1 + self.below(8) });
        }
        if self.once_in(8) {
            faults.push(Fault::BatchedSync { every: 2 + self.below(10) });
        }
        if self.once_in(4) {
            let all = DeviceSet::all(usize::from(shape.devices));
            let side = all.iter().filter(|_| self.once_in(2)).collect();
            let (at, len) = (self.below(25), 1 + self.below(40));
            faults.push(Fault::Partition { side, at, len });
        }
        if self.once_in(16) {
            let (dev, at, len) = (self.dev(shape), self.below(20), 1 + self.below(30));
            faults.push(Fault::Eclipse { dev, at, len });
        }
        if self.once_in(16) {
            faults.push(Fault::Sybil { count: 1 + self.below(4) as u8 });
        }
    }

    fn devices(&mut self, faults: &mut Vec<Fault>, shape: &Shape) {
        for _ in 0..self.below(3) {
            let (dev, at) = (self.dev(shape), self.below(30));
            let down = if self.once_in(4) { FOR_EVER } else { 1 + self.below(25) };
            faults.push(Fault::Crash { dev, at, down });
        }
        if self.once_in(6) {
            let (dev, boundary) = (self.dev(shape), self.below(8));
            faults.push(Fault::TornWrite { dev, boundary, down: 1 + self.below(20) });
        }
        if self.once_in(4) {
            faults.push(Fault::Slow { dev: self.dev(shape), by: 1 + self.below(12) });
        }
        if self.once_in(6) {
            let percent = [-50, -20, 25, 100].get(self.below(4) as usize).copied().unwrap_or(25);
            faults.push(Fault::ClockSkew { dev: self.dev(shape), percent });
        }
        if self.once_in(8) {
            faults.push(Fault::Signal { dev: self.dev(shape), at: self.below(40) });
        }
    }

    fn liars(&mut self, faults: &mut Vec<Fault>, shape: &Shape) {
        let most = (shape.liars as usize).min(shape.may_lie.len()) as u32;
        if most == 0 || self.once_in(2) {
            return;
        }
        // One liar most of the time; all that may be, now and then, with one strategy or several.
        let count = if self.once_in(3) { 1 + self.below(most) } else { 1 };
        let mut candidates = shape.may_lie;
        let mut strategy = self.strategy(shape);
        for _ in 0..count {
            let skip = self.below(candidates.len() as u32) as usize;
            let Some(Dev(dev)) = candidates.iter().nth(skip) else { return };
            candidates = candidates.without(Dev(dev));
            faults.push(Fault::Byzantine { dev, strategy });
            if self.once_in(2) {
                strategy = self.strategy(shape);
            }
        }
    }

    /// Last, so that what older versions drew from a seed is still drawn.
    fn absent(&mut self, faults: &mut Vec<Fault>, shape: &Shape) {
        if self.once_in(16) {
            faults.push(Fault::Absent { dev: self.dev(shape) });
        }
    }

    fn strategy(&mut self, shape: &Shape) -> Strategy {
        match self.below(9) {
            0 => Strategy::Silent,
            1 => Strategy::Corrupt,
            2 => Strategy::Equivocate,
            3 => Strategy::SelectiveAbort,
            4 => Strategy::Hold { epochs: 1 + self.below(70) },
            5 => Strategy::ForgedSignature,
            6 if shape.chains && self.once_in(2) => Strategy::Branches,
            6 => Strategy::ForkLedger,
            7 => Strategy::Replay,
            _ => Strategy::Stuffing,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nobody_lies_who_may_not() {
        let shape = Shape::within(Promise::MEMBERS, 5, 3, DeviceSet::one(Dev(0)));
        let mut liars = DeviceSet::EMPTY;
        for seed in 0..2_000 {
            liars = liars.union(Plan::from_seed(seed, &shape).byzantine());
        }
        assert_eq!(liars, DeviceSet::all(5).without(Dev(0)));
        let shape = Shape::within(Promise::QUORUM, 5, 4, DeviceSet::one(Dev(0)));
        let plans = || (0..2_000).map(|seed| Plan::from_seed(seed, &shape).byzantine());
        assert_eq!(plans().fold(DeviceSet::EMPTY, DeviceSet::union), DeviceSet::all(5));
        assert_eq!(plans().map(DeviceSet::len).max(), Some(2));
        let nobody = Shape::within(Promise::NOBODY, 5, 3, DeviceSet::one(Dev(0)));
        assert!((0..500).all(|seed| Plan::from_seed(seed, &nobody).byzantine().is_empty()));
    }

    /// Everything that can go wrong, and every way to lie, is drawn sooner or later.
    #[test]
    fn everything_is_drawn() {
        let shape = Shape::within(Promise::QUORUM, 5, 4, DeviceSet::one(Dev(0)));
        let word = |it: &Fault| match it {
            Fault::Byzantine { strategy, .. } => format!("{strategy:?}"),
            other => format!("{other:?}"),
        };
        let kind = |it: &Fault| word(it).split(' ').next().map(str::to_owned);
        let shape = Shape { chains: true, ..shape };
        let plans = (0..2_000).map(|seed| Plan::from_seed(seed, &shape));
        let drawn: BTreeSet<String> =
            plans.flat_map(|it| it.faults).filter_map(|it| kind(&it)).collect();
        let expected = [
            "Absent",
            "BatchedSync",
            "Branches",
            "ClockSkew",
            "Corrupt",
            "Crash",
            "Duplicate",
            "Eclipse",
            "Equivocate",
            "ForgedSignature",
            "ForkLedger",
            "Hold",
            "Latency",
            "Loss",
            "Partition",
            "Reorder",
            "Replay",
            "SelectiveAbort",
            "Signal",
            "Silent",
            "Slow",
            "Stuffing",
            "Sybil",
            "TornWrite",
        ];
        assert!(drawn.iter().eq(&expected), "{drawn:?}");
    }

    #[test]
    fn a_seed_draws_one_plan() {
        let shape = Shape::within(Promise::MEMBERS, 7, 4, DeviceSet::one(Dev(0)));
        let mut plan = Plan::from_seed(1, &shape);
        assert_ne!(plan, Plan::from_seed(2, &shape));
        plan.redraw(2, &shape);
        assert_eq!(plan, Plan::from_seed(2, &shape));
    }
}
