//! States a second beside another explorer, and the largest model that is explored as a whole.

use anyhow::{Result, ensure};
use aura_simulator::{
    explore::{Delivery, Model, Reduction, Verdict},
    protocols::{dkd::Dkd, dkd_certified::DkdCertified},
};
use stateright::{Checker as _, Model as _};

use super::eager::Derivation;
use crate::{
    clock::{median, now, since},
    row::Row,
};

/// Quorum and devices of the model that both explore.
const SIZE: (u8, u8) = (2, 4);
/// Rounds of both, in turns.
const ROUNDS: usize = 3;

/// The model that both explore: every event reaches every device by itself, and nothing is left out.
pub fn eager(quorum: u8, devices: u8) -> Model<'static> {
    Model::new(&Dkd, devices)
        .params(vec![quorum])
        .delivery(Delivery::Eager)
        .reduction(Reduction::None)
}

/// The figures.
pub fn rows() -> Result<Vec<Row>> {
    let mut rows = beside_another()?;
    let plain = Model::new(&Dkd, 6).params(vec![4]).crashes(2);
    rows.push(whole("explore_n6", plain, "key derivation 4-of-6, 2 crashes")?);
    let certified = Model::new(&DkdCertified, 5).params(vec![4]).crashes(1);
    let what = "certified key derivation 4-of-5, 1 crash";
    rows.push(whole("explore_certified_n5", certified, what)?);
    Ok(rows)
}

fn beside_another() -> Result<Vec<Row>> {
    let (quorum, devices) = SIZE;
    let (mut ours, mut floors, mut states) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let begin = now();
        let report = eager(quorum, devices).explore()?;
        states = report.unique;
        ours.push(states as f64 / since(begin));
        ensure!(report.verdict == Verdict::Holds, "{quorum}-of-{devices}: {}", report.verdict);

        let model = Derivation { devices: devices.into(), quorum: quorum.into() };
        let begin = now();
        let found = model.checker().threads(1).spawn_bfs().join().unique_state_count();
        floors.push(found as f64 / since(begin));
        ensure!(found == states, "the other explorer finds {found} states, not {states}");
    }
    let (ours, floor) = (median(ours), median(floors));
    let what = format!(
        "key derivation {quorum}-of-{devices}, eager, nothing left out, {states} states; floor: \
         stateright, one thread, the same states of a model written by hand"
    );
    Ok(vec![
        Row::at_least("explorer_states", (ours, "states/s"), 2_000_000.0).floor(floor).note(what),
        Row::at_least("explorer_beside_stateright", (ours / floor, "x"), 4.0)
            .note("the ratio of explorer_states, which has a goal of its own"),
    ])
}

/// A model with nothing left out, to its end.
fn whole(name: &'static str, model: Model<'static>, what: &str) -> Result<Row> {
    let begin = now();
    let report = model.reduction(Reduction::None).explore()?;
    let seconds = since(begin);
    ensure!(report.verdict == Verdict::Holds, "{what}: {}", report.verdict);
    let note = format!(
        "{what}, every step, {} states; no floor: other explorers deliver one by one, \
         which has too many states here",
        report.unique
    );
    Ok(Row::at_most(name, (seconds, "s"), 60.0).note(note))
}
