//! Simulated runs with faults: the script, and in turns with it the machine written by hand.

use std::ops::Range;

use anyhow::{Result, anyhow, ensure};
use aura_simulator::{
    engine::{Engine, Level},
    ledgers::{Keyed, Ledgers},
    level::Scripts,
    plan::{Plan, Shape},
    protocols::{dkd, dkd_machine::Machines},
};

use crate::{
    clock::{ROUNDS, median, now, since},
    row::Row,
};

/// Devices; the protocol's own quorum among five is three.
const DEVICES: u8 = 5;
/// Runs of one round at level 1.
const RUNS: u64 = 20_000;
/// Runs of one round at level 2.
const LEDGER_RUNS: u64 = 200;

/// Both levels.
pub fn rows() -> Result<Vec<Row>> {
    let shape = dkd::PROTOCOL.shape(DEVICES).map_err(|why| anyhow!(why))?;
    let mut rows = sessions(&shape)?;
    rows.extend(ledgers(&shape)?);
    Ok(rows)
}

/// Level 1: sessions only.
fn sessions(shape: &Shape) -> Result<Vec<Row>> {
    let mut script = Engine::new(Scripts::new(&dkd::PROTOCOL));
    let mut machine = Engine::new(Machines::default());
    let (mut scripts, mut machines) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        let first = round * RUNS;
        scripts.push(rate(&mut script, shape, first..first + RUNS)?);
        machines.push(rate(&mut machine, shape, first..first + RUNS)?);
    }
    let (script, machine) = (median(scripts), median(machines));
    let what = format!("{}-of-{DEVICES} key derivation with faults", shape.threshold);
    Ok(vec![
        Row::at_least("l1_runs", (script, "runs/s"), 100_000.0)
            .floor(machine)
            .note(format!("{what}, one core; floor: a machine written by hand, in turns")),
        Row::at_least("l1_beside_hand_written", (script / machine, "x"), 0.75)
            .note("the ratio of l1_runs, which has a goal of its own"),
    ])
}

/// Level 2: whole ledgers, with real units and imports; with keyed hashes for signatures, and real.
fn ledgers(shape: &Shape) -> Result<[Row; 2]> {
    let shape = Shape { chains: true, ..*shape };
    let mut keyed = Engine::new(Ledgers::<Keyed>::signed_by(&dkd::PROTOCOL));
    let mut real = Engine::new(Ledgers::new(&dkd::PROTOCOL));
    let (mut keyeds, mut reals) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        let first = round * LEDGER_RUNS;
        keyeds.push(rate(&mut keyed, &shape, first..first + LEDGER_RUNS)?);
        reals.push(rate(&mut real, &shape, first..first + LEDGER_RUNS)?);
    }
    let note = "as l1_runs; no floor: no other simulator runs these ledgers";
    Ok([
        Row::at_least("l2_runs_keyed", (median(keyeds), "runs/s"), 10_000.0)
            .note(format!("{note}; signatures of units are keyed hashes")),
        Row::at_least("l2_runs_real", (median(reals), "runs/s"), 500.0).note(note),
    ])
}

/// Runs a second with these seeds. None may break a promise.
fn rate<L: Level>(engine: &mut Engine<L>, shape: &Shape, seeds: Range<u64>) -> Result<f64> {
    let mut plan = Plan::default();
    let (begin, runs) = (now(), seeds.end - seeds.start);
    for seed in seeds {
        plan.redraw(seed, shape);
        let violation = engine.run(&plan).violation;
        ensure!(violation.is_none(), "seed {seed} broke a promise: {violation:?}");
    }
    Ok(runs as f64 / since(begin))
}
