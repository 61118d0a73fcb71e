//! Members of newer versions: what they write is kept by older devices, and nobody is cut off for it.

use aura_agent::{
    api::Command,
    node::{Files, Input},
};
use aura_journal::{
    Event,
    control::CertifiedEntry,
    sync::{SyncMessage, UnreadEntries},
};
use aura_protocol_core::encode;

use crate::{sessions::with_puppet, world::World};

impl World {
    /// Has a puppet send a unit of its own whose format is not this one's.
    fn send_of_format(&mut self, index: usize, format: u16) {
        let units = self.puppet(index).ledger.arrivals().to_vec();
        let mut bytes = self.puppet(index).ledger.unit_bytes(&units[0]).unwrap().to_vec();
        bytes[..2].copy_from_slice(&format.to_le_bytes());
        self.broadcast(index, SyncMessage::Units(vec![bytes]));
    }
}

/// What a newer minor version writes is kept, passed on and shown as parked, outlives a restart, and holds up
/// nothing but snapshots. A newer major version is said once, and costs nobody the connection.
#[test]
fn events_of_newer_versions_are_parked_and_shown() {
    let mut world = with_puppet(1, 4);
    // The puppet reaches one device alone: the others get it from that one.
    world.cut(3, 1);
    world.cut(3, 2);
    for bytes in [vec![200, 1, 2], vec![200], vec![77; 9]] {
        world.write(3, None, Event::Unread(bytes));
    }
    for format in [2, 2, 7] {
        world.send_of_format(3, format);
    }
    world.settle(2);
    world.run_session(0, &[0, 1, 2]);
    world.stop(1);
    world.start(1);
    world.settle(2);
    for index in 0..3 {
        let parked = world.status(index).ledger.parked;
        assert_eq!((parked.units, parked.kinds), (3, [(77, 1), (200, 2)].into()), "{index}");
        assert!(parked.next.contains("upgrade this device"), "{}", parked.next);
        let formats = if index == 0 { vec![2, 7] } else { vec![] };
        assert_eq!(parked.formats, formats, "{index}");
        assert_eq!(world.log_lines(index, "parked: "), 3);
        assert_eq!(world.devices[index].cut_off, []);
    }
    let said = |it: &&String| it.contains("unit format");
    assert_eq!(world.devices[0].log.iter().filter(said).count(), 2);
    // What cannot be read cannot be certified to have come to anything.
    let asked = world.command(0, Command::Snapshot, Files::default());
    world.settle(60);
    assert!(!world.devices[0].answers.contains_key(&asked));
    assert_eq!(world.node(0).read_command(&Command::Status).map(|_| ()), Ok(()));
    world.run_session(0, &[0, 1, 2]);
}

/// A decision of a kind that a newer version knows: the device takes those before it, stays there, keeps its
/// connections, and says what to do. What only looks like one costs its sender the connection.
#[test]
fn a_decision_of_a_newer_version_stops_the_chain_and_nothing_else() {
    let mut world = with_puppet(1, 4);
    let from = world.devices[3].id();
    let chain = world.ledger_of(0).chain().clone();
    let last = chain.entries().last().unwrap().clone();
    let next = CertifiedEntry { slot: chain.next_slot(), ..last.clone() };
    let frame = SyncMessage::Entries(vec![last.clone(), next.clone()]).to_bytes();
    // The kind of the second entry's decision.
    let start = frame.len() - encode(&next).len() + encode(&(next.slot, &next.value.past)).len();
    let mut newer = frame.clone();
    newer[start] = 0xee;
    assert!(SyncMessage::from_bytes(&newer).is_err());
    let unread = UnreadEntries::from_bytes(&newer).unwrap();
    assert_eq!((unread.before.as_slice(), unread.slot), (&[last.clone()][..], next.slot));
    assert_eq!(UnreadEntries::from_bytes(&frame), None);
    for cut in [0, 1, 5, 20] {
        assert_eq!(UnreadEntries::from_bytes(&newer[..cut]), None);
    }
    for _ in 0..3 {
        world.input(0, Input::EntriesUnread { from, unread: unread.clone() });
    }
    world.settle(1);
    let parked = world.status(0).ledger.parked;
    assert_eq!((parked.decision, parked.units), (Some(next.slot.k), 0));
    assert!(!parked.next.is_empty());
    assert!(world.is_connected(0, 3) && world.devices[0].cut_off.is_empty());
    let said = |it: &&String| it.contains("decides no more until it is upgraded");
    assert_eq!(world.devices[0].log.iter().filter(said).count(), 1);
    world.run_session(0, &[0, 1, 2]);
    // One that was decided already, as this device can read.
    let unread = UnreadEntries { before: vec![], slot: last.slot };
    world.input(0, Input::EntriesUnread { from, unread });
    assert_eq!(world.devices[0].cut_off.len(), 1);
    // Once the account has decided something that can be read there, nothing is left to say.
    world.invite_and_join(1);
    world.settle(2);
    assert_eq!(world.status(0).ledger.parked.decision, None);
}
