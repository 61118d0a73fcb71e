//! The receiver's side of a transfer.

use aura_protocol_core::ModuleRef;
use bytes::{Buf, Bytes, BytesMut};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    DATA_FRAME_BYTES_MAX, ModuleError, ModuleRequest, PartialModule, TransferLimits,
    tree::{Unverified, Verifier},
    wire::ModuleAnswer,
};
use crate::Channel;

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Verified so far, what earlier providers brought included.
    pub verified_bytes: u32,
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
        let mut watchdog = Watchdog::new(limits);
        request(channel, module, partial, &mut watchdog).await?;
        receive(channel, module, partial, &mut watchdog, &mut progress).await?;
    }
    partial.take_whole(module)
}

async fn request(
    channel: &mut dyn Channel,
    module: &ModuleRef,
    partial: &PartialModule,
    watchdog: &mut Watchdog<'_>,
) -> Result<(), ModuleError> {
    let digest = module.digest;
    let request = ModuleRequest::FetchV1 { digest, from_byte: partial.verified_bytes() };
    watchdog.send(channel, request.encode()).await?;
    let Some(answer) = watchdog.recv(channel).await? else {
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
    watchdog: &mut Watchdog<'_>,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<(), ModuleError> {
    let mut verifier =
        Verifier::new(&module.digest, module.size as usize, partial.verified_bytes() as usize);
    let mut unread = BytesMut::new();
    while verifier.next_bytes().is_some() {
        let Some(frame) = watchdog.recv(channel).await? else {
            return Err(truncated(module, partial));
        };
        if !(1..=DATA_FRAME_BYTES_MAX).contains(&frame.len()) {
            return Err(ModuleError::Malformed { reason: "a data frame has 1 byte to 64 KiB" });
        }
        unread.extend_from_slice(&frame);
        verify(&mut unread, &mut verifier, partial).map_err(|Unverified| {
            let at_byte = partial.verified_bytes();
            ModuleError::DigestMismatch { digest: module.digest, at_byte }
        })?;
        progress(Progress { verified_bytes: partial.verified_bytes(), total_bytes: module.size });
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
            partial.append(group);
        }
        unread.advance(length);
    }
    Ok(())
}

fn truncated(module: &ModuleRef, partial: &PartialModule) -> ModuleError {
    let at_byte = partial.verified_bytes();
    ModuleError::TruncatedTransfer { at_byte, declared: module.size }
}

/// Watches silence and rate.
struct Watchdog<'a> {
    limits: &'a TransferLimits,
    window_ends: Instant,
    window_bytes: usize,
}

impl<'a> Watchdog<'a> {
    fn new(limits: &'a TransferLimits) -> Self {
        Self { limits, window_ends: Instant::now() + limits.window, window_bytes: 0 }
    }

    /// Even a request can be held up, by a peer that grants no window.
    async fn send(&self, channel: &mut dyn Channel, frame: Bytes) -> Result<(), ModuleError> {
        let idle_timeout = self.limits.idle_timeout;
        let sent = async {
            channel.send(frame).await?;
            channel.finish().await
        };
        match timeout(idle_timeout, sent).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(ModuleError::TooSlow { bytes: 0, window: idle_timeout }),
        }
    }

    async fn recv(&mut self, channel: &mut dyn Channel) -> Result<Option<Bytes>, ModuleError> {
        let idle_ends = Instant::now() + self.limits.idle_timeout;
        loop {
            let deadline = idle_ends.min(self.window_ends);
            match timeout_at(deadline, channel.recv()).await {
                Ok(frame) => {
                    let frame = frame?;
                    self.window_bytes += frame.as_ref().map_or(0, Bytes::len);
                    self.roll()?;
                    return Ok(frame);
                }
                Err(_) if idle_ends <= Instant::now() => {
                    return Err(ModuleError::TooSlow {
                        bytes: 0,
                        window: self.limits.idle_timeout,
                    });
                }
                Err(_) => self.roll()?,
            }
        }
    }

    /// Begins the next window if this one is over and brought enough.
    fn roll(&mut self) -> Result<(), ModuleError> {
        let now = Instant::now();
        if now < self.window_ends {
            return Ok(());
        }
        if self.window_bytes < self.limits.window_bytes_min {
            let (bytes, window) = (self.window_bytes, self.limits.window);
            return Err(ModuleError::TooSlow { bytes, window });
        }
        (self.window_ends, self.window_bytes) = (now + self.limits.window, 0);
        Ok(())
    }
}
