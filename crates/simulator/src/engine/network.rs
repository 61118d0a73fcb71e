//! The network of one plan: when a message that is said now arrives.

use aura_choreography::{Dev, DeviceSet};

use crate::{
    draw::{Draws, Purpose, mix},
    engine::run::Tally,
    plan::{Fault, Plan},
};

/// How often a message is lost at most.
const LOSSES_MAX: u64 = 40;
/// How many epochs later it is sent again.
const RESEND_EPOCHS: u64 = 4;
/// Within how many epochs a message comes again that comes twice.
const DUPLICATE_EPOCHS: u64 = 20;

/// A time in which one side cannot reach the other.
#[derive(Debug, Clone, Copy)]
struct Cut {
    side: DeviceSet,
    at: u64,
    end: u64,
    /// Who reaches everybody all the same.
    through: DeviceSet,
}

/// A plan's network.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) draws: Draws,
    devices: usize,
    jitter: u64,
    latency: u64,
    loss: u64,
    duplicate: u64,
    reorder: Option<u64>,
    batch: u64,
    slow: Vec<u64>,
    cuts: Vec<Cut>,
    /// When the last message of each device to each other arrives.
    last: Vec<u64>,
}

/// How a message gets to a device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) from: Dev,
    pub(crate) to: Dev,
    /// Whether others pass it on: then it is not among those that its author sends in order.
    pub(crate) relayed: bool,
}

/// When a message arrives: once or twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) at: u64,
    pub(crate) again: Option<u64>,
}

impl Network {
    pub(crate) fn prepare(&mut self, plan: &Plan) {
        self.draws = Draws::new(plan.seed);
        self.devices = usize::from(plan.devices);
        self.jitter = u64::from(plan.jitter.max(1));
        (self.latency, self.loss, self.duplicate, self.batch) = (0, 0, 0, 1);
        self.reorder = None;
        self.slow.clear();
        self.slow.resize(self.devices, 0);
        self.last.clear();
        self.last.resize(self.devices * self.devices, 0);
        self.cuts.clear();
        let liars = plan.byzantine();
        for fault in &plan.faults {
            self.fault(fault, liars);
        }
    }

    fn fault(&mut self, fault: &Fault, liars: DeviceSet) {
        let cut = |side, at: u32, len: u32, through| {
            let (at, end) = (u64::from(at), u64::from(at) + u64::from(len));
            Cut { side, at, end, through }
        };
        match *fault {
            Fault::Latency { by } => self.latency += u64::from(by),
            Fault::Loss { per_mille } => self.loss = u64::from(per_mille),
            Fault::Duplicate { per_mille } => self.duplicate = u64::from(per_mille),
            Fault::Reorder { by } => self.reorder = Some(u64::from(by)),
            Fault::BatchedSync { every } => self.batch = u64::from(every.max(1)),
            Fault::Slow { dev, by } => {
                if let Some(slow) = self.slow.get_mut(usize::from(dev)) {
                    *slow += u64::from(by);
                }
            }
            Fault::Partition { side, at, len } => {
                self.cuts.push(cut(side, at, len, DeviceSet::EMPTY));
            }
            Fault::Eclipse { dev, at, len } => {
                self.cuts.push(cut(DeviceSet::one(Dev(dev)), at, len, liars));
            }
            Fault::ClockSkew { .. }
            | Fault::Crash { .. }
            | Fault::TornWrite { .. }
            | Fault::Byzantine { .. }
            | Fault::Sybil { .. }
            | Fault::Absent { .. }
            | Fault::Signal { .. } => {}
        }
    }

    /// When what is said at `now` arrives.
    pub(crate) fn arrival(&mut self, now: u64, way: Way, key: u64, tally: &mut Tally) -> Arrival {
        let Way { from, to, .. } = way;
        // One draw for a message and its receiver. Each purpose has bits of its own, so that what one
        // fault takes from it is not missed by another.
        let draw = self.draws.of(Purpose::Delay, key, u64::from(to.0));
        let slow = |dev: Dev| self.slow.get(usize::from(dev.0)).copied().unwrap_or(0);
        let mut at = now + 1 + self.latency + part(draw, 0, self.jitter) + slow(from) + slow(to);
        if self.loss != 0 {
            let lost = |attempt: &u64| part(mix(draw ^ *attempt), 0, 1000) < self.loss;
            let lost = (1..=LOSSES_MAX).take_while(lost).count();
            tally.lost += lost as u32;
            at += lost as u64 * RESEND_EPOCHS;
        }
        if !way.relayed {
            let spread = part(draw, 1, self.reorder.map_or(1, |it| it + 1));
            at = self.in_order(at, (from, to), spread, tally);
        }
        if 1 < self.batch {
            let next = at.next_multiple_of(self.batch);
            tally.batched += u32::from(at < next);
            at = next;
        }
        if !self.cuts.is_empty() {
            at = self.through(at, (from, to), part(draw, 2, self.jitter), tally);
        }
        let again = (self.duplicate != 0 && part(draw, 3, 1000) < self.duplicate)
            .then(|| at + 1 + part(mix(draw), 0, DUPLICATE_EPOCHS));
        tally.duplicated += u32::from(again.is_some());
        Arrival { at, again }
    }

