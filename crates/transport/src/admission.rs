//! Who may talk to this device at all.
//!
//! The transport authenticates a peer's key and then asks. It knows no roster, ticket or ledger;
//! the answer comes from whoever owns those.

use crate::PeerId;

/// The answer to "may this peer speak this protocol with us?".
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Hand the session out.
    Allow,
    /// Close it with [`close::DENIED`](crate::close::DENIED); the peer is told the reason.
    Deny {
        /// What the peer is told. It must not reveal who would have been let in.
        reason: String,
    },
}

/// Decides about every inbound session after its key was proven and before it is handed out.
///
/// It is asked on the handshake's path, so it answers from memory.
pub trait Admission: Send + Sync + 'static {
    /// Whether `peer`, whose key is proven, may speak `protocol`.
    fn admit(&self, peer: PeerId, protocol: &str) -> Verdict;
}

impl<F> Admission for F
where
    F: Fn(PeerId, &str) -> Verdict + Send + Sync + 'static,
{
    fn admit(&self, peer: PeerId, protocol: &str) -> Verdict {
        self(peer, protocol)
    }
}

/// Admits every proven key. For protocols that are open to anyone, and for tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdmitAnyone;

impl Admission for AdmitAnyone {
    fn admit(&self, _peer: PeerId, _protocol: &str) -> Verdict {
        Verdict::Allow
    }
}
