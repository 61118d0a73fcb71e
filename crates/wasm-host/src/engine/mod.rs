//! What runs a checked module. The gate decides and meters; an engine only computes.

mod wasmer;
mod wasmer_unsafe;

use std::sync::Arc;

use crate::{CheckedModule, artifact::AuthenticArtifact, error::HostError, trapped::Trapped};

pub use self::wasmer::WasmerEngine;

/// Compiles checked modules, and loads what it compiled before.
pub trait Engine: Send + Sync {
    /// Everything that an artifact depends on: engine, version, compiler, processor features.
    fn id(&self) -> String;

    /// Makes `module` callable.
    ///
    /// # Errors
    /// [`HostError`] when the engine fails; the gate has already refused what is the module's fault.
    fn compile(&self, module: &CheckedModule) -> Result<Arc<dyn Compiled>, HostError>;

    /// Makes callable what this engine compiled and this device authenticated.
    ///
    /// # Errors
    /// [`HostError`] when the engine does not recognise its own work: compile again.
    fn load(&self, artifact: AuthenticArtifact) -> Result<Arc<dyn Compiled>, HostError>;
}

/// A module that can be called, from several threads at once.
pub trait Compiled: Send + Sync {
    /// Runs one call in a fresh instance. Blocks until it ends, which fuel bounds.
    ///
    /// The envelope is at most [`CALL_BYTES_MAX`](crate::limits::CALL_BYTES_MAX) long.
    ///
    /// # Errors
    /// The outer error is this device's, the inner one the module's.
    fn call(&self, envelope: &[u8], fuel: u64) -> Result<Result<CallOutput, Trapped>, HostError>;

    /// The form in which the engine can load it again.
    ///
    /// # Errors
    /// [`HostError`] when the engine fails.
    fn artifact(&self) -> Result<Vec<u8>, HostError>;
}

/// What a call returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallOutput {
    /// The bytes, not decoded yet.
    pub output: Vec<u8>,
    /// What the call cost. The same on every device.
    pub fuel_used: u64,
}
