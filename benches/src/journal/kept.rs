//! What stays of a ledger once snapshots stand for its units.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use aura_journal::{
    Event, Ledger,
    control::{Certificate, CertifiedEntry, Entry, EntryBody, Phase, Vote},
    event::SessionMessage,
};
use aura_protocol_core::UnixTime;

use crate::journal::account::Device;

/// What stays.
pub struct Kept {
    /// Bytes of the base and of the units beside it.
    pub bytes: f64,
    /// Units beside the base.
    pub units: usize,
}

/// Has two snapshots certified, each heard of by all devices, and drops what the second one stands for. One
/// is not enough: for an interval more, late units may rest on what lies below, and each one's place is kept.
pub fn compact(ledger: &mut Ledger, devices: &[Device]) -> Result<Kept> {
    for _ in 0..2 {
        certify(ledger, devices)?;
        for device in devices {
            let message = SessionMessage { label: "Say".to_owned(), payload: Vec::new() };
            let _unit =
                ledger.author(device.id, &device.key, None, Event::SessionMessage(message))?;
        }
    }
    let compacted = ledger.compact(UnixTime(0))?;
    let units = ledger.arrivals().iter().filter_map(|it| ledger.unit_bytes(it));
    let bytes = compacted.bytes + units.map(<[u8]>::len).sum::<usize>();
    Ok(Kept { bytes: bytes as f64, units: compacted.units })
}

fn certify(ledger: &mut Ledger, devices: &[Device]) -> Result<()> {
    let past = ledger.heads();
    let body = EntryBody::Snapshot(ledger.snapshot(&past)?);
    let (slot, value) = (ledger.chain().next_slot(), Entry { past, body });
    let quorum = devices.get(..usize::from(ledger.chain().config().m)).context("no quorum")?;
    let votes = quorum.iter().map(|device| {
        let vote = Vote::sign(slot, Phase::Commit, 0, value.hash(), &device.vote_key);
        (vote.key, vote.signature)
    });
    let certificate = Certificate { view: 0, votes: votes.collect::<BTreeMap<_, _>>() };
    let _appended = ledger.import_entry(CertifiedEntry { slot, value, certificate })?;
    Ok(())
}
