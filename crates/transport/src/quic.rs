//! The production transport: iroh's QUIC, dialled by key. Only this module names iroh.
//!
//! Relays, port mapping and discovery are off: no third party is contacted, and a machine without a
//! network starts at once. That is also why nothing here awaits `Endpoint::online`, which would
//! never return.

mod convert;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use iroh::{
    Endpoint, EndpointAddr, EndpointId, RelayMode, SecretKey, TransportAddr,
    endpoint::{
        Connection, ConnectionError, Incoming, PortmapperConfig, RecvStream, SendStream, presets,
    },
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};

use self::convert::{
    bind_error, check_protocols, connect_error, quic_settings, read_error, session_error,
    write_error,
};
use crate::{
    Admission, Channel, PeerAddr, PeerId, Result, Session, Settings, Transport, TransportError,
    TransportKey, Verdict, close,
    delivery::Deliveries,
    frame::{self, ChunkSource, FrameReader},
};

/// How long a closing transport waits for its last packets to leave. They do so at once; a peer that
/// misses them notices by its idle timeout.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(250);

/// Label of the exporter behind [`Session::binding`]. Changing it invalidates every bound ticket.
const BINDING_LABEL: &[u8] = b"EXPORTER-aura-session-binding-v1";

impl TransportKey {
    /// The public half: what peers dial and the roster names.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        PeerId(*SecretKey::from_bytes(self.seed()).public().as_bytes())
    }
}

/// Everything that [`QuicTransport::bind`] needs.
pub struct QuicConfig {
    /// Proves who we are.
    pub key: TransportKey,
    /// Where to listen. Port 0 picks a free one; see [`Transport::addr`].
    pub listen: SocketAddr,
    /// What may be spoken with us, such as [`protocol::SYNC_V1`](crate::protocol::SYNC_V1).
    pub protocols: Vec<String>,
    /// Who may speak it.
    pub admission: Arc<dyn Admission>,
    /// Limits and deadlines.
    pub settings: Settings,
}

/// A [`Transport`] over real UDP sockets.
pub struct QuicTransport {
    endpoint: Endpoint,
    sessions: Arc<Sessions>,
    settings: Arc<Settings>,
    arrivals: tokio::sync::Mutex<mpsc::Receiver<Box<dyn Session>>>,
}

impl QuicTransport {
    /// Listens. Must be called within a tokio runtime.
    pub async fn bind(config: QuicConfig) -> Result<Self> {
        config.settings.check()?;
        check_protocols(&config.protocols)?;
        let listen = config.listen;
        let endpoint = Endpoint::builder(presets::Minimal)
            .secret_key(SecretKey::from_bytes(config.key.seed()))
            .alpns(config.protocols.iter().map(|it| it.as_bytes().to_vec()).collect())
            .relay_mode(RelayMode::Disabled)
            .portmapper_config(PortmapperConfig::Disabled)
            .transport_config(quic_settings(&config.settings)?)
            .clear_ip_transports()
            .bind_addr(listen)
            .map_err(|error| TransportError::Bind { addr: listen, reason: error.to_string() })?
            .bind()
            .await
            .map_err(|error| bind_error(listen, error))?;
        let settings = Arc::new(config.settings);
        let sessions = Arc::new(Sessions::default());
        let (arrived, arrivals) = mpsc::channel(settings.handshakes_pending_max);
        let door = Door {
            admission: config.admission,
            sessions: sessions.clone(),
            settings: settings.clone(),
            arrived,
        };
        tokio::spawn(listen_on(endpoint.clone(), Arc::new(door)));
        Ok(Self { endpoint, sessions, settings, arrivals: tokio::sync::Mutex::new(arrivals) })
    }

