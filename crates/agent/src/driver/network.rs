//! Connections to the other devices: who may connect, who is connected, whom to dial.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use aura_journal::sync::{ANSWER_BYTES_MAX, SyncMessage};
use aura_protocol_core::DeviceId;
use aura_transport::{
    Admission, PeerAddr, PeerId, QuicConfig, QuicTransport, Session, Settings, Transport as _,
    TransportError, TransportKey, Verdict, close, protocol::SYNC_V1,
};
use bytes::Bytes;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use crate::{
    driver::{World, links, lock},
    error::{AgentError, Whose},
    node::{Input, Roster},
};

/// Bytes that may wait for one device: a whole answer to its greeting, and as much again that happens
/// meanwhile. One that takes them slower is cut off and syncs again.
const QUEUED_BYTES_MAX: usize = 2 * ANSWER_BYTES_MAX;
/// First and longest pause between two attempts to dial a device.
const REDIAL_FIRST: Duration = Duration::from_millis(250);
const REDIAL_MAX: Duration = Duration::from_secs(5);
/// How often the dialler looks whom to dial.
const DIAL_INTERVAL: Duration = Duration::from_millis(250);

/// The devices that are connected, and those that should be.
pub(crate) struct Network {
    transport: QuicTransport,
    roster: Arc<watch::Sender<Roster>>,
    /// Two devices that dial each other at the same time have two connections; both are heard, the
    /// newest is spoken on.
    links: Mutex<BTreeMap<DeviceId, Vec<Link>>>,
    next_link: AtomicU64,
    order: tokio::sync::Mutex<()>,
}

/// A connection to a device.
struct Link {
    id: u64,
    sends: mpsc::UnboundedSender<Queued>,
    waiting: Arc<AtomicUsize>,
    session: Arc<dyn Session>,
}

/// A frame that waits to be sent, and counts as waiting until it is.
pub(crate) struct Queued {
    frame: Bytes,
    waiting: Arc<AtomicUsize>,
}

impl Queued {
    /// The frame, to be sent now.
    pub(crate) fn frame(&self) -> Bytes {
        self.frame.clone()
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.frame.len(), Ordering::Relaxed);
    }
}

/// Lets the account's devices in, and strangers while an invitation is open.
struct RosterAdmission(Arc<watch::Sender<Roster>>);

impl Admission for RosterAdmission {
    fn admit(&self, peer: PeerId, _protocol: &str) -> Verdict {
        let roster = self.0.borrow();
        if roster.open || roster.devices.iter().any(|it| it.key == *peer.as_bytes()) {
            return Verdict::Allow;
        }
        Verdict::Deny { reason: "not a device of this account".to_string() }
    }
}

impl Network {
    /// Listens on `bind` with the device's transport key, for those in `roster` from the first moment.
    pub(crate) async fn bind(
        seed: [u8; 32],
        bind: SocketAddr,
        roster: Roster,
    ) -> Result<Self, AgentError> {
        let roster = Arc::new(watch::Sender::new(roster));
        let config = QuicConfig {
            key: TransportKey::from_bytes(seed),
            listen: bind,
            protocols: vec![SYNC_V1.to_string()],
            admission: Arc::new(RosterAdmission(Arc::clone(&roster))),
            settings: Settings::default(),
        };
        let transport = QuicTransport::bind(config).await.map_err(|error| bind_error(&error))?;
        let (links, next_link) = (Mutex::new(BTreeMap::new()), AtomicU64::new(0));
        Ok(Self { transport, roster, links, next_link, order: tokio::sync::Mutex::new(()) })
    }

    /// Where other devices can reach this one.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.transport.addr().direct
    }

    /// Dials an address that is not in the roster yet: the inviter's.
    pub(crate) async fn connect(
        &self,
        address: &PeerAddr,
    ) -> Result<Box<dyn Session>, TransportError> {
        self.transport.connect(address, SYNC_V1).await
    }

    /// Ends all connections, after what is under way has been delivered.
    pub(crate) async fn close(&self) {
        self.transport.close().await;
    }

    pub(crate) fn set_roster(&self, roster: Roster) {
        self.roster.send_replace(roster);
    }

    /// The device of the account that has this transport key.
    pub(crate) fn device(&self, peer: PeerId) -> Option<DeviceId> {
        let roster = self.roster.borrow();
        roster.devices.iter().find(|it| it.key == *peer.as_bytes()).map(|it| it.device)
    }

    pub(crate) fn session(&self, device: DeviceId) -> Option<Arc<dyn Session>> {
        lock(&self.links).get(&device)?.last().map(|it| Arc::clone(&it.session))
    }

    /// Sends to a device if it is connected. What cannot be sent now is found by the next hello.
    pub(crate) fn send(&self, to: DeviceId, message: &SyncMessage) {
        let links = lock(&self.links);
        let Some(link) = links.get(&to).and_then(|it| it.last()) else { return };
        let frame = Bytes::from(message.to_bytes());
        let size = frame.len();
        let before = link.waiting.fetch_add(size, Ordering::Relaxed);
        let queued = Queued { frame, waiting: Arc::clone(&link.waiting) };
        if QUEUED_BYTES_MAX < before.saturating_add(size) {
            tracing::warn!("device {} takes messages too slowly, and is cut off", to.short());
            link.session.close(close::APPLICATION_MIN, "too slow");
        } else if link.sends.send(queued).is_err() {
            tracing::debug!("device {} has just gone", to.short());
        }
    }

    pub(crate) fn disconnect(&self, device: DeviceId, reason: &str) {
        for link in lock(&self.links).get(&device).into_iter().flatten() {
            link.session.close(close::APPLICATION_MIN + 1, reason);
        }
    }

    fn add_link(
        &self,
        device: DeviceId,
        session: &Arc<dyn Session>,
    ) -> (u64, mpsc::UnboundedReceiver<Queued>) {
        let (sends, queue) = mpsc::unbounded_channel();
        let id = self.next_link.fetch_add(1, Ordering::Relaxed);
        let (waiting, session) = (Arc::default(), Arc::clone(session));
        let link = Link { id, sends, waiting, session };
        lock(&self.links).entry(device).or_default().push(link);
        (id, queue)
    }

    /// Forgets a link. Says whether it was the last one to the device.
    fn remove_link(&self, device: DeviceId, id: u64) -> bool {
        let mut links = lock(&self.links);
        let Some(of_device) = links.get_mut(&device) else { return false };
        of_device.retain(|it| it.id != id);
        of_device.is_empty() && links.remove(&device).is_some()
    }
}

