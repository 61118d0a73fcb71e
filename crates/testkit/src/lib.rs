//! Test-only helpers: the built guests, hostile modules, and the conformance suite.
//!
//! Only ever a dev-dependency. Hostile modules are built from text, so that a reader sees what is
//! hostile about them; the conformance suite holds a native protocol and its WebAssembly module to
//! the same replies.
//!
//! **Invariants**
//! - INV-K1: everything is a function of its arguments: the same seed makes the same script.
//! - INV-K2: a protocol answers alike in both its homes, natively and as a module.
//!
//! **Never**: an engine, a clock, a random seed; a dependency of anything that ships.

pub mod conformance;
pub mod guests;
pub mod hostile;
pub mod seed;

pub use conformance::{Divergence, Script};
pub use guests::MissingGuest;
pub use hostile::{HostileModule, Stage};