    async fn dial(&self, to: &PeerAddr, protocol: &str) -> Result<Connection> {
        let unreachable = |reason: String| TransportError::Unreachable { peer: to.id, reason };
        if self.endpoint.is_closed() {
            return Err(TransportError::Shutdown);
        }
        let id =
            EndpointId::from_bytes(&to.id.0).map_err(|error| unreachable(error.to_string()))?;
        let addr = to.direct.iter().copied().map(TransportAddr::Ip);
        let attempt =
            self.endpoint.connect(EndpointAddr::from_parts(id, addr), protocol.as_bytes());
        match timeout(self.settings.connect_timeout, attempt).await {
            Err(_) => Err(unreachable("nobody with this key answered in time".to_owned())),
            Ok(Err(error)) => Err(connect_error(to.id, protocol, error)),
            Ok(Ok(connection)) => Ok(connection),
        }
    }
}

impl Transport for QuicTransport {
    fn id(&self) -> PeerId {
        PeerId(*self.endpoint.id().as_bytes())
    }

    fn addr(&self) -> PeerAddr {
        let mut direct: Vec<_> = self.endpoint.addr().ip_addrs().copied().collect();
        let sockets = self.endpoint.bound_sockets();
        direct.extend(sockets.into_iter().filter(|it| !it.ip().is_unspecified()));
        direct.sort_unstable();
        direct.dedup();
        direct.truncate(crate::peer::DIRECT_ADDRS_MAX);
        PeerAddr::new(self.id(), direct)
    }

    fn connect<'a>(
        &'a self,
        to: &'a PeerAddr,
        protocol: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Session>>> {
        Box::pin(async move {
            let connection = self.dial(to, protocol).await?;
            let session = QuicSession::new(connection, self.settings.clone());
            self.sessions.add_outbound(&session);
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    fn accept(&self) -> BoxFuture<'_, Option<Box<dyn Session>>> {
        Box::pin(async { self.arrivals.lock().await.recv().await })
    }

    fn network_changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.endpoint.network_change())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let live = self.sessions.with_live(|live| live.clone());
            let live: Vec<_> = live.iter().filter_map(|it| it.wire.upgrade()).collect();
            let settled = join_all(live.iter().map(|it| it.deliveries.settled()));
            if timeout(self.settings.close_timeout, settled).await.is_err() {
                tracing::warn!("closing although peers have not acknowledged everything");
            }
            for wire in live {
                wire.close(close::SHUTDOWN, "transport shut down");
            }
            // What the endpoint waits for now is its own: attempts to dial, and the time after
            // which no stray packet of a closed connection can arrive any more.
            if timeout(DRAIN_TIMEOUT, self.endpoint.close()).await.is_err() {
                tracing::debug!("the endpoint is left to drain by itself");
            }
        })
    }
}

/// Accepts handshakes for as long as the endpoint lives, each in a task of its own, so that a slow
/// dialler delays nobody else.
async fn listen_on(endpoint: Endpoint, door: Arc<Door>) {
    let pending_max = door.settings.handshakes_pending_max;
    let pending = Arc::new(Semaphore::new(pending_max));
    while let Some(incoming) = endpoint.accept().await {
        let Ok(permit) = pending.clone().try_acquire_owned() else {
            tracing::warn!(from = ?incoming.remote_addr(), "refused: too many handshakes");
            incoming.refuse();
            continue;
        };
        // Under pressure a dialler first proves that it receives at the address it claims.
        let is_pressed = pending.available_permits() <= pending_max / 2;
        if is_pressed && !incoming.remote_addr_validated() {
            if let Err(error) = incoming.retry() {
                tracing::debug!(%error, "could not ask for an address proof");
            }
            continue;
        }
        let door = door.clone();
        tokio::spawn(async move {
            door.enter(incoming).await;
            drop(permit);
        });
    }
}

/// What stands between an inbound packet and an accepted session.
struct Door {
    admission: Arc<dyn Admission>,
    sessions: Arc<Sessions>,
    settings: Arc<Settings>,
    arrived: mpsc::Sender<Box<dyn Session>>,
}