impl World {
    /// From here on the device can be sent to over this session, and the node knows.
    pub(crate) async fn link_up(
        &self,
        device: DeviceId,
        session: &Arc<dyn Session>,
    ) -> (u64, mpsc::UnboundedReceiver<Queued>) {
        // The node hears of links in the order in which they come and go.
        let _order = self.network.order.lock().await;
        let link = self.network.add_link(device, session);
        tracing::debug!("device {} is connected", device.short());
        self.tell(Input::PeerConnected(device)).await;
        link
    }

    /// The session is over.
    pub(crate) async fn link_down(&self, device: DeviceId, link: u64) {
        let _order = self.network.order.lock().await;
        if self.network.remove_link(device, link) {
            self.tell(Input::PeerGone(device)).await;
        }
    }
}

/// Accepts connections until the transport is closed.
pub(crate) async fn accept(world: Arc<World>) {
    while let Some(session) = world.network.transport.accept().await {
        let (world, session) = (Arc::clone(&world), Arc::from(session));
        tokio::spawn(async move { links::accepted(world, session).await });
    }
}

/// Dials every device of the account that is not connected, again and again.
pub(crate) async fn dial(world: Arc<World>) {
    let attempts: Arc<Mutex<BTreeMap<DeviceId, Attempt>>> = Arc::default();
    let mut interval = tokio::time::interval(DIAL_INTERVAL);
    loop {
        interval.tick().await;
        let roster = world.network.roster.borrow().clone();
        let linked: BTreeSet<DeviceId> = lock(&world.network.links).keys().copied().collect();
        for contact in roster.devices {
            if linked.contains(&contact.device) {
                lock(&attempts).remove(&contact.device);
                continue;
            }
            let direct: Vec<SocketAddr> =
                contact.addresses.iter().filter_map(|it| it.parse().ok()).collect();
            if direct.is_empty() || !begin(&attempts, contact.device) {
                continue;
            }
            let address = PeerAddr::new(PeerId(contact.key), direct);
            let (world, attempts) = (Arc::clone(&world), Arc::clone(&attempts));
            tokio::spawn(async move {
                let connected = world.network.transport.connect(&address, SYNC_V1).await;
                end(&attempts, contact.device);
                match connected {
                    Ok(session) => links::dialled(world, contact.device, Arc::from(session)).await,
                    Err(error) => {
                        tracing::debug!("device {}: {error}", contact.device.short());
                    }
                }
            });
        }
    }
}

/// When a device is dialled again.
struct Attempt {
    under_way: bool,
    pause: Duration,
    next: Instant,
}

fn begin(attempts: &Mutex<BTreeMap<DeviceId, Attempt>>, device: DeviceId) -> bool {
    let mut attempts = lock(attempts);
    let now = Instant::now();
    let attempt = attempts.entry(device).or_insert(Attempt {
        under_way: false,
        pause: REDIAL_FIRST,
        next: now,
    });
    if attempt.under_way || now < attempt.next {
        return false;
    }
    attempt.under_way = true;
    true
}

fn end(attempts: &Mutex<BTreeMap<DeviceId, Attempt>>, device: DeviceId) {
    if let Some(attempt) = lock(attempts).get_mut(&device) {
        attempt.under_way = false;
        attempt.next = Instant::now() + attempt.pause;
        attempt.pause = (attempt.pause * 2).min(REDIAL_MAX);
    }
}

/// Why this device cannot listen, as a person meets it.
pub(crate) fn bind_error(error: &TransportError) -> AgentError {
    match error {
        TransportError::AddressInUse { addr } => AgentError::new(
            "AddressInUse",
            format!("another process listens on {addr}"),
            Whose::Machine,
            "choose another address with --bind, or port 0 for any that is free",
        ),
        other => AgentError::new(
            "CannotListen",
            other,
            Whose::Machine,
            "choose an address of this machine with --bind",
        ),
    }
}
