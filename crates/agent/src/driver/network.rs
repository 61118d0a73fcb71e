//! Connections to the other devices: who may connect, who is connected, whom to dial.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aura_journal::sync::SyncMessage;
use aura_protocol_core::DeviceId;
use aura_transport::{
    Admission, PeerAddr, PeerId, QuicConfig, QuicTransport, Session, Settings, Transport as _,
    TransportError, TransportKey, Verdict, close, protocol::SYNC_V1,
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use crate::{
    driver::{World, links, lock},
    error::{AgentError, Whose},
    node::Roster,
};

/// Messages that may wait for one device. One that takes them slower is cut off and syncs again.
const SENDS_MAX: usize = 1024;
/// First and longest pause between two attempts to dial a device.
const REDIAL_FIRST: Duration = Duration::from_millis(250);
const REDIAL_MAX: Duration = Duration::from_secs(5);
/// How often the dialler looks whom to dial.
const DIAL_INTERVAL: Duration = Duration::from_millis(250);

/// The devices that are connected, and those that should be.
pub(crate) struct Network {
    transport: QuicTransport,
    roster: Arc<watch::Sender<Roster>>,
    links: Mutex<BTreeMap<DeviceId, Link>>,
    next_link: AtomicU64,
}

/// A connection to a device.
pub(crate) struct Link {
    id: u64,
    sends: mpsc::Sender<SyncMessage>,
    session: Arc<dyn Session>,
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
    /// Listens on `bind` with the device's transport key.
    pub(crate) async fn bind(seed: [u8; 32], bind: SocketAddr) -> Result<Self, AgentError> {
        let roster = Arc::new(watch::Sender::new(Roster::default()));
        let config = QuicConfig {
            key: TransportKey::from_bytes(seed),
            listen: bind,
            protocols: vec![SYNC_V1.to_string()],
            admission: Arc::new(RosterAdmission(Arc::clone(&roster))),
            settings: Settings::default(),
        };
        let transport = QuicTransport::bind(config).await.map_err(|error| bind_error(&error))?;
        let (links, next_link) = (Mutex::new(BTreeMap::new()), AtomicU64::new(0));
        Ok(Self { transport, roster, links, next_link })
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
        lock(&self.links).get(&device).map(|it| Arc::clone(&it.session))
    }

    /// Sends to a device if it is connected. What cannot be sent now is found by the next hello.
    pub(crate) fn send(&self, to: DeviceId, message: SyncMessage) {
        let links = lock(&self.links);
        let Some(link) = links.get(&to) else { return };
        if let Err(mpsc::error::TrySendError::Full(_)) = link.sends.try_send(message) {
            tracing::warn!("device {} takes messages too slowly, and is cut off", to.short());
            link.session.close(close::APPLICATION_MIN, "too slow");
        }
    }

    pub(crate) fn disconnect(&self, device: DeviceId, reason: &str) {
        if let Some(link) = lock(&self.links).get(&device) {
            link.session.close(close::APPLICATION_MIN + 1, reason);
        }
    }

    /// Makes a session the one that a device is sent to. The newest wins: an older one is about to be
    /// found dead, or ends by itself.
    pub(crate) fn add_link(
        &self,
        device: DeviceId,
        session: &Arc<dyn Session>,
    ) -> (u64, mpsc::Receiver<SyncMessage>) {
        let (sends, queue) = mpsc::channel(SENDS_MAX);
        let id = self.next_link.fetch_add(1, Ordering::Relaxed);
        lock(&self.links).insert(device, Link { id, sends, session: Arc::clone(session) });
        (id, queue)
    }

    /// Forgets a link, if it is still the one in use. Says whether it was.
    pub(crate) fn remove_link(&self, device: DeviceId, id: u64) -> bool {
        let mut links = lock(&self.links);
        let current = links.get(&device).is_some_and(|it| it.id == id);
        if current {
            links.remove(&device);
        }
        current
    }
}

/// Accepts connections until the transport is closed.
pub(crate) async fn accept(world: Arc<World>) {
    while let Some(session) = world.network.transport.accept().await {
        let (world, session) = (Arc::clone(&world), Arc::from(session));
        tokio::spawn(async move { links::serve(world, session).await });
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
                    Ok(session) => links::open(world, contact.device, Arc::from(session)).await,
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
