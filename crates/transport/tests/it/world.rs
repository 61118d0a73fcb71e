//! The two worlds in which the conformance suite runs, and peers that break the rules in each.

use std::{sync::Arc, time::Duration};

use aura_transport::{
    Admission, AdmitAnyone, Channel, MemoryNetwork, MemoryTransport, PeerAddr, PeerId, QuicConfig,
    QuicTransport, Session, Settings, Transport, TransportError, TransportKey,
    memory::HostileChannel,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use iroh::{
    Endpoint, EndpointAddr, RelayMode, SecretKey, TransportAddr,
    endpoint::{Connection, PortmapperConfig, RecvStream, SendStream, presets},
};

/// What every test speaks.
pub const ECHO: &str = "aura/test/1";

/// Somewhere to put peers.
pub trait World: Send + Sync {
    /// A peer named by a number.
    fn peer_with(
        &self,
        name: u8,
        admission: Arc<dyn Admission>,
        settings: Settings,
    ) -> BoxFuture<'_, Arc<dyn Transport>>;

    /// A peer that dials `to` and then writes what it likes.
    fn hostile<'a>(&'a self, name: u8, to: &'a PeerAddr) -> BoxFuture<'a, Box<dyn Hostile>>;

    /// A peer that admits anyone.
    fn peer(&self, name: u8) -> BoxFuture<'_, Arc<dyn Transport>> {
        self.peer_with(name, Arc::new(AdmitAnyone), quick())
    }
}

/// A session without rules.
pub trait Hostile: Send + Sync {
    /// Opens a channel without framing.
    fn open(&self) -> BoxFuture<'_, Box<dyn Raw>>;
    /// How the session ended, as text.
    fn closed(&self) -> BoxFuture<'_, String>;
}

/// A channel without framing.
pub trait Raw: Send {
    /// Writes bytes as they are; false when they are no longer taken.
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, bool>;
}

/// Settings with which failures are quick. Real time passes in the world of sockets.
pub fn quick() -> Settings {
    Settings {
        idle_timeout: Duration::from_secs(3),
        keep_alive: Duration::from_secs(1),
        connect_timeout: Duration::from_millis(600),
        frame_window: Duration::from_millis(400),
        ..Settings::default()
    }
}

/// The id of the peer with this name, in both worlds.
pub fn id(name: u8) -> PeerId {
    TransportKey::from_bytes([name; 32]).peer_id()
}

/// Fails a test that would hang.
pub async fn within<F: Future>(future: F) -> F::Output {
    match tokio::time::timeout(Duration::from_secs(120), future).await {
        Ok(output) => output,
        Err(_) => panic!("nothing happened for two minutes"),
    }
}

/// Answers every message on every channel of every session with itself.
pub fn spawn_echo(server: Arc<dyn Transport>) {
    tokio::spawn(async move {
        while let Some(session) = server.accept().await {
            tokio::spawn(async move {
                while let Ok(channel) = session.accept().await {
                    tokio::spawn(async move {
                        // A test may end before its echo does; then the channel breaks, and may.
                        if let Err(error) = echo(channel).await {
                            eprintln!("an echo ended: {error}");
                        }
                    });
                }
            });
        }
    });
}

async fn echo(mut channel: Box<dyn Channel>) -> Result<(), TransportError> {
    while let Some(message) = channel.recv().await? {
        channel.send(message).await?;
    }
    channel.finish().await
}

/// Two connected peers: the dialler's session, then the acceptor's, and their transports.
pub struct Pair {
    pub a: Arc<dyn Transport>,
    pub b: Arc<dyn Transport>,
    pub dialled: Box<dyn Session>,
    pub accepted: Box<dyn Session>,
}

/// Connects two new peers.
pub async fn pair(world: &dyn World) -> Pair {
    let (a, b) = (world.peer(1).await, world.peer(2).await);
    let dialled = within(a.connect(&b.addr(), ECHO)).await.unwrap();
    let accepted = within(b.accept()).await.unwrap();
    Pair { a, b, dialled, accepted }
}

/// Real sockets.
pub struct QuicWorld;

