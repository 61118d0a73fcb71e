//! The network that memory transports share: who is there, how links behave, what was sent.

use std::{
    collections::BTreeMap,
    net::{Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    link::{Link, LinkState, Sent},
    session_state::SessionState,
    transport::MemoryTransport,
};
use crate::{Admission, PeerAddr, PeerId, Result, Session, Settings, TransportError};

/// The port that every simulated peer listens on.
const PORT: u16 = 4433;

/// A simulated network. Cloning gives another handle to the same one.
#[derive(Clone)]
pub struct MemoryNetwork {
    state: Arc<Mutex<State>>,
    /// Counts changes to links, so that whoever waits for an arrival looks again.
    changes: Arc<watch::Sender<u64>>,
}

struct State {
    key: [u8; 32],
    began: Instant,
    default_link: Link,
    links: BTreeMap<(PeerId, PeerId), LinkState>,
    nodes: BTreeMap<PeerId, Node>,
    sessions: Vec<Weak<SessionState>>,
    sessions_made: u64,
    trace: Vec<TraceEvent>,
    trace_hash: blake3::Hasher,
}

/// A transport as the network sees it.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) protocols: Arc<Vec<String>>,
    pub(super) admission: Arc<dyn Admission>,
    pub(super) settings: Arc<Settings>,
    pub(super) arrived: mpsc::Sender<Box<dyn Session>>,
}

/// Something that was put on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceEvent {
    /// Virtual time since the network was made.
    pub at: Duration,
    /// Sender.
    pub from: PeerId,
    /// Receiver.
    pub to: PeerId,
    /// What it was.
    pub kind: TraceKind,
    /// How long the link will take, unless it is cut meanwhile.
    pub transit: Duration,
}

/// What was put on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceKind {
    /// A message of a handshake.
    Handshake,
    /// Bytes on a channel.
    Data {
        /// How many, with their header.
        bytes: usize,
    },
    /// The end of one direction of a channel.
    Finish,
    /// The break of a channel.
    Reset,
    /// The close of a session.
    Close,
    /// The acknowledgement of a finished channel.
    Acknowledge,
}

