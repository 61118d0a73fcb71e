//! The shell around the node: tokio, the store, the network and the engine.
//!
//! One thread owns node and store. It takes inputs, commits what the node wants stored, and only then
//! carries out the rest, in order. Everything slow runs elsewhere and comes back as an input.

mod fetch;
mod links;
mod modules;
mod network;
mod wire;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use aura_coordination::execution::{
    TimeSource, Woken,
    time::{Pending, Wait},
};
use aura_journal::{LedgerStore, StoreBatch, control::CertifiedEntry, store::DiskStore};
use aura_protocol_core::SessionId;
use aura_transport::Locations;
use aura_wasm_host::ModuleHost;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

pub(crate) use network::{Network, accept, dial};
pub(crate) use wire::ChannelKind;

use crate::{
    api::Response,
    engine::BuiltInProtocols,
    error::{AgentError, Whose},
    identity::Identity,
    node::{AgentEvent, Effect, Entropy, Input, Node, RequestId},
};

/// Inputs that may wait for the node. Whoever brings more waits itself.
const INPUTS_MAX: usize = 256;
/// Inputs that share one commit. Under load one fsync carries many units.
const GROUP_MAX: usize = 64;
/// Events that a slow listener may lag behind before it misses some.
const EVENTS_MAX: usize = 1024;

/// Strangers that may be connected at a time: a family with new devices. What all of them together can
/// hold is below what one device of the account can.
const STRANGERS_MAX: usize = 32;

/// What goes to the node's thread.
pub(crate) enum Message {
    /// Something happened.
    Input(Box<Input>),
    /// Finish what has been taken, and stop.
    Stop,
}

/// What the node's effects need, shared with every task.
pub(crate) struct World {
    dir: PathBuf,
    pub(crate) inputs: mpsc::Sender<Message>,
    pub(crate) network: Network,
    pub(crate) host: Arc<ModuleHost>,
    /// Fetches modules from where their references say.
    pub(crate) locations: Locations,
    pub(crate) built_ins: BuiltInProtocols,
    pub(crate) events: broadcast::Sender<AgentEvent>,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) time: Arc<dyn TimeSource>,
    /// Why the node has stopped by itself; none while it runs.
    pub(crate) failure: watch::Sender<Option<AgentError>>,
    requests: AtomicU64,
    answers: Answers<Response>,
    joins: Answers<Vec<CertifiedEntry>>,
    waits: Answers<Pending<Woken>>,
    /// What those want who are about to wait.
    wanted: Mutex<BTreeMap<RequestId, Wait>>,
    compilers: tokio::sync::Semaphore,
    /// Places for those who are in no roster, while an invitation is open.
    pub(crate) strangers: tokio::sync::Semaphore,
    /// Set when nobody waits for the node any more.
    abandoned: AtomicBool,
}

/// Who waits for what.
struct Answers<T>(Mutex<BTreeMap<RequestId, oneshot::Sender<Result<T, AgentError>>>>);

impl<T> Answers<T> {
    fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn wait(&self, id: RequestId) -> oneshot::Receiver<Result<T, AgentError>> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.0).insert(id, sender);
        receiver
    }

    fn give(&self, id: RequestId, result: Result<T, AgentError>) {
        if let Some(sender) = lock(&self.0).remove(&id)
            && sender.send(result).is_err()
        {
            tracing::debug!("nobody waits for the answer to request {} any more", id.0);
        }
    }

    fn fail_all(&self, error: &AgentError) {
        for (_, sender) in std::mem::take(&mut *lock(&self.0)) {
            if sender.send(Err(error.clone())).is_err() {
                tracing::debug!("nobody waits for a failed request any more");
            }
        }
    }
}

