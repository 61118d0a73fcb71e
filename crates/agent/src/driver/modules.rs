//! What the engine does for the node, off the node's thread.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aura_coordination::execution::InstructionResult;
use aura_distribution::{Rehearsal, challenge, migrate as migrate_through, receipt::personal};
use aura_protocol_core::{
    Descriptor, DeviceId, Digest, ModuleRef, ProtocolCapabilities, ProtocolInput, Record,
    SessionId, SessionStart, encode, lifecycle::chain_trace, limits::STEP_FUEL_MAX,
    record::records_root,
};
use aura_transport::{
    Culprit, ModuleError, PartialModule, TransferLimits, TransportError, fetch_module,
};
use aura_wasm_host::{CallError, ModuleHost, ModuleMigrator, PrepareError, StepError};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use crate::{
    driver::{ChannelKind, World},
    error::{AgentError, Whose},
    node::{Input, MigrateJob, MigratedRecords, RehearseJob},
};

/// How long a device may be silent before the next one is asked. A device that was switched off looks
/// connected until the connection's own timeout, which is longer.
const PROVIDER_SILENCE_MAX: Duration = Duration::from_secs(3);

/// Makes a module ready to run, and tells the node.
pub(crate) fn obtain(
    world: &Arc<World>,
    module: ModuleRef,
    offered: Option<Vec<u8>>,
    providers: Vec<DeviceId>,
) {
    let world = Arc::clone(world);
    let runtime = world.runtime.clone();
    runtime.spawn(async move {
        let digest = module.digest;
        let result = obtain_from_somewhere(&world, module, offered, providers).await;
        world.tell(Input::Obtained { digest, result }).await;
    });
}

async fn obtain_from_somewhere(
    world: &Arc<World>,
    module: ModuleRef,
    offered: Option<Vec<u8>>,
    providers: Vec<DeviceId>,
) -> Result<Descriptor, AgentError> {
    if let Some(bytes) = offered {
        check_offered(&bytes, &module)?;
        return prepare(world, bytes, module).await;
    }
    if let Some(descriptor) = from_cache(world, &module).await? {
        return Ok(descriptor);
    }
    let bytes = fetch(world, &module, providers).await?;
    prepare(world, bytes.to_vec(), module).await
}

