//! The first event format.

use std::collections::BTreeMap;

use aura_protocol_core::{
    Agreement, AppId, DeviceId, Digest, Epoch, Manifest, Outcome, ProtocolCapabilities,
    ProtocolName, ProtocolVersion, RecordKey, SchemaId, SessionId, UnixTime,
    limits::{RECORD_BYTES_MAX, RECORD_KEY_BYTES_MAX},
};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::control::{ChainProof, ControlMessage};

/// What a device writes into the ledger, by its own signature.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// What a device is called, where it can be reached and what it can run. Replaces the last.
    PublishManifest(DeviceMetadata),
    /// A proposal or a vote for the control chain.
    Control(ControlMessage),
    /// A device proposes that the account activates a release. The prestate of the upgrade is the
    /// causal past of this unit.
    ProposeUpgrade(Box<ProposeUpgrade>),
    /// A device has seen a proposal and fetches its modules.
    AcknowledgeUpgrade {
        /// The unit that proposed it.
        proposal: Digest,
    },
    /// A device has fetched, verified, compiled and rehearsed, and could activate at once.
    SignalReady {
        /// The unit that proposed it.
        proposal: Digest,
        /// What it computed.
        receipt: Receipt,
    },
    /// A device cannot or will not activate a proposal, and says why. It may signal ready later.
    DeclineUpgrade {
        /// The unit that proposed it.
        proposal: Digest,
        /// The stable name of the reason.
        code: String,
        /// The reason, for people.
        reason: String,
    },
    /// A session begins. Its id is [`crate::session_id`] of this unit's author and seq.
    OpenSession(Box<OpenSession>),
    /// A participant writes an event of the session.
    SessionMessage(SessionMessage),
    /// The opener publishes how the session ended. Only the opener's first one counts. Where the quorum
    /// clock has come to the session's deadline in what this unit rests on, it says that the session timed
    /// out, and any participant can.
    CloseSession(CloseSession),
    /// A device says that an interval has passed since it saw the epoch before this one. It counts
    /// only where a quorum's ticks of that epoch are in the causal past of this unit.
    EpochTick {
        /// The epoch that begins once a quorum has said so.
        epoch: Epoch,
    },
    /// A session begins as a part of another, or does not. Its id is [`crate::child_session_id`]. Only
    /// the first of the parent's opener counts.
    OpenChild(Box<OpenChild>),
    /// A session begins, by itself or as a part of another, that is over once the quorum clock has come to
    /// an epoch: from there on its opener can only say that it timed out, and so can each participant.
    OpenUntil(Box<OpenUntil>),
    /// What this build cannot read, as its author encoded it: most likely a newer version can. It is kept,
    /// linked, sent on and counted like any other, and means nothing here.
    Unread(Vec<u8>),
}

/// What a device says of itself.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DeviceMetadata {
    /// What people call it.
    pub name: String,
    /// Socket addresses at which its transport key can be reached: hints that cannot redirect
    /// identity.
    pub addresses: Vec<String>,
    /// What it can run.
    pub manifest: Manifest,
}

/// A proposal to activate a release, with all that it rests on.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProposeUpgrade {
    /// Which app.
    pub app: AppId,
    /// The version that is active in the prestate.
    pub from: ProtocolVersion,
    /// The release, proved along its repository's chain. Its head is the repository head.
    pub release: ChainProof,
    /// The digest of the released module.
    pub digest: Digest,
    /// The distributor's migration plan and its proof; none while the account has no distributor.
    pub plan: Option<ChainProof>,
    /// The digests of the migrations to run, in order.
    pub steps: Vec<Digest>,
    /// The rights that the new version is granted.
    pub capabilities: ProtocolCapabilities,
    /// No device votes before this time by its own clock.
    pub not_before: Option<UnixTime>,
    /// How long sessions of the old version may go on after activation, in seconds.
    pub grace_seconds: u64,
    /// No device votes after this time by its own clock.
    pub expires: UnixTime,
}

/// What a device computed when it rehearsed a proposal.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Receipt {
    /// The root over the app's records after the rehearsed migration of the prestate.
    pub post_root: Digest,
    /// H(proposal ‖ signer ‖ all migrated bytes ‖ a trace seeded by both): cannot be copied from
    /// another device's receipt.
    pub personal: Digest,
}

/// The beginning of a session.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OpenSession {
    /// Which app.
    pub app: AppId,
    /// The protocol's name.
    pub protocol: ProtocolName,
    /// What is spoken, and what each participant runs for all of the session.
    pub agreement: Agreement,
    /// The hash of the manifests that the agreement was read from.
    pub transcript: Digest,
    /// The units that published those manifests, by device.
    pub manifests: BTreeMap<DeviceId, Digest>,
    /// What the protocol is started with.
    pub params: Vec<u8>,
}

/// The beginning of a session that is a part of another.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OpenChild {
    /// The session that it is a part of. Its opener opens this one too.
    pub parent: SessionId,
    /// Which of the parts that the parent asks for, from 0: the same at every participant, whatever
    /// else each of them asks for.
    pub part: u64,
    /// What became of that.
    pub opening: ChildOpening,
}

/// Whether a part of a session begins.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum ChildOpening {
    /// It does, among the participants of the parent.
    Opened(OpenSession),
    /// It does not, for this reason: the parent goes on without it everywhere.
    Refused(String),
}

/// The beginning of a session with a deadline.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OpenUntil {
    /// The epoch at which it is over.
    pub until: Epoch,
    /// What begins.
    pub opening: Opening,
}

/// What begins with a deadline.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Opening {
    /// A session by itself, as [`Event::OpenSession`].
    Session(OpenSession),
    /// A part of another, as [`Event::OpenChild`].
    Child(OpenChild),
}

impl OpenUntil {
    /// The session that what begins is a part of.
    #[must_use]
    pub const fn parent(&self) -> Option<SessionId> {
        match &self.opening {
            Opening::Session(_) => None,
            Opening::Child(child) => Some(child.parent),
        }
    }
}

/// A participant's event of a session.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SessionMessage {
    /// The label that the session type declares.
    pub label: String,
    /// What it says.
    pub payload: Vec<u8>,
}

/// The decided end of a session.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CloseSession {
    /// How it ended. A completed outcome's batch is empty here: the records are in `batch`.
    pub outcome: Outcome,
    /// The layout of the records in `batch`.
    pub schema: SchemaId,
    /// The records that it writes.
    pub batch: Vec<RecordPut>,
}

/// One record write, based on what the writer had seen.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecordPut {
    /// Which record.
    pub key: RecordKey,
    /// The unit whose write of this key it replaces; none where it was the first.
    pub base: Option<Digest>,
    /// The new content, or none to delete it.
    pub bytes: Option<Vec<u8>>,
}

impl RecordPut {
    /// Whether key and content keep to the limits.
    #[must_use]
    pub fn is_within_limits(&self) -> bool {
        let content = self.bytes.as_ref().map_or(0, Vec::len);
        self.key.0.len() <= RECORD_KEY_BYTES_MAX && self.key.0.len() + content <= RECORD_BYTES_MAX
    }
}
