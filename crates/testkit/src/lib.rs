//! Test-only helpers: the built guests, hostile modules, and the conformance suites.
//!
//! Only ever a dev-dependency. Hostile modules are built from text, so that a reader sees what is
//! hostile about them; the conformance suites hold a native protocol and its WebAssembly module to
//! the same replies, and a script to the session type that it declares.
//!
//! **Invariants**
//! - INV-K1: everything is a function of its arguments: the same seed makes the same script.
//! - INV-K2: a protocol answers alike in both its homes, natively and as a module.
//! - INV-K3: what a script asks is, at every device, a path of the projection of its global type; it
//!   has a result only at the end of one; and it asks the same again when it is run again.
//!
//! **Never**: an engine, a clock, a random seed; a dependency of anything that ships.

pub mod conformance;
pub mod guests;
pub mod hostile;
pub mod seed;

pub use conformance::{Departed, Divergence, Paths, Script, Subject};
pub use guests::MissingGuest;
pub use hostile::{HostileModule, Stage};
