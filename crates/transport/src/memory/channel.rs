//! One end of a simulated channel. It carries bytes, not messages, so that framing and its limits
//! are the production code's.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::Instant,
};

use super::{
    link::Sent,
    network::TraceKind,
    session::Unseen,
    session_state::{End, SessionState, Side},
};
use crate::{
    Channel, Result, TransportError, close,
    frame::{self, ChunkSource, FrameReader},
};

pub(super) struct MemoryChannel {
    end: Arc<End>,
    outbound: mpsc::UnboundedSender<Item>,
    /// Bytes that we may still send on this channel.
    window: Arc<Semaphore>,
    /// Channels that the peer has not seen yet, if this one may be among them.
    unseen: Option<(u64, Arc<Unseen>)>,
    inbound: Inbound,
    reader: FrameReader,
    finished: bool,
    /// Counts against the opener's limit until both ends are gone.
    _slot: Arc<OwnedSemaphorePermit>,
}

/// What travels on a channel.
#[derive(Debug)]
struct Item {
    sent: Sent,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Bytes(Bytes),
    Finish,
    Reset(u32),
}

/// What the peer of a channel's opener gets. It holds no session open until it is accepted.
pub(super) struct Half {
    outbound: mpsc::UnboundedSender<Item>,
    items: mpsc::UnboundedReceiver<Item>,
    window: Arc<Semaphore>,
    peers_window: Arc<Semaphore>,
    slot: Arc<OwnedSemaphorePermit>,
}

/// A new channel: two halves of the same pipes.
pub(super) fn pair(state: &SessionState, opener: Side, slot: OwnedSemaphorePermit) -> (Half, Half) {
    let (to_peer, from_opener) = mpsc::unbounded_channel();
    let (to_opener, from_peer) = mpsc::unbounded_channel();
    // How much one end may send is for the other to say.
    let window = |receiver: Side| {
        Arc::new(Semaphore::new(state.settings.of(receiver).channel_window_bytes as usize))
    };
    let (opener_window, peer_window) = (window(opener.other()), window(opener));
    let slot = Arc::new(slot);
    let openers = Half {
        outbound: to_peer,
        items: from_peer,
        window: opener_window.clone(),
        peers_window: peer_window.clone(),
        slot: slot.clone(),
    };
    let peers = Half {
        outbound: to_opener,
        items: from_opener,
        window: peer_window,
        peers_window: opener_window,
        slot,
    };
    (openers, peers)
}

impl MemoryChannel {
    pub(super) fn new(half: Half, end: &Arc<End>, unseen: Option<(u64, Arc<Unseen>)>) -> Self {
        Self {
            end: end.clone(),
            outbound: half.outbound,
            window: half.window,
            unseen,
            inbound: Inbound {
                state: end.state.clone(),
                side: end.side,
                items: half.items,
                queue: VecDeque::new(),
                unread: Bytes::new(),
                window: half.peers_window,
                finished: false,
            },
            reader: FrameReader::new(end.state.settings.of(end.side)),
            finished: false,
            _slot: half.slot,
        }
    }

    /// Sends bytes, however they are framed, once both windows have room.
    pub(super) async fn send_bytes(&mut self, parts: [Bytes; 2]) -> Result<()> {
        if self.finished {
            return Err(TransportError::Finished);
        }
        let bytes: usize = parts.iter().map(Bytes::len).sum();
        let room = async {
            let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
            let window = &self.end.state.windows.of(self.end.side);
            let channel = self.window.acquire_many(permits).await.ok()?;
            Some((channel, window.acquire_many(permits).await.ok()?))
        };
        let (channel, session) = tokio::select! {
            biased;
            error = self.end.broken() => return Err(error),
            room = room => room.ok_or(TransportError::Reset { code: close::NORMAL })?,
        };
        channel.forget();
        session.forget();
        let sent = self.end.state.send(self.end.side, TraceKind::Data { bytes });
        for part in parts {
            self.put(Item { sent, kind: Kind::Bytes(part) })?;
        }
        Ok(())
    }

    fn put(&mut self, item: Item) -> Result<()> {
        if let Some((ordinal, unseen)) = self.unseen.take() {
            unseen.show(ordinal, item.sent);
        }
        self.outbound.send(item).map_err(|_| TransportError::Reset { code: close::NORMAL })
    }