/// A lock whose holder panicked is taken over: what it guards is a map that is whole at every moment.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// The world of a device, and the inbox of its node.
    pub(crate) fn new(
        dir: &Path,
        network: Network,
        host: Arc<ModuleHost>,
        built_ins: BuiltInProtocols,
        time: Arc<dyn TimeSource>,
    ) -> (Arc<Self>, mpsc::Receiver<Message>) {
        let (inputs, inbox) = mpsc::channel(INPUTS_MAX);
        let world = Self {
            dir: dir.to_path_buf(),
            inputs,
            network,
            host,
            locations: Locations::default(),
            built_ins,
            time,
            events: broadcast::Sender::new(EVENTS_MAX),
            runtime: tokio::runtime::Handle::current(),
            failure: watch::Sender::new(None),
            requests: AtomicU64::new(0),
            answers: Answers::new(),
            joins: Answers::new(),
            waits: Answers::new(),
            wanted: Mutex::default(),
            // One for each core of a small machine: compiling must not starve the sessions.
            compilers: tokio::sync::Semaphore::new(2),
            strangers: tokio::sync::Semaphore::new(STRANGERS_MAX),
            abandoned: AtomicBool::new(false),
        };
        (Arc::new(world), inbox)
    }

    fn next_request(&self) -> RequestId {
        RequestId(self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// Has the node stop soon, however much it has to do.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
        if self.inputs.try_send(Message::Stop).is_err() {
            tracing::debug!("the node is busy, or has stopped before");
        }
    }

    /// Tells the node something. Waits while it is busy; drops it once the node has stopped.
    pub(crate) async fn tell(&self, input: Input) {
        if self.inputs.send(Message::Input(Box::new(input))).await.is_err() {
            tracing::debug!("the node has stopped");
        }
    }

    /// Asks the node something, and waits for the answer.
    pub(crate) async fn ask(
        &self,
        make: impl FnOnce(RequestId) -> Input,
    ) -> Result<Response, AgentError> {
        let id = self.next_request();
        let answer = self.answers.wait(id);
        self.tell(make(id)).await;
        self.answered(answer).await
    }

    /// Asks the node to let a device in, and waits until it is.
    pub(crate) async fn ask_to_join(
        &self,
        make: impl FnOnce(RequestId) -> Input,
    ) -> Result<Vec<CertifiedEntry>, AgentError> {
        let id = self.next_request();
        let answer = self.joins.wait(id);
        self.tell(make(id)).await;
        self.answered(answer).await
    }

    /// Waits for the first of some conditions, those included that were met before.
    pub(crate) async fn wait_for(&self, wait: Wait) -> Result<Woken, AgentError> {
        let (id, conditions) = (self.next_request(), wait.conditions.clone());
        let answer = self.waits.wait(id);
        lock(&self.wanted).insert(id, wait);
        self.tell(Input::Recall { id, conditions }).await;
        let pending = self.answered(answer).await?;
        let mut failure = self.failure.subscribe();
        tokio::select! {
            woken = pending => Ok(woken),
            _ = failure.wait_for(Option::is_some) => Err(stopped()),
            () = self.inputs.closed() => Err(stopped()),
        }
    }

    async fn answered<T>(
        &self,
        answer: oneshot::Receiver<Result<T, AgentError>>,
    ) -> Result<T, AgentError> {
        let mut failure = self.failure.subscribe();
        tokio::select! {
            answer = answer => answer.unwrap_or_else(|_| Err(stopped())),
            _ = failure.wait_for(Option::is_some) => Err(stopped()),
            () = self.inputs.closed() => Err(stopped()),
        }
    }
}

fn stopped() -> AgentError {
    AgentError::new("Stopped", "the device is stopping", Whose::Machine, "start it again")
}

/// Runs the node until it is told to stop or the store fails. Blocks its thread.
pub(crate) fn run(
    mut node: Node,
    mut store: DiskStore,
    world: &Arc<World>,
    mut inbox: mpsc::Receiver<Message>,
) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while inbox.blocking_recv_many(&mut group, GROUP_MAX) != 0 {
        let mut batch = StoreBatch::default();
        let mut effects = Vec::new();
        let mut stop = false;
        for message in group.drain(..) {
            match message {
                Message::Input(input) => {
                    for effect in node.step(*input) {
                        match effect {
                            Effect::Commit(more) => batch.merge(*more),
                            other => effects.push(other),
                        }
                    }
                }
                Message::Stop => stop = true,
            }
        }
        if let Err(error) = commit(&mut store, &batch) {
            fail(world, &error);
            return;
        }
        for effect in effects {
            carry_out(world, effect);
        }
        if stop || world.abandoned.load(Ordering::Relaxed) {
            return;
        }
    }
}

