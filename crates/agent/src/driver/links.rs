//! What happens on one connection: channels are opened and accepted, and each does one thing.
//!
//! Each side opens a sync channel of its own and only ever writes to it; it reads from the other's. So
//! neither waits with reading until the other has read, however much both have to say.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aura_journal::sync::{SyncMessage, UnreadEntries};
use aura_protocol_core::{DeviceId, Digest, decode, encode};
use aura_transport::{
    Channel, ModuleRequest, ModuleSource, Session, TransferLimits, TransportError, close,
    serve_module,
};
use bytes::Bytes;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    driver::{ChannelKind, World, network::Queued},
    error::{AgentError, Whose},
    join::{JOIN_REQUEST_BYTES_MAX, JoinReply, JoinRequest},
    node::Input,
};

/// How long a peer may take to say what it wants: on a connection as a stranger, on a channel, and
/// after it has said what the channel is for.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long a stranger's request to join may take. It waits for a quorum of people's devices.
const JOIN_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a stranger may stay: to ask once, and to be told the chain.
const STRANGER_TIMEOUT: Duration = JOIN_TIMEOUT.saturating_add(Duration::from_secs(60));
/// The code with which a peer is cut off that breaks the protocol above the frames.
const VIOLATION: u32 = close::APPLICATION_MIN + 1;

/// A connection, and what has begun on it.
struct Connected {
    world: Arc<World>,
    session: Arc<dyn Session>,
    /// This side's sync channel.
    speaking: AtomicBool,
    /// The other side's.
    listening: AtomicBool,
}

impl Connected {
    fn new(world: Arc<World>, session: Arc<dyn Session>) -> Arc<Self> {
        let (speaking, listening) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { world, session, speaking, listening })
    }

    fn violation(&self, what: &str) {
        tracing::warn!("{} is cut off: {what}", self.session.peer());
        self.session.close(VIOLATION, what);
    }
}

/// A device of the account was dialled.
pub(crate) async fn dialled(world: Arc<World>, device: DeviceId, session: Arc<dyn Session>) {
    let connected = Connected::new(world, session);
    begin_speaking(&connected, device).await;
    serve(connected).await;
}

/// Somebody has dialled this device, and was admitted.
pub(crate) async fn accepted(world: Arc<World>, session: Arc<dyn Session>) {
    let connected = Connected::new(world, session);
    if connected.world.network.device(connected.session.peer()).is_some() {
        return serve(connected).await;
    }
    let Ok(_place) = connected.world.strangers.try_acquire() else {
        return connected.session.close(close::BUSY, "too many strangers");
    };
    match timeout(SILENCE_MAX, connected.session.accept()).await {
        Ok(Ok(channel)) => spawn_channel(&connected, channel),
        Ok(Err(error)) => return tracing::debug!("a stranger left: {error}"),
        Err(_) => return connected.violation("a stranger that says nothing"),
    }
    if timeout(STRANGER_TIMEOUT, serve(Arc::clone(&connected))).await.is_err() {
        connected.violation("a stranger that stays");
    }
}

/// Serves the channels that the other side opens, until the session ends.
async fn serve(connected: Arc<Connected>) {
    while let Ok(channel) = connected.session.accept().await {
        spawn_channel(&connected, channel);
    }
}

fn spawn_channel(connected: &Arc<Connected>, channel: Box<dyn Channel>) {
    let connected = Arc::clone(connected);
    tokio::spawn(async move {
        if let Err(error) = channel_opened(&connected, channel).await {
            tracing::debug!("a channel of {} ended: {error}", connected.session.peer());
        }
    });
}

async fn channel_opened(
    connected: &Arc<Connected>,
    mut channel: Box<dyn Channel>,
) -> Result<(), TransportError> {
    let Some(frame) = next_frame(connected, channel.as_mut()).await? else { return Ok(()) };
    let device = connected.world.network.device(connected.session.peer());
    match (ChannelKind::from_frame(&frame), device) {
        (Ok(ChannelKind::Sync), Some(device)) => listen(connected, device, channel).await?,
        (Ok(ChannelKind::Module), Some(_)) => give_module(connected, channel).await?,
        (Ok(ChannelKind::Join), _) => join(connected, channel).await?,
        (Ok(_), None) => connected.violation("a stranger may only ask to join"),
        (Err(_), _) => connected.violation("a channel that begins with garbage"),
    }
    Ok(())
}

/// The next frame of a channel on which the other side has something to say at once.
async fn next_frame(
    connected: &Connected,
    channel: &mut dyn Channel,
) -> Result<Option<Bytes>, TransportError> {
    if let Ok(frame) = timeout(SILENCE_MAX, channel.recv()).await {
        return frame;
    }
    connected.violation("a channel that says nothing");
    Ok(None)
}

