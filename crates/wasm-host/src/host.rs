//! The facade: takes modules in, keeps them, and calls them by digest.
//!
//! Three tiers: pinned modules stay compiled in memory, those used last beside them up to a size, and
//! artifacts of all as files, each authenticated before it is loaded. One module is compiled at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aura_protocol_core::{
    Descriptor, Digest, ModuleRef, ProtocolCapabilities, ProtocolInput, ProtocolStep,
    abi::{Envelope, Op, Reply},
    encode,
};

use crate::{
    BadOutput, CallError, Compiled, Engine, Expected, HostError, Isolation, PrepareError,
    StepError,
    artifact::{AuthenticArtifact, Seal},
    engine,
    gate::{self, Metered},
    isolate,
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
    isolation: Isolation,
    recent: Mutex<Recent>,
    /// One compiler at a time: however many modules arrive, they do not take all processors.
    compiling: Mutex<()>,
    taken: Mutex<Taken>,
}

/// How a host runs its modules. [`Default`] is the default engine in this process.
pub struct HostOptions {
    /// What compiles and runs.
    pub engine: Box<dyn Engine>,
    /// Where the compiler runs. A child uses the default engine, so `engine` must be that one.
    pub isolation: Isolation,
    /// Compiled modules kept in memory beside the pinned.
    pub compiled_count_max: usize,
    /// Their artifacts' bytes together.
    pub compiled_bytes_max: usize,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            engine: engine::default(),
            isolation: Isolation::InProcess,
            compiled_count_max: COMPILED_COUNT_MAX,
            compiled_bytes_max: COMPILED_BYTES_MAX,
        }
    }
}

/// A moment in the life of a host, for [`ModuleHost::collect`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// What a collection gave back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// The modules that are gone.
    pub modules: Vec<Digest>,
    /// Bytes of files, originals and artifacts.
    pub bytes: u64,
}

