#![doc = include_str!("../README.md")]

pub mod gate;
pub mod limits;
pub mod reply;
pub mod trace;
pub mod vm;

#[cfg(any(feature = "engine", feature = "engine-wasmi"))]
pub mod artifact;
#[cfg(any(feature = "engine", feature = "engine-wasmi"))]
pub mod engine;
#[cfg(any(feature = "engine", feature = "engine-wasmi"))]
pub mod host;
#[cfg(any(feature = "engine", feature = "engine-wasmi"))]
pub mod isolate;
#[cfg(any(feature = "engine", feature = "engine-wasmi"))]
pub mod migrator;
#[cfg(any(feature = "engine", feature = "engine-wasmi"))]
mod recent;
#[cfg(any(feature = "engine", feature = "engine-wasmi"))]
mod store;

pub mod error;
pub mod refused;
pub mod trapped;

#[cfg(feature = "engine")]
pub use engine::WasmerEngine;
#[cfg(feature = "engine-wasmi")]
pub use engine::WasmiEngine;
#[cfg(any(feature = "engine", feature = "engine-wasmi"))]
pub use engine::{Compiled, Engine};
pub use error::{CallError, HostError, PrepareError, StepError};
pub use gate::{CheckedModule, Expected};
#[cfg(any(feature = "engine", feature = "engine-wasmi"))]
pub use host::{Collected, HostOptions, Mark, ModuleHost, Stepped};
#[cfg(any(feature = "engine", feature = "engine-wasmi"))]
pub use isolate::Isolation;
#[cfg(any(feature = "engine", feature = "engine-wasmi"))]
pub use migrator::ModuleMigrator;
pub use refused::Refused;
pub use trapped::{BadOutput, Trapped};
pub use vm::CallOutput;
