//! A store whose writer is killed with `kill -9`, again and again: `cargo xtask soak`.
//!
//! Each run starts a process that commits batches to one store and says so, one line a commit, after
//! each. The process is killed after a number of lines that the run draws, while it goes on. Then the
//! store is opened, every page and row verified, and compared with what was acknowledged. The last line
//! is an object; the process fails when anything acknowledged is missing or is not what was written.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that answers in lines")]

use std::{
    env,
    error::Error,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
};

use aura_journal::{LedgerStore as _, NamedUnit, StoreBatch, store::DiskStore};
use aura_protocol_core::Digest;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Most commits of a run before the kill.
const COMMITS_MAX: u64 = 12;
/// Most units of a batch, and most bytes of a unit.
const UNITS_MAX: u64 = 6;
const BYTES_MAX: u64 = 700;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["write", dir] => write(Path::new(dir)),
        [runs] => runs.parse().map_err(Into::into).and_then(soak),
        _ => Err("how many runs?".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Numbers from a seed.
fn draw(what: &str, nth: u64, below: u64) -> u64 {
    let digest = Digest::of(format!("{what} {nth}").as_bytes());
    digest.as_bytes().iter().take(8).fold(0, |sum, it| sum << 8 | u64::from(*it)) % below
}

/// The units of the nth batch.
fn units(nth: u64) -> Vec<NamedUnit> {
    let unit = |index: u64| {
        let bytes = 1 + draw("bytes", nth * UNITS_MAX + index, BYTES_MAX);
        let bytes = (0..bytes).map(|it| (nth + index + it).to_le_bytes()[0]);
        NamedUnit::of(bytes.collect::<Vec<u8>>())
    };
    (0..=draw("units", nth, UNITS_MAX)).map(unit).collect()
}

/// The batch after `nth` others: its units, and the number of batches then.
fn batch(nth: u64) -> StoreBatch {
    let local = vec![("batches".to_owned(), Some((nth + 1).to_le_bytes().to_vec()))];
    StoreBatch { units: units(nth), local, ..StoreBatch::default() }
}

/// How many batches a store has, all of them as they were written.
fn verified(dir: &Path) -> Outcome<u64> {
    let stored = DiskStore::open(dir)?.load()?;
    let batches = match stored.local.get("batches") {
        Some(bytes) => u64::from_le_bytes(bytes.as_slice().try_into()?),
        None => 0,
    };
    if stored.units != (0..batches).flat_map(units).collect::<Vec<_>>() {
        return Err(format!("{batches} batches are there, with other units").into());
    }
    Ok(batches)
}

/// Commits until it is killed, and says so after each.
fn write(dir: &Path) -> Outcome<()> {
    let mut store = DiskStore::open(dir)?;
    let begun = store.load()?.local.get("batches").cloned().unwrap_or_else(|| vec![0; 8]);
    let mut out = std::io::stdout();
    for nth in u64::from_le_bytes(begun.as_slice().try_into()?).. {
        store.commit(&batch(nth))?;
        writeln!(out, "{}", nth + 1)?;
        out.flush()?;
    }
    Ok(())
}

fn soak(runs: u64) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    drop(DiskStore::create(dir.path())?);
    let (mut there, mut acknowledged_in_all, mut unfinished) = (0, 0, 0);
    for run in 0..runs {
        let before = there;
        let acknowledged = kill_after(dir.path(), 1 + draw("lines", run, COMMITS_MAX))?;
        there = verified(dir.path()).map_err(|error| format!("run {run}: {error}"))?;
        if there < acknowledged {
            return Err(format!("run {run}: {acknowledged} acknowledged, {there} there").into());
        }
        acknowledged_in_all += acknowledged.saturating_sub(before);
        unfinished += there - acknowledged;
    }
    let nothing_lost = acknowledged_in_all + unfinished == there;
    println!(
        "{{\"soak\":\"journal\",\"runs\":{runs},\"acknowledged\":{acknowledged_in_all},\
         \"unacknowledged_kept\":{unfinished},\"lost\":0,\"ok\":{nothing_lost}}}"
    );
    if nothing_lost { Ok(()) } else { Err("the batches do not add up".into()) }
}

/// Runs the writer until it has said `lines` lines, and kills it in the middle of what it does then.
/// How many batches it had acknowledged at its end.
fn kill_after(dir: &Path, lines: u64) -> Outcome<u64> {
    let mut child =
        Command::new(env::current_exe()?).arg("write").arg(dir).stdout(Stdio::piped()).spawn()?;
    let said = read(&mut child, lines);
    child.kill()?;
    child.wait()?;
    let (mut acknowledged, rest) = said?;
    // What it said before the kill took effect counts too.
    for line in rest.lines().map_while(Result::ok) {
        acknowledged = line.parse()?;
    }
    Ok(acknowledged)
}

type Rest = BufReader<std::process::ChildStdout>;

fn read(child: &mut Child, lines: u64) -> Outcome<(u64, Rest)> {
    let mut out = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut acknowledged = 0;
    for _ in 0..lines {
        let mut line = String::new();
        if out.read_line(&mut line)? == 0 {
            return Err("the writer ended by itself".into());
        }
        acknowledged = line.trim().parse()?;
    }
    Ok((acknowledged, out))
}
