//! What happens on one connection: channels are opened and accepted, and each does one thing.

use std::{sync::Arc, time::Duration};

use aura_journal::sync::SyncMessage;
use aura_protocol_core::{DeviceId, Digest, decode, encode};
use aura_transport::{
    Channel, ModuleRequest, ModuleSource, Session, TransferLimits, TransportError, close,
    serve_module,
};
use bytes::Bytes;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    driver::{ChannelKind, World},
    join::{JOIN_REQUEST_BYTES_MAX, JoinReply, JoinRequest},
    node::Input,
};

/// How long a peer may take to say what a channel is for.
const FIRST_FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a stranger's request to join may take. It waits for a quorum of people's devices.
const JOIN_TIMEOUT: Duration = Duration::from_secs(300);
/// The code with which a peer is cut off that breaks the protocol above the frames.
const VIOLATION: u32 = close::APPLICATION_MIN + 1;

/// The dialling side: opens the sync channel, and serves whatever the other side opens.
pub(crate) async fn open(world: Arc<World>, device: DeviceId, session: Arc<dyn Session>) {
    let channel = async {
        let mut channel = session.open().await?;
        channel.send(ChannelKind::Sync.to_frame()).await?;
        Ok::<_, TransportError>(channel)
    };
    match channel.await {
        Ok(channel) => {
            let (sync_world, sync_session) = (Arc::clone(&world), Arc::clone(&session));
            tokio::spawn(async move { sync(sync_world, device, sync_session, channel).await });
            serve(world, session).await;
        }
        Err(error) => tracing::debug!("device {}: {error}", device.short()),
    }
}

/// Serves the channels that the other side opens, until the session ends.
pub(crate) async fn serve(world: Arc<World>, session: Arc<dyn Session>) {
    while let Ok(channel) = session.accept().await {
        let (world, session) = (Arc::clone(&world), Arc::clone(&session));
        tokio::spawn(async move {
            if let Err(error) = channel_opened(world, &session, channel).await {
                tracing::debug!("a channel of {} ended: {error}", session.peer());
            }
        });
    }
}

async fn channel_opened(
    world: Arc<World>,
    session: &Arc<dyn Session>,
    mut channel: Box<dyn Channel>,
) -> Result<(), TransportError> {
    let Ok(first) = timeout(FIRST_FRAME_TIMEOUT, channel.recv()).await else {
        violation(session, "a channel that says nothing");
        return Ok(());
    };
    let Some(frame) = first? else { return Ok(()) };
    let device = world.network.device(session.peer());
    match (ChannelKind::from_frame(&frame), device) {
        (Ok(ChannelKind::Sync), Some(device)) => {
            sync(world, device, Arc::clone(session), channel).await;
        }
        (Ok(ChannelKind::Module), Some(_)) => give_module(&world, channel).await?,
        (Ok(ChannelKind::Join), _) => join(&world, session, channel).await?,
        (Ok(_), None) => violation(session, "a stranger may only ask to join"),
        (Err(_), _) => violation(session, "a channel that begins with garbage"),
    }
    Ok(())
}

fn violation(session: &Arc<dyn Session>, what: &str) {
    tracing::warn!("{} is cut off: {what}", session.peer());
    session.close(VIOLATION, what);
}

/// Carries sync messages both ways.
async fn sync(
    world: Arc<World>,
    device: DeviceId,
    session: Arc<dyn Session>,
    mut channel: Box<dyn Channel>,
) {
    let (link, mut queue) = world.network.add_link(device, &session);
    tracing::debug!("device {} is connected", device.short());
    world.tell(Input::PeerConnected(device)).await;
    let end = exchange(&world, device, channel.as_mut(), &mut queue).await;
    match end {
        Err(Ended::Garbage) => violation(&session, "a sync message that is none"),
        Err(Ended::Transport(error)) => tracing::debug!("device {}: {error}", device.short()),
        Ok(()) => {}
    }
    if world.network.remove_link(device, link) {
        world.tell(Input::PeerGone(device)).await;
    }
}

enum Ended {
    Transport(TransportError),
    Garbage,
}

async fn exchange(
    world: &Arc<World>,
    device: DeviceId,
    channel: &mut dyn Channel,
    queue: &mut mpsc::Receiver<SyncMessage>,
) -> Result<(), Ended> {
    loop {
        tokio::select! {
            frame = channel.recv() => {
                let Some(frame) = frame.map_err(Ended::Transport)? else { return Ok(()) };
                let message = SyncMessage::from_bytes(&frame).map_err(|_| Ended::Garbage)?;
                world.tell(Input::PeerMessage { from: device, message }).await;
            }
            message = queue.recv() => {
                let Some(message) = message else { return Ok(()) };
                let frame = Bytes::from(message.to_bytes());
                channel.send(frame).await.map_err(Ended::Transport)?;
            }
        }
    }
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
    world: &Arc<World>,
    mut channel: Box<dyn Channel>,
) -> Result<(), TransportError> {
    let Some(frame) = channel.recv().await? else { return Ok(()) };
    let request = match ModuleRequest::decode(&frame) {
        Ok(request) => request,
        Err(error) => {
            tracing::debug!("a request for a module is none: {error}");
            return Ok(());
        }
    };
    let served =
        serve_module(channel.as_mut(), request, &Source(world), &TransferLimits::default()).await;
    match served {
        Ok(served) => tracing::debug!("a module was asked for: {served:?}"),
        Err(error) => tracing::debug!("a module was not given: {error}"),
    }
    Ok(())
}

/// A new device asks to be let in. It is answered when the account has decided.
async fn join(
    world: &Arc<World>,
    session: &Arc<dyn Session>,
    mut channel: Box<dyn Channel>,
) -> Result<(), TransportError> {
    let Some(frame) = channel.recv().await? else { return Ok(()) };
    let Ok(request) = decode::<JoinRequest>(&frame, JOIN_REQUEST_BYTES_MAX) else {
        violation(session, "a request to join that is none");
        return Ok(());
    };
    let asked = world.ask_to_join(|id| Input::Join { id, request: Box::new(request) });
    let result = match timeout(JOIN_TIMEOUT, asked).await {
        Ok(result) => result,
        Err(_) => Err(crate::error::AgentError::new(
            "NoQuorum",
            "the account's other devices have not agreed yet",
            crate::error::Whose::Nobody,
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
    session.delivered().await
}
