//! The rule of the control chain as a model: one value per slot, explored in every order.
//!
//! What a device does is not modelled but asked of the [`Voter`](aura_journal::control::Voter) that
//! devices run (`local`). Around it stands everything that may go wrong (`slot`): votes are a
//! growing set, of which a device may see any part whenever it is asked; it may time out, want either
//! value or none, and lose its memory between any two writes; so many others sign whatever helps.
//!
//! Between two steps a device keeps its vote record and nothing else, as if it crashed there each time.
//! That leaves out no run: a device that goes on saw some part of the votes too, and its record is what
//! it wrote last.
//!
//! **Invariants**
//! - INV-M6: what a voter casts in any run, the model lets it cast from the same record and votes.
//! - INV-M7: with fewer than 2m − N equivocators no slot certifies two values in three views, whatever
//!   crashes and whoever is restored from a backup; with 2m − N, or without one of the rules, the model
//!   finds two.
//! - INV-M8: a height has one slot, whichever votes certified the decision before it.

mod local;
mod parents;
mod slot;
mod suite;

pub use local::{Board, Cast, Local, Memory, Value};
pub use parents::{ParentRule, Parents, RecordPer};
pub use slot::{Finding, Fleet, Rule, SlotModel};
pub use suite::{
    CertificateCase, CertificateError, Must, certificate_suite, run_certificate_suite,
};

/// Views that are explored: 0, 1 and 2.
pub const VIEWS: u8 = 3;
