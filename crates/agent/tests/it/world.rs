//! Devices in one process, without tokio, network or disk: pure nodes, and a seeded scheduler that
//! carries out what they want done.
//!
//! At every effect the world checks what must hold whatever happens: what is sent was committed before
//! (INV-A1), nothing runs that this device did not prepare (INV-A3), nobody votes twice or signs two
//! units for one place.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aura_agent::{
    AgentError, AgentEvent,
    api::{Command, Response},
    engine::BuiltInProtocols,
    identity::Identity,
    join::JoinRequest,
    node::{Entropy, Files, Input, Node, NodeKeys, RequestId, Roster},
};
use aura_coordination::execution::News;
use aura_crypto::{HpkeSecretKey, SecretKey, seal::StorageKey};
use aura_journal::{
    Ledger, Stored,
    control::{
        CertifiedEntry, Configuration, ControlChain, Entry, EntryBody, Genesis, Phase, Slot,
    },
    sync::SyncMessage,
};
use aura_protocol_core::{DeviceId, Digest, UnixTime, encode};
use aura_testkit::seed::Seeded;
use zeroize::Zeroizing;

use crate::{carry::Job, puppet::Puppet};

/// When every world begins.
pub const BEGIN: UnixTime = UnixTime(1_700_000_000);
/// Events after which a world that does not come to rest is taken for one that never will.
const EVENTS_MAX: usize = 100_000;

/// The identity of the `index`th device; the same in all worlds.
pub fn identity(index: usize) -> Identity {
    let seed = |purpose: &str| {
        let parts: [&[u8]; 2] = [purpose.as_bytes(), &[index as u8]];
        *Digest::tagged("device of a test", &parts).as_bytes()
    };
    Identity {
        name: format!("device-{index}"),
        unit: SecretKey::from_seed(seed("unit")),
        vote: SecretKey::from_seed(seed("vote")),
        hpke: HpkeSecretKey::from_seed(seed("hpke")),
        transport_seed: Zeroizing::new(seed("transport")),
        cache_key: Zeroizing::new(seed("cache")),
    }
}

/// What seals the secrets of the `index`th device.
pub fn storage_key(index: usize) -> [u8; 32] {
    *Digest::of(&[index as u8, 0x5e]).as_bytes()
}

/// The chain of an account of the first `count` devices.
pub fn chain_of(count: usize) -> ControlChain {
    let first = identity(0);
    let genesis = Genesis { nonce: [9; 32], name: "home".to_owned(), first: first.roster_entry() };
    let mut chain = ControlChain::found(genesis, &first.vote).unwrap();
    if 1 < count {
        let entries = (0..count).map(|index| identity(index).roster_entry());
        let body = EntryBody::Reconfigure(Box::new(Configuration::with_defaults(entries)));
        let entry = chain.certify_alone(Entry { past: vec![], body }, &first.vote).unwrap();
        let _appended = chain.append(entry).unwrap();
    }
    chain
}

/// What runs on a device.
pub enum Actor {
    /// Nothing.
    Down,
    /// A node.
    Node(Box<Node>),
    /// A member that does what the test says.
    Puppet(Box<Puppet>),
}

/// When a device loses its power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Before anything of its `n`th commit is stored, counted from here on.
    Before(usize),
    /// When all of it is stored, and nothing that follows is done.
    After(usize),
}

pub struct Device {
    pub identity: Identity,
    pub actor: Actor,
    /// What is on its disk: the ledger, and the bytes of modules.
    pub stored: Stored,
    pub modules: BTreeMap<Digest, Vec<u8>>,
    pub units: BTreeSet<Digest>,
    /// What it prepared since it was started.
    pub prepared: BTreeSet<Digest>,
    pub jobs: Vec<Job>,
    pub roster: Roster,
    pub log: Vec<String>,
    pub events: Vec<AgentEvent>,
    pub news: Vec<News>,
    pub recalled: BTreeMap<RequestId, Vec<News>>,
    pub answers: BTreeMap<RequestId, Result<Response, AgentError>>,
    pub joins: BTreeMap<RequestId, Result<Vec<CertifiedEntry>, AgentError>>,
    pub cut_off: Vec<(DeviceId, String)>,
    pub commits: usize,
    pub crash: Option<Crash>,
    /// Whether its program lacks the built-in protocols of the world.
    pub is_plain: bool,
}

