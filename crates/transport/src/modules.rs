//! Modules: from peer to peer, verified while they stream, and from locations that signed data names.
//!
//! A provider sends a module as its BLAKE3 tree: hash pairs and groups of 16 KiB, each of which the
//! receiver checks against the digest from signed data before it keeps a byte. So a provider need
//! not be trusted at all, a lie is found within its group, and what was verified stays when the next
//! provider takes over. The conversation on a channel: one [`ModuleRequest`], one answer, then frames
//! of at most [`DATA_FRAME_BYTES_MAX`] until the provider finishes.
//!
//! A location ([`Locations`]) is a server or a file. It cannot be verified while it streams, so what it
//! brings is bounded by the declared size and believed only as a whole.
//!
//! Invariants:
//! - INV-T7: no byte is kept before the group it belongs to verified against the module's digest.
//! - INV-T8: a provider costs a receiver no more than the declared size, one frame, and time in
//!   proportion; what it brought and verified is never fetched again.
//! - INV-T9: a module is handed out only after length, BLAKE3 and SHA-256 of the whole match.
//! - INV-T10: a location is read no further than the declared size, is dropped when it is silent or
//!   slow, and none is asked again once one and a half times the size came over the wire.
//! - INV-T11: bytes of a location that lied spoil no other source: after a mixture that did not match,
//!   each location starts from what verified.

mod error;
mod fetch;
mod limits;
pub mod locations;
mod pace;
mod part_file;
mod partial;
mod serve;
mod tree;
mod wire;

pub use error::ModuleError;
pub use fetch::{Progress, fetch_module};
pub use limits::TransferLimits;
pub use locations::{LocationError, LocationFailure, LocationLimits, Locations};
use pace::Slow;
pub use partial::PartialModule;
pub use serve::{ModuleSource, Served, serve_module};
pub use wire::{DATA_FRAME_BYTES_MAX, ModuleRequest};
