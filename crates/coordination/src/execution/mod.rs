//! The interpreter of one session (choreographic protocol integration, section 3).

mod asked;
mod bounds;
pub mod context;
mod error;
pub mod native;
pub mod time;
pub mod types;
pub mod waiting;
mod wake;

pub use asked::ChildAsked;
pub use context::ProtocolContext;
pub use error::ContextError;
pub use native::{BuiltIn, Native, NativeProtocol, NativeScript};
pub use time::TimeSource;
pub use types::{Instruction, InstructionResult, SealRequest, SessionStatus, SignedForSession};
pub use waiting::{Filter, News, Progress, SessionEvent, WaitId, WaitList, WakeCondition, Woken};