impl Device {
    fn new(identity: Identity, chain: ControlChain) -> Self {
        let mut stored = Stored::default();
        stored.apply(&Ledger::new(chain).take_batch());
        Self {
            identity,
            actor: Actor::Down,
            stored,
            modules: BTreeMap::new(),
            units: BTreeSet::new(),
            prepared: BTreeSet::new(),
            jobs: vec![],
            roster: Roster::default(),
            log: vec![],
            events: vec![],
            news: vec![],
            recalled: BTreeMap::new(),
            answers: BTreeMap::new(),
            joins: BTreeMap::new(),
            cut_off: vec![],
            commits: 0,
            crash: None,
            is_plain: false,
        }
    }

    pub fn id(&self) -> DeviceId {
        self.identity.device()
    }
}

/// Messages from one device to another, in order.
type Queues = BTreeMap<(usize, usize), VecDeque<SyncMessage>>;

pub struct World {
    pub random: Seeded,
    pub now: UnixTime,
    pub devices: Vec<Device>,
    queues: Queues,
    /// Pairs that cannot reach each other.
    cut: BTreeSet<(usize, usize)>,
    /// In how many of a thousand events a connection breaks.
    pub breaks_per_mille: u64,
    /// Whether devices that lost their power are started again, sooner or later.
    pub revives: bool,
    /// A device whose engine comes to other results than everybody else's.
    pub computes_otherwise: Option<usize>,
    /// A device whose engine is busy: no job of it comes to its end.
    pub is_busy: Option<usize>,
    /// How far the clocks of some devices are off, in seconds.
    pub clocks: BTreeMap<usize, i64>,
    /// After how many units devices propose a snapshot of themselves, where it is set.
    pub snapshot_units: BTreeMap<usize, usize>,
    /// Devices that went on from a backup: they may sign two units for one place.
    pub went_back: BTreeSet<usize>,
    /// The protocols that are part of the devices' program.
    pub built_ins: BuiltInProtocols,
    /// Whether devices have key stores.
    pub has_keys: bool,
    /// How often randomness was drawn: no draw is ever repeated, whatever crashes.
    pub draws: u64,
    pub requests: u64,
    /// What was voted, and which unit stands where: neither may ever change.
    pub votes: BTreeMap<(DeviceId, Slot, Phase, u64), Digest>,
    pub places: BTreeMap<(DeviceId, u64), Digest>,
    /// A hash over all effects in order, if somebody wants it: it costs as much as all the rest.
    pub trace: Option<Digest>,
}

impl World {
    /// A running account of `count` devices.
    pub fn new(seed: u64, count: usize) -> Self {
        Self::with_built_ins(seed, count, BuiltInProtocols::default())
    }

    /// A running account of `count` devices whose program has these protocols.
    pub fn with_built_ins(seed: u64, count: usize, built_ins: BuiltInProtocols) -> Self {
        let mut world = Self {
            random: Seeded::new(seed),
            now: BEGIN,
            devices: vec![],
            queues: BTreeMap::new(),
            cut: BTreeSet::new(),
            breaks_per_mille: 0,
            revives: false,
            computes_otherwise: None,
            is_busy: None,
            clocks: BTreeMap::new(),
            snapshot_units: BTreeMap::new(),
            went_back: BTreeSet::new(),
            has_keys: false,
            draws: 0,
            built_ins,
            requests: 0,
            votes: BTreeMap::new(),
            places: BTreeMap::new(),
            trace: None,
        };
        for index in 0..count {
            world.add(identity(index), chain_of(count));
        }
        world
    }

    /// A running account of `count` devices with key stores.
    pub fn with_key_stores(seed: u64, count: usize) -> Self {
        let mut world =
            Self::with_built_ins(seed, 0, BuiltInProtocols::default().with_key_protocols());
        world.has_keys = true;
        for index in 0..count {
            world.add(identity(index), chain_of(count));
        }
        world
    }

    /// Adds a device that has this chain, and starts it.
    pub fn add(&mut self, identity: Identity, chain: ControlChain) -> usize {
        self.devices.push(Device::new(identity, chain));
        let index = self.devices.len() - 1;
        self.start(index);
        index
    }