/// A peer on loopback.
pub async fn quic_peer(
    name: u8,
    admission: Arc<dyn Admission>,
    settings: Settings,
) -> Arc<QuicTransport> {
    let config = QuicConfig {
        key: TransportKey::from_bytes([name; 32]),
        listen: ([127, 0, 0, 1], 0).into(),
        protocols: vec![ECHO.to_owned()],
        admission,
        settings,
    };
    Arc::new(QuicTransport::bind(config).await.unwrap())
}

impl World for QuicWorld {
    fn peer_with(
        &self,
        name: u8,
        admission: Arc<dyn Admission>,
        settings: Settings,
    ) -> BoxFuture<'_, Arc<dyn Transport>> {
        Box::pin(async move { quic_peer(name, admission, settings).await as Arc<dyn Transport> })
    }

    fn hostile<'a>(&'a self, name: u8, to: &'a PeerAddr) -> BoxFuture<'a, Box<dyn Hostile>> {
        Box::pin(async move {
            let endpoint = Endpoint::builder(presets::Minimal)
                .secret_key(SecretKey::from_bytes(&[name; 32]))
                .relay_mode(RelayMode::Disabled)
                .portmapper_config(PortmapperConfig::Disabled)
                .clear_ip_transports()
                .bind_addr("127.0.0.1:0")
                .unwrap()
                .bind()
                .await
                .unwrap();
            let id = iroh::EndpointId::from_bytes(to.id.as_bytes()).unwrap();
            let addrs = to.direct.iter().copied().map(TransportAddr::Ip);
            let to = EndpointAddr::from_parts(id, addrs);
            let connection = within(endpoint.connect(to, ECHO.as_bytes())).await.unwrap();
            Box::new(HostileQuic { _endpoint: endpoint, connection }) as Box<dyn Hostile>
        })
    }
}

struct HostileQuic {
    _endpoint: Endpoint,
    connection: Connection,
}

impl Hostile for HostileQuic {
    fn open(&self) -> BoxFuture<'_, Box<dyn Raw>> {
        Box::pin(async {
            let (outbound, inbound) = within(self.connection.open_bi()).await.unwrap();
            Box::new(RawQuic { outbound, _inbound: inbound }) as Box<dyn Raw>
        })
    }

    fn closed(&self) -> BoxFuture<'_, String> {
        Box::pin(async { self.connection.closed().await.to_string() })
    }
}

struct RawQuic {
    outbound: SendStream,
    _inbound: RecvStream,
}

impl Raw for RawQuic {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, bool> {
        Box::pin(async move { self.outbound.write_all(bytes).await.is_ok() })
    }
}

/// Virtual time.
pub struct MemoryWorld(pub MemoryNetwork);

impl MemoryWorld {
    pub fn new() -> Self {
        Self(MemoryNetwork::new(42))
    }

    pub fn transport(
        &self,
        name: u8,
        admission: Arc<dyn Admission>,
        settings: Settings,
    ) -> MemoryTransport {
        self.0.transport(id(name), &[ECHO], admission, settings).unwrap()
    }
}

impl World for MemoryWorld {
    fn peer_with(
        &self,
        name: u8,
        admission: Arc<dyn Admission>,
        settings: Settings,
    ) -> BoxFuture<'_, Arc<dyn Transport>> {
        let peer: Arc<dyn Transport> = Arc::new(self.transport(name, admission, settings));
        Box::pin(std::future::ready(peer))
    }

    fn hostile<'a>(&'a self, name: u8, to: &'a PeerAddr) -> BoxFuture<'a, Box<dyn Hostile>> {
        Box::pin(async move {
            let peer = self.transport(name, Arc::new(AdmitAnyone), quick());
            Box::new(within(peer.connect_hostile(to, ECHO)).await.unwrap()) as Box<dyn Hostile>
        })
    }
}

impl Hostile for aura_transport::memory::HostileSession {
    fn open(&self) -> BoxFuture<'_, Box<dyn Raw>> {
        Box::pin(async { Box::new(within(self.open()).await.unwrap()) as Box<dyn Raw> })
    }

    fn closed(&self) -> BoxFuture<'_, String> {
        Box::pin(async { self.session().closed().await.to_string() })
    }
}

impl Raw for HostileChannel {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            for part in bytes.chunks(64 << 10) {
                if self.send_bytes(Bytes::copy_from_slice(part)).await.is_err() {
                    return false;
                }
            }
            true
        })
    }
}
