//! The provider's side of a transfer.

use std::collections::BTreeMap;

use aura_protocol_core::{Digest, limits::MODULE_BYTES_MAX};
use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use super::{
    DATA_FRAME_BYTES_MAX, ModuleError, ModuleRequest, TransferLimits, tree, wire::ModuleAnswer,
};
use crate::Channel;

/// Where a provider's modules are.
pub trait ModuleSource: Send + Sync {
    /// The bytes of a module that may be given to peers. They are checked before they are sent.
    fn open(&self, digest: &Digest) -> Option<Bytes>;
}

impl ModuleSource for BTreeMap<Digest, Bytes> {
    fn open(&self, digest: &Digest) -> Option<Bytes> {
        self.get(digest).cloned()
    }
}

/// What a provider did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Served {
    /// Told the peer to ask somebody else.
    NotOffered,
    /// Sent the module from the requested byte on.
    Sent {
        /// Bytes on the wire, hash pairs included.
        bytes: usize,
    },
}

/// Answers one request, and finishes the channel.
pub async fn serve_module(
    channel: &mut dyn Channel,
    request: ModuleRequest,
    source: &dyn ModuleSource,
    limits: &TransferLimits,
) -> Result<Served, ModuleError> {
    let ModuleRequest::FetchV1 { digest, from_byte } = request;
    let Some(module) = source.open(&digest) else {
        refuse(channel, ModuleAnswer::NotOffered, limits).await?;
        return Ok(Served::NotOffered);
    };
    let (size, from_byte) = (module.len(), from_byte as usize);
    let damaged = ModuleError::SourceDamaged { digest };
    let Ok(offered) = u32::try_from(size) else { return Err(damaged) };
    if size == 0 || MODULE_BYTES_MAX < size {
        refuse(channel, ModuleAnswer::NotOffered, limits).await?;
        return Err(damaged);
    }
    if !tree::is_start(size, from_byte) {
        refuse(channel, ModuleAnswer::BadOffset, limits).await?;
        return Err(ModuleError::Malformed { reason: "a request begins where no group does" });
    }
    let encoder = tree::Encoder::new(module, from_byte);
    if encoder.digest() != digest {
        refuse(channel, ModuleAnswer::NotOffered, limits).await?;
        return Err(damaged);
    }
    send(channel, ModuleAnswer::OfferedV1 { size: offered }.encode(), limits).await?;
    let bytes = send_all(channel, encoder, limits).await?;
    channel.finish().await?;
    Ok(Served::Sent { bytes })
}

/// Packs items into frames as full as may be.
async fn send_all(
    channel: &mut dyn Channel,
    items: impl Iterator<Item = Bytes>,
    limits: &TransferLimits,
) -> Result<usize, ModuleError> {
    let (mut frame, mut sent) = (BytesMut::with_capacity(DATA_FRAME_BYTES_MAX), 0);
    for item in items {
        if DATA_FRAME_BYTES_MAX < frame.len() + item.len() {
            sent += frame.len();
            send(channel, frame.split().freeze(), limits).await?;
        }
        frame.extend_from_slice(&item);
    }
    sent += frame.len();
    send(channel, frame.freeze(), limits).await?;
    Ok(sent)
}

async fn refuse(
    channel: &mut dyn Channel,
    answer: ModuleAnswer,
    limits: &TransferLimits,
) -> Result<(), ModuleError> {
    send(channel, answer.encode(), limits).await?;
    Ok(channel.finish().await?)
}

/// A peer that asks and then does not read must not keep us.
async fn send(
    channel: &mut dyn Channel,
    frame: Bytes,
    limits: &TransferLimits,
) -> Result<(), ModuleError> {
    match timeout(limits.idle_timeout, channel.send(frame)).await {
        Ok(sent) => Ok(sent?),
        Err(_) => Err(ModuleError::TooSlow { bytes: 0, window: limits.idle_timeout }),
    }
}
