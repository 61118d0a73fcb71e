//! A running device, as whoever embeds it sees it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aura_coordination::execution::{NativeProtocol, Woken, time::Wait};
use aura_crypto::seal::StorageKey;
use aura_journal::{LedgerStore as _, control::ControlChain};
use aura_protocol_core::{DeviceId, limits::MODULE_BYTES_MAX};
use aura_wasm_host::ModuleHost;
use tokio::{sync::broadcast, task::JoinSet};

use crate::{
    api::{
        Command, DerivedKey, InstallRequest, ProposeRequest, Proposed, Response, StartRequest,
        Started, Status,
    },
    chain_file,
    driver::{self, Message, Network, World},
    engine::BuiltInProtocols,
    error::{AgentError, Whose},
    identity::{Identity, io_error, modules_dir},
    node::{
        AgentEvent, Entropy, Files, INTERVAL_SECONDS, Input, KEYS_ROW, Node, NodeKeys,
        VOTE_KEYS_ROW,
    },
    storage::{StorageSecret, fresh_rng},
    time::{ProductionTimeSource, system_time},
};

/// How often the node is told the time.
const TICK: Duration = Duration::from_secs(1);

/// A device that was stopped a moment ago may hold its address for as long as stray packets can arrive.
const LAST_ADDRESS_ATTEMPTS: usize = 5;
/// Pause between two attempts to listen there again.
const LAST_ADDRESS_PAUSE: Duration = Duration::from_millis(100);

/// Settings of a device that is about to run.
#[derive(Debug, Clone)]
pub struct DeviceAgentBuilder {
    dir: PathBuf,
    bind: SocketAddr,
    interval_seconds: u64,
    built_ins: BuiltInProtocols,
    secret: StorageSecret,
}

/// A running device. Dropping it stops it: what has not been stored is lost, and the store is free.
/// [`DeviceAgent::shutdown`] lets what is under way arrive, and frees the address too.
pub struct DeviceAgent {
    world: Arc<World>,
    device: DeviceId,
    address: SocketAddr,
    tasks: JoinSet<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl DeviceAgentBuilder {
    /// Listens there. With port 0, and on the loopback interface when this is not called, it listens
    /// where it did the last time, or on any free port if that is taken.
    #[must_use]
    pub const fn bind(mut self, bind: SocketAddr) -> Self {
        self.bind = bind;
        self
    }

    /// How long an epoch of the quorum clock lasts at least, in seconds by this device's clock.
    #[must_use]
    pub const fn clock_interval(mut self, seconds: u64) -> Self {
        self.interval_seconds = seconds;
        self
    }

    /// Where the key comes from that seals this device's secrets: without it, the file beside the store
    /// ([`StorageSecret::beside`]).
    #[must_use]
    pub fn storage_secret(mut self, secret: StorageSecret) -> Self {
        self.secret = secret;
        self
    }

    /// Registers a protocol that is part of this program. Sessions of it need no release and no
    /// decision of the account; every participant has to have the same one registered.
    #[must_use]
    pub fn built_in(mut self, protocol: Arc<dyn NativeProtocol>) -> Self {
        self.built_ins.add(protocol);
        self
    }

    /// Opens the store, listens, and runs. Needs a tokio runtime.
    ///
    /// # Errors
    /// `StoreNotFound`, `StoreInUse`, `StoreNewerFormat`, `StoreDamaged`, `AddressInUse` and others,
    /// each saying what to do next.
    pub async fn open(self) -> Result<DeviceAgent, AgentError> {
        let identity = Identity::load(&self.dir)?;
        let store = driver::open_store(&self.dir)?;
        let stored = store.load().map_err(|error| driver::store_error(&error))?;
        let mut node = Node::restore(identity.name.clone(), NodeKeys::of(&identity), &stored)?;
        node.set_clock_interval(self.interval_seconds);
        let sealed = stored.local.get(KEYS_ROW).or_else(|| stored.local.get(VOTE_KEYS_ROW));
        let storage = self.unlock(sealed).await?;
        node.open_vault(storage, fresh_entropy()?, &stored)?;
        for descriptor in self.built_ins.descriptors() {
            node.add_built_in(descriptor);
        }
        let host = open_host(&self.dir, &identity)?;
        let time = Arc::new(ProductionTimeSource::since(node.clock()));
        let network = self.listen(&identity, &node).await?;
        let address = network.addresses().first().copied().unwrap_or(self.bind);
        let addresses = network.addresses().iter().map(ToString::to_string).collect();
        let (world, inbox) = World::new(
            &self.dir,
            network,
            Arc::new(host),
            self.built_ins.with_key_protocols(),
            time,
        );
        let thread_world = Arc::clone(&world);
        let thread = std::thread::Builder::new()
            .name("aura-node".to_string())
            .spawn(move || driver::run(node, store, &thread_world, inbox))
            .map_err(|error| io_error(&self.dir, &error))?;
        world.tell(Input::Tick(system_time())).await;
        world.tell(Input::Started { addresses }).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(driver::accept(Arc::clone(&world)));
        tasks.spawn(driver::dial(Arc::clone(&world)));
        tasks.spawn(tick(Arc::clone(&world)));
        let device = identity.device();
        Ok(DeviceAgent { world, device, address, tasks, thread: Some(thread) })
    }
}

impl DeviceAgentBuilder {
    /// A passphrase takes its time, which is not the runtime's.
    async fn unlock(&self, sealed: Option<&Vec<u8>>) -> Result<StorageKey, AgentError> {
        let (secret, sealed) = (self.secret.clone(), sealed.cloned());
        let unlocked = tokio::task::spawn_blocking(move || secret.unlock(sealed.as_deref()));
        unlocked
            .await
            .map_err(|error| AgentError::new("Interrupted", error, Whose::Machine, "try again"))?
    }

