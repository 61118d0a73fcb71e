//! What both ends of a simulated session share: who they are, and how the session ended for each.

use std::sync::Arc;

use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

use super::{
    link::Sent,
    network::{MemoryNetwork, TraceKind, wait},
};
use crate::{PeerId, Settings, TransportError, close, delivery::Deliveries};

/// One end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Dialler,
    Acceptor,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Acceptor,
            Self::Acceptor => Self::Dialler,
        }
    }
}

/// One thing for each end.
#[derive(Debug, Clone, Default)]
pub(super) struct Pair<T> {
    pub(super) dialler: T,
    pub(super) acceptor: T,
}

impl<T> Pair<T> {
    pub(super) fn of(&self, side: Side) -> &T {
        match side {
            Side::Dialler => &self.dialler,
            Side::Acceptor => &self.acceptor,
        }
    }

    fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Dialler => &mut self.dialler,
            Side::Acceptor => &mut self.acceptor,
        }
    }
}

/// Shared by both ends and all channels.
pub(super) struct SessionState {
    pub(super) network: MemoryNetwork,
    pub(super) protocol: String,
    pub(super) binding: [u8; 32],
    pub(super) peers: Pair<PeerId>,
    pub(super) settings: Pair<Arc<Settings>>,
    /// Channels that each end may still open: the other's `channels_max`.
    pub(super) channel_slots: Pair<Arc<Semaphore>>,
    /// Bytes that each end may still send: the other's `session_window_bytes`.
    pub(super) windows: Pair<Arc<Semaphore>>,
    /// Channels that each end finished and the other has not acknowledged.
    pub(super) deliveries: Pair<Deliveries>,
    ending: watch::Sender<Ending>,
}

/// How a session ends.
#[derive(Debug, Default)]
struct Ending {
    /// The end as each side knows it. The first is final.
    known: Pair<Option<TransportError>>,
    /// The close that each side sent.
    notice: Pair<Option<Notice>>,
    /// When a peer was unplugged.
    silent_since: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Notice {
    code: u32,
    reason: String,
    sent: Sent,
}

impl SessionState {
    pub(super) fn new(
        network: &MemoryNetwork,
        protocol: &str,
        peers: Pair<PeerId>,
        settings: Pair<Arc<Settings>>,
    ) -> Arc<Self> {
        let binding = network.next_binding();
        let slots = |of: &Settings| Arc::new(Semaphore::new(of.channels_max as usize));
        let window = |of: &Settings| Arc::new(Semaphore::new(of.session_window_bytes as usize));
        let state = Arc::new(Self {
            network: network.clone(),
            protocol: protocol.to_owned(),
            binding,
            channel_slots: Pair {
                dialler: slots(&settings.acceptor),
                acceptor: slots(&settings.dialler),
            },
            windows: Pair {
                dialler: window(&settings.acceptor),
                acceptor: window(&settings.dialler),
            },
            peers,
            settings,
            deliveries: Pair { dialler: Deliveries::new(), acceptor: Deliveries::new() },
            ending: watch::Sender::new(Ending::default()),
        });
        network.register(&state);
        state
    }

    /// Puts something on the link away from `side`.
    pub(super) fn send(&self, side: Side, kind: TraceKind) -> Sent {
        self.network.send(*self.peers.of(side), *self.peers.of(side.other()), kind)
    }

    /// When something sent by `side` arrives, as far as is known now.
    pub(super) fn arrival(&self, side: Side, message: Sent) -> Option<Instant> {
        self.network.arrival(*self.peers.of(side), *self.peers.of(side.other()), message)
    }

    /// Waits until something sent by `side` has arrived.
    pub(super) async fn arrived(&self, side: Side, message: Sent) {
        self.network.arrived(*self.peers.of(side), *self.peers.of(side.other()), message).await;
    }

    /// Closes the session for `side` and tells the other, unless it has ended already.
    pub(super) fn close(&self, side: Side, code: u32, reason: &str) {
        if self.ended(side).is_some() {
            return;
        }
        let sent = self.send(side, TraceKind::Close);
        let reason = close::printable(reason.as_bytes());
        self.ending.send_modify(|it| {
            *it.known.of_mut(side) = Some(TransportError::ClosedLocally);
            *it.notice.of_mut(side) = Some(Notice { code, reason, sent });
        });
    }