impl MemoryNetwork {
    /// An empty network whose every delay and loss follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State {
            key: blake3::derive_key("aura-transport memory network v1", &seed.to_le_bytes()),
            began: Instant::now(),
            default_link: Link::default(),
            links: BTreeMap::new(),
            nodes: BTreeMap::new(),
            sessions: Vec::new(),
            sessions_made: 0,
            trace: Vec::new(),
            trace_hash: blake3::Hasher::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), changes: Arc::new(watch::Sender::new(0)) }
    }

    /// Adds a peer. Its address follows from its id, so a peer that comes back has the old one.
    pub fn transport(
        &self,
        id: PeerId,
        protocols: &[&str],
        admission: Arc<dyn Admission>,
        settings: Settings,
    ) -> Result<MemoryTransport> {
        settings.check()?;
        let settings = Arc::new(settings);
        let (arrived, arrivals) = mpsc::channel(settings.handshakes_pending_max);
        let protocols = Arc::new(protocols.iter().map(|it| (*it).to_owned()).collect());
        let node = Node { protocols, admission, settings: settings.clone(), arrived };
        let mut state = self.lock();
        if state.nodes.contains_key(&id) {
            return Err(TransportError::AddressInUse { addr: address_of(id) });
        }
        state.nodes.insert(id, node);
        drop(state);
        Ok(MemoryTransport::new(self.clone(), id, settings, arrivals))
    }

    /// Sets how links behave that were not set themselves.
    pub fn set_default_link(&self, link: Link) {
        self.lock().default_link = link;
    }

    /// Sets how the links between `a` and `b` behave from now on, in both directions.
    pub fn set_link(&self, a: PeerId, b: PeerId, link: Link) {
        let mut state = self.lock();
        state.link(a, b).link = link;
        state.link(b, a).link = link;
    }

    /// Cuts both directions between `a` and `b`. Sessions survive if the cut heals within the idle
    /// timeout.
    pub fn partition(&self, a: PeerId, b: PeerId) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Cuts the direction from `from` to `to` only. A session needs both to live.
    pub fn cut_one_way(&self, from: PeerId, to: PeerId) {
        self.lock().link(from, to).cut(Instant::now());
        self.changes.send_modify(|count| *count += 1);
    }

    /// Mends both directions between `a` and `b`.
    pub fn heal(&self, a: PeerId, b: PeerId) {
        // Sessions that were silent for too long are lost, even if nobody was looking.
        for session in self.sessions() {
            session.settle();
        }
        let mut state = self.lock();
        state.link(a, b).heal(Instant::now());
        state.link(b, a).heal(Instant::now());
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Stops a peer as pulling its plug would: nobody is told, sessions end in silence. A new
    /// transport may then be made under the same id.
    pub fn crash(&self, id: PeerId) {
        self.remove(id);
        self.sessions().iter().for_each(|it| it.crash(id));
    }

    /// Everything put on links so far, in order.
    #[must_use]
    pub fn trace(&self) -> Vec<TraceEvent> {
        self.lock().trace.clone()
    }

    /// Hash of [`trace`](Self::trace): equal runs have equal hashes.
    #[must_use]
    pub fn trace_hash(&self) -> [u8; 32] {
        *self.lock().trace_hash.finalize().as_bytes()
    }

    /// Puts something on the link.
    pub(super) fn send(&self, from: PeerId, to: PeerId, kind: TraceKind) -> Sent {
        let at = Instant::now();
        let mut state = self.lock();
        let key = state.key;
        let link = state.link(from, to);
        link.sent += 1;
        let mut dice = dice(&key, from, to, link.sent);
        let transit = link.link.transit(&mut dice);
        let since = at - state.began;
        state.record(TraceEvent { at: since, from, to, kind, transit });
        Sent { at, transit }
    }

    /// Waits until `message` has crossed the link, however long it is cut.
    pub(super) async fn arrived(&self, from: PeerId, to: PeerId, message: Sent) {
        let mut changes = self.changes();
        loop {
            let arrival = self.arrival(from, to, message);
            if arrival.is_some_and(|at| at <= Instant::now()) {
                return;
            }
            wait(arrival, &mut changes).await;
        }
    }

    /// When `message` arrives, as far as is known now.
    pub(super) fn arrival(&self, from: PeerId, to: PeerId, message: Sent) -> Option<Instant> {
        self.lock().link(from, to).arrival(message)
    }

    /// Since when at least one direction between the two is cut.
    pub(super) fn cut_since(&self, a: PeerId, b: PeerId) -> Option<Instant> {
        let mut state = self.lock();
        let one = state.link(a, b).down_since();
        let other = state.link(b, a).down_since();
        one.into_iter().chain(other).min()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Who listens at one of the addresses and is the one who was meant.
    pub(super) fn node(&self, addr: &PeerAddr) -> Option<Node> {
        let lives_there = addr.direct.contains(&address_of(addr.id));
        self.lock().nodes.get(&addr.id).filter(|_| lives_there).cloned()
    }

    pub(super) fn remove(&self, id: PeerId) {
        self.lock().nodes.remove(&id);
    }

    /// What only the two ends of a new session know.
    pub(super) fn next_binding(&self) -> [u8; 32] {
        let mut state = self.lock();
        state.sessions_made += 1;
        *blake3::keyed_hash(&state.key, &state.sessions_made.to_le_bytes()).as_bytes()
    }

    pub(super) fn register(&self, session: &Arc<SessionState>) {
        self.lock().sessions.push(Arc::downgrade(session));
    }

    /// The sessions that somebody still holds.
    pub(super) fn sessions(&self) -> Vec<Arc<SessionState>> {
        let mut state = self.lock();
        state.sessions.retain(|it| 0 < it.strong_count());
        state.sessions.iter().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn link(&mut self, from: PeerId, to: PeerId) -> &mut LinkState {
        let default_link = self.default_link;
        self.links.entry((from, to)).or_insert_with(|| LinkState::new(default_link))
    }

    fn record(&mut self, event: TraceEvent) {
        self.trace_hash.update(&event.at.as_nanos().to_le_bytes());
        self.trace_hash.update(event.from.as_bytes()).update(event.to.as_bytes());
        let (tag, bytes) = match event.kind {
            TraceKind::Handshake => (0_u8, 0),
            TraceKind::Data { bytes } => (1, bytes),
            TraceKind::Finish => (2, 0),
            TraceKind::Reset => (3, 0),
            TraceKind::Close => (4, 0),
            TraceKind::Acknowledge => (5, 0),
        };
        self.trace_hash.update(&[tag]).update(&(bytes as u64).to_le_bytes());
        self.trace_hash.update(&event.transit.as_nanos().to_le_bytes());
        self.trace.push(event);
    }
}

/// Waits for the given time, or for a change.
pub(super) async fn wait(until: Option<Instant>, changes: &mut watch::Receiver<u64>) {
    let timer = async {
        match until {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = timer => (),
        changed = changes.changed() => if changed.is_err() {
            // The network is gone, so nothing changes any more.
            std::future::pending::<()>().await;
        },
    }
}

/// Where a peer listens: an address of its own in the unique local range.
pub(super) fn address_of(id: PeerId) -> SocketAddr {
    let mut octets = [0; 16];
    octets.iter_mut().zip(id.as_bytes()).for_each(|(octet, byte)| *octet = *byte);
    octets = (u128::from_be_bytes(octets) >> 8 | 0xfd << 120).to_be_bytes();
    SocketAddr::from((Ipv6Addr::from(octets), PORT))
}

/// Randomness for the `count`th message of a link: independent of what other links carry.
fn dice(key: &[u8; 32], from: PeerId, to: PeerId, count: u64) -> impl FnMut() -> u64 {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(from.as_bytes()).update(to.as_bytes()).update(&count.to_le_bytes());
    let mut stream = hasher.finalize_xof();
    move || {
        let mut throw = [0; 8];
        stream.fill(&mut throw);
        u64::from_le_bytes(throw)
    }
}
