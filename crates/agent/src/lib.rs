#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod account;
mod agent;
pub mod api;
pub mod chain_file;
pub mod control;
pub mod copy;
mod driver;
pub mod engine;
mod error;
pub mod identity;
pub mod inspect;
pub mod join;
pub mod node;
pub mod offline;
pub mod recovery_code;
pub mod repository;
pub mod statements;
pub mod storage;
mod text;
pub mod ticket;
pub mod time;

pub use agent::{DeviceAgent, DeviceAgentBuilder};
pub use error::{AgentError, Whose};
pub use node::AgentEvent;
