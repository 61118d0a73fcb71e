//! What an execution context asks of its host, and what the host answers.

use aura_protocol_core::{
    AppId, Capability, DeviceId, Digest, Outcome, ProtocolCapabilities, ProtocolError,
    ProtocolInput, ProtocolName, ProtocolStep, RecordKey, SessionId, lifecycle::EffectReply,
};
use borsh::{BorshDeserialize, BorshSerialize};

/// One thing that the host is to do. At most one [`Instruction::Step`] is under way at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Instruction {
    /// Run one step of the protocol, and answer with [`InstructionResult::Stepped`],
    /// [`InstructionResult::Refused`] or [`InstructionResult::Trapped`].
    Step {
        /// What the last step returned.
        state: Vec<u8>,
        /// The rights in force.
        caps: ProtocolCapabilities,
        /// The input.
        input: Box<ProtocolInput>,
    },
    /// Write an event of this session: signed, persisted with the session's snapshot, then sent.
    WriteToLedger {
        /// Its label.
        label: String,
        /// What it says.
        payload: Vec<u8>,
    },
    /// Read one record, and answer with [`InstructionResult::Replied`].
    GetRecord {
        /// Which effect is answered.
        effect: u64,
        /// The record.
        key: RecordKey,
    },
    /// Read a page of records, and answer with [`InstructionResult::Replied`].
    ListRecords {
        /// Which effect is answered.
        effect: u64,
        /// The first bytes of the keys.
        prefix: Vec<u8>,
        /// The last key of the page before.
        after: Option<RecordKey>,
        /// How many at most.
        limit: u32,
    },
    /// Use a granted right on some bytes, and answer with [`EffectReply::Used`] or
    /// [`EffectReply::Denied`]. The key stays with the host.
    UseCapability {
        /// Which effect is answered.
        effect: u64,
        /// The right; granted.
        capability: Capability,
        /// Its argument; for [`Capability::Seal`] a [`SealRequest`].
        bytes: Vec<u8>,
    },
    /// Run a session of another protocol among the same participants, and answer with
    /// [`EffectReply::SubProtocol`] or [`EffectReply::Denied`]. The right is granted; whether the
    /// descriptor names the protocol is the host's to check.
    RunSubProtocol {
        /// Which effect is answered.
        effect: u64,
        /// Which of the parts that the session asked for, from 0: the same at every participant.
        part: u64,
        /// Which protocol.
        protocol: ProtocolName,
        /// Its parameters.
        params: Vec<u8>,
    },
    /// Put a line into the device's log.
    Log(String),
    /// The session has ended on this device.
    Finish(Outcome),
    /// The session has failed on this device: the protocol or its module broke.
    Fail {
        /// The stable name of what happened.
        code: String,
        /// What happened, for people.
        reason: String,
    },
}

/// The argument of [`Capability::Seal`], in canonical encoding.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum SealRequest {
    /// Seal bytes so that one participant of this session alone can open them.
    Seal {
        /// Who can.
        to: DeviceId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Open what another participant of this session sealed to this device.
    Open {
        /// Who sealed it.
        from: DeviceId,
        /// What was sealed.
        bytes: Vec<u8>,
    },
}

/// What a signature for a session covers, in canonical encoding: [`Capability::Sign`] answers with a
/// signature of it by the device's unit key, under the domain of programs.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedForSession {
    /// The app.
    pub app: AppId,
    /// The module that the signer runs in this session.
    pub module: Digest,
    /// The session.
    pub session: SessionId,
    /// What it said.
    pub bytes: Vec<u8>,
}

/// What the host answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstructionResult {
    /// The protocol took the input.
    Stepped {
        /// What the next step is to be given.
        state: Vec<u8>,
        /// What is to be done.
        step: ProtocolStep,
    },
    /// The protocol refused the input. Its state is as before.
    Refused(ProtocolError),
    /// The module broke: a trap, or an output that is none.
    Trapped {
        /// The stable name of what happened.
        code: String,
        /// What happened, for people.
        reason: String,
    },
    /// The answer to an effect.
    Replied {
        /// Which effect.
        effect: u64,
        /// The answer.
        reply: EffectReply,
    },
}

/// Where a session stands on this device.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum SessionStatus {
    /// It goes on.
    Running,
    /// It has ended.
    Ended(Outcome),
    /// It broke on this device.
    Failed {
        /// The stable name of what happened.
        code: String,
        /// What happened, for people.
        reason: String,
    },
}