    /// Starts a device from what is on its disk.
    pub fn start(&mut self, index: usize) {
        let device = &mut self.devices[index];
        assert!(matches!(device.actor, Actor::Down));
        let keys = NodeKeys::of(&device.identity);
        let mut node = Node::restore(device.identity.name.clone(), keys, &device.stored).unwrap();
        if self.has_keys {
            self.draws += 1;
            let life = Entropy::new(*Digest::of(&encode(&("life", self.draws))).as_bytes());
            let storage = StorageKey::from_keyring(storage_key(index));
            node.open_vault(storage, life, &device.stored).unwrap();
        }
        for descriptor in self.built_ins.descriptors().filter(|_| !device.is_plain) {
            node.add_built_in(descriptor);
        }
        if let Some(units) = self.snapshot_units.get(&index) {
            node.set_snapshot_units(*units);
        }
        device.actor = Actor::Node(Box::new(node));
        device.prepared.clear();
        device.roster = Roster::default();
        self.input(index, Input::Tick(self.time_at(index)));
        self.input(
            index,
            Input::Started { addresses: vec![format!("127.0.0.1:{}", 4000 + index)] },
        );
    }

    /// Takes a device's power away.
    pub fn stop(&mut self, index: usize) {
        let device = &mut self.devices[index];
        device.actor = Actor::Down;
        device.jobs.clear();
        device.crash = None;
        for other in 0..self.devices.len() {
            self.disconnect(index, other);
        }
    }

    pub fn is_up(&self, index: usize) -> bool {
        !matches!(self.devices[index].actor, Actor::Down)
    }

    pub fn node(&self, index: usize) -> &Node {
        match &self.devices[index].actor {
            Actor::Node(node) => node,
            _ => panic!("device {index} runs no node"),
        }
    }

    /// The devices that run a node.
    pub fn nodes(&self) -> Vec<usize> {
        let is_node = |index: &usize| matches!(self.devices[*index].actor, Actor::Node(_));
        (0..self.devices.len()).filter(is_node).collect()
    }

    /// Gives a device's node an input, and carries out what it wants at once; the rest is queued.
    pub fn input(&mut self, index: usize, input: Input) {
        let Actor::Node(node) = &mut self.devices[index].actor else { return };
        for effect in node.step(input) {
            if let Some(trace) = &mut self.trace {
                let text = format!("{index} {effect:?}");
                *trace = Digest::tagged("trace", &[trace.as_bytes(), text.as_bytes()]);
            }
            if !self.carry_out(index, effect) {
                return;
            }
        }
    }

    /// Puts a message on its way, if the two are connected.
    pub fn send(&mut self, from: usize, to: DeviceId, message: SyncMessage) {
        self.check_sent(from, &message);
        let Some(to) = self.devices.iter().position(|it| it.id() == to) else { return };
        if let Some(queue) = self.queues.get_mut(&(from, to)) {
            queue.push_back(message);
        }
    }

    fn pair(a: usize, b: usize) -> (usize, usize) {
        (a.min(b), a.max(b))
    }

    /// Keeps two devices apart from here on.
    pub fn cut(&mut self, a: usize, b: usize) {
        self.cut.insert(Self::pair(a, b));
        self.disconnect(a, b);
    }

    /// Lets all reach each other again.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// Breaks a connection: what is under way is lost.
    pub fn disconnect(&mut self, a: usize, b: usize) {
        if self.queues.remove(&(a, b)).is_none() {
            return;
        }
        self.queues.remove(&(b, a));
        self.input(a, Input::PeerGone(self.devices[b].id()));
        self.input(b, Input::PeerGone(self.devices[a].id()));
    }

    pub fn is_connected(&self, a: usize, b: usize) -> bool {
        self.queues.contains_key(&(a, b))
    }

    fn may_connect(&self, a: usize, b: usize) -> bool {
        let knows = |a: usize, b: usize| {
            let key = *self.devices[b].identity.roster_entry().transport_key.as_bytes();
            let contacts = &self.devices[a].roster.devices;
            matches!(self.devices[a].actor, Actor::Puppet(_))
                || contacts.iter().any(|it| it.key == key)
        };
        self.is_up(a)
            && self.is_up(b)
            && !self.is_connected(a, b)
            && !self.cut.contains(&Self::pair(a, b))
            && knows(a, b)
            && knows(b, a)
    }

    fn connect(&mut self, a: usize, b: usize) {
        self.queues.insert((a, b), VecDeque::new());
        self.queues.insert((b, a), VecDeque::new());
        for (here, there) in [(a, b), (b, a)] {
            let peer = self.devices[there].id();
            match &self.devices[here].actor {
                Actor::Puppet(puppet) => {
                    let hello = puppet.hello();
                    self.send(here, peer, hello);
                }
                _ => self.input(here, Input::PeerConnected(peer)),
            }
        }
    }

