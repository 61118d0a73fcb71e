//! The account as an Automerge document, compiled beside the ledger.

use anyhow::{Result, ensure};
use aura_journal::Ledger;
use aura_journal_document::Document;

use crate::{
    clock::{now, since},
    journal::import::import,
};

/// What compiling costs, in seconds a unit.
pub struct Compiled {
    /// Everything at once.
    pub batched: f64,
    /// One unit at a time, at the end.
    pub live: f64,
}

/// The largest ledger that is compiled: the goal is for this one.
const UNITS_MAX: usize = 100_000;

/// Imports these units and, in a ledger that is not too large, compiles everything before and then
/// these one at a time.
pub fn compile(ledger: &mut Ledger, more: &[Vec<u8>]) -> Result<Option<Compiled>> {
    if UNITS_MAX < ledger.len() {
        more.iter().try_for_each(|unit| import(ledger, unit))?;
        return Ok(None);
    }
    let units = ledger.len() as f64;
    let mut document = Document::new(ledger.account());
    let begin = now();
    let _all = document.update(ledger)?;
    let batched = since(begin) / units;
    let mut live = 0.0;
    for unit in more {
        import(ledger, unit)?;
        let begin = now();
        let update = document.update(ledger)?;
        live += since(begin);
        ensure!(update.units == 1, "a unit was not compiled");
    }
    Ok(Some(Compiled { batched, live: live / more.len() as f64 }))
}
