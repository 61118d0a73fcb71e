//! A store on disk: one redb file. The only file that names redb.
//!
//! Commits are in two phases, so that the engine never takes back one that was acknowledged: a page
//! of it that does not verify is damage, and reported as such. When a store is opened, every page
//! that is in use is verified; when it is loaded, every row and the total of every table.
//!
//! The layout has a format: an older store is brought forward when it is opened, in one transaction.
//! Format 2 added, for each author, how many units of it there are; format 3 a place for what stands for
//! units that are gone. What the rows hold has versions of its own.
//!
//! The engine panics on some damage. It is called behind [`guard`], which makes that a
//! [`StoreError::Damaged`] like any other.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use aura_protocol_core::{Record, decode, encode};
use borsh::{BorshDeserialize, BorshSerialize};
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, Table,
    TableDefinition, WriteTransaction,
};

use crate::{
    control::{CertifiedEntry, VoteRecord},
    encoded::NamedUnit,
    store::{
        Compaction, LedgerStore, Medium, RecordChange, StoreBatch, StoreError, Stored, header,
        repair::{Salvage, SalvagedRow},
        row::{Kind, Totals, number_key, number_of, record_key, seal, split_record_key, unseal},
        tips::Tips,
        witness::{self, Witness},
    },
};

/// The format of the store. Its number stands in every store in this same place for ever.
pub const STORE_FORMAT: u32 = 3;
/// The oldest format that is brought forward.
const FORMAT_MIN: u32 = 1;
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
const VOTE_KEY: &[u8] = b"record";
const BASE_KEY: &[u8] = b"base";

type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;
type WriteRows<'txn> = Table<'txn, &'static [u8], &'static [u8]>;

