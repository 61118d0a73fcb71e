//! What a node is told.

use aura_coordination::execution::{InstructionResult, WakeCondition};
use aura_distribution::Rehearsal;
use aura_journal::{
    control::ControlChain,
    sync::{SyncMessage, UnreadEntries},
};
use aura_protocol_core::{AppId, Descriptor, DeviceId, Digest, Record, SessionId, UnixTime};

use crate::{api::Command, error::AgentError, join::JoinRequest, node::vault::Entropy};

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// The contents of the files that a command names, read by the driver.
#[derive(Debug, Default)]
pub struct Files {
    /// The exported chain of a repository, verified.
    pub chain: Option<ControlChain>,
    /// A module.
    pub module: Option<Vec<u8>>,
    /// A migration module.
    pub migration: Option<Vec<u8>>,
}

/// What a node is told.
#[derive(Debug)]
pub enum Input {
    /// The node has been restored and may begin.
    Started {
        /// Where the device can be reached.
        addresses: Vec<String>,
    },
    /// The time by this device's clock, about every second.
    Tick(UnixTime),
    /// Somebody is about to wait for these.
    Recall {
        /// Who.
        id: RequestId,
        /// For what.
        conditions: Vec<WakeCondition>,
    },
    /// A device of the account is connected.
    PeerConnected(DeviceId),
    /// It no longer is.
    PeerGone(DeviceId),
    /// It says something.
    PeerMessage {
        /// Which device.
        from: DeviceId,
        /// What.
        message: SyncMessage,
    },
    /// It sends decisions of which one cannot be read.
    EntriesUnread {
        /// Which device.
        from: DeviceId,
        /// What can be read of it.
        unread: UnreadEntries,
    },
    /// The person at this device wants something.
    Command {
        /// Who waits for the answer.
        id: RequestId,
        /// What is wanted.
        command: Command,
        /// The files that the command names.
        files: Box<Files>,
        /// Fresh randomness, for what must not be guessed.
        entropy: [u8; 32],
    },
    /// A new device asks to be let in.
    Join {
        /// Who waits for the answer.
        id: RequestId,
        /// What it brings.
        request: Box<JoinRequest>,
    },
    /// A module was fetched, verified and compiled, or was not.
    Obtained {
        /// Which module.
        digest: Digest,
        /// What it says of itself.
        result: Result<Descriptor, AgentError>,
    },
    /// A step of a session was run.
    Stepped {
        /// Which session.
        session: SessionId,
        /// What came of it.
        result: InstructionResult,
    },
    /// Randomness was drawn for what a session asks the key store.
    Drawn {
        /// Which session.
        session: SessionId,
        /// What it asks, by its number.
        effect: u64,
        /// The randomness; none if the system has none to give.
        entropy: Option<Entropy>,
    },
    /// Randomness was drawn for a vote key; none if the system has none to give.
    VoteKeyDrawn(Option<Entropy>),
    /// A proposal was rehearsed.
    Rehearsed {
        /// Which proposal.
        proposal: Digest,
        /// What came of it.
        result: Result<Rehearsal, AgentError>,
    },
    /// Records were taken to the active layout.
    Migrated {
        /// Of which app.
        app: AppId,
        /// What came of it.
        result: Result<MigratedRecords, AgentError>,
    },
}

/// Records of the active layout, and those that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MigratedRecords {
    /// The records.
    pub records: Vec<Record>,
    /// Key and reason of each record that was set aside.
    pub quarantined: Vec<(String, String)>,
}
