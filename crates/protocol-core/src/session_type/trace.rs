//! Whether what a device was seen doing is a path of its projection.

use alloc::{
    collections::BTreeSet,
    string::{String, ToString},
    vec::Vec,
};

use thiserror::Error;

use super::{
    Local, LocalBranch, LocalType,
    code::{Code, Label, Op},
    local::Wait,
    spread::{DEVICES, Names, Spread},
};

/// One instruction that a device was seen to issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// It sent this.
    Sent(String),
    /// It waited for any of these. A decider that a signal can stop waits for the signal too.
    Awaited(BTreeSet<String>),
    /// It waited for this many epochs.
    Paused(u32),
}

/// Where a device left its projection.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("instruction {at} is none of those that can come here: {}", expected.join("; "))]
pub struct Departure {
    /// The first instruction that is no step of the projection, counted from 0.
    pub at: usize,
    /// What could have come there, in words and in order.
    pub expected: Vec<String>,
}

impl LocalType {
    /// Checks that a device which was seen issuing these instructions, in this order, followed its
    /// projection, though perhaps not to its end: a device may give up at any time, and then sends only
    /// what it owes.
    ///
    /// # Errors
    /// [`Departure`] at the first instruction that does not fit.
    pub fn follow(&self, seen: &[Observed]) -> Result<(), Departure> {
        let mut labels = BTreeSet::new();
        labels_of(&self.steps, &mut labels);
        let names = Names::of(labels);
        let code = Code::new(self, &names, &Spread::unknown());
        let walker = Walker { code, names };
        let start = Place { at: 0, phase: Phase::Before, owed: Vec::new() };
        let mut places = walker.closure(BTreeSet::from([start]));
        for (at, observed) in seen.iter().enumerate() {
            let edges: Vec<_> = places.iter().flat_map(|it| walker.edges(it)).collect();
            let next: BTreeSet<Place> =
                edges.iter().filter(|it| it.0 == *observed).map(|it| it.1.clone()).collect();
            if next.is_empty() {
                let expected: BTreeSet<String> = edges.iter().map(|it| it.0.to_string()).collect();
                return Err(Departure { at, expected: expected.into_iter().collect() });
            }
            places = walker.closure(next);
        }
        Ok(())
    }
}

impl core::fmt::Display for Observed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Sent(label) => write!(f, "send {label}"),
            Self::Awaited(labels) => {
                let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
                write!(f, "wait for {}", labels.join(" or "))
            }
            Self::Paused(epochs) => write!(f, "wait {epochs} epochs"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// The instruction at this place has not begun.
    Before,
    /// It has waited, and goes on from there.
    Waited,
    /// The device gave up: it sends what it owes.
    Ending,
}

/// Where a device may stand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    at: usize,
    phase: Phase,
    owed: Vec<Label>,
}

struct Walker {
    code: Code,
    names: Names,
}

