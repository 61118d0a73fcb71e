//! A store on disk: one redb file. This file and `write` alone name redb.
//!
//! Commits are in two phases, so that the engine never takes back one that was acknowledged: a page
//! of it that does not verify is damage, and reported as such. When a store is opened, every page
//! that is in use is verified; when it is loaded, every row and the total of every table.
//!
//! The layout has a format: an older store is brought forward when it is opened, in one transaction.
//! Format 2 added, for each author, how many units of it there are; format 3 a place for what stands for
//! units that are gone; format 4 puts many units in a row, with their names. What the rows hold has
//! versions of its own.
//!
//! The engine panics on some damage. It is called behind [`guard`], which makes that a
//! [`StoreError::Damaged`] like any other.

mod write;

use std::{
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use aura_protocol_core::{Record, decode};
use borsh::{BorshDeserialize, BorshSerialize};
use redb::{Builder, Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _};

use crate::{
    control::{CertifiedEntry, VoteRecord},
    encoded::NamedUnit,
    store::{
        LedgerStore, Medium, StoreBatch, StoreError, Stored,
        counts::{Counts, Totals},
        disk::write::{append_units, clear_units, put_counts, put_meta, table, write_batch},
        header, packed,
        repair::{Salvage, SalvagedRow},
        row::{CHECKSUM_BYTES, Kind, number_key, number_of, split_record_key, unseal},
        witness::{self, Witness},
    },
};

/// The format of the store. Its number stands in every store in this same place for ever.
pub const STORE_FORMAT: u32 = 4;
/// The oldest format that is brought forward.
const FORMAT_MIN: u32 = 1;
/// The first format with many units to a row.
const PACKED_FORMAT: u32 = 4;
pub(crate) const FILE_NAME: &str = "ledger.redb";
/// A store under construction. It has never held anything that was acknowledged.
const NEW_FILE_NAME: &str = "ledger.redb.new";
/// The engine's page cache, in bytes. The ledger is in memory anyway; this is for the trees' inner
/// pages while writing.
const CACHE_BYTES: usize = 16 << 20;
/// What a store on a medium is called in errors.
const MEDIUM_NAME: &str = "on a medium";
const FORMAT_KEY: &[u8] = b"format";
const TOTALS_KEY: &[u8] = b"totals";
const TIPS_KEY: &[u8] = b"tips";
const TAIL_KEY: &[u8] = b"tail";

/// A store in a directory. Whoever has it open is alone with it.
pub struct DiskStore {
    path: PathBuf,
    database: Database,
    /// None on a medium: there is no folder beside it.
    witness: Option<Witness>,
}

impl std::fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl DiskStore {
    /// Makes an empty store in `dir`, which is made too where it does not exist.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is one already.
    pub fn create(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE_NAME);
        let io_error = |source| StoreError::Io { path: path.clone(), source };
        fs::create_dir_all(dir).map_err(io_error)?;
        if path.try_exists().map_err(io_error)? {
            return Err(StoreError::Exists { path });
        }
        let new = dir.join(NEW_FILE_NAME);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(error)),
            _ => guard(&new, || write_empty(&new, builder().create(&new)))?,
        }
        // Unlike a rename, a link never takes the place of a store that somebody else just made.
        match fs::hard_link(&new, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(StoreError::Exists { path });
            }
            linked => linked.map_err(io_error)?,
        }
        fs::remove_file(&new).map_err(io_error)?;
        File::open(dir).and_then(|it| it.sync_all()).map_err(io_error)?;
        Self::open(dir)
    }

    /// Opens the store in `dir`, and verifies every page of it.
    ///
    /// # Errors
    /// [`StoreError`]: there is none, it is in use, newer, or damaged.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE_NAME);
        let io_error = |source| StoreError::Io { path: path.clone(), source };
        let witnessed = witness::read(dir).map_err(io_error)?;
        header::check(&header::read(&path)?, witnessed).map_err(|what| damaged(&path, what))?;
        let open = || builder().open(&path).map_err(|it| engine(&path, it));
        let mut store =
            Self { database: verified(&path, open)?, path: path.clone(), witness: None };
        guard(&path, || store.bring_forward())?;
        store.witness = Some(Witness::open(dir).map_err(io_error)?);
        store.note()?;
        Ok(store)
    }

    /// Makes an empty store on a medium.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the medium fails.
    pub fn create_on(medium: Arc<dyn Medium>) -> Result<Self, StoreError> {
        let path = PathBuf::from(MEDIUM_NAME);
        guard(&path, || {
            write_empty(&path, builder().create_with_backend(OnMedium(medium.clone())))
        })?;
        Self::open_on(medium)
    }

    /// Opens the store on a medium, as [`Self::open`] does.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(medium: Arc<dyn Medium>) -> Result<Self, StoreError> {
        let path = PathBuf::from(MEDIUM_NAME);
        let open = || {
            let opened = builder().create_with_backend(OnMedium(medium.clone()));
            opened.map_err(|it| engine(&path, it))
        };
        let store = Self { database: verified(&path, open)?, path: path.clone(), witness: None };
        guard(&path, || store.bring_forward())?;
        Ok(store)
    }

    /// Notes the commit that the file names as the newest.
    fn note(&mut self) -> Result<(), StoreError> {
        let Some(witness) = &mut self.witness else { return Ok(()) };
        if let Some(number) = header::newest(&header::read(&self.path)?) {
            witness.note(number);
        }
        Ok(())
    }

    /// The store's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses what no version here can read, and brings forward what an older one wrote.
    fn bring_forward(&self) -> Result<(), StoreError> {
        let txn = self.database.begin_read().map_err(|it| engine(&self.path, it))?;
        let found: u32 = self.meta(&txn, FORMAT_KEY)?;
        if STORE_FORMAT < found {
            let (path, supported) = (self.path.clone(), STORE_FORMAT);
            return Err(StoreError::NewerFormat { path, found, supported });
        }
        if found < FORMAT_MIN {
            return Err(damaged(&self.path, format!("format {found} never existed")));
        }
        if found == STORE_FORMAT {
            return Ok(());
        }
        let mut counts = Counts { totals: self.meta(&txn, TOTALS_KEY)?, ..Counts::default() };
        let units = self.numbered::<Vec<u8>>(&txn, &counts.totals, Kind::Units)?;
        drop(txn);
        let units: Vec<NamedUnit> = units.into_iter().map(NamedUnit::of).collect();
        let mut txn = self.database.begin_write().map_err(|it| engine(&self.path, it))?;
        txn.set_two_phase_commit(true);
        let mut rewrite = || -> Result<(), redb::Error> {
            txn.open_table(table(Kind::Base))?;
            clear_units(&txn, &mut counts)?;
            append_units(&txn, &mut counts, &units)?;
            put_counts(&txn, &counts)?;
            put_meta(&txn, FORMAT_KEY, &STORE_FORMAT)
        };
        rewrite().map_err(|it| engine(&self.path, it))?;
        txn.commit().map_err(|it| engine(&self.path, it))
    }

    fn meta<T: BorshDeserialize + BorshSerialize>(
        &self,
        txn: &ReadTransaction,
        key: &[u8],
    ) -> Result<T, StoreError> {
        let rows = txn.open_table(table(Kind::Meta)).map_err(|it| engine(&self.path, it))?;
        let row = rows.get(key).map_err(|it| engine(&self.path, it))?;
        let row = row.ok_or_else(|| self.damaged_row(Kind::Meta, key))?;
        self.value(Kind::Meta, key, row.value())
    }

    /// Verifies and decodes a row.
    fn value<T: BorshDeserialize + BorshSerialize>(
        &self,
        kind: Kind,
        key: &[u8],
        row: &[u8],
    ) -> Result<T, StoreError> {
        unseal(kind, key, row)
            .and_then(|value| decode(value, usize::MAX).ok())
            .ok_or_else(|| self.damaged_row(kind, key))
    }

    fn damaged_row(&self, kind: Kind, key: &[u8]) -> StoreError {
        damaged(&self.path, kind.describe(key))
    }

    /// Gives every row of a table to `take`, which says how many things it holds, and checks that they
    /// are those that belong there.
    fn each_row(
        &self,
        txn: &ReadTransaction,
        totals: &Totals,
        kind: Kind,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<u64, StoreError>,
    ) -> Result<(), StoreError> {
        let mut found = Totals::default();
        let rows = txn.open_table(table(kind)).map_err(|it| engine(&self.path, it))?;
        for row in rows.iter().map_err(|it| engine(&self.path, it))? {
            let (key, row) = row.map_err(|it| engine(&self.path, it))?;
            found.add(kind, take(key.value(), row.value())?, row.value());
        }
        if found.of(kind) != totals.of(kind) {
            let (held, wanted) = (found.count(kind), totals.count(kind));
            let what = format!("{} holds {held}, not the {wanted} written", kind.name());
            return Err(damaged(&self.path, what));
        }
        Ok(())
    }

    /// The rows of a table whose keys are the numbers from 0 on.
    fn numbered<T: BorshDeserialize + BorshSerialize>(
        &self,
        txn: &ReadTransaction,
        totals: &Totals,
        kind: Kind,
    ) -> Result<Vec<T>, StoreError> {
        let mut values = Vec::new();
        self.each_row(txn, totals, kind, |key, row| {
            if number_of(key) != Some(values.len() as u64) {
                return Err(self.damaged_row(kind, key));
            }
            values.push(self.value(kind, key, row)?);
            Ok(1)
        })?;
        Ok(values)
    }

    /// All units.
    fn units(&self, txn: &ReadTransaction, totals: &Totals) -> Result<Vec<NamedUnit>, StoreError> {
        let mut units = Vec::new();
        self.each_row(txn, totals, Kind::Units, |key, row| {
            let first = units.len() as u64;
            if number_of(key) != Some(first) {
                return Err(self.damaged_row(Kind::Units, key));
            }
            let held = unseal(Kind::Units, key, row).and_then(packed::units);
            let held = held.ok_or_else(|| self.damaged_units(first, key, row))?;
            let count = held.len() as u64;
            units.extend(held);
            Ok(count)
        })?;
        Ok(units)
    }

    /// A row of units does not verify: names the first of them that is not what it was.
    fn damaged_units(&self, first: u64, key: &[u8], row: &[u8]) -> StoreError {
        let units = row.get(CHECKSUM_BYTES..).unwrap_or_default();
        match (first..).zip(packed::sound(units)).find(|(_, unit)| unit.is_none()) {
            Some((number, _)) => damaged(&self.path, format!("unit {number}")),
            None => self.damaged_row(Kind::Units, key),
        }
    }

    fn load_all(&self) -> Result<Stored, StoreError> {
        let txn = self.database.begin_read().map_err(|it| engine(&self.path, it))?;
        let totals: Totals = self.meta(&txn, TOTALS_KEY)?;
        let mut stored = Stored {
            entries: self.numbered::<CertifiedEntry>(&txn, &totals, Kind::Entries)?,
            units: self.units(&txn, &totals)?,
            ..Stored::default()
        };
        self.each_row(&txn, &totals, Kind::Base, |key, row| {
            stored.base = Some(self.value::<Vec<u8>>(Kind::Base, key, row)?);
            Ok(1)
        })?;
        self.each_row(&txn, &totals, Kind::Vote, |key, row| {
            stored.vote_record = Some(self.value::<VoteRecord>(Kind::Vote, key, row)?);
            Ok(1)
        })?;
        self.each_row(&txn, &totals, Kind::Records, |key, row| {
            let record: Record = self.value(Kind::Records, key, row)?;
            let named = split_record_key(key);
            if named != Some((record.app, record.key.clone())) {
                return Err(self.damaged_row(Kind::Records, key));
            }
            stored.records.entry(record.app).or_default().insert(record.key.clone(), record);
            Ok(1)
        })?;
        self.each_row(&txn, &totals, Kind::Local, |key, row| {
            let value: Vec<u8> = self.value(Kind::Local, key, row)?;
            let name = String::from_utf8(key.to_vec());
            let name = name.map_err(|_| self.damaged_row(Kind::Local, key))?;
            stored.local.insert(name, value);
            Ok(1)
        })?;
        Ok(stored)
    }

    fn commit_all(&self, batch: &StoreBatch) -> Result<(), StoreError> {
        let read = self.database.begin_read().map_err(|it| engine(&self.path, it))?;
        let mut counts = Counts {
            totals: self.meta(&read, TOTALS_KEY)?,
            tips: self.meta(&read, TIPS_KEY)?,
            tail: self.meta(&read, TAIL_KEY)?,
        };
        drop(read);
        Stored::check(counts.totals.count(Kind::Entries), batch)?;
        let mut txn = self.database.begin_write().map_err(|it| engine(&self.path, it))?;
        txn.set_two_phase_commit(true);
        write_batch(&txn, &mut counts, batch).map_err(|it| engine(&self.path, it))?;
        put_counts(&txn, &counts).map_err(|it| engine(&self.path, it))?;
        txn.commit().map_err(|it| engine(&self.path, it))
    }

    /// Everything that verifies, whatever is missing between.
    fn salvage(&self, format: u32) -> Salvage {
        let row = |kind, key: &[u8]| guard(&self.path, || self.row(kind, key)).ok().flatten();
        let totals = row(Kind::Meta, TOTALS_KEY).and_then(|it| decode(&it, usize::MAX).ok());
        let tips = row(Kind::Meta, TIPS_KEY).and_then(|it| decode(&it, usize::MAX).ok());
        let count = |kind| totals.as_ref().map_or(0, |it: &Totals| it.count(kind));
        let mut rows = Vec::new();
        for kind in Kind::COUNTED {
            let keys = match kind {
                Kind::Units => continue,
                Kind::Entries => (0..count(kind)).map(|it| number_key(it).to_vec()).collect(),
                _ => guard(&self.path, || self.keys(kind)).unwrap_or_default(),
            };
            let found = keys.into_iter().filter_map(|key| Some((kind, row(kind, &key)?, key)));
            rows.extend(found.map(|(kind, value, key)| SalvagedRow { kind, key, value }));
        }
        let numbers = (0..count(Kind::Units)).map(number_key);
        let units = numbers.flat_map(|key| {
            guard(&self.path, || self.sound_units(&key, format)).unwrap_or_default()
        });
        Salvage { units: units.collect(), rows, totals, tips }
    }

    /// What verifies of the units of a row, if there is one.
    fn sound_units(&self, key: &[u8], format: u32) -> Result<Vec<NamedUnit>, StoreError> {
        if format < PACKED_FORMAT {
            let unit = self.row(Kind::Units, key)?;
            let unit = unit.and_then(|it| decode::<Vec<u8>>(&it, usize::MAX).ok());
            return Ok(unit.map(NamedUnit::of).into_iter().collect());
        }
        let txn = self.database.begin_read().map_err(|it| engine(&self.path, it))?;
        let rows = txn.open_table(table(Kind::Units)).map_err(|it| engine(&self.path, it))?;
        let row = rows.get(key).map_err(|it| engine(&self.path, it))?;
        let units = row.as_ref().and_then(|it| it.value().get(CHECKSUM_BYTES..));
        Ok(units.into_iter().flat_map(packed::sound).flatten().collect())
    }

    fn keys(&self, kind: Kind) -> Result<Vec<Vec<u8>>, StoreError> {
        let txn = self.database.begin_read().map_err(|it| engine(&self.path, it))?;
        let rows = txn.open_table(table(kind)).map_err(|it| engine(&self.path, it))?;
        let keys = rows.iter().map_err(|it| engine(&self.path, it))?;
        Ok(keys.map_while(Result::ok).map(|(key, _)| key.value().to_vec()).collect())
    }

    /// The value of a row that verifies.
    fn row(&self, kind: Kind, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let txn = self.database.begin_read().map_err(|it| engine(&self.path, it))?;
        let rows = txn.open_table(table(kind)).map_err(|it| engine(&self.path, it))?;
        let row = rows.get(key).map_err(|it| engine(&self.path, it))?;
        Ok(row.and_then(|it| unseal(kind, key, it.value()).map(<[u8]>::to_vec)))
    }
}