    /// Devices that were all off at a time know nothing of each other but where they were.
    async fn listen(&self, identity: &Identity, node: &Node) -> Result<Network, AgentError> {
        let (seed, roster) = (*identity.transport_seed, node.current_roster());
        let last = node.last_addresses();
        let last = last.iter().filter_map(|it| it.parse::<SocketAddr>().ok());
        for address in last.filter(|it| self.bind.port() == 0 && it.ip() == self.bind.ip()) {
            for _ in 0..LAST_ADDRESS_ATTEMPTS {
                match Network::bind(seed, address, roster.clone()).await {
                    Ok(network) => return Ok(network),
                    Err(error) => tracing::debug!("not at the last address: {error}"),
                }
                tokio::time::sleep(LAST_ADDRESS_PAUSE).await;
            }
        }
        Network::bind(seed, self.bind, roster).await
    }
}

/// The module host of a store directory.
pub(crate) fn open_host(dir: &Path, identity: &Identity) -> Result<ModuleHost, AgentError> {
    ModuleHost::open(&modules_dir(dir), *identity.cache_key).map_err(|error| {
        AgentError::new(
            "ModuleStore",
            error,
            Whose::Machine,
            "see that the store's folder can be written and the disk has room",
        )
    })
}

/// What a start draws for itself.
fn fresh_entropy() -> Result<Entropy, AgentError> {
    Ok(Entropy::new(*fresh_rng()?.bytes()))
}

async fn tick(world: Arc<World>) {
    loop {
        world.time.sleep(TICK).await;
        world.tell(Input::Tick(system_time())).await;
    }
}

impl DeviceAgent {
    /// A device whose store is in `dir`.
    pub fn builder(dir: impl Into<PathBuf>) -> DeviceAgentBuilder {
        let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let dir = dir.into();
        DeviceAgentBuilder {
            secret: StorageSecret::beside(&dir),
            dir,
            bind,
            interval_seconds: INTERVAL_SECONDS,
            built_ins: BuiltInProtocols::default(),
        }
    }

    /// This device's id.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Carries a command out.
    ///
    /// # Errors
    /// [`AgentError`], saying what went wrong, whose fault it is and what to do next.
    pub async fn request(&self, command: Command) -> Result<Response, AgentError> {
        let reading = command.clone();
        let files = tokio::task::spawn_blocking(move || read_files(&reading));
        let files = files.await.map_err(|error| {
            AgentError::new("Interrupted", error, Whose::Machine, "try again")
        })??;
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy)
            .map_err(|error| AgentError::new("NoRandomness", error, Whose::Machine, "try again"))?;
        let files = Box::new(files);
        self.world.ask(|id| Input::Command { id, command, files, entropy }).await
    }

    /// What this device is, runs and knows.
    ///
    /// # Errors
    /// When the device is stopping.
    pub async fn status(&self) -> Result<Status, AgentError> {
        match self.request(Command::Status).await? {
            Response::Status(status) => Ok(*status),
            other => Err(unexpected(&other)),
        }
    }

    /// Installs an app by decision of the account. Waits for the decision.
    ///
    /// # Errors
    /// When the release is not proved, the module is refused, or the account decides otherwise.
    pub async fn install(&self, request: InstallRequest) -> Result<Response, AgentError> {
        self.request(Command::Install(request)).await
    }

    /// Proposes an upgrade. Does not wait for the decision; see [`Command::Proposals`].
    ///
    /// # Errors
    /// When the release is not proved or one of its modules is refused.
    pub async fn propose_upgrade(&self, request: ProposeRequest) -> Result<Proposed, AgentError> {
        match self.request(Command::Propose(request)).await? {
            Response::Proposed(proposed) => Ok(proposed),
            other => Err(unexpected(&other)),
        }
    }

