//! A session as bytes. Events that the log names are written once.

use alloc::vec::Vec;

use aura_protocol_core::{Epoch, lifecycle::EffectReply};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{Event, Reply};

/// What [`Session::snapshot`](crate::Session::snapshot) writes.
#[derive(BorshSerialize, BorshDeserialize)]
pub(crate) struct Saved {
    pub(crate) now: Option<Epoch>,
    pub(crate) asked_at: Option<Epoch>,
    pub(crate) round: u32,
    pub(crate) signals: Vec<Vec<u8>>,
    pub(crate) called: bool,
    pub(crate) events: Vec<Event>,
    log: Vec<SavedReply>,
}

/// A [`Reply`] whose events are places in the snapshot's own.
#[derive(BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
enum SavedReply {
    Done,
    Events(Vec<u32>),
    Timeout,
    Epoch(Epoch),
    Passed(bool),
    Signal(Vec<u8>),
    Host(EffectReply),
}

impl Saved {
    pub(crate) fn of(
        events: &[Event],
        log: &[Reply],
        (now, asked_at, round): (Option<Epoch>, Option<Epoch>, u32),
        signals: Vec<Vec<u8>>,
        called: bool,
    ) -> Self {
        let place = |event: &Event| events.iter().position(|it| it == event).unwrap_or(0) as u32;
        let log = log
            .iter()
            .map(|reply| match reply {
                Reply::Done => SavedReply::Done,
                Reply::Events(events) => SavedReply::Events(events.iter().map(place).collect()),
                Reply::Timeout => SavedReply::Timeout,
                Reply::Epoch(epoch) => SavedReply::Epoch(*epoch),
                Reply::Passed(passed) => SavedReply::Passed(*passed),
                Reply::Signal(said) => SavedReply::Signal(said.clone()),
                Reply::Host(reply) => SavedReply::Host(reply.clone()),
            })
            .collect();
        Self { now, asked_at, round, signals, called, events: events.to_vec(), log }
    }

    /// The log, or none when it names events that are not there.
    pub(crate) fn log(&self, events: &[Event]) -> Option<Vec<Reply>> {
        let event = |place: &u32| events.get(*place as usize).cloned();
        self.log
            .iter()
            .map(|reply| {
                Some(match reply {
                    SavedReply::Done => Reply::Done,
                    SavedReply::Events(places) => Reply::Events(match places.as_slice() {
                        [place] => event(place)?.into(),
                        places => places.iter().map(event).collect::<Option<Vec<_>>>()?.into(),
                    }),
                    SavedReply::Timeout => Reply::Timeout,
                    SavedReply::Epoch(epoch) => Reply::Epoch(*epoch),
                    SavedReply::Passed(passed) => Reply::Passed(*passed),
                    SavedReply::Signal(said) => Reply::Signal(said.clone()),
                    SavedReply::Host(reply) => Reply::Host(reply.clone()),
                })
            })
            .collect()
    }
}
