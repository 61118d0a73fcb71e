#![doc = include_str!("../README.md")]

mod admission;
pub mod close;
mod delivery;
mod error;
mod frame;
mod key;
pub mod memory;
pub mod modules;
mod peer;
pub mod protocol;
mod quic;
mod settings;
mod transport;

pub use admission::{Admission, AdmitAnyone, Verdict};
pub use error::{Culprit, Result, TransportError};
pub use key::TransportKey;
pub use memory::{Link, MemoryNetwork, MemoryTransport};
pub use modules::{
    LocationError, LocationFailure, LocationLimits, Locations, ModuleError, ModuleRequest,
    ModuleSource, PartialModule, Progress, Served, TransferLimits, fetch_module, serve_module,
};
pub use peer::{DIRECT_ADDRS_MAX, InvalidPeerId, PeerAddr, PeerId, RELAY_BYTES_MAX};
pub use quic::{QuicConfig, QuicTransport};
pub use settings::{Congestion, Settings};
pub use transport::{Channel, Session, Transport};
