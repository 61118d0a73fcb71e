//! The simulated twin of the production transport: seeded, in virtual time, with QUIC's failure model.
//!
//! Under a paused tokio clock on one thread, the same seed and the same calls give the same run:
//! same delays, same losses, same trace. The network itself is honest. Loss costs time, a cut makes
//! silence and, after the idle timeout, breaks sessions; nothing is ever corrupted, reordered or
//! lost in the middle. Byzantine faults live in the *peer*: [`HostileSession`].

mod channel;
mod hostile;
mod link;
mod network;
mod session;
mod session_state;
mod transport;

pub use hostile::{HostileChannel, HostileSession};
pub use link::Link;
pub use network::{MemoryNetwork, TraceEvent, TraceKind};
pub use transport::MemoryTransport;