    /// One thing that may happen next, drawn at random. False when nothing can.
    pub fn happen(&mut self) -> bool {
        let count = self.devices.len();
        if self.random.below(1000) < self.breaks_per_mille {
            let (a, b) = (self.random.below(count as u64), self.random.below(count as u64));
            self.disconnect(a as usize, b as usize);
        }
        let mut open: Vec<Open> = vec![];
        for a in 0..count {
            if self.revives && !self.is_up(a) {
                open.push(Open::Start(a));
            }
            let jobs = if self.is_busy == Some(a) { 0 } else { self.devices[a].jobs.len() };
            open.extend((0..jobs).map(|job| Open::Job(a, job)));
            for b in 0..count {
                if self.queues.get(&(a, b)).is_some_and(|it| !it.is_empty()) {
                    open.push(Open::Deliver(a, b));
                }
                if a < b && self.may_connect(a, b) {
                    open.push(Open::Connect(a, b));
                }
            }
        }
        match self.random.pick(&open) {
            None => false,
            Some(next) => {
                self.take(*next);
                true
            }
        }
    }

    fn take(&mut self, next: Open) {
        match next {
            Open::Start(index) => self.start(index),
            Open::Connect(a, b) => self.connect(a, b),
            Open::Job(device, job) => {
                let job = self.devices[device].jobs.remove(job);
                self.finish(device, job);
            }
            Open::Deliver(from, to) => {
                let message = self.queues.get_mut(&(from, to)).and_then(VecDeque::pop_front);
                self.deliver(from, to, message.unwrap());
            }
        }
    }

    fn deliver(&mut self, from: usize, to: usize, message: SyncMessage) {
        let peer = self.devices[from].id();
        if let Actor::Puppet(puppet) = &mut self.devices[to].actor {
            let answers = puppet.receive(message);
            for answer in answers {
                self.send(to, peer, answer);
            }
        } else {
            // What goes over the wire is bytes.
            let message = SyncMessage::from_bytes(&message.to_bytes()).unwrap();
            self.input(to, Input::PeerMessage { from: peer, message });
        }
    }

    /// Lets a second pass everywhere.
    pub fn tick(&mut self) {
        self.now = self.now.saturating_add(1);
        for index in self.nodes() {
            self.input(index, Input::Tick(self.time_at(index)));
        }
    }

    /// What the system's clock says at a device.
    pub fn time_at(&self, index: usize) -> UnixTime {
        let off = self.clocks.get(&index).copied().unwrap_or(0);
        UnixTime(self.now.0.saturating_add_signed(off))
    }

    /// Lets things happen until nothing more does, and for `seconds` after.
    pub fn settle(&mut self, seconds: u64) {
        let mut events = 0;
        for _ in 0..=seconds {
            while self.happen() {
                events += 1;
                assert!(events < EVENTS_MAX, "the world does not come to rest");
            }
            self.tick();
        }
        while self.happen() {}
    }

    /// Lets things happen until `met`, which must be within `seconds`.
    #[track_caller]
    pub fn until(&mut self, seconds: u64, what: &str, met: impl Fn(&Self) -> bool) {
        let end = self.now.saturating_add(seconds);
        let mut events = 0;
        while !met(self) {
            events += 1;
            assert!(events < EVENTS_MAX, "not before the world has no end: {what}");
            if !self.happen() {
                assert!(self.now < end, "not in {seconds} seconds: {what}");
                self.tick();
            }
        }
    }

    /// Gives a command, without waiting for the answer.
    pub fn command(&mut self, index: usize, command: Command, files: Files) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&self.random.next_u64().to_le_bytes());
        self.input(index, Input::Command { id, command, files: Box::new(files), entropy });
        id
    }

    /// Gives a command, and lets things happen until it is answered.
    #[track_caller]
    pub fn ask(
        &mut self,
        index: usize,
        command: Command,
        files: Files,
    ) -> Result<Response, AgentError> {
        let what = format!("device {index} answers {command:?}");
        let id = self.command(index, command, files);
        self.until(120, &what, |world| world.devices[index].answers.contains_key(&id));
        self.devices[index].answers.remove(&id).unwrap()
    }

    /// Asks a device to let another one in.
    pub fn join(&mut self, index: usize, request: JoinRequest) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.input(index, Input::Join { id, request: Box::new(request) });
        id
    }
}

/// What may happen next.
#[derive(Clone, Copy)]
enum Open {
    Start(usize),
    Connect(usize, usize),
    Deliver(usize, usize),
    Job(usize, usize),
}
