//! What a node wants done.

use std::collections::BTreeSet;

use aura_coordination::execution::News;
use aura_journal::{control::CertifiedEntry, store::StoreBatch, sync::SyncMessage};
use aura_protocol_core::{
    AppId, DeviceId, Digest, ModuleRef, ProtocolCapabilities, ProtocolInput, ProtocolVersion,
    SessionId,
};
use serde::{Deserialize, Serialize};

use crate::{
    api::Response,
    error::AgentError,
    node::{input::RequestId, lenses::Group},
};

/// What a node wants done, in this order: what is sent was committed before.
#[derive(Debug)]
pub enum Effect {
    /// Write this to the store, durably, before anything that follows.
    Commit(Box<StoreBatch>),
    /// Send this to a connected device.
    Send {
        /// Which device.
        to: DeviceId,
        /// What.
        message: SyncMessage,
    },
    /// Cut a device off that broke the rules of the protocol.
    Disconnect {
        /// Which device.
        device: DeviceId,
        /// Why, for the log and for the device.
        reason: String,
    },
    /// Who may connect, and where everybody can be reached.
    Roster(Roster),
    /// Make a module ready to run: from the bytes at hand, from the cache, or from elsewhere.
    Obtain {
        /// Which module.
        module: ModuleRef,
        /// Its bytes, if they were brought along.
        offered: Option<Vec<u8>>,
        /// Which devices to ask.
        providers: Providers,
    },
    /// Run one step of a session.
    Step {
        /// Which session.
        session: SessionId,
        /// The module that it is pinned to.
        module: Digest,
        /// What the last step returned.
        state: Vec<u8>,
        /// The rights in force.
        caps: ProtocolCapabilities,
        /// The input.
        input: Box<ProtocolInput>,
    },
    /// Draw fresh randomness for what a session asks the key store, for this use alone.
    Draw {
        /// Which session.
        session: SessionId,
        /// What it asks, by its number.
        effect: u64,
    },
    /// Draw fresh randomness for a vote key.
    DrawVoteKey,
    /// Erase the vote key in the identity file: the store has it.
    EraseEnrolmentKey,
    /// Rehearse a proposal.
    Rehearse(Box<RehearseJob>),
    /// Take records to the active layout.
    Migrate(Box<MigrateJob>),
    /// Answer a command.
    Answer {
        /// Who waits.
        id: RequestId,
        /// The answer.
        result: Result<Response, AgentError>,
    },
    /// Answer a device that wants to join.
    AnswerJoin {
        /// Who waits.
        id: RequestId,
        /// The chain that it is on now.
        result: Result<Vec<CertifiedEntry>, AgentError>,
    },
    /// Tell whoever waits for the clock or for events of sessions.
    News(News),
    /// Tell who is about to wait what there was before. What comes after is [`Effect::News`].
    Recalled {
        /// Who.
        id: RequestId,
        /// What there was.
        known: Vec<News>,
    },
    /// Tell whoever listens.
    Notify(AgentEvent),
    /// Put a line into the log.
    Log(String),
}

/// Which connected devices to ask for a module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Providers {
    /// Those that announce it, or proposed it. Asked first.
    pub known: Vec<DeviceId>,
    /// The others. Asked after the locations that the reference names.
    pub others: Vec<DeviceId>,
}

/// Who may connect, and where everybody can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    /// The other devices of the account.
    pub devices: BTreeSet<Contact>,
    /// Whether strangers may ask to join: an invitation is open.
    pub open: bool,
}

/// One device of the account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contact {
    /// Which device.
    pub device: DeviceId,
    /// Its transport key.
    pub key: [u8; 32],
    /// Where it can be reached.
    pub addresses: Vec<String>,
}

/// What is needed to rehearse a proposal.
#[derive(Debug, Clone)]
pub struct RehearseJob {
    /// The proposal.
    pub proposal: Digest,
    /// The migrations to run, in order.
    pub steps: Vec<Digest>,
    /// The module that the challenge is run on.
    pub module: Digest,
    /// The version that it speaks.
    pub version: ProtocolVersion,
    /// The rights that it is granted.
    pub caps: ProtocolCapabilities,
    /// The app's records in the prestate, by their ways to the active layout.
    pub groups: Vec<Group>,
    /// The devices whose receipts are computed.
    pub signers: BTreeSet<DeviceId>,
}

/// What is needed to take records to the active layout.
#[derive(Debug, Clone)]
pub struct MigrateJob {
    /// The app.
    pub app: AppId,
    /// Records, by their ways from the layout that they were written in.
    pub groups: Vec<Group>,
}

/// Something that whoever embeds a device may want to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AgentEvent {
    /// A device of the account was connected.
    PeerConnected {
        /// Its id.
        device: String,
    },
    /// A device of the account was disconnected.
    PeerGone {
        /// Its id.
        device: String,
    },
    /// An entry of the control chain was decided.
    Decided {
        /// Its height.
        k: u64,
        /// What it says, in a few words.
        says: String,
    },
    /// A proposal moved on.
    Upgrade {
        /// The proposal.
        proposal: String,
        /// Its state on this device.
        state: String,
    },
    /// A module is being fetched.
    ModuleProgress {
        /// Its digest.
        module: String,
        /// Bytes that are here.
        held_bytes: u32,
        /// Its length.
        total_bytes: u32,
    },
    /// A module was fetched as a whole.
    ModuleFetched {
        /// Its digest.
        module: String,
        /// What brought its last byte: a device, or the locations that its reference names.
        from: String,
    },
    /// A session waits for the quorum clock in vain. It goes on when enough devices are awake.
    SessionStalled {
        /// The session.
        session: String,
        /// Names of the devices that do not tick.
        missing: Vec<String>,
    },
    /// A session ended on this device.
    SessionEnded {
        /// The session.
        session: String,
        /// How.
        status: String,
        /// Its result, or why there is none.
        outcome: String,
    },
}
