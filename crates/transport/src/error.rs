//! What can go wrong between two devices, and whose fault it is.

use std::{net::SocketAddr, time::Duration};

use aura_protocol_core::limits::FRAME_BYTES_MAX;
use thiserror::Error;

use crate::PeerId;

/// Who has to change something before trying again makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Culprit {
    /// The other device misbehaved, or decided to end this.
    Peer,
    /// The program that called this crate.
    Caller,
    /// This machine: an address in use, missing rights.
    Machine,
    /// Nobody: the network in between, or a peer that is simply away.
    Network,
    /// Whoever signed the reference to a module.
    Publisher,
    /// A server that a reference to a module names.
    Server,
}

/// An error of a transport, a session or a channel.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No session could be made in time: away, a wrong address, or another key lives there.
    #[error("peer {peer} is unreachable: {reason}")]
    Unreachable {
        /// Who was dialled.
        peer: PeerId,
        /// What the attempt ended with.
        reason: String,
    },
    /// The peer is there and proved its key, but does not speak the protocol (or its major version).
    #[error("peer {peer} does not speak {protocol}")]
    NoProtocol {
        /// Who was dialled.
        peer: PeerId,
        /// What was asked for.
        protocol: String,
    },
    /// The session broke; what was not acknowledged has an unknown fate.
    #[error("session lost: {reason}")]
    Lost {
        /// What broke it.
        reason: String,
    },
    /// The peer closed the session.
    #[error("closed by the peer with code {code}: {reason}")]
    Closed {
        /// One of [`close`](crate::close), or the application's own.
        code: u32,
        /// The peer's words, made printable.
        reason: String,
    },
    /// This side closed the session.
    #[error("session was closed by this side")]
    ClosedLocally,
    /// The peer abandoned the channel, or no longer reads it.
    #[error("channel was reset by the peer with code {code}")]
    Reset {
        /// One of [`close`](crate::close), or the application's own.
        code: u32,
    },
    /// This side finished the channel and then wanted to send.
    #[error("channel was already finished by this side")]
    Finished,
    /// The caller's frame is over the limit; nothing was sent.
    #[error("frame of {bytes} bytes is over the limit of {FRAME_BYTES_MAX}")]
    FrameTooBig {
        /// Length of the frame.
        bytes: usize,
    },
    /// The peer announced a frame over the limit; nothing was allocated and the session is closed.
    #[error("peer announced a frame of {bytes} bytes, over the limit of {FRAME_BYTES_MAX}")]
    PeerFrameTooBig {
        /// The announced length.
        bytes: u64,
    },
    /// The peer ended the channel in the middle of a frame.
    #[error("peer ended the channel in the middle of a frame")]
    Truncated,
    /// The peer began a frame and then dripped or fell silent.
    #[error("peer stalled in the middle of a frame: {bytes} bytes in {window:?}")]
    FrameStalled {
        /// What arrived within the window.
        bytes: usize,
        /// How long it had.
        window: Duration,
    },
    /// Another program, or another device of this program, listens there.
    #[error("address {addr} is in use")]
    AddressInUse {
        /// Where listening was tried.
        addr: SocketAddr,
    },
    /// Listening failed for another reason.
    #[error("cannot listen on {addr}: {reason}")]
    Bind {
        /// Where listening was tried.
        addr: SocketAddr,
        /// What the operating system said.
        reason: String,
    },
    /// A setting is out of its range.
    #[error("setting {name} is out of range: {reason}")]
    InvalidSetting {
        /// Name of the setting.
        name: &'static str,
        /// What the range is.
        reason: String,
    },
    /// This transport was closed.
    #[error("transport is shut down")]
    Shutdown,
}

impl TransportError {
    /// Whose fault it is. Exhaustive, so each new variant has to decide.
    #[must_use]
    pub fn culprit(&self) -> Culprit {
        match self {
            Self::NoProtocol { .. }
            | Self::Closed { .. }
            | Self::Reset { .. }
            | Self::PeerFrameTooBig { .. }
            | Self::Truncated
            | Self::FrameStalled { .. } => Culprit::Peer,
            Self::ClosedLocally
            | Self::Finished
            | Self::FrameTooBig { .. }
            | Self::InvalidSetting { .. }
            | Self::Shutdown => Culprit::Caller,
            Self::AddressInUse { .. } | Self::Bind { .. } => Culprit::Machine,
            Self::Unreachable { .. } | Self::Lost { .. } => Culprit::Network,
        }
    }
}

/// The result of this crate's operations.
pub type Result<T> = std::result::Result<T, TransportError>;
