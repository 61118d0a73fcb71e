//! The facade: takes modules in, keeps them, and calls them by digest.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use aura_protocol_core::{
    Descriptor, Digest, ModuleRef, ProtocolCapabilities, ProtocolInput, ProtocolStep,
    abi::{Envelope, Op, Reply},
    encode,
};

use crate::{
    BadOutput, CallError, Compiled, Engine, Expected, HostError, PrepareError, StepError,
    WasmerEngine,
    artifact::{AuthenticArtifact, Seal},
    gate,
    limits::{CALL_BYTES_MAX, COMPILED_BYTES_MAX, COMPILED_COUNT_MAX, DESCRIBE_FUEL_MAX},
    recent::{Ready, Recent},
    reply,
    store::{Folder, Store},
};

/// The modules of one device: checked, compiled, kept, and called by digest.
///
/// Shared between threads as it is. Each call blocks the thread that makes it until the module is
/// done or out of fuel; an asynchronous caller uses its runtime's blocking threads.
pub struct ModuleHost {
    engine: Box<dyn Engine>,
    seal: Seal,
    store: Store,
    recent: Mutex<Recent>,
}

/// What a step of a module led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stepped {
    /// What the next step is to be given.
    pub state: Vec<u8>,
    /// What is to be done.
    pub step: ProtocolStep,
    /// What the step cost. The same on every device.
    pub fuel_used: u64,
}

impl ModuleHost {
    /// Opens the modules under `dir`, or makes the folder.
    ///
    /// `key` is a secret of this device: who knows it and can write to `dir` can run code here.
    ///
    /// # Errors
    /// [`HostError::Io`] when the folder cannot be used.
    pub fn open(dir: &Path, key: [u8; 32]) -> Result<Self, HostError> {
        Ok(Self::with(Store::Folder(Folder::open(dir)?), &key))
    }

