//! A device.
pub mod api;
mod error;
pub use error::{AgentError, Whose};