/// When modules were taken in; those of earlier processes at the very beginning.
#[derive(Default)]
struct Taken {
    now: u64,
    at: BTreeMap<Digest, u64>,
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
        Self::open_with(dir, key, HostOptions::default())
    }

    /// As [`ModuleHost::open`], with another engine, isolation or size.
    ///
    /// # Errors
    /// [`HostError::Io`] when the folder cannot be used.
    pub fn open_with(dir: &Path, key: [u8; 32], options: HostOptions) -> Result<Self, HostError> {
        Ok(Self::with(Store::Folder(Folder::open(dir)?), &key, options))
    }

    /// A host that keeps its modules in memory alone, for tests and tools.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::in_memory_with(HostOptions::default())
    }

    /// As [`ModuleHost::in_memory`], with another engine, isolation or size.
    #[must_use]
    pub fn in_memory_with(options: HostOptions) -> Self {
        Self::with(Store::Memory(Mutex::new(BTreeMap::new())), &[0; 32], options)
    }

    fn with(store: Store, key: &[u8; 32], options: HostOptions) -> Self {
        let HostOptions { engine, isolation, compiled_count_max, compiled_bytes_max } = options;
        let seal = Seal::new(key, engine.id());
        let recent = Mutex::new(Recent::new(compiled_count_max, compiled_bytes_max));
        let (compiling, taken) = Default::default();
        Self { engine, seal, store, isolation, recent, compiling, taken }
    }

    /// Takes a module in: checks it against `module` and the gate, compiles it, has it say what it is,
    /// and keeps it. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`PrepareError`], which says whose fault it is. Then nothing was kept.
    pub fn prepare(&self, bytes: &[u8], module: &ModuleRef) -> Result<Descriptor, PrepareError> {
        let digest = module.digest;
        gate::identify(bytes, module.into())?;
        self.taken().at.insert(digest, u64::MAX); // No collection takes it meanwhile.
        let prepared = self.take_in(bytes, module.into());
        let mut taken = self.taken();
        match taken.now {
            now if prepared.is_ok() => taken.at.insert(digest, now),
            _ => taken.at.remove(&digest),
        };
        drop(taken);
        prepared
    }

    /// Takes in a module that nobody signed: the caller's own file, in tools and tests.
    ///
    /// # Errors
    /// As [`ModuleHost::prepare`].
    pub fn prepare_own(&self, bytes: &[u8]) -> Result<(Digest, Descriptor), PrepareError> {
        let digest = Digest::of(bytes);
        // One that is too long for this is too long for the gate.
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let sha256 = Digest::ZERO;
        let module = ModuleRef { digest, sha256, size, urls: Vec::new(), peers_ok: false };
        Ok((digest, self.prepare(bytes, &module)?))
    }

    fn take_in(&self, bytes: &[u8], expected: Expected) -> Result<Descriptor, PrepareError> {
        let digest = expected.digest;
        let ready = self.ready_from(bytes, expected)?;
        if self.store.module(digest)?.is_none() {
            self.store.keep_module(digest, bytes)?;
        }
        Ok(ready.descriptor.clone())
    }

    /// Keeps a prepared module compiled in memory until it is unpinned, and loads it now, so that no
    /// later call waits for it. For the versions that are active.
    ///
    /// # Errors
    /// [`CallError::PinnedTooMuch`], or that it is not prepared or cannot be loaded any more.
    pub fn pin(&self, digest: Digest) -> Result<(), CallError> {
        let ready = self.ready(digest)?;
        let mut recent = self.recent();
        if recent.find(digest).is_none() {
            recent.insert(digest, ready); // Others came in between.
        }
        recent
            .pin(digest)
            .map_err(|full| CallError::PinnedTooMuch { found: full.found, limit: full.limit })
    }

    /// Lets a pinned module go when others need its place.
    pub fn unpin(&self, digest: Digest) {
        self.recent().unpin(digest);
    }

    /// This moment. A collection that is given it spares what is taken in from now on.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let mut taken = self.taken();
        taken.now += 1;
        Mark(taken.now)
    }

    /// Drops every module that is not in `references`, not pinned, and was not taken in since `since`.
    ///
    /// `references` are all that the device may still need: active, rollback and snapshot versions,
    /// sessions that run. Take the mark before they are read, so that what arrives meanwhile stays.
    ///
    /// # Errors
    /// [`HostError::Io`] when a file cannot be dropped; what was dropped before stays dropped.
    pub fn collect(
        &self,
        references: &BTreeSet<Digest>,
        since: Mark,
    ) -> Result<Collected, HostError> {
        let mut taken = self.taken(); // Held: what begins to be taken in now waits.
        let mut collected = Collected::default();
        for digest in self.store.digests()? {
            let is_new = taken.at.get(&digest).is_some_and(|at| since.0 <= *at);
            if is_new || references.contains(&digest) || self.recent().is_pinned(digest) {
                continue;
            }
            collected.bytes += self.store.drop_module(digest)?;
            self.recent().remove(digest);
            taken.at.remove(&digest);
            tracing::info!(module = %digest, "collected a module that nothing refers to");
            collected.modules.push(digest);
        }
        Ok(collected)
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
        self.ready_from(&bytes, Expected::of(&bytes))
            .map_err(|source| CallError::Unprepared { digest, source: Box::new(source) })
    }

    /// The same from bytes at hand, which are known to have the digest.
    fn ready_from(&self, bytes: &[u8], expected: Expected) -> Result<Arc<Ready>, PrepareError> {
        let digest = expected.digest;
        if let Some(ready) = self.find(digest) {
            return Ok(ready);
        }
        if let Some(ready) = self.load(digest, bytes)? {
            return Ok(ready);
        }
        let _one_at_a_time = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever held the lock may have compiled this one.
        match self.find(digest) {
            Some(ready) => Ok(ready),
            None => self.build(bytes, expected),
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
        let digest = checked.digest();
        let (compiled, code) = self.compile(checked.metered())?;
        let (question, fuel) = (encode(&Envelope::new(Op::Describe)), DESCRIBE_FUEL_MAX);
        reply::check_description(compiled.call(&question, fuel)?, checked.descriptor())?;
        if let Store::Folder(folder) = &self.store {
            folder.keep_artifact(digest, &self.seal.close(digest, &code))?;
        }
        Ok(self.remember(digest, compiled, checked.descriptor().clone(), code.len()))
    }

    /// The compiled module, and what is kept of it.
    fn compile(&self, module: &Metered) -> Result<(Arc<dyn Compiled>, Vec<u8>), HostError> {
        if let Isolation::Child(path) = &self.isolation {
            let code = isolate::compile_in_child(path, &self.engine.id(), module)?;
            let compiled = self.engine.load(AuthenticArtifact::of_child(code.clone()))?;
            return Ok((compiled, code));
        }
        // A compiler that panics has a mistake; it costs this module alone.
        let compiled = catch_unwind(AssertUnwindSafe(|| self.engine.compile(module)));
        let compiled = compiled.unwrap_or_else(|_| {
            let reason = "the compiler panicked".to_owned();
            Err(HostError::Compile { digest: module.digest(), reason })
        })?;
        let code = compiled.artifact()?;
        Ok((compiled, code))
    }

    fn remember(
        &self,
        digest: Digest,
        compiled: Arc<dyn Compiled>,
        descriptor: Descriptor,
        bytes: usize,
    ) -> Arc<Ready> {
        let ready = Arc::new(Ready { compiled, descriptor, bytes });
        self.recent().insert(digest, Arc::clone(&ready));
        ready
    }

    fn find(&self, digest: Digest) -> Option<Arc<Ready>> {
        self.recent().find(digest)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
