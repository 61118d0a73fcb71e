//! The receiver's side of a transfer.

use aura_protocol_core::ModuleRef;
use bytes::{Buf, Bytes, BytesMut};
use tokio::time::timeout;

use super::{
    DATA_FRAME_BYTES_MAX, ModuleError, ModuleRequest, PartialModule, TransferLimits,
    pace::Pace,
    tree::{Unverified, Verifier},
    wire::ModuleAnswer,
};
use crate::Channel;

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is here so far, what earlier providers brought included.
    pub held_bytes: u32,
    /// The module's length.
    pub total_bytes: u32,
}

/// Fetches what `partial` lacks of a module from one provider.
///
/// Asks on `channel`, which must be new (or have said whatever a provider expects before a
/// [`ModuleRequest`]), and drops nothing that verified: after an error, try the next provider with the
/// same `partial`. The bytes that are returned match length and both digests of `module`.
pub async fn fetch_module(
    channel: &mut dyn Channel,
    module: &ModuleRef,
    partial: &mut PartialModule,
    limits: &TransferLimits,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Bytes, ModuleError> {
    let digest = module.digest;
    if !module.is_within_limits() {
        return Err(ModuleError::ReferenceOutOfLimits { digest });
    }
    if !module.peers_ok {
        return Err(ModuleError::PeersNotAllowed { digest });
    }
    partial.check_belongs_to(module)?;
    if !partial.is_complete() {
        partial.align();
        let mut pace = Pace::new(limits);
        let request = ModuleRequest::FetchV1 { digest, from_byte: partial.held_bytes() };
        send(channel, request.encode(), limits).await?;
        answered(channel, module, partial, &mut pace).await?;
        receive(channel, module, partial, &mut pace, &mut progress).await?;
    }
    partial.take_whole(module)
}

async fn answered(
    channel: &mut dyn Channel,
    module: &ModuleRef,
    partial: &PartialModule,
    pace: &mut Pace<'_>,
) -> Result<(), ModuleError> {
    let digest = module.digest;
    let Some(answer) = recv(channel, pace).await? else {
        return Err(truncated(module, partial));
    };
    match ModuleAnswer::decode(&answer)? {
        ModuleAnswer::NotOffered => Err(ModuleError::NotOffered { digest }),
        ModuleAnswer::BadOffset => {
            // Ours was right for the declared size, so the provider has another module, or lies.
            Err(ModuleError::Malformed { reason: "a right offset was refused" })
        }
        ModuleAnswer::OfferedV1 { size } if size != module.size => {
            Err(ModuleError::SizeMismatch { declared: module.size, offered: size })
        }
        ModuleAnswer::OfferedV1 { .. } => Ok(()),
    }
}

async fn receive(
    channel: &mut dyn Channel,
    module: &ModuleRef,
    partial: &mut PartialModule,
    pace: &mut Pace<'_>,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<(), ModuleError> {
    let mut verifier =
        Verifier::new(&module.digest, module.size as usize, partial.held_bytes() as usize);
    let mut unread = BytesMut::new();
    while verifier.next_bytes().is_some() {
        let Some(frame) = recv(channel, pace).await? else {
            return Err(truncated(module, partial));
        };
        if !(1..=DATA_FRAME_BYTES_MAX).contains(&frame.len()) {
            return Err(ModuleError::Malformed { reason: "a data frame has 1 byte to 64 KiB" });
        }
        unread.extend_from_slice(&frame);
        verify(&mut unread, &mut verifier, partial).map_err(|Unverified| {
            let at_byte = partial.held_bytes();
            ModuleError::DigestMismatch { digest: module.digest, at_byte }
        })?;
        progress(Progress { held_bytes: partial.held_bytes(), total_bytes: module.size });
    }
    if unread.is_empty() {
        return Ok(());
    }
    Err(ModuleError::TooMuchData { declared: module.size })
}

/// Verifies every whole item that has arrived.
fn verify(
    unread: &mut BytesMut,
    verifier: &mut Verifier,
    partial: &mut PartialModule,
) -> Result<(), Unverified> {
    while let Some(length) = verifier.next_bytes() {
        let Some(item) = unread.get(..length) else { break };
        if let Some(group) = verifier.verify(item)? {
            partial.append_verified(group);
        }
        unread.advance(length);
    }
    Ok(())
}

fn truncated(module: &ModuleRef, partial: &PartialModule) -> ModuleError {
    let at_byte = partial.held_bytes();
    ModuleError::TruncatedTransfer { at_byte, declared: module.size }
}

/// Even a request can be held up, by a peer that grants no window.
async fn send(
    channel: &mut dyn Channel,
    frame: Bytes,
    limits: &TransferLimits,
) -> Result<(), ModuleError> {
    let sent = async {
        channel.send(frame).await?;
        channel.finish().await
    };
    match timeout(limits.idle_timeout, sent).await {
        Ok(sent) => Ok(sent?),
        Err(_) => Err(ModuleError::TooSlow { bytes: 0, window: limits.idle_timeout }),
    }
}

async fn recv(
    channel: &mut dyn Channel,
    pace: &mut Pace<'_>,
) -> Result<Option<Bytes>, ModuleError> {
    let bytes = |it: &crate::Result<Option<Bytes>>| match it {
        Ok(Some(frame)) => frame.len(),
        _ => 0,
    };
    Ok(pace.next(channel.recv(), bytes).await??)
}
