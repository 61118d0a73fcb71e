//! One end of a simulated session.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::{
    channel::{self, Half, MemoryChannel},
    link::Sent,
    session_state::{End, SessionState, Side},
};
use crate::{Channel, PeerId, Result, Session, TransportError};

pub(super) struct MemorySession {
    end: Arc<End>,
    unseen: Arc<Unseen>,
    inbox: tokio::sync::Mutex<Inbox>,
}

/// Channels that this end opened and the peer has not heard of: they show, in the order in which they
/// were opened, once one of them or of their followers carries bytes.
pub(super) struct Unseen {
    opened: Mutex<Opened>,
    to_peer: mpsc::UnboundedSender<(Sent, Half)>,
}

#[derive(Default)]
struct Opened {
    count: u64,
    waiting: VecDeque<(u64, Half)>,
}

/// Channels that the peer opened and that are on their way here.
struct Inbox {
    arriving: mpsc::UnboundedReceiver<(Sent, Half)>,
    /// Waits for its time; kept here so that a cancelled accept loses nothing.
    next: Option<(Sent, Half)>,
}

/// Both ends of a new session.
pub(super) fn pair(state: &Arc<SessionState>) -> (MemorySession, MemorySession) {
    let (to_acceptor, from_dialler) = mpsc::unbounded_channel();
    let (to_dialler, from_acceptor) = mpsc::unbounded_channel();
    let make = |side, to_peer, arriving| MemorySession {
        end: End::new(state, side),
        unseen: Arc::new(Unseen { opened: Mutex::default(), to_peer }),
        inbox: tokio::sync::Mutex::new(Inbox { arriving, next: None }),
    };
    (
        make(Side::Dialler, to_acceptor, from_acceptor),
        make(Side::Acceptor, to_dialler, from_dialler),
    )
}

impl Unseen {
    fn add(&self, half: Half) -> u64 {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.count += 1;
        let ordinal = opened.count;
        opened.waiting.push_back((ordinal, half));
        ordinal
    }

    /// Shows the peer every channel up to `ordinal`.
    pub(super) fn show(&self, ordinal: u64, sent: Sent) {
        let shown = {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            let later = opened.waiting.partition_point(|(it, _)| *it <= ordinal);
            let rest = opened.waiting.split_off(later);
            mem::replace(&mut opened.waiting, rest)
        };
        for (_, half) in shown {
            if self.to_peer.send((sent, half)).is_err() {
                tracing::trace!("the peer accepts no more channels");
            }
        }
    }
}

impl MemorySession {
    pub(super) fn state(&self) -> &Arc<SessionState> {
        &self.end.state
    }

    pub(super) async fn open_channel(&self) -> Result<MemoryChannel> {
        let slots = self.end.state.channel_slots.of(self.end.side).clone();
        let slot = tokio::select! {
            biased;
            error = self.end.broken() => return Err(error),
            slot = slots.acquire_owned() => slot.map_err(|_| TransportError::ClosedLocally)?,
        };
        let (ours, peers) = channel::pair(&self.end.state, self.end.side, slot);
        let unseen = (self.unseen.add(peers), self.unseen.clone());
        Ok(MemoryChannel::new(ours, &self.end, Some(unseen)))
    }

    async fn accept_channel(&self) -> Result<MemoryChannel> {
        let mut inbox = self.inbox.lock().await;
        let shown = async {
            if inbox.next.is_none() {
                inbox.next = inbox.arriving.recv().await;
            }
            match &inbox.next {
                Some((sent, _)) => self.end.state.arrived(self.end.side.other(), *sent).await,
                // The peer can open no more; how its session ended is still on its way.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shown => (),
            error = self.end.broken() => return Err(error),
        }
        match inbox.next.take() {
            Some((_, half)) => Ok(MemoryChannel::new(half, &self.end, None)),
            None => Err(self.end.broken().await),
        }
    }
}

impl Session for MemorySession {
    fn peer(&self) -> PeerId {
        *self.end.state.peers.of(self.end.side.other())
    }

    fn protocol(&self) -> &str {
        &self.end.state.protocol
    }

    fn binding(&self) -> Result<[u8; 32]> {
        Ok(self.end.state.binding)
    }

    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Channel>>> {
        Box::pin(async { Ok(Box::new(self.open_channel().await?) as Box<dyn Channel>) })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Box<dyn Channel>>> {
        Box::pin(async { Ok(Box::new(self.accept_channel().await?) as Box<dyn Channel>) })
    }

    fn delivered(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            tokio::select! {
                biased;
                error = self.end.broken() => Err(error),
                () = self.end.state.deliveries.of(self.end.side).settled() => Ok(()),
            }
        })
    }

    fn close(&self, code: u32, reason: &str) {
        self.end.state.close(self.end.side, code, reason);
    }

    fn closed(&self) -> BoxFuture<'_, TransportError> {
        Box::pin(self.end.broken())
    }
}