impl Door {
    async fn enter(&self, incoming: Incoming) {
        let connection = match timeout(self.settings.handshake_timeout, incoming).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return tracing::debug!(%error, "inbound handshake failed"),
            Err(_) => return tracing::debug!("inbound handshake took too long"),
        };
        let session = QuicSession::new(connection, self.settings.clone());
        let (peer, protocol) = (session.peer(), session.protocol());
        if let Verdict::Deny { reason } = self.admission.admit(peer, protocol) {
            tracing::warn!(%peer, protocol, reason, "admission denied");
            return session.close(close::DENIED, &reason);
        }
        if let Err(reason) = self.sessions.add_inbound(&session, &self.settings) {
            tracing::warn!(%peer, protocol, reason, "session refused");
            return session.close(close::BUSY, reason);
        }
        if self.arrived.send(Box::new(session)).await.is_err() {
            tracing::debug!(%peer, "session dropped: the transport is shut down");
        }
    }
}

/// The open sessions of one transport, to bound them and to end them properly.
#[derive(Default)]
struct Sessions {
    live: Mutex<Vec<LiveSession>>,
}

#[derive(Clone)]
struct LiveSession {
    inbound: bool,
    wire: Weak<Wire>,
}

impl Sessions {
    fn add_outbound(&self, session: &QuicSession) {
        self.with_live(|live| live.push(session.as_live(false)));
    }

    fn add_inbound(
        &self,
        session: &QuicSession,
        settings: &Settings,
    ) -> std::result::Result<(), &'static str> {
        self.with_live(|live| {
            let inbound = || live.iter().filter(|it| it.inbound).filter_map(|it| it.wire.upgrade());
            if settings.sessions_max <= inbound().count() {
                return Err("too many sessions");
            }
            let of_peer = inbound().filter(|it| it.peer() == session.peer()).count();
            if settings.sessions_per_peer_max <= of_peer {
                return Err("too many sessions of this peer");
            }
            live.push(session.as_live(true));
            Ok(())
        })
    }

    fn with_live<T>(&self, act: impl FnOnce(&mut Vec<LiveSession>) -> T) -> T {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|it| it.wire.upgrade().is_some_and(|it| it.is_open()));
        act(&mut live)
    }
}

/// A connection, shared by its session, its channels and whatever of them is still undelivered.
struct Wire {
    connection: Connection,
    /// Set by the first close of ours. The QUIC stack forgets who closed when its endpoint stops.
    closed_here: AtomicBool,
    deliveries: Deliveries,
    settings: Arc<Settings>,
}

impl Wire {
    fn peer(&self) -> PeerId {
        PeerId(*self.connection.remote_id().as_bytes())
    }

    fn is_open(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    fn close(&self, code: u32, reason: &str) {
        if self.is_open() {
            self.closed_here.store(true, Ordering::Relaxed);
            self.connection.close(code.into(), close::printable(reason.as_bytes()).as_bytes());
        }
    }

    /// The error as this side knows it.
    fn error(&self, error: TransportError) -> TransportError {
        match error {
            TransportError::Lost { .. } if self.closed_here.load(Ordering::Relaxed) => {
                TransportError::ClosedLocally
            }
            other => other,
        }
    }

    async fn closed(&self) -> TransportError {
        self.error(session_error(self.connection.closed().await))
    }
}

struct QuicSession {
    wire: Arc<Wire>,
    protocol: String,
}

impl QuicSession {
    fn new(connection: Connection, settings: Arc<Settings>) -> Self {
        let protocol = String::from_utf8_lossy(connection.alpn()).into_owned();
        let (closed_here, deliveries) = (AtomicBool::new(false), Deliveries::new());
        Self { wire: Arc::new(Wire { connection, closed_here, deliveries, settings }), protocol }
    }

    fn as_live(&self, inbound: bool) -> LiveSession {
        LiveSession { inbound, wire: Arc::downgrade(&self.wire) }
    }

    fn channel(
        &self,
        streams: std::result::Result<(SendStream, RecvStream), ConnectionError>,
    ) -> Result<Box<dyn Channel>> {
        let (outbound, inbound) = streams.map_err(|it| self.wire.error(session_error(it)))?;
        Ok(Box::new(QuicChannel {
            wire: self.wire.clone(),
            outbound,
            inbound: Inbound(inbound),
            reader: FrameReader::new(&self.wire.settings),
            outbox: [Bytes::new(), Bytes::new()],
            finished: false,
        }))
    }
}

impl Session for QuicSession {
    fn peer(&self) -> PeerId {
        self.wire.peer()
    }

