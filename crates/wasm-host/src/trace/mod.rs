//! Traces: a few devices run sessions of one module in a room of their own, and everything the module
//! answers is chained into one digest. The same module and [`Script`] give the same digest on every
//! engine: `aura protocol run --trace` computes it natively, a browser with its own engine.
//!
//! It knows no engine, and compiles to WebAssembly.

mod queue;
mod room;
mod script;
mod words;

use aura_protocol_core::{
    Digest, ProtocolError, ProtocolInput, ProtocolStep,
    abi::{Envelope, Reply},
};
use thiserror::Error;

use crate::{CallError, Trapped};

pub use room::run;
pub use script::{Command, Line, Script, ScriptError, ScriptFault};

/// Bytes of a script. A hundred sessions of ten lines take some 10 KB.
pub const SCRIPT_BYTES_MAX: usize = 256 << 10;
/// Devices of a session. A person can still read what they say to each other.
pub const SCRIPT_DEVICES_MAX: u8 = 16;
/// Steps of a run, all devices and sessions together. Most take microseconds; all their fuel, some 100 ms.
pub const STEPS_MAX: u64 = 10_000;
/// Bytes that wait to be delivered.
pub const WAITING_BYTES_MAX: usize = 16 << 20;
/// Bytes of the room's records.
pub const ROOM_RECORDS_BYTES_MAX: usize = 16 << 20;
/// Bytes of records in one answer to `ListRecords`. The next page begins after the last key.
pub const LIST_BYTES_MAX: usize = 128 << 10;

/// What runs the module: [`ModuleHost::call`](crate::host::ModuleHost::call), or a browser's engine.
/// It is given an envelope and the fuel, and returns the reply and the fuel used.
pub type Call<'a> = &'a mut dyn FnMut(&Envelope, u64) -> Result<(Reply, u64), CallError>;

/// One step of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Counted from 1, over all devices and sessions.
    pub number: u64,
    /// The line of the script that it follows from, counted from 1.
    pub line: usize,
    /// The device, counted from 1.
    pub device: u8,
    /// What the device's session was told.
    pub input: ProtocolInput,
    /// What the module made of it.
    pub answer: Answer,
    /// The trace up to here.
    pub trace: Digest,
}

/// What a module made of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It stepped.
    Stepped {
        /// What is to be done.
        step: ProtocolStep,
        /// The length of the session's state.
        state_bytes: usize,
        /// What it cost.
        fuel: u64,
    },
    /// It says that the input is wrong. The session goes on from where it was.
    Failed {
        /// What is wrong.
        error: ProtocolError,
        /// What it cost.
        fuel: u64,
    },
    /// It failed. This device's session is over.
    Trapped(Trapped),
}

/// What a run led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ran {
    /// How many steps there were.
    pub steps: u64,
    /// How many sessions began.
    pub sessions: u64,
    /// What all steps cost.
    pub fuel: u64,
    /// The digest of module, script, and every answer with its fuel.
    pub trace: Digest,
}

/// Why a run ended before its script.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The module migrates records: it has no sessions. The caller's fault.
    #[error("the module runs no sessions: it migrates records")]
    NoSessions,
    /// The run takes more than a room gives.
    #[error("line {line} leads to more than {limit} {what}: shorten the script")]
    TooMuch {
        /// The line of the script.
        line: usize,
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: u64,
    },
    /// The module could not be called, through no fault of its own.
    #[error("line {line}: the module could not be called")]
    Call {
        /// The line of the script.
        line: usize,
        /// Why.
        #[source]
        source: Box<CallError>,
    },
}

impl RunError {
    /// The stable name of the reason, for machine-readable output.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSessions => "NoSessions",
            Self::TooMuch { .. } => "TraceTooLong",
            Self::Call { .. } => "HostError",
        }
    }
}
