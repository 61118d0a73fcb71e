//! One size, in a process of its own.

use std::{
    io::{Write as _, stdout},
    path::Path,
};

use anyhow::Result;
use aura_journal::Ledger;

use super::{
    account::{Units, account, awaited},
    disk, document, import, kept, lists, memory, named, sync,
};
use crate::row::Row;

const IMPORT_GOAL: f64 = 1.10;
const WAKE_GOAL_US: f64 = 2.0;
const SYNC_BYTES_GOAL: f64 = 1.05;
const SYNC_GOAL: f64 = 1.10;
const DISK_GOAL: f64 = 1.15;
const APPEND_GOAL: f64 = 2.0;
const MEMORY_GOAL: f64 = 2.2;
const RELOAD_GOAL: f64 = 0.03;
/// Of a million units. Smaller ledgers keep the same, which is more of them.
const KEPT_GOAL: f64 = 0.001;
const KEPT_UNITS: usize = 1_000_000;
const BATCHED_GOAL: f64 = 0.35;
const LIVE_GOAL: f64 = 5.0;

/// What a machine with room for a ledger has: no floor, and the design gives no goal.
const PEAK_GOAL_MB: f64 = 16_000.0;

const MICRO: f64 = 1e6;
const MEGA: f64 = 1e6;

/// Measures a ledger of so many units, and prints the rows.
pub fn run(file: &Path, size: usize) -> Result<()> {
    let rows = rows(file, size)?;
    writeln!(stdout(), "{}", serde_json::to_string(&rows)?)?;
    Ok(())
}

fn rows(file: &Path, size: usize) -> Result<Vec<Row>> {
    let name = |what: &str| named(what, size);
    let (chain, devices) = account()?;
    let session = awaited(&chain, &devices)?;
    let mut units = Units::open(file)?;
    let before = memory::resident()?;
    let mut ledger = Ledger::new(chain.clone());
    let mut unit_bytes = 0.0;
    for _ in 0..size {
        let unit = units.next()?;
        unit_bytes += unit.len() as f64;
        import::import(&mut ledger, &unit)?;
    }
    let held = memory::resident()? - before;
    let caught_up = sync::catch_up(&chain, &ledger)?;
    let more = units.take(import::ROUNDS * import::ROUND)?;
    let (first, timed) = more.split_at(import::ROUND);
    let compiled = document::compile(&mut ledger, first)?;
    let arrival = import::arrive(&mut ledger, session, timed)?;
    let floor = arrival.floor * MICRO;
    let all_bytes = unit_bytes + more.iter().map(|it| it.len() as f64).sum::<f64>();
    let left = kept::compact(&mut ledger, &devices)?;
    drop(ledger);
    let dir = tempfile::tempdir()?;
    let kept = disk::keep(dir.path(), &chain, file, size)?;
    let us = |seconds: f64| (seconds * MICRO, "us");
    let each = |seconds: f64| us(seconds / size as f64);
    let mut rows = vec![
        Row::within(name("import_wake"), us(arrival.import), floor, IMPORT_GOAL),
        Row::at_most(name("wake"), us(arrival.wake), WAKE_GOAL_US)
            .note("one of a thousand waiters; no floor: the goal is that it does not grow"),
        Row::within(
            name("sync_bytes"),
            (caught_up.bytes / MEGA, "MB"),
            unit_bytes / MEGA,
            SYNC_BYTES_GOAL,
        )
        .note(format!("{} messages; the floor is the units' bytes", caught_up.messages)),
        Row::within(name("sync"), each(caught_up.seconds), floor, SYNC_GOAL).note("both sides"),
        Row::within(name("disk"), (kept.disk_bytes / MEGA, "MB"), kept.raw_bytes / MEGA, DISK_GOAL)
            .note("what the file takes of the disk; the floor is the units' bytes"),
        Row::within(name("append_durable"), us(kept.append), kept.raw_append * MICRO, APPEND_GOAL)
            .note("on the clock; the floor is a write and fdatasync"),
        Row::within(name("memory"), (held / MEGA, "MB"), unit_bytes / MEGA, MEMORY_GOAL)
            .note("resident, with what the allocator rounds up; the floor is the units' bytes"),
        Row::within(name("reload"), each(kept.reload), floor, RELOAD_GOAL)
            .note("open, load and restore, a unit"),
    ];
    if let Some(compiled) = compiled {
        rows.push(Row::within(name("document_batched"), us(compiled.batched), floor, BATCHED_GOAL));
        rows.push(Row::within(name("document_live"), us(compiled.live), floor, LIVE_GOAL));
    }
    rows.push(left_row(name("kept"), size, &left, all_bytes));
    if size <= lists::UNITS_MAX {
        let other = us(arrival.floor + lists::arrival(size)?);
        rows.push(
            Row::at_least(name("automerge_lists"), other, 0.0).floor(floor).note(
                "one more event in a list for each device, and its signature: for comparison",
            ),
        );
    }
    let peak = (memory::peak()? / MEGA, "MB");
    rows.push(Row::at_most(name("peak"), peak, PEAK_GOAL_MB).note("most memory of the whole part"));
    Ok(rows)
}

/// What two snapshots leave, beside all units.
fn left_row(name: String, size: usize, left: &kept::Kept, all_bytes: f64) -> Row {
    let value = (left.bytes / MEGA, "MB");
    let goal = if KEPT_UNITS <= size { KEPT_GOAL } else { 1.0 };
    Row::within(name, value, all_bytes / MEGA, goal).note(format!(
        "after two snapshots, with {} units; the floor is the units' bytes",
        left.units
    ))
}
