//! Locks (`04-crypto`, section 5): two operations that must not meet never run together.
//!
//! Whoever wants the lock says so; the decider fixes whose wish counts; everybody draws the same winner
//! from what the account certified before ([`View`]), and a quorum signs its grant with the next fencing
//! number, in a group signature that is a part of this session. A device signs at most one grant for
//! each number of a lock, which is what makes the lock exclusive where two quorums share an honest device
//! ([`tolerated`](aura_crypto::fence::tolerated)); the lottery is fairness alone. A holder that is gone
//! loses the lock when the grant expires; one that slept through that is stopped by the number.
//!
//! What is certified of all locks is a [`Book`]: who holds one now, what the next draw is from, and whether
//! an order under a grant still counts. Operations that conflict share a lock ([`KEYS`]).
//!
//! **Invariants**
//! - INV-LK1: a device signs no grant for another device while one that it signed before may stand: until
//!   that one has expired by the quorum clock, or the account certified that it is over.
//! - INV-LK2: of all grants of one lock at most one is valid at a time.

mod book;
pub mod script;
mod work;

pub use book::{Book, KEYS, LockError, RECENT_GRANTS};
pub use script::Locking;
pub use work::{Locked, Request, Step, Terms, View};
