//! A device that has nothing asks one that has everything.

use anyhow::{Result, ensure};
use aura_journal::{
    Ledger, PeerTag,
    control::ControlChain,
    sync::{SyncMessage, answer, hello},
};

use crate::clock::{now, since};

const PEER: PeerTag = PeerTag([2; 32]);

/// What catching up took.
pub struct CaughtUp {
    /// Bytes of all messages.
    pub bytes: f64,
    /// Seconds of processor time, on both sides.
    pub seconds: f64,
    /// Messages.
    pub messages: usize,
}

/// Brings an empty ledger up to date.
pub fn catch_up(chain: &ControlChain, full: &Ledger) -> Result<CaughtUp> {
    let mut empty =
        Ledger::new(ControlChain::from_entries(chain.entries().iter().take(1).cloned())?);
    let begin = now();
    let mut took = CaughtUp { bytes: 0.0, seconds: 0.0, messages: 0 };
    loop {
        let had = empty.len();
        let frames = ask(full, &empty, &mut took);
        for frame in &frames {
            took.bytes += frame.len() as f64;
            took.messages += 1;
            receive(&mut empty, SyncMessage::from_bytes(frame)?)?;
        }
        drop(empty.take_batch());
        if empty.len() == had {
            break;
        }
    }
    took.seconds = since(begin);
    ensure!(empty.len() == full.len(), "not all units came");
    Ok(took)
}

fn ask(full: &Ledger, empty: &Ledger, took: &mut CaughtUp) -> Vec<Vec<u8>> {
    let said = hello(empty);
    took.bytes += SyncMessage::Hello(said.clone()).to_bytes().len() as f64;
    took.messages += 1;
    answer(full, &said).iter().map(SyncMessage::to_bytes).collect()
}

fn receive(ledger: &mut Ledger, message: SyncMessage) -> Result<()> {
    match message {
        SyncMessage::Entries(entries) => {
            for entry in entries {
                let _new = ledger.import_entry(entry)?;
            }
        }
        SyncMessage::Units(units) => {
            for outcome in ledger.import_all(PEER, units.iter().map(Vec::as_slice)) {
                let _applied = outcome?;
            }
        }
        _ => {}
    }
    Ok(())
}