    /// Ends the session for an unplugged peer at once, and for the other by silence.
    pub(super) fn crash(&self, id: PeerId) {
        for side in [Side::Dialler, Side::Acceptor] {
            if *self.peers.of(side) == id && self.ended(side).is_none() {
                self.ending.send_modify(|it| {
                    *it.known.of_mut(side) = Some(lost("this peer was stopped"));
                    it.silent_since.get_or_insert_with(Instant::now);
                });
            }
        }
    }

    /// How the session ended for `side`, if it has by now.
    pub(super) fn ended(&self, side: Side) -> Option<TransportError> {
        self.settle();
        self.ending.borrow().known.of(side).clone()
    }

    /// Resolves when the session has ended for `side`.
    pub(super) async fn broken(&self, side: Side) -> TransportError {
        let (mut endings, mut changes) = (self.ending.subscribe(), self.network.changes());
        loop {
            endings.mark_unchanged();
            let next = self.settle();
            if let Some(error) = self.ending.borrow().known.of(side).clone() {
                return error;
            }
            tokio::select! {
                biased;
                changed = endings.changed() => if changed.is_err() {
                    return lost("the session is gone");
                },
                () = wait(next, &mut changes) => (),
            }
        }
    }

    /// Writes down what time has brought about; says when to look again.
    pub(super) fn settle(&self) -> Option<Instant> {
        let now = Instant::now();
        let (idle, dialler, acceptor) = {
            let ending = self.ending.borrow();
            let heard = |side: Side| {
                let notice = ending.notice.of(side.other()).as_ref();
                notice.and_then(|it| self.arrival(side.other(), it.sent))
            };
            (self.idle_end(ending.silent_since), heard(Side::Dialler), heard(Side::Acceptor))
        };
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(dialler) || due(acceptor) || due(idle) {
            self.ending.send_if_modified(|ending| {
                let mut changed = false;
                for (side, heard) in [(Side::Dialler, dialler), (Side::Acceptor, acceptor)] {
                    if ending.known.of(side).is_some() {
                        continue;
                    }
                    if let Some(error) = ending.known_at(side, due(heard), due(idle)) {
                        *ending.known.of_mut(side) = Some(error);
                        changed = true;
                    }
                }
                changed
            });
        }
        [idle, dialler, acceptor].into_iter().flatten().filter(|at| now < *at).min()
    }

    fn idle_end(&self, silent_since: Option<Instant>) -> Option<Instant> {
        let idle = self.settings.dialler.idle_timeout.min(self.settings.acceptor.idle_timeout);
        let cut = self.network.cut_since(self.peers.dialler, self.peers.acceptor);
        cut.into_iter().chain(silent_since).min().map(|since| since + idle)
    }
}

impl Ending {
    fn known_at(&self, side: Side, is_notice_due: bool, is_idle: bool) -> Option<TransportError> {
        let notice = self.notice.of(side.other()).as_ref().filter(|_| is_notice_due);
        match notice {
            Some(Notice { code, reason, .. }) => {
                Some(TransportError::Closed { code: *code, reason: reason.clone() })
            }
            None => is_idle.then(|| lost("timed out")),
        }
    }
}

fn lost(reason: &str) -> TransportError {
    TransportError::Lost { reason: reason.to_owned() }
}

/// One side's hold on a session: shared by its session, its channels and its unacknowledged ends.
/// When the last is dropped the session closes, as a QUIC connection does.
pub(super) struct End {
    pub(super) state: Arc<SessionState>,
    pub(super) side: Side,
}

impl End {
    pub(super) fn new(state: &Arc<SessionState>, side: Side) -> Arc<Self> {
        Arc::new(Self { state: state.clone(), side })
    }

    pub(super) fn ended(&self) -> Option<TransportError> {
        self.state.ended(self.side)
    }

    pub(super) async fn broken(&self) -> TransportError {
        self.state.broken(self.side).await
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.state.close(self.side, close::NORMAL, "");
    }
}