    /// A host that keeps its modules in memory alone, for tests and tools.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::with(Store::Memory(Mutex::new(BTreeMap::new())), &[0; 32])
    }

    fn with(store: Store, key: &[u8; 32]) -> Self {
        let engine: Box<dyn Engine> = Box::new(WasmerEngine);
        let seal = Seal::new(key, engine.id());
        let recent = Mutex::new(Recent::new(COMPILED_COUNT_MAX, COMPILED_BYTES_MAX));
        Self { engine, seal, store, recent }
    }

    /// Takes a module in: checks it against `module` and the gate, compiles it, has it say what it is,
    /// and keeps it. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`PrepareError`], which says whose fault it is. Then nothing was kept.
    pub fn prepare(&self, bytes: &[u8], module: &ModuleRef) -> Result<Descriptor, PrepareError> {
        let digest = module.digest;
        gate::identify(bytes, module.into())?;
        let ready = match self.find(digest) {
            Some(ready) => ready,
            None => match self.load(digest, bytes)? {
                Some(ready) => ready,
                None => self.build(bytes, module.into())?,
            },
        };
        if self.store.module(digest)?.is_none() {
            self.store.keep_module(digest, bytes)?;
        }
        Ok(ready.descriptor.clone())
    }

    /// Whether the module can be called here.
    ///
    /// # Errors
    /// [`HostError::Io`] when the folder cannot be read.
    pub fn contains(&self, digest: Digest) -> Result<bool, HostError> {
        Ok(self.bytes(digest)?.is_some())
    }

    /// The module's original bytes, to serve to peers. They are hashed again on the way; damaged
    /// ones are dropped, and the module is as if never prepared.
    ///
    /// # Errors
    /// [`HostError::Io`] when the folder cannot be read.
    pub fn bytes(&self, digest: Digest) -> Result<Option<Vec<u8>>, HostError> {
        self.store.module(digest)
    }

    /// What a prepared module says of itself.
    ///
    /// # Errors
    /// [`CallError`] when it is not prepared, or cannot be loaded any more.
    pub fn describe(&self, digest: Digest) -> Result<Descriptor, CallError> {
        self.ready(digest).map(|it| it.descriptor.clone())
    }

    /// Makes one call, and says what it cost.
    ///
    /// # Errors
    /// [`CallError`]. A reply that breaks the interface is the module's failure, like a trap; an
    /// error that the protocol reports is a reply.
    pub fn call(
        &self,
        digest: Digest,
        envelope: &Envelope,
        fuel: u64,
    ) -> Result<(Reply, u64), CallError> {
        let input = encode(envelope);
        if CALL_BYTES_MAX < input.len() {
            return Err(CallError::InputTooLong { found: input.len(), limit: CALL_BYTES_MAX });
        }
        let ready = self.ready(digest)?;
        let output = ready.compiled.call(&input, fuel)??;
        let reply = reply::read(&envelope.op, &output.output).map_err(crate::Trapped::from)?;
        Ok((reply, output.fuel_used))
    }

    /// Makes one step of a session, whose last state is `state`.
    ///
    /// # Errors
    /// [`StepError`]; then the state is as before.
    pub fn step(
        &self,
        digest: Digest,
        state: Vec<u8>,
        caps: ProtocolCapabilities,
        input: ProtocolInput,
        fuel: u64,
    ) -> Result<Stepped, StepError> {
        let envelope = Envelope::new(Op::Step { state, caps, input });
        match self.call(digest, &envelope, fuel)? {
            (Reply::Stepped { state, step }, fuel_used) => Ok(Stepped { state, step, fuel_used }),
            (Reply::Failed(error), _) => Err(StepError::Protocol(error)),
            _ => Err(CallError::Trapped(BadOutput::WrongReply.into()).into()),
        }
    }

    /// The module, from memory, from its artifact, or compiled again from its original bytes.
    fn ready(&self, digest: Digest) -> Result<Arc<Ready>, CallError> {
        if let Some(ready) = self.find(digest) {
            return Ok(ready);
        }
        let bytes = self.store.module(digest)?.ok_or(CallError::NotPrepared { digest })?;
        let unprepared = |source| CallError::Unprepared { digest, source: Box::new(source) };
        match self.load(digest, &bytes).map_err(unprepared)? {
            Some(ready) => Ok(ready),
            None => self.build(&bytes, Expected::of(&bytes)).map_err(unprepared),
        }
    }

    /// Loads the artifact of the module, if there is one that this device made for this engine.
    ///
    /// The bytes' digest is known to be right, so the artifact proves that they passed the gate.
    fn load(&self, digest: Digest, bytes: &[u8]) -> Result<Option<Arc<Ready>>, PrepareError> {
        let Store::Folder(folder) = &self.store else { return Ok(None) };
        let Some(artifact) = self.open_artifact(folder, digest)? else { return Ok(None) };
        let size = artifact.len();
        match self.engine.load(artifact) {
            Ok(compiled) => {
                let descriptor = gate::read_descriptor(bytes)?;
                Ok(Some(self.remember(digest, compiled, descriptor, size)))
            }
            Err(error) => {
                tracing::warn!(module = %digest, %error, "dropped an artifact; compiling again");
                folder.drop_artifact(digest)?;
                Ok(None)
            }
        }
    }

    fn open_artifact(
        &self,
        folder: &Folder,
        digest: Digest,
    ) -> Result<Option<AuthenticArtifact>, HostError> {
        let Some(file) = folder.artifact(digest)? else { return Ok(None) };
        match self.seal.open(digest, file) {
            Ok(artifact) => Ok(Some(artifact)),
            Err(reason) => {
                tracing::warn!(module = %digest, %reason, "dropped an artifact; compiling again");
                folder.drop_artifact(digest)?;
                Ok(None)
            }
        }
    }

    /// The whole way: gate, compiler, the question what it is, and only then the artifact.
    fn build(&self, bytes: &[u8], expected: Expected) -> Result<Arc<Ready>, PrepareError> {
        let checked = gate::check(bytes, expected)?;
        let compiled = self.engine.compile(&checked)?;
        check_description(compiled.as_ref(), checked.descriptor())?;
        let digest = checked.digest();
        let mut size = checked.instrumented().len();
        if let Store::Folder(folder) = &self.store {
            let code = compiled.artifact()?;
            size = code.len();
            folder.keep_artifact(digest, &self.seal.close(digest, &code))?;
        }
        Ok(self.remember(digest, compiled, checked.descriptor().clone(), size))
    }

    fn remember(
        &self,
        digest: Digest,
        compiled: Arc<dyn Compiled>,
        descriptor: Descriptor,
        bytes: usize,
    ) -> Arc<Ready> {
        let ready = Arc::new(Ready { compiled, descriptor, bytes });
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.insert(digest, Arc::clone(&ready));
        ready
    }

    fn find(&self, digest: Digest) -> Option<Arc<Ready>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).find(digest)
    }
}

/// A module answers `Describe` with what its section says, or is not taken in.
fn check_description(compiled: &dyn Compiled, section: &Descriptor) -> Result<(), PrepareError> {
    let question = encode(&Envelope::new(Op::Describe));
    let output = compiled.call(&question, DESCRIBE_FUEL_MAX)?.map_err(PrepareError::Undescribed)?;
    let reply = reply::read(&Op::Describe, &output.output)
        .map_err(|bad| PrepareError::Undescribed(bad.into()))?;
    match reply {
        Reply::Described(described) if described == *section => Ok(()),
        _ => Err(PrepareError::DescriptorLies),
    }
}