    /// One after the other, or not.
    fn in_order(&mut self, at: u64, (from, to): (Dev, Dev), spread: u64, tally: &mut Tally) -> u64 {
        let link = usize::from(from.0) * self.devices + usize::from(to.0);
        let Some(last) = self.last.get_mut(link) else { return at };
        let before = *last;
        let at = if self.reorder.is_some() { at + spread } else { at.max(before) };
        tally.reordered += u32::from(at < before);
        *last = before.max(at);
        at
    }

    /// Not through a cut, but some time after it has healed.
    fn through(&self, at: u64, (from, to): (Dev, Dev), heals: u64, tally: &mut Tally) -> u64 {
        let mut at = at;
        let blocks = |it: &&Cut, at: u64| {
            it.at <= at
                && at < it.end
                && it.side.contains(from) != it.side.contains(to)
                && !it.through.contains(from)
        };
        while let Some(cut) = self.cuts.iter().find(|it| blocks(it, at)) {
            tally.cut_off += 1;
            at = cut.end + heals;
        }
        at
    }
}

/// The `index`th quarter of a draw, below `bound`.
const fn part(draw: u64, index: u32, bound: u64) -> u64 {
    (((draw >> (16 * index)) & 0xffff) * bound) >> 16
}

/// What a device's clock shows, and when it shows something.
pub(crate) mod skew {
    const fn rate(percent: i16) -> u64 {
        let rate = 100 + percent as i64;
        if rate < 10 { 10 } else { rate as u64 }
    }

    pub(crate) const fn shown(now: u64, percent: i16) -> u64 {
        if percent == 0 { now } else { now * rate(percent) / 100 }
    }

    /// The first moment at which it shows `epoch`.
    pub(crate) const fn moment(epoch: u64, percent: i16) -> u64 {
        if percent == 0 { epoch } else { (epoch.saturating_mul(100)).div_ceil(rate(percent)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(faults: Vec<Fault>) -> (Vec<u64>, Tally) {
        let plan = Plan { seed: 5, devices: 4, threshold: 3, jitter: 5, faults };
        let (mut network, mut tally) = (Network::default(), Tally::default());
        network.prepare(&plan);
        let way = Way { from: Dev(0), to: Dev(1), relayed: false };
        let at = |key| network.arrival(10, way, key, &mut tally).at;
        ((0..50).map(at).collect(), tally)
    }

    #[test]
    fn a_fault_moves_only_what_it_is_about() {
        let (base, _) = arrivals(vec![]);
        assert!(base.is_sorted(), "in order without reordering");
        let (lossy, tally) = arrivals(vec![Fault::Loss { per_mille: 1 }]);
        assert_eq!(
            tally.lost,
            lossy.iter().zip(&base).filter(|(it, other)| it != other).count() as u32
        );
        let (slow, _) = arrivals(vec![Fault::Slow { dev: 1, by: 7 }]);
        assert!(slow.iter().zip(&base).all(|(slow, base)| *slow == base + 7));
        let (late, _) = arrivals(vec![Fault::Latency { by: 2 }]);
        assert!(late.iter().zip(&base).all(|(late, base)| *late == base + 2));
        let (batched, tally) = arrivals(vec![Fault::BatchedSync { every: 30 }]);
        assert!(batched.iter().all(|it| it % 30 == 0) && tally.batched != 0);
        let (mixed, tally) = arrivals(vec![Fault::Reorder { by: 9 }]);
        assert!(!mixed.is_sorted() && tally.reordered != 0);
    }

    #[test]
    fn a_cut_lets_nothing_through_and_heals() {
        let side = DeviceSet::one(Dev(0));
        let (cut, tally) = arrivals(vec![Fault::Partition { side, at: 0, len: 100 }]);
        assert!(cut.iter().all(|it| (100..105).contains(it)) && tally.cut_off == 50);
        let byzantine = Fault::Byzantine { dev: 0, strategy: crate::plan::Strategy::Silent };
        let eclipse = Fault::Eclipse { dev: 1, at: 0, len: 100 };
        assert!(arrivals(vec![eclipse]).0.iter().all(|it| 100 <= *it));
        assert!(
            arrivals(vec![eclipse, byzantine]).0.iter().all(|it| *it < 20),
            "liars get through"
        );
    }

    #[test]
    fn clocks_go_at_their_pace() {
        assert_eq!((skew::shown(10, 100), skew::shown(10, -50), skew::shown(10, 0)), (20, 5, 10));
        for percent in [-90, -50, -20, 0, 25, 100] {
            for epoch in 0..300 {
                let moment = skew::moment(epoch, percent);
                assert!(epoch <= skew::shown(moment, percent));
                assert!(moment == 0 || skew::shown(moment - 1, percent) < epoch);
            }
        }
    }
}
