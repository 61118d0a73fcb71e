//! What the engine does for the node, off the node's thread: fetching, and [`crate::engine`].

use std::sync::Arc;

use aura_coordination::execution::InstructionResult;
use aura_protocol_core::{
    Descriptor, Digest, ModuleRef, ProtocolCapabilities, ProtocolInput, SessionId,
};

use crate::{
    driver::{World, fetch::Fetch},
    engine,
    error::{AgentError, Whose},
    node::{Input, MigrateJob, Providers, RehearseJob},
};

/// Makes a module ready to run, and tells the node.
pub(crate) fn obtain(
    world: &Arc<World>,
    module: ModuleRef,
    offered: Option<Vec<u8>>,
    providers: Providers,
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
    providers: Providers,
) -> Result<Descriptor, AgentError> {
    let (host, known) = (Arc::clone(&world.host), module.clone());
    if let Some(bytes) = offered {
        return blocking(world, move || engine::take_offered(&host, &known, &bytes)).await?;
    }
    if let Some(descriptor) = blocking(world, move || engine::take_cached(&host, &known)).await?? {
        return Ok(descriptor);
    }
    let mut fetched = Fetch::new(world, &module);
    let bytes = fetched.from_somewhere(providers).await?;
    let host = Arc::clone(&world.host);
    let prepared = blocking(world, move || engine::prepare(&host, &module, &bytes)).await?;
    // It is in the cache now, whole and synced, or nobody wants it.
    fetched.end();
    prepared
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
