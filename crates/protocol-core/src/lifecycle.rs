//! The one trait behind which a native protocol, a choreography and a WebAssembly module look alike
//! (RFC 140, section 5; `01-modules`, section 1).

use alloc::{collections::BTreeSet, string::String, vec::Vec};

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::{
    Capability, Descriptor, DeviceId, Digest, Epoch, ProtocolCapabilities, ProtocolName,
    ProtocolVersion, RecordKey, SessionId,
};

/// A protocol as its host sees it: state in, input in; effects and state out. Nothing else.
pub trait ProtocolLifecycle: Sized {
    /// What this protocol is and needs. Must not depend on any state.
    fn descriptor() -> Descriptor;

    /// A session before its first input.
    fn new() -> Self;

    /// The session that [`Self::snapshot`] wrote.
    ///
    /// # Errors
    /// [`ProtocolError::BadState`] when `state` was not written by this protocol.
    fn restore(state: &[u8]) -> Result<Self, ProtocolError>;

    /// Everything that a later call needs to go on from here.
    fn snapshot(&self) -> Vec<u8>;

    /// Takes one input and says what is to be done.
    ///
    /// # Errors
    /// [`ProtocolError`]; the state is then as before the call.
    fn step(
        &mut self,
        input: ProtocolInput,
        caps: &ProtocolCapabilities,
    ) -> Result<ProtocolStep, ProtocolError>;
}

/// What a session begins with. The same at every participant, but for `me`.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SessionStart {
    /// This session.
    pub session: SessionId,
    /// This device.
    pub me: DeviceId,
    /// The device that opened the session and whose `Close` is the decided one.
    pub opener: DeviceId,
    /// All devices that take part, this one included.
    #[borsh(deserialize_with = "crate::canonical::read_set")]
    pub participants: BTreeSet<DeviceId>,
    /// The version that they speak together.
    pub spoken: ProtocolVersion,
    /// What the opener passed to everybody.
    pub params: Vec<u8>,
}

/// What a session is told.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum ProtocolInput {
    /// The session begins.
    Start(SessionStart),
    /// A participant's event arrived; the author's signature was verified by the host.
    Event {
        /// Who wrote it.
        author: DeviceId,
        /// Under which label.
        label: String,
        /// What it says.
        payload: Vec<u8>,
    },
    /// The quorum clock reached an epoch that the session asked to be woken at.
    Clock(Epoch),
    /// The answer to an effect of an earlier step.
    Reply {
        /// Which effect: its position among all that the session returned, from 0.
        effect: u64,
        /// The answer.
        result: EffectReply,
    },
    /// The person at this device says something to the session.
    Signal(Vec<u8>),
}

/// The answer to an effect that has one.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum EffectReply {
    /// To [`ProtocolEffect::GetRecord`].
    Record(Option<Vec<u8>>),
    /// To [`ProtocolEffect::ListRecords`]: keys and contents in key order.
    Records(Vec<(RecordKey, Vec<u8>)>),
    /// To [`ProtocolEffect::Use`].
    Used(Vec<u8>),
    /// To [`ProtocolEffect::RunSubProtocol`]: how the child ended.
    SubProtocol(Outcome),
    /// The host refused: the capability was not granted, or a limit was hit.
    Denied(String),
}

/// What a session wants done. The host does what was granted, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum ProtocolEffect {
    /// Write an event of this session to the ledger.
    Append {
        /// The label that its session type declares.
        label: String,
        /// What it says.
        payload: Vec<u8>,
    },
    /// Read one record of this app.
    GetRecord(RecordKey),
    /// Read the records of this app whose keys begin with `prefix`, from after `after`.
    ListRecords {
        /// The first bytes of the keys.
        prefix: Vec<u8>,
        /// The last key of the page before.
        after: Option<RecordKey>,
        /// How many at most.
        limit: u32,
    },
    /// Use a right on some bytes. The host prefixes domain ‖ app ‖ digest ‖ session.
    Use {
        /// The right.
        capability: Capability,
        /// Its argument.
        bytes: Vec<u8>,
    },
    /// Start a session of another protocol among the same participants.
    RunSubProtocol {
        /// Which protocol; the descriptor's `uses` must name it.
        protocol: ProtocolName,
        /// Its parameters.
        params: Vec<u8>,
    },
    /// A line for the device's log.
    Log(String),
}

/// A record that a session writes when it closes.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecordWrite {
    /// Which record.
    pub key: RecordKey,
    /// The new content, or none to delete it.
    pub bytes: Option<Vec<u8>>,
}

/// How a session ended. All honest participants that reach `Completed` or `Aborted` reach the same one.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Outcome {
    /// It did what it is for.
    Completed {
        /// Its result, for whoever started it.
        result: Vec<u8>,
        /// The records that it writes, all or none.
        batch: Vec<RecordWrite>,
    },
    /// Whoever decides ended it, and nobody wrote anything.
    Aborted {
        /// Why, for people.
        reason: String,
    },
    /// This device gave up, or cannot go on. It says nothing about the others, who may have completed
    /// or aborted the session, and it wrote nothing.
    Left {
        /// Why, for people.
        reason: String,
    },
}

/// What one input led to.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct ProtocolStep {
    /// What is to be done, in this order.
    pub effects: Vec<ProtocolEffect>,
    /// When the session wants [`ProtocolInput::Clock`], whatever else happens.
    pub wake: Option<Epoch>,
    /// How the session ended, if it did.
    pub outcome: Option<Outcome>,
}

/// What a protocol says is wrong. Part of its deterministic output, like its effects.
#[derive(Debug, Clone, PartialEq, Eq, Error, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The state handed in was not written by this protocol.
    #[error("the session state was not written by this protocol")]
    BadState,
    /// A participant's event breaks the protocol.
    #[error("event `{label}` of {culprit} breaks the protocol: {reason}")]
    BadEvent {
        /// Who wrote it.
        culprit: DeviceId,
        /// Its label.
        label: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The parameters or a local signal make no sense to the protocol: the caller's fault.
    #[error("{reason}")]
    BadInput {
        /// What is wrong.
        reason: String,
    },
    /// The input does not fit the state: before the start, or after the end.
    #[error("unexpected input: {reason}")]
    Unexpected {
        /// What was expected.
        reason: String,
    },
    /// The migration of a record has no way back.
    #[error("this migration cannot be reversed")]
    Irreversible,
}

/// The digest of one step's output and fuel, chained: the trace that engines are compared by.
#[must_use]
pub fn chain_trace(previous: Digest, output: &[u8], fuel: u64) -> Digest {
    Digest::tagged("aura trace v1", &[previous.as_bytes(), output, &fuel.to_le_bytes()])
}
