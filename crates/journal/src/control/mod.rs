//! The control chain: what cannot be merged is decided by a quorum, one value per slot
//! (`02-ledger`, section 5).

mod announce;
mod ballots;
mod certificate;
mod chain;
mod config;
mod entry;
mod error;
mod facts;
pub(crate) mod merkle;
mod proof;
mod recover;
mod slot;
mod statement;
mod tip;
mod vote;
mod voter;

pub use announce::Announcement;
pub use certificate::{Certificate, CertificateError, CertifiedEntry};
pub use chain::{Appended, ControlChain, ENTRY_BYTES_MAX, SnapshotPoint};
pub use config::{ConfigError, Configuration, RecoveryRole, Role, RosterEntry};
pub use entry::{
    ActivateVersion, Entry, EntryBody, Genesis, Install, ReAdmit, Rekeyed, Release, ReleaseBuild,
    ReleasedMigration, RevertVersion, Revoke, RosterChange, Snapshot, UpgradePolicy,
};
pub use error::ChainError;
pub use facts::{Fact, Subject};
pub use proof::{ChainLink, ChainProof, PROOF_DEPTH_MAX, ProvedEntry};
pub use recover::{
    Recover, RecoveryRequest, RecoverySays, RecoveryWord, is_recovery_signature, sign_recovery,
};
pub use slot::Slot;
pub use statement::{LedgerProof, Question, STATEMENT_BYTES_MAX, Statement, StatementError};
pub use vote::{ControlMessage, Phase, Vote};
pub use voter::{
    Denied, EntryPolicy, FUTURE_PER_AUTHOR_MAX, Lock, Observed, PROPOSALS_PER_AUTHOR_MAX, Verdict,
    VoteRecord, Voter, VoterOutput,
};
