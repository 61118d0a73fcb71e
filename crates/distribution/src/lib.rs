#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod change;
pub mod consent;
pub mod migration;
pub mod receipt;
pub mod repository;

pub use change::{Change, ChangeError};
pub use consent::Consent;
pub use migration::{MigrationError, MigrationRun, Quarantined, migrate, take_back};
pub use receipt::{Rehearsal, challenge};
pub use repository::{ReleaseError, Repository, check_release};
