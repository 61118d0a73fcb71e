//! What goes wrong at the boundary, by whose fault it is: the module's publisher ([`Refused`]), the
//! module as it runs ([`Trapped`]), or this device ([`HostError`]).

use std::{io, path::PathBuf};

use aura_protocol_core::{Digest, ProtocolError};
use thiserror::Error;

use crate::{Refused, Trapped};

/// This device cannot do what every device should: its engine or its disk fails.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostError {
    /// The engine does not compile what the gate let through.
    #[error("the engine cannot compile module {digest}: {reason}")]
    Compile {
        /// The module.
        digest: Digest,
        /// What the engine says.
        reason: String,
    },
    /// The engine cannot serialize or load what it compiled.
    #[error("the engine cannot keep a compiled module: {reason}")]
    Artifact {
        /// What the engine says.
        reason: String,
    },
    /// The engine cannot make or run an instance, for want of memory or address space.
    #[error("the engine cannot run the module: {reason}")]
    Run {
        /// What the engine says.
        reason: String,
    },
    /// The compiler took more than it may, in a process of its own, and was stopped.
    #[error("the compiler of module {digest} was stopped: it used up its {limit}")]
    CompileStopped {
        /// The module.
        digest: Digest,
        /// What it used up.
        limit: &'static str,
    },
    /// The program that compiles modules cannot be run.
    #[error("cannot run {} as a compiler", path.display())]
    Child {
        /// The program.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file of the module store cannot be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Why a module was not made ready.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// The gate refuses it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It fails already when it is asked what it is.
    #[error("the module cannot say what it is")]
    Undescribed(#[source] Trapped),
    /// It says that it is something else than its descriptor does.
    #[error("the module's answer to `Describe` differs from its section `aura.descriptor`")]
    DescriptorLies,
    /// This device fails.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Why a call of a module gave no reply.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The module was never prepared on this device, or its bytes are damaged: fetch it again.
    #[error("module {digest} is not on this device")]
    NotPrepared {
        /// The module.
        digest: Digest,
    },
    /// The envelope is longer than a call may be: the caller's fault.
    #[error("the input has {found} bytes, more than {limit}")]
    InputTooLong {
        /// Its length.
        found: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// More is pinned already than may be: the caller's fault, who unpins what is not active.
    #[error("{found} are pinned, more than {limit}: unpin what is not active")]
    PinnedTooMuch {
        /// How many modules, or bytes.
        found: usize,
        /// How many may be.
        limit: usize,
    },
    /// The module failed.
    #[error(transparent)]
    Trapped(#[from] Trapped),
    /// The module on disk is no longer one that this device would prepare.
    #[error("module {digest} can no longer be prepared")]
    Unprepared {
        /// The module.
        digest: Digest,
        /// Why.
        #[source]
        source: Box<PrepareError>,
    },
    /// This device fails.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Why a step gave no effects.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StepError {
    /// The protocol says that the input is wrong, and whose fault it is. The state is as before.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The module gave no reply.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl PrepareError {
    /// The stable name of the reason, for logs, tests and machine-readable output.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.code(),
            Self::Undescribed(trapped) => trapped.code(),
            Self::DescriptorLies => "DescriptorLies",
            Self::Host(_) => "HostError",
        }
    }
}
