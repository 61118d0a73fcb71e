//! The three traits that everything above this crate is written against.
//!
//! They promise what QUIC promises and no more, and both implementations are held to it by one
//! conformance suite:
//!
//! - A channel never loses, reorders or corrupts a message in the middle. It breaks, and after a
//!   break the fate of what was not acknowledged is unknown.
//! - A channel becomes visible to the peer when it, or one opened after it, carries the first bytes.
//! - Both directions of a channel end separately: `finish` ends ours and leaves the peer's open.

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::{PeerAddr, PeerId, Result, TransportError};

/// A device's place in the network: dials peers by key and accepts those that admission lets in.
pub trait Transport: Send + Sync + 'static {
    /// The key that peers dial.
    fn id(&self) -> PeerId;

    /// Where peers may find this transport now.
    fn addr(&self) -> PeerAddr;

    /// Dials `to`, proves both keys and agrees on `protocol`, all within the connect deadline of the
    /// settings. An `Ok` means that the peer is who it should be; its admission may still turn us
    /// away, which shows as [`TransportError::Closed`] on the session.
    fn connect<'a>(
        &'a self,
        to: &'a PeerAddr,
        protocol: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Session>>>;

    /// The next admitted inbound session; `None` once the transport is closed. Cancel-safe.
    fn accept(&self) -> BoxFuture<'_, Option<Box<dyn Session>>>;

    /// Tells the transport that interfaces or routes may have changed.
    fn network_changed(&self) -> BoxFuture<'_, ()>;

    /// Delivers what finished channels still hold, within the close deadline of the settings, then
    /// closes every session with [`close::SHUTDOWN`](crate::close::SHUTDOWN).
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// An authenticated conversation with one peer in one protocol. Dropping the session and all its
/// channels closes it with [`close::NORMAL`](crate::close::NORMAL).
pub trait Session: Send + Sync + 'static {
    /// The proven key of the other side.
    fn peer(&self) -> PeerId;

    /// The agreed protocol.
    fn protocol(&self) -> &str;

    /// Bytes that both sides of this very session know and nobody else does (the TLS exporter). What
    /// is signed over them cannot be replayed in another session.
    fn binding(&self) -> Result<[u8; 32]>;

    /// Opens a channel, waiting while as many are open as the settings allow.
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Channel>>>;

    /// The next channel that the peer opened, in the order in which it opened them. Cancel-safe.
    fn accept(&self) -> BoxFuture<'_, Result<Box<dyn Channel>>>;

    /// Waits until the peer acknowledged everything in the channels finished so far. `close` after
    /// this loses nothing.
    fn delivered(&self) -> BoxFuture<'_, Result<()>>;

    /// Closes at once; what is still under way may be lost. The peer sees code and reason.
    fn close(&self, code: u32, reason: &str);

    /// Resolves when the session ended, with the way it ended:
    /// [`ClosedLocally`](TransportError::ClosedLocally), [`Closed`](TransportError::Closed) or
    /// [`Lost`](TransportError::Lost).
    fn closed(&self) -> BoxFuture<'_, TransportError>;
}

/// An ordered, reliable stream of messages in both directions, each at most
/// [`FRAME_BYTES_MAX`](aura_protocol_core::limits::FRAME_BYTES_MAX) bytes.
///
/// A channel dropped before [`finish`](Channel::finish) breaks for the peer: silence is never taken
/// for a proper end.
pub trait Channel: Send + 'static {
    /// Sends one message, waiting while the peer does not read. Completes when the bytes are in the
    /// send window, not when they are received. Cancelled, the message is sent whole or not at all.
    fn send(&mut self, message: Bytes) -> BoxFuture<'_, Result<()>>;

    /// The next message; `None` when the peer finished. Cancel-safe.
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>>;

    /// Ends our direction; the peer gets everything sent before, then `None`. Does not wait for it:
    /// see [`Session::delivered`]. Finishing twice changes nothing.
    fn finish(&mut self) -> BoxFuture<'_, Result<()>>;
}
