//! What a script asks of whoever drives it, and the answers: the log of answers is its state.

use alloc::{string::String, vec::Vec};

use aura_protocol_core::{
    Capability, Epoch, ProtocolEffect, ProtocolName, RecordKey, lifecycle::EffectReply,
};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{Body, DeviceSet, Events, Label, LabelSet};

/// A set of events that a script waits for: one each of at least `count` of the devices `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Want {
    /// With one of these labels.
    pub labels: LabelSet,
    /// Of these devices.
    pub from: DeviceSet,
    /// Of how many of them at least.
    pub count: u8,
    /// In this round.
    pub round: u32,
    /// Whether all have to say the very same.
    pub same: bool,
    /// Whether only those addressed to this device count.
    pub to_me: bool,
}

/// What a script asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ask {
    /// Say something. Answered with [`Reply::Done`].
    Write {
        /// As what.
        label: Label,
        /// In which round.
        round: u32,
        /// What.
        body: Body,
    },
    /// Wait for events. Answered with [`Reply::Events`], [`Reply::Timeout`] if there is a deadline,
    /// or [`Reply::Signal`] if `signals`.
    Await {
        /// What is waited for.
        want: Want,
        /// What ends the wait instead, and first if both are there.
        unless: Option<Want>,
        /// For how many epochs; for ever without.
        within: Option<u32>,
        /// Whether what the person at this device says ends the wait too.
        signals: bool,
    },
    /// What is there already. Answered with [`Reply::Events`], at most one of each device.
    Peek(Want),
    /// Let so many epochs pass. Answered with [`Reply::Done`].
    Pause {
        /// How many.
        epochs: u32,
    },
    /// What epoch it is. Answered with [`Reply::Epoch`].
    Now,
    /// Whether so many epochs have passed since `since`. Answered with [`Reply::Passed`].
    HasPassed {
        /// Since when.
        since: Epoch,
        /// How many.
        epochs: u32,
        /// How often the session has gone back before: a bound for whoever explores without a clock.
        round: u32,
    },
    /// What the person at this device says next. Answered with [`Reply::Signal`], or
    /// [`Reply::Timeout`] if there is a deadline.
    Signal {
        /// For how many epochs; for ever without.
        within: Option<u32>,
    },
    /// Something that the host does. Answered with [`Reply::Host`], or [`Reply::Timeout`] if the call
    /// has a deadline ([`HostCall::within`]).
    Host(HostCall),
    /// A line for the device's log. Answered with [`Reply::Done`].
    Log(String),
}

/// What only the host can do. Whatever it answers is this device's own knowledge.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HostCall {
    /// Use a right on some bytes. No key ever reaches a script.
    Use {
        /// The right.
        capability: Capability,
        /// Its argument.
        bytes: Vec<u8>,
    },
    /// Read one record of this app.
    Read(RecordKey),
    /// Read a page of records.
    List {
        /// The first bytes of the keys.
        prefix: Vec<u8>,
        /// The last key of the page before.
        after: Option<RecordKey>,
        /// How many at most.
        limit: u32,
    },
    /// Run a session of another protocol among the same participants: the same at every device.
    Run {
        /// Which protocol.
        protocol: ProtocolName,
        /// Its parameters.
        params: Vec<u8>,
        /// For how many epochs this device waits for its end; for ever without.
        within: Option<u32>,
    },
}

impl HostCall {
    /// For how many epochs the answer is waited for; for ever without.
    #[must_use]
    pub const fn within(&self) -> Option<u32> {
        match self {
            Self::Run { within, .. } => *within,
            Self::Use { .. } | Self::Read(_) | Self::List { .. } => None,
        }
    }
}

impl From<HostCall> for ProtocolEffect {
    fn from(call: HostCall) -> Self {
        match call {
            HostCall::Use { capability, bytes } => Self::Use { capability, bytes },
            HostCall::Read(key) => Self::GetRecord(key),
            HostCall::List { prefix, after, limit } => Self::ListRecords { prefix, after, limit },
            HostCall::Run { protocol, params, .. } => Self::RunSubProtocol { protocol, params },
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
#[non_exhaustive]
pub enum Reply {
    /// It was done.
    Done,
    /// The events that satisfied the wait, by author; of `same` events, one.
    Events(Events),
    /// The deadline passed.
    Timeout,
    /// The epoch.
    Epoch(Epoch),
    /// Whether the time has passed.
    Passed(bool),
    /// What the person said.
    Signal(Vec<u8>),
    /// What the host answered.
    Host(EffectReply),
}
