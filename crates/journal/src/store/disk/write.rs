//! What a transaction writes into the tables.

use aura_protocol_core::encode;
use borsh::BorshSerialize;
use redb::{ReadableTable as _, Table, TableDefinition, WriteTransaction};

use crate::{
    control::CertifiedEntry,
    encoded::NamedUnit,
    store::{
        Compaction, RecordChange, StoreBatch,
        counts::{Counts, Tail, Totals},
        disk::{TAIL_KEY, TIPS_KEY, TOTALS_KEY},
        packed,
        row::{CHECKSUM_BYTES, Kind, number_key, record_key, seal, unseal},
    },
};

const VOTE_KEY: &[u8] = b"record";
const BASE_KEY: &[u8] = b"base";

pub(super) type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;
type WriteRows<'txn> = Table<'txn, &'static [u8], &'static [u8]>;

/// The table of a kind.
pub(super) const fn table(kind: Kind) -> Rows {
    TableDefinition::new(kind.name())
}

pub(super) fn put_meta(
    txn: &WriteTransaction,
    key: &[u8],
    value: &impl BorshSerialize,
) -> Result<(), redb::Error> {
    let row = seal(Kind::Meta, key, &encode(value));
    txn.open_table(table(Kind::Meta))?.insert(key, row.as_slice())?;
    Ok(())
}

pub(super) fn put_counts(txn: &WriteTransaction, counts: &Counts) -> Result<(), redb::Error> {
    put_meta(txn, TOTALS_KEY, &counts.totals)?;
    put_meta(txn, TIPS_KEY, &counts.tips)?;
    put_meta(txn, TAIL_KEY, &counts.tail)
}

/// Writes what a batch adds.
pub(super) fn write_batch(
    txn: &WriteTransaction,
    counts: &mut Counts,
    batch: &StoreBatch,
) -> Result<(), redb::Error> {
    append_entries(txn, &mut counts.totals, &batch.entries)?;
    if let Some(Compaction { base, units }) = &batch.compaction {
        clear_units(txn, counts)?;
        let mut rows = txn.open_table(table(Kind::Base))?;
        put(&mut rows, &mut counts.totals, Kind::Base, BASE_KEY, Some(&encode(base)))?;
        append_units(txn, counts, units)?;
    }
    append_units(txn, counts, &batch.units)?;
    let totals = &mut counts.totals;
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

/// Adds entries under the next numbers.
fn append_entries(
    txn: &WriteTransaction,
    totals: &mut Totals,
    entries: &[CertifiedEntry],
) -> Result<(), redb::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut rows = txn.open_table(table(Kind::Entries))?;
    for entry in entries {
        let key = number_key(totals.count(Kind::Entries));
        put(&mut rows, totals, Kind::Entries, &key, Some(&encode(entry)))?;
    }
    Ok(())
}

/// Adds units behind all others: as one more row of the tail, until that makes a full row.
pub(super) fn append_units(
    txn: &WriteTransaction,
    counts: &mut Counts,
    units: &[NamedUnit],
) -> Result<(), redb::Error> {
    if units.is_empty() {
        return Ok(());
    }
    let Counts { totals, tips, tail } = counts;
    let mut row = Vec::new();
    for unit in units {
        packed::push(&mut row, unit);
        tips.add(unit.bytes());
    }
    let mut rows = txn.open_table(table(Kind::Units))?;
    let mut first = totals.count(Kind::Units);
    if !tail.has_room(row.len()) {
        let mut ended = take_tail(&mut rows, totals, tail)?;
        first = tail.first;
        *tail = Tail::default();
        ended.append(&mut row);
        row = ended;
    }
    for (count, part) in packed::cut(&row) {
        put(&mut rows, totals, Kind::Units, &number_key(first), Some(part))?;
        tail.end_with(first, part.len());
        first += count;
    }
    Ok(())
}

/// Removes the rows of the tail, and gives what they held as one.
fn take_tail(
    rows: &mut WriteRows<'_>,
    totals: &mut Totals,
    tail: &Tail,
) -> Result<Vec<u8>, redb::Error> {
    let (mut keys, mut held) = (Vec::new(), Vec::new());
    for row in rows.range(number_key(tail.first).as_slice()..)? {
        let (key, row) = row?;
        let key = key.value();
        let units = unseal(Kind::Units, key, row.value());
        let units = units.ok_or_else(|| redb::Error::Corrupted(Kind::Units.describe(key)))?;
        held.extend_from_slice(units);
        keys.push(key.to_vec());
    }
    for key in keys {
        put(rows, totals, Kind::Units, &key, None)?;
    }
    Ok(held)
}

/// Removes all units.
pub(super) fn clear_units(txn: &WriteTransaction, counts: &mut Counts) -> Result<(), redb::Error> {
    txn.open_table(table(Kind::Units))?.retain(|_, _| false)?;
    counts.totals.clear(Kind::Units);
    counts.tail = Tail::default();
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
            totals.add(kind, things(kind, &row), &row);
            rows.insert(key, row.as_slice())?
        }
        None => rows.remove(key)?,
    };
    if let Some(row) = before {
        totals.remove(kind, things(kind, row.value()), row.value());
    }
    Ok(())
}

/// How many things a row holds.
fn things(kind: Kind, row: &[u8]) -> u64 {
    match kind {
        Kind::Units => packed::count(row.get(CHECKSUM_BYTES..).unwrap_or_default()),
        _ => 1,
    }
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