fn fail(world: &World, error: &AgentError) {
    tracing::error!("{error}");
    world.failure.send_replace(Some(error.clone()));
    world.answers.fail_all(error);
    world.joins.fail_all(error);
    world.waits.fail_all(error);
}

/// A store that fails is not written to again: what it holds is unknown until it is opened anew.
fn commit(store: &mut DiskStore, batch: &StoreBatch) -> Result<(), AgentError> {
    if batch.is_empty() {
        return Ok(());
    }
    store.commit(batch).map_err(|error| store_error(&error))
}

fn carry_out(world: &Arc<World>, effect: Effect) {
    match effect {
        // Merged into the group's commit before.
        Effect::Commit(_) => {}
        Effect::Send { to, message } => world.network.send(to, &message),
        Effect::Disconnect { device, reason } => world.network.disconnect(device, &reason),
        Effect::Roster(roster) => world.network.set_roster(roster),
        Effect::Obtain { module, offered, providers } => {
            modules::obtain(world, module, offered, providers);
        }
        Effect::Step { session, module, state, caps, input } => {
            modules::step(world, session, module, state, caps, *input);
        }
        Effect::Draw { session, effect } => draw(world, session, effect),
        Effect::DrawVoteKey => draw_vote_key(world),
        Effect::EraseEnrolmentKey => {
            if let Err(error) = Identity::erase_vote_key(&world.dir) {
                tracing::error!("the vote key stays in the identity file: {error}");
            }
        }
        Effect::Rehearse(job) => modules::rehearse(world, *job),
        Effect::Migrate(job) => modules::migrate(world, *job),
        Effect::Answer { id, result } => world.answers.give(id, result),
        Effect::AnswerJoin { id, result } => world.joins.give(id, result),
        Effect::News(news) => world.time.news(&news),
        Effect::Recalled { id, known } => {
            // The wait stands before the next effect is carried out, which may be what it waits for.
            let wanted = lock(&world.wanted).remove(&id);
            if let Some(wait) = wanted {
                world.waits.give(id, Ok(world.time.wait(wait, &known)));
            }
        }
        Effect::Notify(event) => {
            if world.events.send(event).is_err() {
                tracing::trace!("nobody listens for events");
            }
        }
        Effect::Log(line) => tracing::info!("{line}"),
    }
}

/// Draws randomness from the system for one use.
fn fresh_entropy() -> Option<Entropy> {
    let mut bytes = [0; 32];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Some(Entropy::new(std::mem::take(&mut bytes))),
        Err(error) => {
            tracing::error!("no randomness: {error}");
            None
        }
    }
}

fn draw_vote_key(world: &Arc<World>) {
    let (told, entropy) = (Arc::clone(world), fresh_entropy());
    world.runtime.spawn(async move { told.tell(Input::VoteKeyDrawn(entropy)).await });
}

fn draw(world: &Arc<World>, session: SessionId, effect: u64) {
    let entropy = fresh_entropy();
    let told = Arc::clone(world);
    world.runtime.spawn(async move {
        told.tell(Input::Drawn { session, effect, entropy }).await;
    });
}

/// A store's error, as a person meets it.
pub(crate) fn store_error(error: &aura_journal::StoreError) -> AgentError {
    let (whose, next) = match error.code() {
        "StoreInUse" => (Whose::Caller, "ask the running device, or stop it first"),
        "StoreNewerFormat" => {
            (Whose::Machine, "use the version of aura that wrote it, or a newer one")
        }
        "StoreDamaged" => {
            (Whose::Machine, "try `aura ledger repair`, or join again as a new device")
        }
        "StoreUnrepairable" => (
            Whose::Machine,
            "name another device's store with --from, or join again as a new device",
        ),
        "StoreNotFound" => (
            Whose::Caller,
            "create one with `aura account create` or `aura device join`, or name another folder \
             with --store",
        ),
        "StoreExists" => (Whose::Caller, "name another folder with --store"),
        _ => (Whose::Machine, "see that the folder can be written and the disk has room"),
    };
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    AgentError::new(error.code(), message, whose, next)
}

/// Opens the store in `dir`.
pub(crate) fn open_store(dir: &Path) -> Result<DiskStore, AgentError> {
    DiskStore::open(dir).map_err(|error| store_error(&error))
}