/// Makes the session one on which the device can be spoken to, and cut off, unless that has been done.
async fn begin_speaking(connected: &Arc<Connected>, device: DeviceId) {
    if connected.speaking.swap(true, Ordering::Relaxed) {
        return;
    }
    let (link, queue) = connected.world.link_up(device, &connected.session).await;
    let connected = Arc::clone(connected);
    tokio::spawn(async move {
        if let Err(error) = speak(connected.session.as_ref(), queue).await {
            tracing::debug!("device {}: {error}", device.short());
        }
        connected.world.link_down(device, link).await;
    });
}

/// Sends what the node has to say to a device, until the session ends.
async fn speak(
    session: &dyn Session,
    mut queue: mpsc::UnboundedReceiver<Queued>,
) -> Result<(), TransportError> {
    let mut channel = session.open().await?;
    channel.send(ChannelKind::Sync.to_frame()).await?;
    forward(session, channel.as_mut(), &mut queue).await
}

async fn forward(
    session: &dyn Session,
    channel: &mut dyn Channel,
    queue: &mut mpsc::UnboundedReceiver<Queued>,
) -> Result<(), TransportError> {
    loop {
        tokio::select! {
            next = queue.recv() => match next {
                Some(queued) => channel.send(queued.frame()).await?,
                None => return Ok(()),
            },
            ended = session.closed() => return Err(ended),
        }
    }
}

/// Takes what a device has to say. When it has finished, so has the session.
async fn listen(
    connected: &Arc<Connected>,
    device: DeviceId,
    mut channel: Box<dyn Channel>,
) -> Result<(), TransportError> {
    if connected.listening.swap(true, Ordering::Relaxed) {
        connected.violation("a second sync channel");
        return Ok(());
    }
    // Before anything is read: whoever can be heard can be cut off.
    begin_speaking(connected, device).await;
    while let Some(frame) = channel.recv().await? {
        let Some(input) = said(device, &frame) else {
            connected.violation("a sync message that is none");
            return Ok(());
        };
        connected.world.tell(input).await;
    }
    connected.session.close(close::NORMAL, "nothing more to say");
    Ok(())
}

/// What a frame says, be it in part.
fn said(from: DeviceId, frame: &[u8]) -> Option<Input> {
    if let Ok(message) = SyncMessage::from_bytes(frame) {
        return Some(Input::PeerMessage { from, message });
    }
    UnreadEntries::from_bytes(frame).map(|unread| Input::EntriesUnread { from, unread })
}

struct Source<'a>(&'a World);

impl ModuleSource for Source<'_> {
    fn open(&self, digest: &Digest) -> Option<Bytes> {
        match self.0.host.bytes(*digest) {
            Ok(bytes) => bytes.map(Bytes::from),
            Err(error) => {
                tracing::warn!("module {} cannot be given: {error}", digest.short());
                None
            }
        }
    }
}

async fn give_module(
    connected: &Connected,
    mut channel: Box<dyn Channel>,
) -> Result<(), TransportError> {
    let Some(frame) = next_frame(connected, channel.as_mut()).await? else { return Ok(()) };
    let request = match ModuleRequest::decode(&frame) {
        Ok(request) => request,
        Err(error) => {
            tracing::debug!("a request for a module is none: {error}");
            return Ok(());
        }
    };
    let source = Source(&connected.world);
    let served = serve_module(channel.as_mut(), request, &source, &TransferLimits::default()).await;
    match served {
        Ok(served) => tracing::debug!("a module was asked for: {served:?}"),
        Err(error) => tracing::debug!("a module was not given: {error}"),
    }
    Ok(())
}

/// A new device asks to be let in. It is answered when the account has decided.
async fn join(connected: &Connected, mut channel: Box<dyn Channel>) -> Result<(), TransportError> {
    let Some(frame) = next_frame(connected, channel.as_mut()).await? else { return Ok(()) };
    let Ok(request) = decode::<JoinRequest>(&frame, JOIN_REQUEST_BYTES_MAX) else {
        connected.violation("a request to join that is none");
        return Ok(());
    };
    let asked = |id| Input::Join { id, request: Box::new(request) };
    let result = match timeout(JOIN_TIMEOUT, connected.world.ask_to_join(asked)).await {
        Ok(result) => result,
        Err(_) => Err(AgentError::new(
            "NoQuorum",
            "the account's other devices have not agreed yet",
            Whose::Nobody,
            "see that enough of them are running, and run the same command again",
        )),
    };
    match result {
        Ok(entries) => {
            let accepted = JoinReply::Accepted { entries: entries.len() as u64 };
            channel.send(encode(&accepted).into()).await?;
            for entry in entries {
                channel.send(encode(&entry).into()).await?;
            }
        }
        Err(error) => {
            let (code, message, next) = (error.code, error.message, error.next);
            channel.send(encode(&JoinReply::Refused { code, message, next }).into()).await?;
        }
    }
    channel.finish().await?;
    connected.session.delivered().await
}
