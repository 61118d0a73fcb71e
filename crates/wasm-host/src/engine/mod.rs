//! What runs a checked module. The gate decides and meters; an engine only computes.

#[cfg(feature = "engine")]
mod wasmer;
#[cfg(feature = "engine")]
mod wasmer_unsafe;
#[cfg(feature = "engine-wasmi")]
mod wasmi;

use std::sync::Arc;

use crate::{
    artifact::AuthenticArtifact,
    error::HostError,
    gate::Metered,
    trapped::Trapped,
    vm::{self, CallOutput, Instance},
};

#[cfg(feature = "engine")]
pub use self::wasmer::WasmerEngine;
#[cfg(feature = "engine-wasmi")]
pub use self::wasmi::WasmiEngine;

/// The engine that is used unless another is named: wasmer, or the interpreter where there is no wasmer.
#[must_use]
pub fn default() -> Box<dyn Engine> {
    #[cfg(feature = "engine")]
    return Box::new(WasmerEngine);
    #[cfg(not(feature = "engine"))]
    return Box::new(WasmiEngine);
}

/// Compiles checked modules, and loads what it compiled before.
pub trait Engine: Send + Sync {
    /// Everything that an artifact depends on: engine, version, compiler, processor features.
    fn id(&self) -> String;

    /// Makes `module` callable. What is kept for one module is kept apart from all others', so that
    /// dropping it gives everything back.
    ///
    /// # Errors
    /// [`HostError`] when the engine fails; the gate has already refused what is the module's fault.
    fn compile(&self, module: &Metered) -> Result<Arc<dyn Compiled>, HostError>;

    /// Makes callable what this engine compiled and this device authenticated.
    ///
    /// # Errors
    /// [`HostError`] when the engine does not recognise its own work: compile again.
    fn load(&self, artifact: AuthenticArtifact) -> Result<Arc<dyn Compiled>, HostError>;
}

/// A module that can be called, from several threads at once.
pub trait Compiled: Send + Sync {
    /// A fresh instance, in which nothing has run.
    ///
    /// # Errors
    /// The outer error is this device's. The inner one is the module's: a segment of data does not
    /// fit into its memory or table.
    fn instance(&self) -> Result<Result<Box<dyn Instance + '_>, Trapped>, HostError>;

    /// The form in which the engine can load it again.
    ///
    /// # Errors
    /// [`HostError`] when the engine fails.
    fn artifact(&self) -> Result<Vec<u8>, HostError>;

    /// Runs one call in a fresh instance. Blocks until it ends, which fuel bounds.
    ///
    /// The envelope is at most [`CALL_BYTES_MAX`](crate::limits::CALL_BYTES_MAX) long.
    ///
    /// # Errors
    /// The outer error is this device's, the inner one the module's.
    fn call(&self, envelope: &[u8], fuel: u64) -> Result<Result<CallOutput, Trapped>, HostError> {
        match self.instance()? {
            Ok(mut instance) => vm::call(instance.as_mut(), envelope, fuel),
            Err(trapped) => Ok(Err(trapped)),
        }
    }
}