    /// Begins a session of a built-in protocol; the request's alias is its name.
    ///
    /// # Errors
    /// `NotBuiltIn`, or when the participants have no version of it in common.
    pub async fn start_built_in(&self, request: StartRequest) -> Result<Started, AgentError> {
        match self.request(Command::StartBuiltIn(request)).await? {
            Response::Started(started) => Ok(started),
            other => Err(unexpected(&other)),
        }
    }

    /// Begins a session.
    ///
    /// # Errors
    /// When the participants have no version in common.
    pub async fn start_session(&self, request: StartRequest) -> Result<Started, AgentError> {
        match self.request(Command::StartSession(request)).await? {
            Response::Started(started) => Ok(started),
            other => Err(unexpected(&other)),
        }
    }

    /// Derives the account's key for a purpose, together with as many devices as are needed.
    ///
    /// # Errors
    /// `NoKeys` while the account has none, `NotEnoughDevices`, `NotDerived`.
    pub async fn derive_key(&self, context: &str) -> Result<DerivedKey, AgentError> {
        match self.request(Command::DeriveKey { context: context.to_string() }).await? {
            Response::Key(key) => Ok(key),
            other => Err(unexpected(&other)),
        }
    }

    /// Waits for the first of some conditions: an epoch, an event of a session, events of so many
    /// devices. What was there before counts where a condition names its session; an event that is
    /// there wins over a deadline that has passed.
    ///
    /// # Errors
    /// When the device is stopping.
    pub async fn wait_for(&self, wait: Wait) -> Result<Woken, AgentError> {
        self.world.wait_for(wait).await
    }

    /// What happens from now on. A listener that lags behind is told how much it missed.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<AgentEvent> {
        self.world.events.subscribe()
    }

    /// Resolves when the device has stopped by itself, because its store failed.
    pub async fn failed(&self) -> AgentError {
        let mut failure = self.world.failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(error) => error.clone().unwrap_or_else(unknown_failure),
            Err(_) => unknown_failure(),
        }
    }

    /// Stops: what has been taken is stored, what is under way is delivered, the store is free.
    ///
    /// # Errors
    /// The error by which the device had already stopped itself.
    pub async fn shutdown(mut self) -> Result<(), AgentError> {
        self.tasks.shutdown().await;
        if self.world.inputs.send(Message::Stop).await.is_err() {
            tracing::debug!("the node had stopped before");
        }
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the node's thread ended in a panic");
            }
        }
        self.world.network.close().await;
        let failure = self.world.failure.borrow().clone();
        failure.map_or(Ok(()), Err)
    }
}

impl Drop for DeviceAgent {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.world.abandon();
        // The thread never waits for the runtime, so this takes no longer than one commit; after it the
        // store is free.
        if thread.join().is_err() {
            tracing::error!("the node's thread ended in a panic");
        }
        let world = Arc::clone(&self.world);
        self.world.runtime.spawn(async move { world.network.close().await });
    }
}

fn unknown_failure() -> AgentError {
    AgentError::new("Stopped", "the device has stopped", Whose::Machine, "start it again")
}

fn unexpected(response: &Response) -> AgentError {
    let message = format!("an answer of another kind: {response:?}");
    AgentError::new("Unexpected", message, Whose::Machine, "report this as a bug")
}

/// The contents of the files that a command names.
fn read_files(command: &Command) -> Result<Files, AgentError> {
    let (chain, module, migration) = match command {
        Command::Install(it) => (&it.repository, it.module.as_ref(), None),
        Command::Upgrade(it) => (&it.repository, it.module.as_ref(), None),
        Command::Propose(it) => (&it.repository, it.module.as_ref(), it.migration.as_ref()),
        _ => return Ok(Files::default()),
    };
    let chain: ControlChain = chain_file::read(chain)?;
    let read = |path: Option<&PathBuf>| path.map(|it| read_module(it)).transpose();
    Ok(Files { chain: Some(chain), module: read(module)?, migration: read(migration)? })
}

/// A module's file.
pub(crate) fn read_module(path: &Path) -> Result<Vec<u8>, AgentError> {
    let size = std::fs::metadata(path).map_err(|error| io_error(path, &error))?.len();
    if (MODULE_BYTES_MAX as u64) < size {
        return Err(AgentError::new(
            "SizeMismatch",
            format!("{} has {size} bytes, a module at most {MODULE_BYTES_MAX}", path.display()),
            Whose::Caller,
            "name a module's file",
        ));
    }
    std::fs::read(path).map_err(|error| io_error(path, &error))
}
