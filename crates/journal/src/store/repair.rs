//! Getting back what verifies out of a damaged store.
//!
//! Entries and units are held by others too: those that are missing come from another device's ledger,
//! if there is one at hand, or again with the next sync. What only this device knew does not: its vote
//! record, its own values, the end of its own chain. A device that goes on without those would vote
//! twice, or sign two units for one place, so a store that lost one of them is refused; its owner joins
//! again as a new device.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use aura_protocol_core::{DeviceId, Record, decode};

use crate::{
    control::{CertifiedEntry, ControlChain},
    encoded::NamedUnit,
    ledger::{Ledger, PeerTag},
    store::{
        Compaction, DiskStore, LedgerStore as _, RecordChange, StoreBatch, StoreError, Stored,
        counts::{Tips, Totals},
        disk::{self, FILE_NAME},
        header,
        row::Kind,
        witness::{self, WITNESS_NAME},
    },
};

/// Where the damaged file goes.
const KEPT_NAME: &str = "ledger.redb.damaged";
/// Where the file is read and the new one is made: nothing of the store changes before both are done.
const WORK_NAME: &str = "repair";

/// What a damaged store still has.
#[derive(Debug)]
pub(crate) struct Salvage {
    /// Rows that verify, table by table in their order, with gaps; none of units.
    pub(crate) rows: Vec<SalvagedRow>,
    /// Units that verify, in the order in which they were accepted, with gaps.
    pub(crate) units: Vec<NamedUnit>,
    /// What was there, if that much is known.
    pub(crate) totals: Option<Totals>,
    /// How many units each author had, if that much is known.
    pub(crate) tips: Option<Tips>,
}

/// A row that verifies.
#[derive(Debug)]
pub(crate) struct SalvagedRow {
    pub(crate) kind: Kind,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// What a repair came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Entries that are there again.
    pub entries: u64,
    /// Entries that were there and have to come from others.
    pub entries_lost: u64,
    /// Units that are there again.
    pub units: u64,
    /// Units that were there and have to come from others.
    pub units_lost: u64,
    /// The damaged file, which is kept.
    pub kept: PathBuf,
}

/// Replaces the damaged store of device `me` in `dir` by one of what verifies.
///
/// Entries and units that verify by themselves but rest on damaged ones are left out with those, unless
/// `help`, another device's ledger of the same account, has what they rest on.
///
/// # Errors
/// [`StoreError::Unrepairable`] when something is lost that only this device knew, or too little can be
/// read to tell; the store is then as it was. [`StoreError`] when there is none, it is in use, or the
/// disk refuses.
pub fn repair(dir: &Path, me: DeviceId, help: Option<&Ledger>) -> Result<Repaired, StoreError> {
    let path = dir.join(FILE_NAME);
    let io_error = |source| StoreError::Io { path: path.clone(), source };
    // Not by the engine, which would write to what is damaged. Held until the new file is there.
    let file = File::open(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::NotFound { path: path.clone() },
        _ => io_error(error),
    })?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path }),
        Err(TryLockError::Error(error)) => return Err(io_error(error)),
    }
    let work = dir.join(WORK_NAME);
    remove(&work).map_err(io_error)?;
    fs::create_dir(&work).map_err(io_error)?;
    let repaired = rebuild(dir, &work, me, help).and_then(|(mut repaired, new)| {
        let kept = dir.join(KEPT_NAME);
        let replace = || -> io::Result<()> {
            // At any moment one of the two is the store.
            remove(&kept)?;
            fs::hard_link(&path, &kept)?;
            fs::rename(&new, &path)?;
            // It is of the file that was.
            remove(&dir.join(WITNESS_NAME))?;
            File::open(dir)?.sync_all()
        };
        replace().map_err(io_error)?;
        repaired.kept = kept;
        Ok(repaired)
    });
    remove(&work).map_err(io_error)?;
    repaired
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the new store in `work`, and says where its file is.
fn rebuild(
    dir: &Path,
    work: &Path,
    me: DeviceId,
    help: Option<&Ledger>,
) -> Result<(Repaired, PathBuf), StoreError> {
    let path = dir.join(FILE_NAME);
    let salvage = read(dir, work)?;
    let unrepairable = |what: String| StoreError::Unrepairable { path: path.clone(), what };
    let (totals, stored) = check_own(salvage, me, help).map_err(unrepairable)?;
    let batch = StoreBatch {
        records: stored
            .records
            .values()
            .flat_map(|it| it.values())
            .cloned()
            .map(RecordChange::Put)
            .collect(),
        local: stored.local.into_iter().map(|(name, value)| (name, Some(value))).collect(),
        entries: stored.entries,
        compaction: stored.base.map(|base| Compaction { base, units: Vec::new() }),
        units: stored.units,
        vote_record: stored.vote_record,
    };
    let new = work.join("new");
    DiskStore::create(&new)?.commit(&batch)?;
    let (entries, units) = (batch.entries.len() as u64, batch.units.len() as u64);
    let repaired = Repaired {
        entries,
        entries_lost: totals.count(Kind::Entries).saturating_sub(entries),
        units,
        units_lost: totals.count(Kind::Units).saturating_sub(units),
        kept: PathBuf::new(),
    };
    Ok((repaired, new.join(FILE_NAME)))
}

