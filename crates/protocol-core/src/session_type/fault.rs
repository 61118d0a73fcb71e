//! Says what is wrong at the end of a run.

use alloc::{string::ToString, vec::Vec};

use super::{
    Action, Decision, End, Fault, MissingEvent, Move, Run, WhyMissing,
    code::{Label, Op, Senders},
    explore::{Act, Arena, State, Step},
    spread::{DEVICES, Devices, members, threshold},
};

impl Arena<'_> {
    /// The run, with what is wrong at its end.
    pub(super) fn run(&self, session: &str, steps: &[Step], last: &State) -> Run {
        let list = |devices: Devices| list(members(devices));
        Run {
            session: session.to_string(),
            roles: self.spread.roles.iter().map(|(name, it)| (name.clone(), list(*it))).collect(),
            threshold: threshold(DEVICES),
            versions: self.sides,
            schedule: steps.iter().map(|it| self.in_words(*it)).collect(),
            fault: self.fault(steps, last),
        }
    }

    fn in_words(&self, (device, act): Step) -> Move {
        let name = |label| self.names.name(label);
        let list = |devices: Devices| list(members(devices));
        let action = match act {
            Act::Send { label, to } => {
                Action::Sends { label: name(label), to: (to != DEVICES).then(|| list(to)) }
            }
            Act::Decline { label, no } => Action::Declines { label: name(label), says: name(no) },
            Act::See { label, from } => Action::Sees { label: name(label), from: list(from) },
            Act::Decide { label, payload } => {
                Action::Decides { label: name(label), devices: payload.map(list) }
            }
            Act::Follow { label } => Action::Follows { label: name(label) },
            Act::TimeOut { awaited, label } => {
                Action::TimesOut { awaited: name(awaited), label: name(label) }
            }
            Act::GiveUp { awaited } => Action::GivesUp { awaited: name(awaited) },
        };
        Move { device: number(device), action }
    }

    fn fault(&self, steps: &[Step], last: &State) -> Fault {
        if let Some((device, decider, label)) = self.unheard(last) {
            let (device, decider) = (number(device), number(decider));
            return Fault::Unheard { device, decider, label: self.names.name(label) };
        }
        let mut waits = Vec::new();
        for index in 0..last.devices.len() {
            waits.extend(self.wait_of(steps, last, index));
        }
        // Who waits for what never comes explains why others wait for it in turn.
        let is_cause = |fault: &Fault| match fault {
            Fault::Waits { missing, .. } => missing.iter().any(|it| it.why != WhyMissing::Waits),
            _ => false,
        };
        let cause = waits.iter().position(is_cause).unwrap_or(0);
        if cause < waits.len() {
            return waits.swap_remove(cause);
        }
        let ends = last.devices.each_ref().map(|it| it.end.unwrap_or(End::Aborted));
        let unlearned = last.devices.iter().enumerate().find_map(|(index, it)| {
            let (label, ..) = it.decided.first()?;
            let without =
                |other: &super::explore::Device| !other.decided.iter().any(|it| it.0 == *label);
            let device = last.devices.iter().position(without)?;
            let decision = Decision { label: self.names.name(*label), device: number(index) };
            Some(Fault::Unlearned { decision, device: number(device) })
        });
        match unlearned {
            Some(fault) if ends.iter().all(|it| *it == End::Finished) => fault,
            _ => Fault::EndsDiffer { ends },
        }
    }

    /// What one device waits for, if it waits.
    fn wait_of(&self, steps: &[Step], last: &State, index: usize) -> Option<Fault> {
        let device = last.devices.get(index).filter(|it| it.end.is_none())?;
        let (labels, needs, expected) = match self.codes.get(index)?.ops.get(device.at)? {
            Op::Await(wait) | Op::Decide { on: Some(wait), .. } => {
                let from = match wait.from {
                    Senders::Devices(devices) => devices,
                    Senders::Decided(label) => device.subset(label),
                };
                let seen = self.seen(last, index, wait);
                let expected = (from | device.named(&wait.need)) & !seen;
                (alloc::vec![wait.label], device.least(&wait.need), expected)
            }
            Op::Follow { from, ways, .. } => {
                (ways.iter().map(|it| it.label).collect(), 1, 1 << from)
            }
            _ => return None,
        };
        let missing = members(expected)
            .map(|from| MissingEvent {
                from: number(from),
                why: self.why(steps, last, index, from, &labels),
            })
            .collect();
        Some(Fault::Waits {
            device: number(index),
            labels: labels.iter().map(|it| self.names.name(*it)).collect(),
            needs: u8::try_from(needs).unwrap_or(u8::MAX),
            missing,
        })
    }

    /// Why `reader` has none of `labels` from `author`.
    fn why(
        &self,
        steps: &[Step],
        last: &State,
        reader: usize,
        author: usize,
        labels: &[Label],
    ) -> WhyMissing {
        let of_author = || steps.iter().filter(|it| it.0 == author).map(|it| it.1);
        let sent = of_author().find_map(|act| match act {
            Act::Send { label, .. } | Act::Decide { label, .. } | Act::TimeOut { label, .. } => {
                (labels.contains(&label) && !self.reads(reader, author, label)).then_some(())
            }
            Act::Decline { .. } | Act::See { .. } | Act::Follow { .. } | Act::GiveUp { .. } => None,
        });
        if sent.is_some() {
            return WhyMissing::OtherLayout;
        }
        if self.has_declined(last, reader, author, labels) {
            return WhyMissing::Declined;
        }
        let refused = labels.iter().find(|it| self.refuses(last, reader, author, **it));
        if let Some(label) = refused {
            return WhyMissing::Refused { label: self.names.name(*label) };
        }
        let Some(device) = last.devices.get(author) else { return WhyMissing::NeverSends };
        let later = self.codes.get(author).and_then(|it| it.sends.get(device.at).copied());
        let later = later.filter(|_| device.end.is_none()).unwrap_or_default();
        if labels.iter().any(|it| later.contains(*it)) {
            return WhyMissing::Waits;
        }
        let known = |label| self.sides.get(reader).is_some_and(|it| self.names.knows(*it, label));
        let mut decided = of_author().filter_map(|act| match act {
            Act::Decide { label, .. } if !known(label) || !self.reads(reader, author, label) => {
                Some(label)
            }
            _ => None,
        });
        match decided.next_back() {
            Some(label) => WhyMissing::Decides { label: self.names.name(label) },
            None => WhyMissing::NeverSends,
        }
    }
}

fn list(devices: impl Iterator<Item = usize>) -> Vec<u8> {
    devices.map(number).collect()
}

fn number(device: usize) -> u8 {
    u8::try_from(device).unwrap_or(u8::MAX)
}
