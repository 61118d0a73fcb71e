//! What the engine does for the node, off the node's thread: fetching, and [`crate::engine`].

use std::{sync::Arc, time::Duration};

use aura_coordination::execution::InstructionResult;
use aura_protocol_core::{
    Descriptor, DeviceId, Digest, ModuleRef, ProtocolCapabilities, ProtocolInput, SessionId,
};
use aura_transport::{
    Culprit, ModuleError, PartialModule, TransferLimits, TransportError, fetch_module,
};
use bytes::Bytes;
use tokio::time::timeout;

use crate::{
    driver::{ChannelKind, World},
    engine,
    error::{AgentError, Whose},
    node::{Input, MigrateJob, RehearseJob},
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
    let (host, known) = (Arc::clone(&world.host), module.clone());
    if let Some(bytes) = offered {
        return blocking(world, move || engine::take_offered(&host, &known, &bytes)).await?;
    }
    if let Some(descriptor) = blocking(world, move || engine::take_cached(&host, &known)).await?? {
        return Ok(descriptor);
    }
    let bytes = fetch(world, &module, providers).await?;
    let host = Arc::clone(&world.host);
    blocking(world, move || engine::prepare(&host, &module, &bytes)).await?
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
        let built_ins = world.built_ins.clone();
        let work = move || match built_ins.step(module, &state, &caps, input.clone()) {
            Some(result) => result,
            None => engine::step(&host, module, state, caps, input),
        };
        // Steps take microseconds: they do not queue behind compilers.
        let result = tokio::task::spawn_blocking(work).await;
        let result = result.unwrap_or_else(|error| InstructionResult::Trapped {
            code: "Interrupted".to_string(),
            reason: error.to_string(),
        });
        world.tell(Input::Stepped { session, result }).await;
    });
}

/// Rehearses a proposal, and tells the node.
pub(crate) fn rehearse(world: &Arc<World>, job: RehearseJob) {
    let world = Arc::clone(world);
    let runtime = world.runtime.clone();
    runtime.spawn(async move {
        let (host, proposal) = (Arc::clone(&world.host), job.proposal);
        let result = blocking(&world, move || engine::rehearse(&host, &job)).await;
        let result = result.and_then(|it| it);
        world.tell(Input::Rehearsed { proposal, result }).await;
    });
}

/// Takes records to the active layout, and tells the node.
pub(crate) fn migrate(world: &Arc<World>, job: MigrateJob) {
    let world = Arc::clone(world);
    let runtime = world.runtime.clone();
    runtime.spawn(async move {
        let (host, app) = (Arc::clone(&world.host), job.app);
        let result = blocking(&world, move || engine::derive_records(&host, job)).await;
        world.tell(Input::Migrated { app, result: result.and_then(|it| it) }).await;
    });
}