/// Reads what verifies out of a store's file, which the engine may change meanwhile.
pub(crate) fn salvage(path: &Path) -> Result<Salvage, StoreError> {
    let database = guard(path, || builder().open(path).map_err(|it| engine(path, it)))?;
    let store = DiskStore { path: path.to_path_buf(), database, witness: None };
    let format = guard(path, || store.row(Kind::Meta, FORMAT_KEY))?;
    match format.and_then(|it| decode::<u32>(&it, usize::MAX).ok()) {
        Some(found) if STORE_FORMAT < found => {
            let path = path.to_path_buf();
            Err(StoreError::NewerFormat { path, found, supported: STORE_FORMAT })
        }
        format => Ok(store.salvage(format.unwrap_or(STORE_FORMAT))),
    }
}

/// Opens a database and verifies its pages. Where that fails, the first row that does not verify is
/// named, if there is one.
fn verified(
    path: &Path,
    open: impl Fn() -> Result<Database, StoreError>,
) -> Result<Database, StoreError> {
    let database = guard(path, || {
        let mut database = open()?;
        match database.check_integrity() {
            Ok(true) => Ok(Ok(database)),
            Ok(false) => {
                Ok(Err((Some(database), damaged(path, "its pages contradict each other"))))
            }
            Err(error) => Ok(Err((None, engine(path, error)))),
        }
    })?;
    let (checked, error) = match database {
        Ok(database) => return Ok(database),
        Err(failed) => failed,
    };
    if error.code() != "StoreDamaged" {
        return Err(error);
    }
    let named = guard(path, || {
        let database = checked.map_or_else(&open, Ok)?;
        let store = DiskStore { path: path.to_path_buf(), database, witness: None };
        store.load_all()
    });
    // What names no row says no more than the engine did.
    Err(match named {
        Err(StoreError::Damaged { path, what }) => StoreError::Damaged { path, what },
        _ => error,
    })
}