impl Walker {
    /// Every place that is reached without an instruction.
    fn closure(&self, mut places: BTreeSet<Place>) -> BTreeSet<Place> {
        let mut open: Vec<Place> = places.iter().cloned().collect();
        while let Some(place) = open.pop() {
            for next in self.silent(&place) {
                if places.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        places
    }

    fn silent(&self, place: &Place) -> Vec<Place> {
        if place.phase == Phase::Ending {
            return Vec::new();
        }
        let give_up = Place { at: 0, phase: Phase::Ending, owed: place.owed.clone() };
        let to = |at| Place { at, phase: Phase::Before, owed: place.owed.clone() };
        let next = to(place.at + 1);
        let mut reached = alloc::vec![give_up];
        match (self.code.ops.get(place.at), place.phase) {
            (Some(Op::Send { to, among, .. }), _) if among.is_some() || *to != DEVICES => {
                reached.push(next);
            }
            (Some(Op::Decide { on: None, .. }), Phase::Before) => {
                reached.push(Place { phase: Phase::Waited, ..place.clone() });
            }
            (Some(Op::Follow { ways, .. }), Phase::Waited) => {
                reached.extend(ways.iter().map(|it| to(it.to)));
            }
            (Some(Op::Go(at) | Op::Again { to: at, .. }), _) => reached.push(to(*at)),
            (Some(Op::Enter | Op::Leave), _) => reached.push(next),
            (Some(Op::Owe(label)), _) => {
                let mut owed = place.owed.clone();
                owed.push(*label);
                reached.push(Place { owed, ..next });
            }
            _ => {}
        }
        reached
    }

    /// The instructions that can be issued at a place, and where they lead.
    fn edges(&self, place: &Place) -> Vec<(Observed, Place)> {
        let op = self.code.ops.get(place.at);
        let to = |at| Place { at, phase: Phase::Before, owed: place.owed.clone() };
        let waited = || Place { phase: Phase::Waited, ..place.clone() };
        let sent = |label: &Label| Observed::Sent(self.names.name(*label));
        let awaited = |labels: &mut dyn Iterator<Item = Label>| {
            Observed::Awaited(labels.map(|it| self.names.name(it)).collect())
        };
        if matches!(op, Some(Op::Abort | Op::Finish)) || place.phase == Phase::Ending {
            return self.pays(place).into_iter().collect();
        }
        let mut edges = Vec::new();
        match (op, place.phase) {
            (Some(Op::Send { label, to: addressed, no, .. }), _) => {
                let next = if *addressed == DEVICES { place.at + 1 } else { place.at };
                edges.push((sent(label), to(next)));
                edges.extend(no.iter().map(|it| (sent(it), to(next))));
            }
            (Some(Op::Pause(epochs)), _) => {
                edges.push((Observed::Paused(*epochs), to(place.at + 1)));
            }
            (Some(Op::Await(wait)), _) => {
                edges.push((awaited(&mut [wait.label].into_iter()), to(place.at + 1)));
            }
            (Some(Op::Decide { on: Some(on), .. }), Phase::Before) => {
                let mut labels = [on.label].into_iter().chain(on.unless);
                edges.push((awaited(&mut labels), waited()));
                edges.extend(on.unless.iter().map(|it| (sent(it), place.clone())));
            }
            (Some(Op::Decide { on, ways }), _) => {
                edges.extend(ways.iter().map(|it| (sent(&it.label), to(it.to))));
                let signal = on.as_ref().and_then(|it| it.unless);
                edges.extend(signal.iter().map(|it| (sent(it), place.clone())));
            }
            (Some(Op::Follow { ways, signal, .. }), phase) => {
                if phase == Phase::Before {
                    let mut labels = ways.iter().map(|it| it.label);
                    edges.push((awaited(&mut labels), waited()));
                }
                edges.extend(signal.iter().map(|it| (sent(it), place.clone())));
            }
            _ => {}
        }
        edges
    }

    /// What is owed next: the last first.
    fn pays(&self, place: &Place) -> Option<(Observed, Place)> {
        let mut owed = place.owed.clone();
        let label = self.names.name(owed.pop()?);
        Some((Observed::Sent(label), Place { owed, ..place.clone() }))
    }
}

/// Every label that steps name.
fn labels_of(steps: &[Local], labels: &mut BTreeSet<String>) {
    for step in steps {
        match step {
            Local::Send { label, no, .. } => {
                labels.insert(label.clone());
                labels.extend(no.clone());
            }
            Local::Finally { label } => {
                labels.insert(label.clone());
            }
            Local::Await(wait) => labels_of_wait(wait, labels),
            Local::Decide { on, branches } => {
                on.iter().for_each(|it| labels_of_wait(it, labels));
                labels_of_branches(branches, labels);
            }
            Local::Follow { branches, signal, on, .. } => {
                on.iter().for_each(|it| labels_of_wait(it, labels));
                labels.extend(signal.clone());
                labels_of_branches(branches, labels);
            }
            Local::Sub { steps } => labels_of(steps, labels),
            Local::Rec { .. } | Local::Pause { .. } => {}
        }
    }
}

fn labels_of_wait(wait: &Wait, labels: &mut BTreeSet<String>) {
    labels.insert(wait.label.clone());
    labels.extend(wait.unless.clone());
}

fn labels_of_branches(branches: &[LocalBranch], labels: &mut BTreeSet<String>) {
    for branch in branches {
        labels.insert(branch.label.clone());
        labels_of(&branch.steps, labels);
    }
}
