//! The document of one ledger, kept up to date.

use std::collections::BTreeMap;

use aura_journal::Ledger;
use aura_protocol_core::{AccountId, DeviceId, Digest};
use serde_json::Value;

use crate::{
    compile::{Compiler, Fork, Told, Waits},
    cuts::Cuts,
    engine::Engine,
    error::DocumentError,
    json,
};

/// Most changes that Automerge is given at once. More are no faster each, and are held twice meanwhile.
const CHANGES_AT_ONCE_MAX: usize = 4 << 10;

/// How much of an account a document shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extent {
    /// What the newest snapshot stands for, and everything since. The same on every device, whether it
    /// dropped the units before or has them.
    #[default]
    SinceSnapshot,
    /// Everything since the account began. Only a device that has dropped nothing can show it.
    Whole,
}

/// An account's Automerge document, compiled from a ledger's units and entries.
///
/// It holds everything that it needs to go on; nothing is read from what was saved.
#[derive(Debug)]
pub struct Document {
    account: AccountId,
    extent: Extent,
    /// The height of the snapshot that it begins with; none where it begins with the account.
    since: Option<u64>,
    footing: Footing,
    engine: Engine,
    compiler: Compiler,
    /// How many of the ledger's units were looked at.
    units: usize,
    cuts: Cuts,
}

/// What a ledger's units and entries are counted from. Where units were dropped, those that are left have
/// other places; with a recovery, other entries follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Footing {
    base: Option<u64>,
    generation: u64,
}

impl Footing {
    fn of(ledger: &Ledger) -> Self {
        Self { base: ledger.base().map(|(k, _)| k), generation: ledger.chain().generation() }
    }
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
    /// one place, a cut took out what was compiled, or there is a new snapshot to begin with. Changes
    /// and heads are then others than before.
    pub rebuilt: bool,
}

impl Document {
    /// The document of what a ledger holds, since its newest snapshot.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn of(ledger: &Ledger) -> Result<Self, DocumentError> {
        let mut document = Self::new(ledger.account());
        let _all = document.update(ledger)?;
        Ok(document)
    }

    /// The empty document of an account, which is to begin with its newest snapshot.
    #[must_use]
    pub fn new(account: AccountId) -> Self {
        Self::with_extent(account, Extent::SinceSnapshot)
    }

    /// The empty document of an account, which is to show so much of it.
    #[must_use]
    pub fn with_extent(account: AccountId, extent: Extent) -> Self {
        let compiler = Compiler::new(account, BTreeMap::new());
        let (engine, cuts) = (Engine::new(), Cuts::default());
        let (since, footing) = (None, Footing::default());
        Self { account, extent, since, footing, engine, compiler, units: 0, cuts }
    }

    /// Compiles what the ledger has got since the last time. The cost is in proportion to that, unless
    /// everything has to be compiled anew.
    ///
    /// The ledger has to be the same one, or one that went on from where it was: a restored one is.
    ///
    /// # Errors
    /// [`DocumentError::Account`] for the ledger of another account, [`DocumentError::Settled`] where the
    /// whole document is wanted of one that has dropped units, [`DocumentError::Refused`] for a bug of this
    /// crate. The ledger is untouched in any case.
    pub fn update(&mut self, ledger: &Ledger) -> Result<Update, DocumentError> {
        if ledger.account() != self.account {
            return Err(DocumentError::Account {
                document: self.account,
                ledger: ledger.account(),
            });
        }
        let since = match (self.extent, ledger.base()) {
            (Extent::SinceSnapshot, _) => ledger.newest_base(),
            (Extent::Whole, None) => None,
            (Extent::Whole, Some((k, _))) => return Err(DocumentError::Settled { k }),
        };
        let mut update = Update::default();
        let forked = ledger.forks();
        let is_first = self.units == 0 && self.compiler.entries() == 0;
        let is_moved = self.footing != Footing::of(ledger);
        let is_stale = since != self.since || forked != *self.compiler.forked() || is_moved;
        if is_stale || self.cuts.moved(ledger, self.units) {
            self.begin(ledger, since, forked);
            update.rebuilt = !is_first;
        }
        while let Err(fork) = self.catch_up(ledger, &mut update)? {
            tracing::warn!(author = %fork.author, seq = fork.seq, "forked author left out");
            let mut forked = self.compiler.forked().clone();
            forked.entry(fork.author).and_modify(|it| *it = fork.seq.min(*it)).or_insert(fork.seq);
            self.begin(ledger, since, forked);
            update = Update { rebuilt: true, ..Update::default() };
        }
        let entries = ledger.chain().entries().len();
        update.waiting = entries.saturating_sub(self.compiler.entries());
        Ok(update)
    }

    /// Begins anew.
    fn begin(&mut self, ledger: &Ledger, since: Option<u64>, forked: BTreeMap<DeviceId, u64>) {
        let mut compiler = Compiler::new(self.account, forked);
        if let Some(base) = since.and_then(|k| ledger.base_for(k)) {
            compiler.stand(ledger, &base);
        }
        let (account, extent, engine) = (self.account, self.extent, Engine::new());
        let (cuts, footing) = (Cuts::of(ledger), Footing::of(ledger));
        *self = Self { account, extent, since, footing, engine, compiler, units: 0, cuts };
    }

    fn catch_up(
        &mut self,
        ledger: &Ledger,
        update: &mut Update,
    ) -> Result<Result<(), Fork>, DocumentError> {
        // The first entry makes what all others write into.
        self.entries(ledger);
        for unit in ledger.units_after(self.units) {
            self.units = self.units.saturating_add(1);
            let Some(held) = ledger.unit(unit).filter(|_| !self.compiler.is_below(ledger, unit))
            else {
                continue;
            };
            let is_cut_off = self.cuts.leave_out(ledger, unit, &held.body);
            let epoch = self.compiler.epoch(ledger, unit, held.body.config);
            let told = Told { is_cut_off, epoch };
            if let Err(fork) = self.compiler.unit(*unit, &held.body, told) {
                return Ok(Err(fork));
            }
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

    /// The height of the snapshot that it begins with; none where it begins with the account.
    #[must_use]
    pub const fn since(&self) -> Option<u64> {
        self.since
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
