//! The interpreter of one session (choreographic protocol integration, section 3).

mod bounds;
pub mod context;
pub mod time;
pub mod types;

pub use context::{ContextError, ProtocolContext};
pub use time::TimeSource;
pub use types::{Instruction, InstructionResult, SessionStatus};
