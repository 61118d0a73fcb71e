//! Members of newer versions: what they write is kept by older devices, and nobody is cut off for it.

use aura_agent::{api::Command, node::Files};
use aura_journal::{Event, sync::SyncMessage};

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