impl LedgerStore for DiskStore {
    fn load(&self) -> Result<Stored, StoreError> {
        guard(&self.path, || self.load_all())
    }

    fn commit(&mut self, batch: &StoreBatch) -> Result<(), StoreError> {
        guard(&self.path, || self.commit_all(batch))?;
        self.note()
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// A new file with the format, all tables and nothing in them.
fn write_empty(
    path: &Path,
    database: Result<Database, redb::DatabaseError>,
) -> Result<(), StoreError> {
    let database = database.map_err(|it| engine(path, it))?;
    let mut txn = database.begin_write().map_err(|it| engine(path, it))?;
    txn.set_two_phase_commit(true);
    let written = || -> Result<(), redb::Error> {
        for kind in Kind::COUNTED {
            txn.open_table(table(kind))?;
        }
        put_counts(&txn, &Counts::default())?;
        put_meta(&txn, FORMAT_KEY, &STORE_FORMAT)
    };
    written().map_err(|it| engine(path, it))?;
    txn.commit().map_err(|it| engine(path, it))
}

/// The engine's view of a medium.
#[derive(Debug)]
struct OnMedium(Arc<dyn Medium>);

impl redb::StorageBackend for OnMedium {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

fn damaged(path: &Path, what: impl Into<String>) -> StoreError {
    StoreError::Damaged { path: path.to_path_buf(), what: what.into() }
}

fn engine(path: &Path, error: impl Into<redb::Error>) -> StoreError {
    let path = path.to_path_buf();
    match error.into() {
        redb::Error::DatabaseAlreadyOpen => StoreError::InUse { path },
        redb::Error::Corrupted(what) => StoreError::Damaged { path, what },
        redb::Error::Io(source)
            if matches!(
                source.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
            ) =>
        {
            StoreError::Damaged { path, what: source.to_string() }
        }
        redb::Error::Io(source) => StoreError::Io { path, source },
        // All tables are made with the store, and the engine's own format is ours.
        error @ (redb::Error::TableDoesNotExist(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::UpgradeRequired(_)) => StoreError::Damaged { path, what: error.to_string() },
        error => StoreError::Engine { path, source: Box::new(error) },
    }
}

/// Runs the engine, and takes a panic of it for damage.
///
/// Nothing of ours is left half-done by such a panic: what the closure had changed is dropped with
/// it, and a transaction that did not end does not exist.
fn guard<T>(path: &Path, run: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let what = format!("the engine gave up on it ({})", text.unwrap_or("no reason given"));
        Err(damaged(path, what))
    })
}

#[cfg(test)]
mod tests;
