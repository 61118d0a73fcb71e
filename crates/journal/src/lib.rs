#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod announced;
mod author;
pub mod control;
mod dag;
mod encoded;
pub mod error;
pub mod event;
mod fold;
pub mod fork;
mod frontier;
pub mod fuzz;
pub mod ledger;
mod reading;
pub mod roots;
pub mod scheme;
pub mod session;
mod settling;
pub mod snapshot;
pub mod store;
pub mod subscribe;
pub mod sync;
mod ticks;
pub mod unit;

pub use announced::RecoveryWords;
pub use dag::{QUOTA_BYTES, QUOTA_UNITS};
pub use encoded::NamedUnit;
pub use error::{AuthorError, Missing, Reject, RestoreError};
pub use event::{Event, EventKind};
pub use fold::state::{
    AccountState, ActiveVersion, AppState, Position, ProposalState, PublishedRelease, RawRecord,
    RecordId, SessionState, SessionStatus,
};
pub use fork::{ForkProof, ForkProofError};
pub use ledger::{Ledger, Outcome, PeerTag};
pub use roots::{app_root, state_root};
pub use scheme::{Strict, UnitScheme};
pub use session::{child_session_id, session_id};
pub use snapshot::{Base, SnapshotError};
pub use store::{LedgerStore, RecordChange, StoreBatch, StoreError, Stored};
pub use subscribe::{Filter, Finality, Matching, SubscriptionId};
pub use unit::{Unit, UnitBody};
