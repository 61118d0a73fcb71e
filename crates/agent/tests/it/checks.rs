//! What must hold whatever happens, checked at everything that a node sends and stores.

use aura_journal::{Event, control::ControlMessage, sync::SyncMessage};
use aura_protocol_core::Digest;

use crate::world::{Actor, Crash, World};

impl World {
    /// INV-A1: what a node sends is on its disk.
    pub fn check_sent(&mut self, from: usize, message: &SyncMessage) {
        let device = &self.devices[from];
        if !matches!(device.actor, Actor::Node(_)) {
            return;
        }
        match message {
            SyncMessage::Units(units) => {
                for bytes in units {
                    let hash = aura_journal::Unit::hash_of(bytes);
                    assert!(
                        device.units.contains(&hash),
                        "device {from} sent what it has not stored"
                    );
                }
            }
            SyncMessage::Entries(entries) => {
                for entry in entries {
                    let stored = device.stored.entries.iter();
                    assert!(stored.rev().any(|it| it.value == entry.value));
                }
            }
            _ => {}
        }
    }

    /// Stores a batch. False when the device's power went.
    pub fn commit(&mut self, index: usize, batch: &aura_journal::StoreBatch) -> bool {
        let nth = |crash: Crash| match crash {
            Crash::Before(n) | Crash::After(n) => n,
        };
        let device = &mut self.devices[index];
        let at = device.crash.filter(|it| nth(*it) == device.commits);
        device.commits += 1;
        if let Some(Crash::Before(_)) = at {
            self.stop(index);
            return false;
        }
        device.stored.apply(batch);
        let hashes: Vec<Digest> =
            batch.units.iter().map(|it| aura_journal::Unit::hash_of(it)).collect();
        device.units.extend(&hashes);
        for (bytes, hash) in batch.units.iter().zip(hashes) {
            self.check_stored(index, bytes, hash);
        }
        if at.is_some() {
            self.stop(index);
            return false;
        }
        true
    }

    /// A node signs one unit for each place, votes once, and is bound by what it votes before it does.
    fn check_stored(&mut self, index: usize, bytes: &[u8], hash: Digest) {
        let device = &self.devices[index];
        let unit = aura_journal::Unit::from_bytes(bytes).unwrap();
        let author = unit.body.author;
        let may_fork = self.went_back.contains(&index);
        if author != device.id() || may_fork || !matches!(device.actor, Actor::Node(_)) {
            return;
        }
        let place = self.places.entry((author, unit.body.seq)).or_insert(hash);
        assert_eq!(*place, hash, "device {index} signed two units for one place");
        if let Event::Control(ControlMessage::Vote(vote)) = &unit.body.event {
            let key = (author, vote.slot, vote.phase, vote.view);
            let first = self.votes.entry(key).or_insert(vote.value);
            assert_eq!(*first, vote.value, "device {index} voted twice");
            let record = device.stored.vote_record.unwrap();
            assert!(vote.slot.k <= record.slot.k, "device {index} is not bound by its vote");
        }
    }
}
