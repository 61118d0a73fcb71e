//! Where the pauses of two versions differ: who may run out of time because another still rests.
//!
//! Nothing but a pause takes time here. Each device knows how many epochs it has rested or waited for
//! others who rested, at least and at most: which of several events comes first is not followed. Where
//! versions pause alike all clocks are the same.

use alloc::vec::Vec;

use super::{
    code::{Awaited, Label},
    explore::{Arena, Device, State},
    spread::members,
};

/// How many epochs have passed at one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Clock {
    pub(super) least: u32,
    most: u32,
}

/// A wait that may be too short for what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Late {
    pub(super) device: usize,
    pub(super) label: Label,
    /// After how many epochs it may come.
    pub(super) after: u32,
    /// For how many epochs the device waits.
    pub(super) within: u32,
}

impl Clock {
    pub(super) const fn pause(&mut self, epochs: u32) {
        self.least = self.least.saturating_add(epochs);
        self.most = self.most.saturating_add(epochs);
    }

    /// The same clock, when counting begins so much later. What was before that is long past.
    pub(super) const fn since(self, begin: u32) -> Self {
        let (least, most) = (self.least.saturating_sub(begin), self.most.saturating_sub(begin));
        Self { least, most }
    }
}

impl Arena<'_> {
    /// When a device, which has seen enough, has it.
    pub(super) fn arrival(&self, state: &State, reader: usize, wait: &Awaited) -> Clock {
        let Some(device) = state.devices.get(reader) else { return Clock::default() };
        let said = |author| self.said(state, reader, author, wait.label);
        // Who has not spoken yet, and may before some of those whom it saw, speaks no earlier than now.
        let earliest = |author: usize| {
            let waits = || state.devices.get(author).filter(|it| it.end.is_none());
            said(author).or_else(|| waits().map(|it| it.clock)).map(|it| it.least)
        };
        let count = device.least(&wait.need);
        let seen = members(self.seen(state, reader, wait));
        let named = || members(device.named(&wait.need)).filter_map(said);
        let least = last(count, members(self.senders(device, wait)).filter_map(earliest));
        let most = last(count, seen.filter_map(said).map(|it| it.most));
        Clock {
            least: named().map(|it| it.least).fold(least, u32::max),
            most: named().map(|it| it.most).fold(most, u32::max),
        }
    }

    /// A device goes on with what came at this time.
    pub(super) fn comes(
        &self,
        state: &mut State,
        index: usize,
        (label, within): (Label, Option<u32>),
        at: Clock,
    ) {
        let Some(device) = state.devices.get_mut(index) else { return };
        let after = at.most.saturating_sub(device.clock.least);
        device.clock.least = device.clock.least.max(at.least);
        device.clock.most = device.clock.most.max(at.most);
        if let Some(within) = within.filter(|it| *it < after) {
            state.late.get_or_insert(Late { device: index, label, after, within });
        }
    }

    /// Counts from the earliest clock on, so that states with the same future are the same.
    pub(super) fn wind(&self, state: &mut State) {
        let live = |it: &&Device| it.end.is_none();
        let begin = state.devices.iter().filter(live).map(|it| it.clock.least).min();
        for device in &mut state.devices {
            device.clock = match device.end {
                None => device.clock.since(begin.unwrap_or_default()),
                Some(_) => Clock::default(),
            };
        }
        for event in state.logs.iter_mut().flatten() {
            event.said = event.said.since(begin.unwrap_or(u32::MAX));
        }
    }
}

/// The time of the last of so many that are needed, the earliest first.
fn last(count: u32, times: impl Iterator<Item = u32>) -> u32 {
    let mut times: Vec<u32> = times.collect();
    times.sort_unstable();
    let last = usize::try_from(count).ok().and_then(|it| it.checked_sub(1));
    last.and_then(|it| times.get(it)).copied().unwrap_or_default()
}
