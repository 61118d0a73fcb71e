//! Ledger event formats. Append-only: any device may replay any of them.

pub mod v1;
// +- The next format goes here, with its bytes in tests/it/vectors.rs.

pub use v1::{
    CloseSession, DeviceMetadata, Event, OpenSession, ProposeUpgrade, Receipt, RecordPut,
    SessionMessage,
};
