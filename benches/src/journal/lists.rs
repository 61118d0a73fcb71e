//! What others would do: the same events in one Automerge list for each device, signed around it.

use anyhow::{Context as _, Result};
use automerge::{
    ActorId, AutoCommit, ObjId, ObjType, ROOT, ScalarValue,
    transaction::{CommitOptions, Transactable as _},
};

use crate::{
    clock::{median, now, since},
    journal::account::{DEVICES, PAYLOAD_BYTES},
};

/// The largest document that is built: more takes too long.
pub const UNITS_MAX: usize = 100_000;
/// Events that arrive one at a time.
const ARRIVALS: usize = 30;
/// Events in a change while the document is built.
const BATCH: usize = 100;

/// Seconds of processor time for one more event that arrives, without its signature.
pub fn arrival(units: usize) -> Result<f64> {
    let mut here = AutoCommit::new().with_actor(ActorId::from([1; 16]));
    let mut lists = Vec::new();
    for device in 0..DEVICES {
        lists.push(here.put_object(ROOT, format!("device {device}"), ObjType::List)?);
    }
    for nth in 0..units {
        append(&mut here, &lists, nth)?;
        if (nth + 1) % BATCH == 0 {
            commit(&mut here);
        }
    }
    commit(&mut here);
    let mut there = here.fork().with_actor(ActorId::from([2; 16]));
    let mut took = Vec::new();
    for nth in units..units + ARRIVALS {
        let heads = there.get_heads();
        append(&mut there, &lists, nth)?;
        commit(&mut there);
        let change: Vec<_> = there.get_changes(&heads).into_iter().collect();
        let begin = now();
        here.apply_changes(change)?;
        took.push(since(begin));
    }
    Ok(median(took))
}

fn append(document: &mut AutoCommit, lists: &[ObjId], nth: usize) -> Result<()> {
    let list = lists.get(nth % lists.len()).context("no list")?;
    let event = ScalarValue::Bytes(vec![nth.to_le_bytes()[0]; PAYLOAD_BYTES]);
    document.insert(list, nth / lists.len(), event)?;
    Ok(())
}

fn commit(document: &mut AutoCommit) {
    document.commit_with(CommitOptions::default().with_time(0));
}
