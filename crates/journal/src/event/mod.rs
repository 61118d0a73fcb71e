//! Ledger event formats. Append-only: any device may replay any of them.

mod encoding;
mod kind;
pub mod v1;
// +- The next format goes here, with its bytes in tests/it/unit_vectors.rs.

pub use kind::EventKind;
pub use v1::{
    ChildOpening, CloseSession, DeviceMetadata, Event, OpenChild, OpenSession, OpenUntil, Opening,
    ProposeUpgrade, Receipt, RecordPut, SessionMessage,
};
