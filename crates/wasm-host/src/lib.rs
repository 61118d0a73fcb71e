#![doc = include_str!("../README.md")]

pub mod gate;
pub mod limits;

pub mod artifact;
pub mod engine;
pub mod host;
pub mod migrator;
mod recent;
mod reply;
mod store;

pub mod error;
pub mod refused;
pub mod trapped;

pub use engine::{CallOutput, Compiled, Engine, WasmerEngine};
pub use error::{CallError, HostError, PrepareError, StepError};
pub use gate::{CheckedModule, Expected};
pub use host::{ModuleHost, Stepped};
pub use migrator::ModuleMigrator;
pub use refused::Refused;
pub use trapped::{BadOutput, Trapped};
