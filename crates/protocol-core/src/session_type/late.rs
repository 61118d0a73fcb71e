//! What happens to a device that waits when nothing else can happen.
//!
//! A decider with a deadline ends the session, anybody else with a deadline gives up. That may be the
//! ordinary course of things, or the fault that a comparison looks for. It is ordinary where enough
//! would have come if nobody had declined; and for a decider also where one version alone runs out of
//! time with as much.

use alloc::{collections::BTreeSet, vec::Vec};

use super::{
    code::{Awaited, Op},
    explore::{Act, Arena, State, Step},
    spread::Devices,
};

/// Where a decider ran out of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TimeOut {
    pub(super) device: usize,
    at: usize,
    /// Of whom it waited.
    from: Devices,
    /// Who of them had sent it or declined.
    answered: Devices,
}

/// Everywhere that deciders ran out of time, although nobody declined.
pub(super) type TimeOuts = BTreeSet<TimeOut>;

impl Arena<'_> {
    /// Who can only go on by running out of time, where that is nothing unusual.
    pub(super) fn out_of_time(&self, state: &State, noted: &mut TimeOuts) -> Vec<Step> {
        let mut options = Vec::new();
        for (index, device) in state.devices.iter().enumerate() {
            let op = self.codes.get(index).and_then(|it| it.ops.get(device.at));
            let Some((op, wait)) = op.and_then(|it| Some((it, Awaited::at(it)?))) else { continue };
            if device.end.is_some() || wait.within.is_none() {
                continue;
            }
            let answered = self.seen(state, index, wait) | self.declined(state, index, wait);
            let excused = device.has_enough(&wait.need, answered);
            let Op::Decide { ways, .. } = op else {
                if excused {
                    options.push((index, Act::GiveUp { awaited: wait.label }));
                }
                continue;
            };
            let from = self.senders(device, wait);
            let place = TimeOut { device: index, at: device.at, from, answered };
            let Some(way) = ways.iter().find(|it| it.aborts) else { continue };
            if excused || self.is_usual(&place) {
                if !excused {
                    noted.insert(place);
                }
                options.push((index, Act::TimeOut { awaited: wait.label, label: way.label }));
            }
        }
        options
    }

    /// Whether the version alone runs out of time here too, with all that came and perhaps more.
    fn is_usual(&self, place: &TimeOut) -> bool {
        let covers = |it: &TimeOut| {
            TimeOut { answered: it.answered, ..*place } == *it && place.answered & !it.answered == 0
        };
        self.time_outs.is_none_or(|all| all.iter().any(covers))
    }
}
