//! A peer of the simulated network.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures::future::{BoxFuture, join_all};
use tokio::{sync::mpsc, time::timeout};

use super::{
    hostile::HostileSession,
    network::{MemoryNetwork, Node, TraceKind, address_of},
    session::{self, MemorySession},
    session_state::{Pair, SessionState, Side},
};
use crate::{
    PeerAddr, PeerId, Result, Session, Settings, Transport, TransportError, Verdict, close,
};

/// A [`Transport`] on a [`MemoryNetwork`]; made by [`MemoryNetwork::transport`].
pub struct MemoryTransport {
    network: MemoryNetwork,
    id: PeerId,
    settings: Arc<Settings>,
    arrivals: tokio::sync::Mutex<mpsc::Receiver<Box<dyn Session>>>,
    is_shut: AtomicBool,
}

impl MemoryTransport {
    pub(super) fn new(
        network: MemoryNetwork,
        id: PeerId,
        settings: Arc<Settings>,
        arrivals: mpsc::Receiver<Box<dyn Session>>,
    ) -> Self {
        let arrivals = tokio::sync::Mutex::new(arrivals);
        Self { network, id, settings, arrivals, is_shut: AtomicBool::new(false) }
    }

    /// Dials as a peer that may then break every rule.
    pub async fn connect_hostile(&self, to: &PeerAddr, protocol: &str) -> Result<HostileSession> {
        Ok(HostileSession::new(self.dial(to, protocol).await?))
    }

    async fn dial(&self, to: &PeerAddr, protocol: &str) -> Result<MemorySession> {
        if self.is_shut.load(Ordering::Relaxed) {
            return Err(TransportError::Shutdown);
        }
        let unreachable =
            |reason: &str| TransportError::Unreachable { peer: to.id, reason: reason.to_owned() };
        if to.id == self.id {
            return Err(unreachable("this is us"));
        }
        let handshake = self.handshake(to);
        let Ok(node) = timeout(self.settings.connect_timeout, handshake).await else {
            return Err(unreachable("nobody with this key answered in time"));
        };
        if !node.protocols.iter().any(|it| it == protocol) {
            return Err(TransportError::NoProtocol { peer: to.id, protocol: protocol.to_owned() });
        }
        let peers = Pair { dialler: self.id, acceptor: to.id };
        let settings = Pair { dialler: self.settings.clone(), acceptor: node.settings.clone() };
        let state = SessionState::new(&self.network, protocol, peers, settings);
        let (ours, theirs) = session::pair(&state);
        self.enter(&node, theirs);
        Ok(ours)
    }

    /// There and back. Whoever is not there, or is somebody else, just never answers.
    async fn handshake(&self, to: &PeerAddr) -> Node {
        let hello = self.network.send(self.id, to.id, TraceKind::Handshake);
        self.network.arrived(self.id, to.id, hello).await;
        let Some(node) = self.network.node(to) else { return std::future::pending().await };
        let answer = self.network.send(to.id, self.id, TraceKind::Handshake);
        self.network.arrived(to.id, self.id, answer).await;
        node
    }

    /// What the dialled peer does with the new session.
    fn enter(&self, node: &Node, session: MemorySession) {
        if let Verdict::Deny { reason } = node.admission.admit(self.id, session.protocol()) {
            return session.close(close::DENIED, &reason);
        }
        if let Some(reason) = self.refusal(node, session.state()) {
            return session.close(close::BUSY, reason);
        }
        if let Err(refused) = node.arrived.try_send(Box::new(session)) {
            refused.into_inner().close(close::BUSY, "too many handshakes");
        }
    }

    fn refusal(&self, node: &Node, session: &Arc<SessionState>) -> Option<&'static str> {
        let mut inbound = self.network.sessions();
        inbound.retain(|it| {
            it.peers.acceptor == session.peers.acceptor
                && !Arc::ptr_eq(it, session)
                && it.ended(Side::Acceptor).is_none()
        });
        if node.settings.sessions_max <= inbound.len() {
            return Some("too many sessions");
        }
        inbound.retain(|it| it.peers.dialler == self.id);
        let too_many = node.settings.sessions_per_peer_max <= inbound.len();
        too_many.then_some("too many sessions of this peer")
    }

    /// Our sessions, with the side on which we are.
    fn sessions(&self) -> Vec<(Arc<SessionState>, Side)> {
        let both = |state: Arc<SessionState>| {
            [Side::Dialler, Side::Acceptor].map(|side| (state.clone(), side))
        };
        let mut sessions: Vec<_> = self.network.sessions().into_iter().flat_map(both).collect();
        sessions.retain(|(it, side)| *it.peers.of(*side) == self.id && it.ended(*side).is_none());
        sessions
    }
}

impl Transport for MemoryTransport {
    fn id(&self) -> PeerId {
        self.id
    }

    fn addr(&self) -> PeerAddr {
        PeerAddr::new(self.id, vec![address_of(self.id)])
    }

    fn connect<'a>(
        &'a self,
        to: &'a PeerAddr,
        protocol: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Session>>> {
        Box::pin(async move { Ok(Box::new(self.dial(to, protocol).await?) as Box<dyn Session>) })
    }

    fn accept(&self) -> BoxFuture<'_, Option<Box<dyn Session>>> {
        Box::pin(async { self.arrivals.lock().await.recv().await })
    }

    fn network_changed(&self) -> BoxFuture<'_, ()> {
        // Links of the simulation change by themselves; there is no interface to look at.
        Box::pin(std::future::ready(()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let sessions = self.sessions();
            let settled =
                join_all(sessions.iter().map(|(it, side)| it.deliveries.of(*side).settled()));
            if timeout(self.settings.close_timeout, settled).await.is_err() {
                tracing::warn!("closing although peers have not acknowledged everything");
            }
            self.is_shut.store(true, Ordering::Relaxed);
            self.network.remove(self.id);
            for (session, side) in self.sessions() {
                session.close(side, close::SHUTDOWN, "transport shut down");
            }
        })
    }
}