    fn protocol(&self) -> &str {
        &self.protocol
    }

    fn binding(&self) -> Result<[u8; 32]> {
        let mut binding = [0; 32];
        self.wire
            .connection
            .export_keying_material(&mut binding, BINDING_LABEL, b"")
            .map_err(|_| TransportError::Lost { reason: "no keys to export".to_owned() })?;
        Ok(binding)
    }

    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Channel>>> {
        Box::pin(async { self.channel(self.wire.connection.open_bi().await) })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Box<dyn Channel>>> {
        Box::pin(async { self.channel(self.wire.connection.accept_bi().await) })
    }

    fn delivered(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            tokio::select! {
                biased;
                error = self.wire.closed() => Err(error),
                () = self.wire.deliveries.settled() => Ok(()),
            }
        })
    }

    fn close(&self, code: u32, reason: &str) {
        self.wire.close(code, reason);
    }

    fn closed(&self) -> BoxFuture<'_, TransportError> {
        Box::pin(self.wire.closed())
    }
}

struct QuicChannel {
    wire: Arc<Wire>,
    outbound: SendStream,
    inbound: Inbound,
    reader: FrameReader,
    /// The message under way: header and body. What was written is taken out, so a cancelled send
    /// leaves the rest here, and the next call completes it before anything else.
    outbox: [Bytes; 2],
    finished: bool,
}

impl QuicChannel {
    async fn flush(&mut self) -> Result<()> {
        while self.outbox.iter().any(|it| !it.is_empty()) {
            let mut rest = &mut self.outbox[..];
            let written = self.outbound.write_many_chunks(&mut rest).await;
            written.map_err(|error| self.wire.error(write_error(error)))?;
        }
        Ok(())
    }

    /// A false length is never honest, so it ends the session; a stall may be, and ends the channel.
    fn cut_off(&mut self, error: &TransportError) {
        match error {
            TransportError::PeerFrameTooBig { .. } => {
                tracing::warn!(peer = %self.wire.peer(), %error, "session closed");
                self.wire.close(close::VIOLATION, &error.to_string());
            }
            TransportError::FrameStalled { .. } => {
                tracing::warn!(peer = %self.wire.peer(), %error, "channel stopped");
                if self.inbound.0.stop(close::STALLED.into()).is_err() {
                    tracing::trace!("a stalled channel had already ended");
                }
            }
            _ => (),
        }
    }
}

impl Channel for QuicChannel {
    fn send(&mut self, message: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let header = frame::header(&message)?;
            if self.finished {
                return Err(TransportError::Finished);
            }
            self.flush().await?;
            self.outbox = [Bytes::copy_from_slice(&header), message];
            self.flush().await
        })
    }

    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(async {
            let outcome = self.reader.next(&mut self.inbound).await;
            outcome.map_err(|error| {
                self.cut_off(&error);
                self.wire.error(error)
            })
        })
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            if self.finished {
                return Ok(());
            }
            self.flush().await?;
            if self.outbound.finish().is_err() {
                return Err(TransportError::Finished);
            }
            self.finished = true;
            let (acknowledged, wire) = (self.outbound.stopped(), self.wire.clone());
            self.wire.deliveries.track(async move {
                if let Err(error) = acknowledged.await {
                    tracing::debug!(%error, "a finished channel was not acknowledged");
                }
                drop(wire);
            });
            Ok(())
        })
    }
}

impl Drop for QuicChannel {
    /// Without this a dropped stream would look like a finished one.
    fn drop(&mut self) {
        if !self.finished && self.outbound.reset(close::ABANDONED.into()).is_err() {
            tracing::trace!("an abandoned channel had already ended");
        }
    }
}

struct Inbound(RecvStream);

impl ChunkSource for Inbound {
    async fn read_chunk(&mut self, bytes_max: usize) -> Result<Option<Bytes>> {
        self.0.read_chunk(bytes_max).await.map_err(read_error)
    }
}
