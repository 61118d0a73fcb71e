//! The store beside a file that is only appended to.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::Instant,
};

use anyhow::{Result, ensure};
use aura_journal::{
    Ledger, LedgerStore as _, NamedUnit, StoreBatch, control::ControlChain, store::DiskStore,
};

use crate::{
    clock::{median, now, since},
    journal::account::Units,
};

/// Units in a batch: what a device takes from a peer at once.
const BATCH: usize = 1_000;
/// The unit in which the system says how much room a file takes.
const BLOCK_BYTES: u64 = 512;
/// Commits of one unit each, whose median is the cost of a durable append.
const APPENDS: usize = 25;

/// What the store costs.
pub struct Kept {
    /// Bytes on the disk of the store's file, closed.
    pub disk_bytes: f64,
    /// Bytes of the units alone.
    pub raw_bytes: f64,
    /// Seconds on the clock for a durable append of one unit.
    pub append: f64,
    /// The same in a file of its own, with `fdatasync`.
    pub raw_append: f64,
    /// Seconds of processor time to open, load and restore.
    pub reload: f64,
}

/// Stores so many units of a file, and opens them again.
pub fn keep(dir: &Path, chain: &ControlChain, file: &Path, units: usize) -> Result<Kept> {
    let mut source = Units::open(file)?;
    let mut store = DiskStore::create(dir)?;
    let first = StoreBatch { entries: chain.entries().to_vec(), ..StoreBatch::default() };
    store.commit(&first)?;
    let mut left = units.saturating_sub(APPENDS);
    let mut raw_bytes = 0;
    while 0 < left {
        let batch = source.take(left.min(BATCH))?;
        left -= batch.len();
        raw_bytes += batch.iter().map(Vec::len).sum::<usize>();
        store.commit(&StoreBatch {
            units: batch.into_iter().map(NamedUnit::of).collect(),
            ..StoreBatch::default()
        })?;
    }
    let last = source.take(APPENDS.min(units))?;
    raw_bytes += last.iter().map(Vec::len).sum::<usize>();
    let (append, raw_append) = append(&mut store, &dir.join("raw"), last)?;
    let path = store.path().to_path_buf();
    drop(store);
    let begin = now();
    let stored = DiskStore::open(dir)?.load()?;
    let ledger = Ledger::restore(&stored)?;
    let reload = since(begin);
    ensure!(ledger.len() == units, "{} of {units} units came back", ledger.len());
    // The engine doubles its file; what it never wrote to is a hole, and takes no room.
    let disk_bytes = (fs::metadata(path)?.blocks() * BLOCK_BYTES) as f64;
    Ok(Kept { disk_bytes, raw_bytes: raw_bytes as f64, append, raw_append, reload })
}

/// Durable appends in turns with those to a plain file.
fn append(store: &mut DiskStore, raw: &Path, units: Vec<Vec<u8>>) -> Result<(f64, f64)> {
    let mut raw = File::create(raw)?;
    let (mut appends, mut raws) = (Vec::new(), Vec::new());
    for unit in units {
        let begin = Instant::now();
        raw.write_all(&unit)?;
        raw.sync_data()?;
        raws.push(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        store.commit(&StoreBatch { units: vec![NamedUnit::of(unit)], ..StoreBatch::default() })?;
        appends.push(begin.elapsed().as_secs_f64());
    }
    Ok((median(appends), median(raws)))
}
