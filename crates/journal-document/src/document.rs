//! The document of one ledger, kept up to date.

use std::collections::BTreeMap;

use aura_journal::Ledger;
use aura_protocol_core::{AccountId, DeviceId, Digest};
use serde_json::Value;

use crate::{
    compile::{Compiler, Fork, Waits},
    engine::Engine,
    error::DocumentError,
    json,
};

/// Most changes that Automerge is given at once. More are no faster each, and are held twice meanwhile.
const CHANGES_AT_ONCE_MAX: usize = 4 << 10;

/// An account's Automerge document, compiled from a ledger's units and entries.
///
/// It holds everything that it needs to go on; nothing is read from what was saved.
#[derive(Debug)]
pub struct Document {
    account: AccountId,
    engine: Engine,
    compiler: Compiler,
    /// How many of the ledger's units were compiled.
    units: usize,
}

/// What an update brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct Update {
    /// Units that were new.
    pub units: usize,
    /// Changes that the document got, of units and entries.
    pub changes: usize,
    /// Entries that wait for units that they close over.
    pub waiting: usize,
    /// Whether everything was compiled anew, because a device was found to have signed two units for
    /// one place. Changes and heads are then others than before.
    pub rebuilt: bool,
}

impl Document {
    /// The document of everything that a ledger holds.
    ///
    /// # Errors
    /// [`DocumentError::Refused`], a bug of this crate.
    pub fn of(ledger: &Ledger) -> Result<Self, DocumentError> {
        let mut document = Self::new(ledger.account());
        let _all = document.update(ledger)?;
        Ok(document)
    }

    /// The empty document of an account.
    #[must_use]
    pub fn new(account: AccountId) -> Self {
        Self::with_forks(account, BTreeMap::new())
    }

    fn with_forks(account: AccountId, forked: BTreeMap<DeviceId, u64>) -> Self {
        let compiler = Compiler::new(account, forked);
        Self { account, engine: Engine::new(), compiler, units: 0 }
    }

    /// Compiles what the ledger has got since the last time. The cost is in proportion to that.
    ///
    /// The ledger has to be the same one, or one that went on from where it was: a restored one is.
    ///
    /// # Errors
    /// [`DocumentError::Account`] for the ledger of another account, [`DocumentError::Settled`] for one
    /// that has dropped units, [`DocumentError::Refused`] for a bug of this crate. The ledger is untouched in any case.
    pub fn update(&mut self, ledger: &Ledger) -> Result<Update, DocumentError> {
        if ledger.account() != self.account {
            return Err(DocumentError::Account {
                document: self.account,
                ledger: ledger.account(),
            });
        }
        if let Some((k, _)) = ledger.base() {
            return Err(DocumentError::Settled { k });
        }
        let mut update = Update::default();
        while let Err(fork) = self.catch_up(ledger, &mut update)? {
            tracing::warn!(author = %fork.author, seq = fork.seq, "forked author left out");
            let mut forked = self.compiler.forked().clone();
            forked.entry(fork.author).and_modify(|it| *it = fork.seq.min(*it)).or_insert(fork.seq);
            *self = Self::with_forks(self.account, forked);
            update = Update { rebuilt: true, ..Update::default() };
        }
        let entries = ledger.chain().entries().len();
        update.waiting = entries.saturating_sub(self.compiler.entries());
        Ok(update)
    }

    fn catch_up(
        &mut self,
        ledger: &Ledger,
        update: &mut Update,
    ) -> Result<Result<(), Fork>, DocumentError> {
        // The first entry makes what all others write into.
        self.entries(ledger);
        for unit in ledger.units_after(self.units) {
            let Some(held) = ledger.unit(unit) else { continue };
            if let Err(fork) = self.compiler.unit(*unit, &held.body) {
                return Ok(Err(fork));
            }
            self.units = self.units.saturating_add(1);
            update.units = update.units.saturating_add(1);
            if CHANGES_AT_ONCE_MAX <= self.compiler.pending() {
                self.apply(update)?;
            }
        }
        self.entries(ledger);
        self.apply(update)?;
        Ok(Ok(()))
    }

    fn entries(&mut self, ledger: &Ledger) {
        while self.compiler.next_entry(ledger) == Waits::No {}
    }

    fn apply(&mut self, update: &mut Update) -> Result<(), DocumentError> {
        let changes = self.compiler.take_changes();
        update.changes = update.changes.saturating_add(changes.len());
        if changes.is_empty() { Ok(()) } else { self.engine.apply(changes) }
    }

    /// Whose account it is.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The names of the changes that no other rests on, sorted: Automerge's heads. The same for
    /// everyone who compiled the same units and entries (INV-DOC1).
    #[must_use]
    pub fn heads(&self) -> Vec<Digest> {
        self.engine.heads().into_iter().map(Digest::from_bytes).collect()
    }

    /// The document as an Automerge file. The same bytes for everyone who compiled the same units and
    /// entries (INV-DOC1); to that end all changes are put in one order, which costs about as much as
    /// compiling them did.
    ///
    /// # Errors
    /// [`DocumentError::Refused`], a bug of this crate.
    pub fn save(&self) -> Result<Vec<u8>, DocumentError> {
        self.engine.save()
    }

    /// What the document shows, as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json::value(self.engine.read())
    }
}
