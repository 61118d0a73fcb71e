//! How a module fails while it runs. The guest's failure, never the host's.

use thiserror::Error;

/// How a module failed. The instance is gone; the host and other sessions go on.
///
/// With the same module and input, every host reports the same, because metering is in the module.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Trapped {
    /// It used all its fuel.
    #[error("the module ran out of fuel")]
    OutOfFuel,
    /// Its calls are nested too deep.
    #[error("the module's stack overflowed")]
    StackOverflow,
    /// It gave up after it was refused memory.
    #[error("the module ran out of memory")]
    OutOfMemory,
    /// It gave up: a panic, or an assertion of its own.
    #[error("the module panicked")]
    Unreachable,
    /// It read or wrote outside its memory or table.
    #[error("the module left its memory")]
    OutOfBounds,
    /// It called through a table what is no function of that type.
    #[error("the module made an invalid indirect call")]
    BadIndirectCall,
    /// It divided by zero, or the quotient does not fit.
    #[error("the module divided by zero or overflowed")]
    Arithmetic,
    /// It returned, but not what the interface asks for.
    #[error("the module broke the interface")]
    BadOutput(#[source] BadOutput),
}

/// How a module's answer breaks the interface.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadOutput {
    /// The buffer that it handed out for the input is not in its memory.
    #[error("the input buffer of {len} bytes at {address} is outside the memory")]
    InputBuffer {
        /// Where it is said to be.
        address: u32,
        /// How long it was to be.
        len: usize,
    },
    /// The output is not in its memory.
    #[error("the output of {len} bytes at {address} is outside the memory")]
    OutOfBounds {
        /// Where it is said to be.
        address: u32,
        /// How long it is said to be.
        len: usize,
    },
    /// The output is longer than a call may return.
    #[error("the output has {found} bytes, more than {limit}")]
    TooLong {
        /// Its length.
        found: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// The output is not the canonical encoding of a reply.
    #[error("the output is no canonical reply: {reason}")]
    NotCanonical {
        /// What is wrong with it.
        reason: String,
    },
    /// The reply does not answer what was asked.
    #[error("the reply does not answer the question")]
    WrongReply,
    /// The reply holds more than it may.
    #[error("{rule}: {found} exceed the limit of {limit}")]
    LimitExceeded {
        /// What is limited.
        rule: &'static str,
        /// How much was found.
        found: usize,
        /// How much is allowed.
        limit: usize,
    },
}

impl Trapped {
    /// The stable name of the failure, for logs, tests and machine-readable output.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OutOfFuel => "OutOfFuel",
            Self::StackOverflow => "StackOverflow",
            Self::OutOfMemory => "OutOfMemory",
            Self::Unreachable => "Unreachable",
            Self::OutOfBounds => "OutOfBounds",
            Self::BadIndirectCall => "BadIndirectCall",
            Self::Arithmetic => "Arithmetic",
            Self::BadOutput(_) => "BadOutput",
        }
    }
}

impl From<BadOutput> for Trapped {
    fn from(bad: BadOutput) -> Self {
        Self::BadOutput(bad)
    }
}