/// A file that somebody brought along is theirs to put right, not the publisher's.
fn check_offered(bytes: &[u8], module: &ModuleRef) -> Result<(), AgentError> {
    let (found, sha256) = (Digest::of(bytes), sha256(bytes));
    if found == module.digest && sha256 == module.sha256 {
        return Ok(());
    }
    Err(AgentError::new(
        "DigestMismatch",
        format!(
            "the module is not the released one: its digest is {}, the release says {}",
            found.short(),
            module.digest.short()
        ),
        Whose::Caller,
        "get the module again from whoever released it",
    ))
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

async fn from_cache(
    world: &Arc<World>,
    module: &ModuleRef,
) -> Result<Option<Descriptor>, AgentError> {
    let (host, module) = (Arc::clone(&world.host), module.clone());
    let cached = blocking(world, move || {
        let bytes = host.bytes(module.digest).map_err(|error| host_error(&error))?;
        // Preparing again is cheap where the artifact is there, and rebuilds it where it is not.
        bytes
            .map(|bytes| host.prepare(&bytes, &module).map_err(|error| prepare_error(&error)))
            .transpose()
    });
    cached.await?
}

async fn prepare(
    world: &Arc<World>,
    bytes: Vec<u8>,
    module: ModuleRef,
) -> Result<Descriptor, AgentError> {
    let host = Arc::clone(&world.host);
    let prepared = blocking(world, move || {
        host.prepare(&bytes, &module).map_err(|error| prepare_error(&error))
    });
    prepared.await?
}

/// Runs something long on a thread of its own, a few at a time.
async fn blocking<T: Send + 'static>(
    world: &Arc<World>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AgentError> {
    let broken = |error: &dyn std::fmt::Display| {
        AgentError::new("Interrupted", error, Whose::Machine, "start the device again")
    };
    let _permit = world.compilers.acquire().await.map_err(|error| broken(&error))?;
    tokio::task::spawn_blocking(work).await.map_err(|error| broken(&error))
}

/// Asks one device after another. What one brought and verified is not fetched again from the next.
async fn fetch(
    world: &Arc<World>,
    module: &ModuleRef,
    providers: Vec<DeviceId>,
) -> Result<Bytes, AgentError> {
    let mut partial = PartialModule::new(module);
    let mut last = AgentError::new(
        "ModuleUnavailable",
        format!("no connected device has module {}", module.digest.short()),
        Whose::Nobody,
        "wait for a device that has it, or bring its file with --module",
    );
    for device in providers {
        match fetch_from(world, device, module, &mut partial).await {
            Ok(bytes) => {
                tracing::info!(
                    "module {}: {} bytes from device {}",
                    module.digest.short(),
                    bytes.len(),
                    device.short()
                );
                return Ok(bytes);
            }
            Err(error) => {
                tracing::debug!("device {} gives no module: {error}", device.short());
                last = fetch_error(&error);
            }
        }
    }
    Err(last)
}

async fn fetch_from(
    world: &Arc<World>,
    device: DeviceId,
    module: &ModuleRef,
    partial: &mut PartialModule,
) -> Result<Bytes, ModuleError> {
    let digest = module.digest;
    let session = world.network.session(device).ok_or(ModuleError::NotOffered { digest })?;
    let opened = async {
        let mut channel = session.open().await?;
        channel.send(ChannelKind::Module.to_frame()).await?;
        Ok::<_, TransportError>(channel)
    };
    let silent = || ModuleError::NotOffered { digest };
    let mut channel = timeout(PROVIDER_SILENCE_MAX, opened).await.map_err(|_| silent())??;
    let limits = TransferLimits { idle_timeout: PROVIDER_SILENCE_MAX, ..TransferLimits::default() };
    fetch_module(channel.as_mut(), module, partial, &limits, |_| {}).await
}

fn fetch_error(error: &ModuleError) -> AgentError {
    let whose = match error.culprit() {
        Some(Culprit::Peer) => Whose::Peer,
        Some(Culprit::Publisher) => Whose::Publisher,
        Some(Culprit::Caller) => Whose::Caller,
        _ => Whose::Nobody,
    };
    AgentError::new(error.code(), error, whose, "it is tried again, also from other devices")
}

/// The gate's verdict, as a person meets it.
pub(crate) fn prepare_error(error: &PrepareError) -> AgentError {
    match error {
        PrepareError::Host(error) => host_error(error),
        refused => AgentError::new(
            refused.code(),
            format!("the module is refused: {}", chain(refused)),
            Whose::Publisher,
            "do not use it; tell its publisher",
        ),
    }
}

fn host_error(error: &aura_wasm_host::HostError) -> AgentError {
    let next = "see that the store's folder can be written and the disk has room";
    AgentError::new("ModuleStore", chain(error), Whose::Machine, next)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Runs one step of a session, and tells the node.
pub(crate) fn step(
    world: &Arc<World>,
    session: SessionId,
    module: Digest,
    state: Vec<u8>,
    caps: ProtocolCapabilities,
    input: ProtocolInput,
) {
    let world = Arc::clone(world);
    let runtime = world.runtime.clone();
    runtime.spawn(async move {
        let host = Arc::clone(&world.host);
        let work = move || host.step(module, state, caps, input, STEP_FUEL_MAX);
        // Steps take microseconds: they do not queue behind compilers.
        let result = match tokio::task::spawn_blocking(work).await {
            Ok(Ok(stepped)) => {
                InstructionResult::Stepped { state: stepped.state, step: stepped.step }
            }
            Ok(Err(StepError::Protocol(error))) => InstructionResult::Refused(error),
            Ok(Err(error)) => trapped(&error),
            Err(error) => InstructionResult::Trapped {
                code: "Interrupted".to_string(),
                reason: error.to_string(),
            },
        };
        world.tell(Input::Stepped { session, result }).await;
    });
}

fn trapped(error: &StepError) -> InstructionResult {
    InstructionResult::Trapped { code: step_code(error).to_string(), reason: chain(error) }
}

fn step_code(error: &StepError) -> &'static str {
    match error {
        StepError::Call(CallError::Trapped(trapped)) => trapped.code(),
        StepError::Call(CallError::NotPrepared { .. }) => "NotPrepared",
        StepError::Call(_) => "HostError",
        _ => "ProtocolError",
    }
}

/// Rehearses a proposal, and tells the node.
pub(crate) fn rehearse(world: &Arc<World>, job: RehearseJob) {
    let world = Arc::clone(world);
    let runtime = world.runtime.clone();
    runtime.spawn(async move {
        let (host, proposal) = (Arc::clone(&world.host), job.proposal);
        let result = blocking(&world, move || run_rehearsal(&host, &job)).await;
        let result = result.and_then(|it| it);
        world.tell(Input::Rehearsed { proposal, result }).await;
    });
}

fn run_rehearsal(host: &ModuleHost, job: &RehearseJob) -> Result<Rehearsal, AgentError> {
    let pre_root = records_root(&job.records);
    let (migrated, bytes) = through_steps(host, &job.steps, job.records.clone())?;
    let post_root = records_root(&migrated.records);
    let mut receipts = BTreeMap::new();
    for signer in &job.signers {
        let trace = run_challenge(host, job, *signer);
        receipts.insert(*signer, personal(job.proposal, *signer, bytes, trace));
    }
    Ok(Rehearsal { pre_root, post_root, personal: receipts })
}

/// Takes records through migrations in order. Also hashes all bytes that came out on the way.
fn through_steps(
    host: &ModuleHost,
    steps: &[Digest],
    records: Vec<Record>,
) -> Result<(MigratedRecords, Digest), AgentError> {
    let mut migrated = MigratedRecords { records, quarantined: Vec::new() };
    let mut bytes = Digest::ZERO;
    for step in steps {
        let lens = ModuleMigrator::new(host, *step, Vec::new());
        let run = migrate_through(&lens, &migrated.records).map_err(|error| {
            AgentError::new(
                "MigrationFailed",
                chain(&error),
                Whose::Publisher,
                "do not activate it; tell its publisher",
            )
        })?;
        bytes = Digest::tagged("aura migrated steps v1", &[bytes.as_bytes(), run.bytes.as_bytes()]);
        migrated.records = run.records.into_values().collect();
        let aside = run.quarantined.into_iter().map(|it| (it.record.key.to_string(), it.reason));
        migrated.quarantined.extend(aside);
    }
    Ok((migrated, bytes))
}

/// Runs the new module on inputs that depend on proposal and signer, and hashes all that comes out.
fn run_challenge(host: &ModuleHost, job: &RehearseJob, signer: DeviceId) -> Digest {
    let seed = challenge(job.proposal, signer);
    let start = SessionStart {
        session: seed.into(),
        me: signer,
        opener: signer,
        participants: job.signers.clone(),
        spoken: job.version,
        params: Vec::new(),
    };
    let number = seed.as_bytes().iter().fold(0u64, |sum, byte| (sum << 1) + u64::from(*byte));
    let inputs = [
        ProtocolInput::Start(start),
        ProtocolInput::Signal(number.to_string().into_bytes()),
        ProtocolInput::Signal(seed.as_bytes().to_vec()),
        ProtocolInput::Event {
            author: signer,
            label: "challenge".to_string(),
            payload: seed.as_bytes().to_vec(),
        },
    ];
    let (mut trace, mut state) = (seed, Vec::new());
    for input in inputs {
        let result = host.step(job.module, state.clone(), job.caps.clone(), input, STEP_FUEL_MAX);
        trace = match result {
            Ok(stepped) => {
                let output = encode(&(&stepped.state, &stepped.step));
                state = stepped.state;
                chain_trace(trace, &output, stepped.fuel_used)
            }
            Err(StepError::Protocol(error)) => chain_trace(trace, &encode(&error), 0),
            Err(error) => chain_trace(trace, step_code(&error).as_bytes(), 0),
        };
    }
    trace
}

/// Takes records to the active layout, and tells the node.
pub(crate) fn migrate(world: &Arc<World>, job: MigrateJob) {
    let world = Arc::clone(world);
    let runtime = world.runtime.clone();
    runtime.spawn(async move {
        let (host, app) = (Arc::clone(&world.host), job.app);
        let result = blocking(&world, move || migrate_records(&host, job)).await;
        world.tell(Input::Migrated { app, result: result.and_then(|it| it) }).await;
    });
}

/// The records of a job in the active layout.
pub(crate) fn migrate_records(
    host: &ModuleHost,
    job: MigrateJob,
) -> Result<MigratedRecords, AgentError> {
    let mut all = MigratedRecords::default();
    for (steps, records) in job.groups {
        let (migrated, _) = through_steps(host, &steps, records)?;
        all.records.extend(migrated.records);
        all.quarantined.extend(migrated.quarantined);
    }
    Ok(all)
}