/// Reads a copy of the store, with the commit as the newest that the witness knows.
fn read(dir: &Path, work: &Path) -> Result<Salvage, StoreError> {
    let path = dir.join(FILE_NAME);
    let io_error = |source| StoreError::Io { path: path.clone(), source };
    let witnessed = witness::read(dir).map_err(io_error)?;
    let mut bytes = fs::read(&path).map_err(io_error)?;
    if header::newest(&bytes).is_some_and(|it| Some(it) < witnessed) {
        header::flip(&mut bytes);
        if header::newest(&bytes).is_some_and(|it| Some(it) < witnessed) {
            let what = "its newest commits are gone: it is an older copy".to_owned();
            return Err(StoreError::Unrepairable { path, what });
        }
    }
    let copy = work.join("copy");
    fs::write(&copy, bytes).map_err(io_error)?;
    disk::salvage(&copy).map_err(|error| match error {
        StoreError::Damaged { what, .. } => StoreError::Unrepairable { path: path.clone(), what },
        other => other,
    })
}

/// What can be used of what verifies, if nothing that only this device knew is missing.
fn check_own(
    salvage: Salvage,
    me: DeviceId,
    help: Option<&Ledger>,
) -> Result<(Totals, Stored), String> {
    let Salvage { rows, units, totals, tips } = salvage;
    let mut stored = Stored { units, ..Stored::default() };
    for row in rows {
        take(&mut stored, row);
    }
    let totals = totals.ok_or("what it held is not known")?;
    let tips: Tips = tips.ok_or("how many units it held of whom is not known")?;
    let records = stored.records.values().map(|it| it.len() as u64).sum::<u64>();
    for (kind, what, found) in [
        (Kind::Vote, "the vote record is lost", u64::from(stored.vote_record.is_some())),
        (Kind::Base, "what stands for older units is lost", u64::from(stored.base.is_some())),
        (Kind::Local, "values of the device itself are lost", stored.local.len() as u64),
        (Kind::Records, "records are lost", records),
    ] {
        if found != totals.count(kind) {
            return Err(what.to_owned());
        }
    }
    let ledger = replay(&mut stored, help)?;
    let own = ledger.next_seq(me);
    if own < tips.of(&me) {
        return Err(format!("the device's own units from place {own} on are lost"));
    }
    Ok((totals, stored))
}

/// A row that verifies and does not decode was written by no version, and is as if it were missing.
fn take(stored: &mut Stored, SalvagedRow { kind, key, value }: SalvagedRow) {
    match kind {
        Kind::Entries => stored.entries.extend(decode::<CertifiedEntry>(&value, usize::MAX).ok()),
        Kind::Vote => stored.vote_record = decode(&value, usize::MAX).ok(),
        Kind::Base => stored.base = decode(&value, usize::MAX).ok(),
        Kind::Records => {
            if let Ok(record) = decode::<Record>(&value, usize::MAX) {
                stored.records.entry(record.app).or_default().insert(record.key.clone(), record);
            }
        }
        Kind::Local => {
            if let (Ok(name), Ok(value)) = (String::from_utf8(key), decode(&value, usize::MAX)) {
                stored.local.insert(name, value);
            }
        }
        Kind::Units | Kind::Meta => {}
    }
}

/// Leaves out entries and units that do not follow from those before or from what the help has, and
/// takes what the help has besides.
fn replay(stored: &mut Stored, help: Option<&Ledger>) -> Result<Ledger, String> {
    let of_help = || help.into_iter().flat_map(|it| it.chain().entries()).cloned();
    let mut entries = std::mem::take(&mut stored.entries).into_iter().chain(of_help());
    let genesis = entries.next().ok_or("the beginning of the control chain is lost")?;
    let mut chain = ControlChain::from_entries([genesis]).map_err(|error| error.to_string())?;
    if help.is_some_and(|it| it.account() != chain.account()) {
        return Err("what is to help is of another account".to_owned());
    }
    for entry in entries {
        // One after a gap: what fills the gap may come with the help, and with it this one.
        if let Err(error) = chain.append(entry) {
            tracing::debug!(%error, "entry left out");
        }
    }
    let mut entries = chain.entries().to_vec();
    entries.extend(chain.frozen().cloned());
    let stored_base = Stored { entries, base: stored.base.clone(), ..Stored::default() };
    let mut ledger = Ledger::restore(&stored_base).map_err(|error| error.to_string())?;
    let helped =
        help.into_iter().flat_map(|it| it.arrivals().iter().filter_map(|u| it.unit_bytes(u)));
    let salvaged = stored.units.iter().map(NamedUnit::bytes);
    for outcome in ledger.import_all(PeerTag([0; 32]), helped.chain(salvaged)) {
        if let Err(error) = outcome {
            tracing::debug!(%error, "unit left out");
        }
    }
    let StoreBatch { units, .. } = ledger.take_batch();
    (stored.entries, stored.units) = (stored_base.entries, units);
    Ok(ledger)
}
