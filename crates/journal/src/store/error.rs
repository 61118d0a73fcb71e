//! What can go wrong with a store, and what to do then.

use std::{io, path::PathBuf};

use aura_protocol_core::AppId;
use thiserror::Error;

/// Why a store cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process, or another part of this one, has it open.
    #[error("the store {} is in use", path.display())]
    InUse {
        /// The store's file.
        path: PathBuf,
    },
    /// A newer version of this program wrote it.
    #[error("the store {} has format {found}, and up to {supported} is known here", path.display())]
    NewerFormat {
        /// The store's file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        supported: u32,
    },
    /// Its bytes are not those that were written.
    #[error("the store {} is damaged: {what}", path.display())]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What is damaged in it.
        what: String,
    },
    /// Something that only this device knew is damaged, so that what verifies must not be used alone:
    /// the device would sign another unit for a place, or vote twice.
    #[error("the store {} cannot be repaired: {what}", path.display())]
    Unrepairable {
        /// The store's file, as it was.
        path: PathBuf,
        /// What is lost.
        what: String,
    },
    /// There is none.
    #[error("there is no store at {}", path.display())]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is one already.
    #[error("there is a store at {} already", path.display())]
    Exists {
        /// Where it is.
        path: PathBuf,
    },
    /// The disk refuses: it is full, or access is denied.
    #[error("the store {} cannot be read or written", path.display())]
    Io {
        /// The store's file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The engine failed in a way that is neither damage nor the disk's.
    #[error("the engine of the store {} failed", path.display())]
    Engine {
        /// The store's file.
        path: PathBuf,
        /// What it says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A batch's entries do not continue those stored: the caller's fault.
    #[error("entry {got} was to be stored where entry {need} belongs")]
    Unordered {
        /// The height that is needed next.
        need: u64,
        /// The height that came.
        got: u64,
    },
    /// The records of a swap belong to another app: the caller's fault.
    #[error("a record of app {found} was to be stored for app {app}")]
    ForeignRecord {
        /// The app whose records are swapped.
        app: AppId,
        /// The app of one of the records.
        found: AppId,
    },
    /// A memory store was told to crash here, or has crashed and was not restarted.
    #[error("the store has crashed")]
    Crashed,
}

impl StoreError {
    /// The stable name of the reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "StoreInUse",
            Self::NewerFormat { .. } => "StoreNewerFormat",
            Self::Damaged { .. } => "StoreDamaged",
            Self::Unrepairable { .. } => "StoreUnrepairable",
            Self::NotFound { .. } => "StoreNotFound",
            Self::Exists { .. } => "StoreExists",
            Self::Io { .. } => "StoreIo",
            Self::Engine { .. } => "StoreEngine",
            Self::Unordered { .. } => "StoreUnordered",
            Self::ForeignRecord { .. } => "StoreForeignRecord",
            Self::Crashed => "StoreCrashed",
        }
    }
}