const fn table(kind: Kind) -> Rows {
    TableDefinition::new(kind.name())
}

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
        check_header(&path, witnessed)?;
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
        if let Some(number) = header::newest(&read_header(&self.path)?) {
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
        let totals: Totals = self.meta(&txn, TOTALS_KEY)?;
        let mut tips = Tips::default();
        for unit in self.numbered::<Vec<u8>>(&txn, &totals, Kind::Units)? {
            tips.add(&unit);
        }
        drop(txn);
        let mut txn = self.database.begin_write().map_err(|it| engine(&self.path, it))?;
        txn.set_two_phase_commit(true);
        txn.open_table(table(Kind::Base)).map_err(|it| engine(&self.path, it))?;
        put_meta(&txn, &[(FORMAT_KEY, encode(&STORE_FORMAT)), (TIPS_KEY, encode(&tips))])
            .map_err(|it| engine(&self.path, it))?;
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

    /// Gives every row of a table to `take`, and checks that they are those that belong there.
    fn each_row(
        &self,
        txn: &ReadTransaction,
        totals: &Totals,
        kind: Kind,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut found = Totals::default();
        let rows = txn.open_table(table(kind)).map_err(|it| engine(&self.path, it))?;
        for row in rows.iter().map_err(|it| engine(&self.path, it))? {
            let (key, row) = row.map_err(|it| engine(&self.path, it))?;
            found.add(kind, row.value());
            take(key.value(), row.value())?;
        }
        if found.of(kind) != totals.of(kind) {
            let (rows, wanted) = (found.rows(kind), totals.rows(kind));
            let what = format!("{} has {rows} rows, not the {wanted} written", kind.name());
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
            Ok(())
        })?;
        Ok(values)
    }

    fn load_all(&self) -> Result<Stored, StoreError> {
        let txn = self.database.begin_read().map_err(|it| engine(&self.path, it))?;
        let totals: Totals = self.meta(&txn, TOTALS_KEY)?;
        let units = self.numbered::<Vec<u8>>(&txn, &totals, Kind::Units)?;
        let mut stored = Stored {
            entries: self.numbered::<CertifiedEntry>(&txn, &totals, Kind::Entries)?,
            units: units.into_iter().map(NamedUnit::of).collect(),
            ..Stored::default()
        };
        self.each_row(&txn, &totals, Kind::Base, |key, row| {
            stored.base = Some(self.value::<Vec<u8>>(Kind::Base, key, row)?);
            Ok(())
        })?;
        self.each_row(&txn, &totals, Kind::Vote, |key, row| {
            stored.vote_record = Some(self.value::<VoteRecord>(Kind::Vote, key, row)?);
            Ok(())
        })?;
        self.each_row(&txn, &totals, Kind::Records, |key, row| {
            let record: Record = self.value(Kind::Records, key, row)?;
            let named = split_record_key(key);
            if named != Some((record.app, record.key.clone())) {
                return Err(self.damaged_row(Kind::Records, key));
            }
            stored.records.entry(record.app).or_default().insert(record.key.clone(), record);
            Ok(())
        })?;
        self.each_row(&txn, &totals, Kind::Local, |key, row| {
            let value: Vec<u8> = self.value(Kind::Local, key, row)?;
            let name = String::from_utf8(key.to_vec());
            let name = name.map_err(|_| self.damaged_row(Kind::Local, key))?;
            stored.local.insert(name, value);
            Ok(())
        })?;
        Ok(stored)
    }

    fn commit_all(&self, batch: &StoreBatch) -> Result<(), StoreError> {
        let read = self.database.begin_read().map_err(|it| engine(&self.path, it))?;
        let mut totals: Totals = self.meta(&read, TOTALS_KEY)?;
        let mut tips: Tips = self.meta(&read, TIPS_KEY)?;
        drop(read);
        Stored::check(totals.rows(Kind::Entries), batch)?;
        let mut txn = self.database.begin_write().map_err(|it| engine(&self.path, it))?;
        txn.set_two_phase_commit(true);
        let kept = batch.compaction.iter().flat_map(|it| &it.units);
        kept.chain(&batch.units).for_each(|unit| tips.add(unit.bytes()));
        write_batch(&txn, &mut totals, batch).map_err(|it| engine(&self.path, it))?;
        put_meta(&txn, &[(TOTALS_KEY, encode(&totals)), (TIPS_KEY, encode(&tips))])
            .map_err(|it| engine(&self.path, it))?;
        txn.commit().map_err(|it| engine(&self.path, it))
    }

    /// Every row that verifies, whatever is missing between.
    fn salvage(&self) -> Salvage {
        let row = |kind, key: &[u8]| guard(&self.path, || self.row(kind, key)).ok().flatten();
        let totals = row(Kind::Meta, TOTALS_KEY).and_then(|it| decode(&it, usize::MAX).ok());
        let tips = row(Kind::Meta, TIPS_KEY).and_then(|it| decode(&it, usize::MAX).ok());
        let count = |kind| totals.as_ref().map_or(0, |it: &Totals| it.rows(kind));
        let mut rows = Vec::new();
        for kind in Kind::COUNTED {
            let keys = match kind {
                Kind::Entries | Kind::Units => {
                    (0..count(kind)).map(|it| number_key(it).to_vec()).collect()
                }
                _ => guard(&self.path, || self.keys(kind)).unwrap_or_default(),
            };
            let found = keys.into_iter().filter_map(|key| Some((kind, row(kind, &key)?, key)));
            rows.extend(found.map(|(kind, value, key)| SalvagedRow { kind, key, value }));
        }
        Salvage { rows, totals, tips }
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
        _ => Ok(store.salvage()),
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
        put_meta(
            &txn,
            &[
                (FORMAT_KEY, encode(&STORE_FORMAT)),
                (TOTALS_KEY, encode(&Totals::default())),
                (TIPS_KEY, encode(&Tips::default())),
            ],
        )
    };
    written().map_err(|it| engine(path, it))?;
    txn.commit().map_err(|it| engine(path, it))
}

fn put_meta(txn: &WriteTransaction, values: &[(&[u8], Vec<u8>)]) -> Result<(), redb::Error> {
    let mut meta = txn.open_table(table(Kind::Meta))?;
    for (key, value) in values {
        meta.insert(*key, seal(Kind::Meta, key, value).as_slice())?;
    }
    Ok(())
}