    fn finish_now(&mut self) -> Result<()> {
        if self.finished {
            return Ok(());
        }
        if let Some(error) = self.end.ended() {
            return Err(error);
        }
        let sent = self.end.state.send(self.end.side, TraceKind::Finish);
        self.finished = true;
        if self.put(Item { sent, kind: Kind::Finish }).is_err() {
            // The peer no longer reads: there is nothing left to deliver.
            return Ok(());
        }
        let end = self.end.clone();
        let deliveries = self.end.state.deliveries.of(self.end.side);
        deliveries.track(async move {
            let (state, side) = (&end.state, end.side);
            let acknowledged = async {
                state.arrived(side, sent).await;
                let answer = state.send(side.other(), TraceKind::Acknowledge);
                state.arrived(side.other(), answer).await;
            };
            tokio::select! {
                biased;
                _ended = end.broken() => (),
                () = acknowledged => (),
            }
        });
        Ok(())
    }

    fn cut_off(&mut self, error: &TransportError) {
        match error {
            TransportError::PeerFrameTooBig { .. } => {
                self.end.state.close(self.end.side, close::VIOLATION, &error.to_string());
            }
            TransportError::FrameStalled { .. } => self.inbound.stop(),
            _ => (),
        }
    }
}

impl Channel for MemoryChannel {
    fn send(&mut self, message: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let header = frame::header(&message)?;
            self.send_bytes([Bytes::copy_from_slice(&header), message]).await
        })
    }

    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(async {
            let outcome = self.reader.next(&mut self.inbound).await;
            if let Err(error) = &outcome {
                self.cut_off(error);
            }
            outcome
        })
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { self.finish_now() })
    }
}

impl Drop for MemoryChannel {
    fn drop(&mut self) {
        if self.finished || self.end.ended().is_some() {
            return;
        }
        let sent = self.end.state.send(self.end.side, TraceKind::Reset);
        if self.put(Item { sent, kind: Kind::Reset(close::ABANDONED) }).is_err() {
            tracing::trace!("an abandoned channel had already ended");
        }
    }
}

/// The receiving half.
struct Inbound {
    state: Arc<SessionState>,
    side: Side,
    items: mpsc::UnboundedReceiver<Item>,
    /// Taken from `items`, not read yet.
    queue: VecDeque<Item>,
    /// The peer's windows, which reading widens again.
    window: Arc<Semaphore>,
    /// Rest of an item that has arrived.
    unread: Bytes,
    finished: bool,
}

impl Inbound {
    /// The next item that has arrived. Cancel-safe: an item leaves the queue only when returned.
    async fn next(&mut self) -> Option<Kind> {
        loop {
            if self.queue.is_empty() {
                let item = self.items.recv().await?;
                self.queue.push_back(item);
            }
            let head = self.queue.front()?.sent;
            self.state.arrived(self.side.other(), head).await;
            while let Ok(item) = self.items.try_recv() {
                self.queue.push_back(item);
            }
            // As in QUIC, a break overtakes what was not read before it arrived.
            if let Some(code) = self.arrived_reset() {
                self.stop();
                return Some(Kind::Reset(code));
            }
            if let Some(item) = self.queue.pop_front() {
                return Some(item.kind);
            }
        }
    }

    fn arrived_reset(&self) -> Option<u32> {
        let now = Instant::now();
        self.queue.iter().find_map(|item| match item.kind {
            Kind::Reset(code) => {
                let arrival = self.state.arrival(self.side.other(), item.sent)?;
                (arrival <= now).then_some(code)
            }
            _ => None,
        })
    }

    /// No longer takes anything; gives back what unread bytes hold of the session's window.
    fn stop(&mut self) {
        self.items.close();
        self.window.close();
        while let Ok(item) = self.items.try_recv() {
            self.queue.push_back(item);
        }
        let begun = std::mem::take(&mut self.unread).len();
        let unread = self.queue.drain(..).map(|item| match item.kind {
            Kind::Bytes(bytes) => bytes.len(),
            Kind::Finish | Kind::Reset(_) => 0,
        });
        self.state.windows.of(self.side.other()).add_permits(begun + unread.sum::<usize>());
    }
}

impl ChunkSource for Inbound {
    async fn read_chunk(&mut self, bytes_max: usize) -> Result<Option<Bytes>> {
        loop {
            if !self.unread.is_empty() {
                let bytes = self.unread.split_to(bytes_max.min(self.unread.len()));
                self.window.add_permits(bytes.len());
                self.state.windows.of(self.side.other()).add_permits(bytes.len());
                return Ok(Some(bytes));
            }
            if self.finished {
                return Ok(None);
            }
            let (state, side) = (self.state.clone(), self.side);
            let kind = tokio::select! {
                biased;
                kind = self.next() => kind,
                error = state.broken(side) => return Err(error),
            };
            match kind {
                Some(Kind::Bytes(bytes)) => self.unread = bytes,
                Some(Kind::Finish) => self.finished = true,
                Some(Kind::Reset(code)) => return Err(TransportError::Reset { code }),
                // The peer's end is gone without a word on this channel, so its session is too.
                None => return Err(state.broken(side).await),
            }
        }
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        self.stop();
    }
}
