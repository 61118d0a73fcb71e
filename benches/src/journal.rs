//! The ledger beside its floor L: one push and one strict verification.
//!
//! Each size is measured in a process of its own, so that memory is that of one ledger and what an
//! allocator kept from another size is nobody's.

mod account;
mod disk;
mod document;
mod import;
mod kept;
mod lists;
mod memory;
pub mod part;
mod sync;

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::row::Row;

/// The largest ledger unless told otherwise. A million takes minutes and gigabytes.
pub const SIZE_DEFAULT: usize = 100_000;
/// The smallest ledger, and by how much the next one is larger.
const SIZE_MIN: usize = 1_000;
const STEP: usize = 10;
/// Units that arrive after those, one at a time.
const MORE: usize = import::ROUNDS * import::ROUND;
/// How much more a wake may cost in the largest ledger than in the smallest.
const WAKE_GROWTH_MAX: f64 = 2.0;

/// All figures of ledgers of up to `size` units.
pub fn rows(size: usize) -> Result<Vec<Row>> {
    ensure!(SIZE_MIN <= size, "a ledger of fewer than {SIZE_MIN} units says nothing");
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("units");
    let mut rows = Vec::new();
    let mut units = SIZE_MIN;
    while units <= size {
        account::write(&file, units + MORE)?;
        rows.extend(in_own_process(&file, units)?);
        units *= STEP;
    }
    rows.extend(wake_growth(&rows));
    Ok(rows)
}

fn in_own_process(file: &Path, units: usize) -> Result<Vec<Row>> {
    eprintln!("{units} units");
    let child = Command::new(env::current_exe()?)
        .args(["journal", "--size", &units.to_string(), "--part"])
        .arg(file)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(child.status.success(), "{units} units could not be measured");
    serde_json::from_slice(&child.stdout).context("the part gave no rows")
}

/// What a wake costs in the largest ledger, beside the smallest.
fn wake_growth(rows: &[Row]) -> Option<Row> {
    let mut wakes = rows.iter().filter(|it| it.name.starts_with("wake_")).map(|it| it.value);
    let first = wakes.next()?;
    let last = wakes.next_back()?;
    let row = Row::within("wake_growth", (last, "us"), first, WAKE_GROWTH_MAX);
    Some(row.note("the largest ledger, beside the smallest"))
}

/// The name of a figure of a size, such as `import_wake_10k`.
fn named(what: &str, units: usize) -> String {
    match units {
        1_000_000.. => format!("{what}_{}m", units / 1_000_000),
        1_000.. => format!("{what}_{}k", units / 1_000),
        _ => format!("{what}_{units}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_size() {
        assert_eq!(named("disk", 1_000), "disk_1k");
        assert_eq!(named("disk", 100_000), "disk_100k");
        assert_eq!(named("disk", 1_000_000), "disk_1m");
    }

    #[test]
    fn the_growth_is_from_the_smallest_to_the_largest() {
        let wake = |name: &'static str, us| Row::at_most(name, (us, "us"), 9.0);
        let rows = [wake("wake_1k", 1.0), wake("wake_10k", 5.0), wake("wake_100k", 1.5)];
        assert!(wake_growth(&rows).is_some_and(|it| it.met && it.ratio == Some(1.5)));
        assert_eq!(wake_growth(&rows[..1]), None);
    }
}