fn write_batch(
    txn: &WriteTransaction,
    totals: &mut Totals,
    batch: &StoreBatch,
) -> Result<(), redb::Error> {
    append(txn, totals, Kind::Entries, batch.entries.iter().map(encode))?;
    if let Some(Compaction { base, units }) = &batch.compaction {
        clear_units(txn, totals)?;
        let mut rows = txn.open_table(table(Kind::Base))?;
        put(&mut rows, totals, Kind::Base, BASE_KEY, Some(&encode(base)))?;
        append(txn, totals, Kind::Units, units.iter().map(|it| encode(it.bytes())))?;
    }
    append(txn, totals, Kind::Units, batch.units.iter().map(|it| encode(it.bytes())))?;
    if let Some(record) = &batch.vote_record {
        let mut rows = txn.open_table(table(Kind::Vote))?;
        put(&mut rows, totals, Kind::Vote, VOTE_KEY, Some(&encode(record)))?;
    }
    if !batch.records.is_empty() {
        let mut rows = txn.open_table(table(Kind::Records))?;
        for change in &batch.records {
            change_record(&mut rows, totals, change)?;
        }
    }
    if !batch.local.is_empty() {
        let mut rows = txn.open_table(table(Kind::Local))?;
        for (name, value) in &batch.local {
            let value = value.as_ref().map(encode);
            put(&mut rows, totals, Kind::Local, name.as_bytes(), value.as_deref())?;
        }
    }
    Ok(())
}

/// Adds rows under the next numbers.
fn append(
    txn: &WriteTransaction,
    totals: &mut Totals,
    kind: Kind,
    values: impl ExactSizeIterator<Item = Vec<u8>>,
) -> Result<(), redb::Error> {
    if values.len() == 0 {
        return Ok(());
    }
    let mut rows = txn.open_table(table(kind))?;
    for value in values {
        let key = number_key(totals.rows(kind));
        put(&mut rows, totals, kind, &key, Some(&value))?;
    }
    Ok(())
}

/// Removes all units.
fn clear_units(txn: &WriteTransaction, totals: &mut Totals) -> Result<(), redb::Error> {
    let mut rows = txn.open_table(table(Kind::Units))?;
    for number in 0..totals.rows(Kind::Units) {
        put(&mut rows, totals, Kind::Units, &number_key(number), None)?;
    }
    Ok(())
}

/// Writes or removes one row, and keeps the total right.
fn put(
    rows: &mut WriteRows<'_>,
    totals: &mut Totals,
    kind: Kind,
    key: &[u8],
    value: Option<&[u8]>,
) -> Result<(), redb::Error> {
    let before = match value {
        Some(value) => {
            let row = seal(kind, key, value);
            totals.add(kind, &row);
            rows.insert(key, row.as_slice())?
        }
        None => rows.remove(key)?,
    };
    if let Some(row) = before {
        totals.remove(kind, row.value());
    }
    Ok(())
}

fn change_record(
    rows: &mut WriteRows<'_>,
    totals: &mut Totals,
    change: &RecordChange,
) -> Result<(), redb::Error> {
    match change {
        RecordChange::Put(record) => {
            let key = record_key(record.app, &record.key);
            put(rows, totals, Kind::Records, &key, Some(&encode(record)))
        }
        RecordChange::Delete { app, key } => {
            put(rows, totals, Kind::Records, &record_key(*app, key), None)
        }
        RecordChange::Swap { app, records } => {
            let mut old = Vec::new();
            for row in rows.range(app.as_bytes().as_slice()..)? {
                let (key, _) = row?;
                if !key.value().starts_with(app.as_bytes()) {
                    break;
                }
                old.push(key.value().to_vec());
            }
            for key in old {
                put(rows, totals, Kind::Records, &key, None)?;
            }
            for record in records {
                let key = record_key(*app, &record.key);
                put(rows, totals, Kind::Records, &key, Some(&encode(record)))?;
            }
            Ok(())
        }
    }
}

/// Refuses what is no store, before the engine writes to it.
fn check_header(path: &Path, witnessed: Option<u64>) -> Result<(), StoreError> {
    header::check(&read_header(path)?, witnessed).map_err(|what| damaged(path, what))
}

fn read_header(path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(header::BYTES as u64).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(StoreError::NotFound { path: path.to_path_buf() })
        }
        Err(source) => Err(StoreError::Io { path: path.to_path_buf(), source }),
    }
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
