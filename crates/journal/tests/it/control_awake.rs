//! Devices that are never awake together: votes wait for voters, however long.

use aura_journal::control::{ControlMessage, Voter};
use aura_protocol_core::DeviceId;

use crate::{
    control_fixture::{chain_of, devices, value},
    control_votes::{AcceptAll, Node, Power},
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
/// How long a device stays in a contended view, in seconds, before it doubles.
const VIEW_SECONDS: u64 = 30;

/// Five devices. What one says lies where the next finds it: with a device that votes on nothing.
struct Household {
    nodes: Vec<Node>,
    drawer: Vec<(DeviceId, ControlMessage)>,
    /// How much of the drawer each has read.
    read: Vec<usize>,
    now: u64,
    contended: Option<(u64, u64)>,
}

impl Household {
    fn new() -> Self {
        let devices = devices(5);
        let chain = chain_of(&devices);
        let nodes = devices.into_iter().map(|it| Node::new(it, chain.clone())).collect();
        Self { nodes, drawer: Vec::new(), read: vec![0; 5], now: 0, contended: None }
    }

    fn propose(&mut self, by: usize, number: u8) {
        let node = &self.nodes[by];
        let slot = node.chain.next_slot();
        let message = ControlMessage::Propose { slot, view: 0, value: Box::new(value(number)) };
        self.drawer.push((node.device.id(), message));
    }

    /// One device wakes up from a restart, looks about every minute, and sleeps again.
    fn hour_of(&mut self, at: usize) {
        self.nodes[at].restart();
        self.contended = None;
        let until = self.now + HOUR;
        while self.now < until {
            self.minute_of(at);
            self.now += MINUTE;
        }
    }

    fn minute_of(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        for (author, message) in &self.drawer[self.read[at]..] {
            node.receive(*author, message);
        }
        self.leave_view_in_time(at);
        let node = &mut self.nodes[at];
        let me = node.device.id();
        for message in node.poll(&AcceptAll, Power::Stays) {
            self.drawer.push((me, message));
        }
        self.read[at] = self.drawer.len();
    }

    /// As a device measures it: by its own clock, since it saw that two values are there.
    fn leave_view_in_time(&mut self, at: usize) {
        let voter: &mut Voter = &mut self.nodes[at].voter;
        let Some((_, view)) = voter.contended() else { return };
        let since = match self.contended {
            Some((known, since)) if known == view => since,
            _ => self.now,
        };
        self.contended = Some((view, since));
        if since + (VIEW_SECONDS << view) <= self.now {
            voter.time_out();
        }
    }

    /// How many have decided, and that they decided one thing.
    fn decided(&self) -> usize {
        let entries: Vec<_> =
            self.nodes.iter().filter_map(|it| it.chain.entries().get(2)).collect();
        assert!(entries.windows(2).all(|it| it[0].value == it[1].value));
        entries.len()
    }
}

/// INV-J15: five devices, each awake one hour in turn, never two at once: the fourth hour brings the
/// fourth prepare vote, a second round the commits. A month of sleep in between changes nothing.
#[test]
fn devices_that_never_meet_decide() {
    let mut home = Household::new();
    home.propose(0, 1);
    for at in 0..5 {
        home.hour_of(at);
        assert_eq!(home.decided(), 0);
    }
    home.now += 30 * 24 * HOUR;
    for at in 0..5 {
        home.hour_of(at);
    }
    assert!(home.decided() >= 2, "{} decided", home.decided());
    for at in 0..5 {
        home.hour_of(at);
    }
    assert_eq!(home.decided(), 5);
    assert_eq!(home.nodes[0].chain.entries()[2].certificate.view, 0);
}

/// INV-J16: the same with two values, which split the votes: views change in each one's own time.
#[test]
fn devices_that_never_meet_settle_a_race() {
    let mut home = Household::new();
    home.propose(0, 1);
    home.hour_of(0);
    // The second has seen nothing of the first yet.
    let kept = std::mem::take(&mut home.drawer);
    home.read = vec![0; 5];
    home.propose(1, 2);
    home.hour_of(1);
    home.drawer.extend(kept);
    home.read = vec![0; 5];
    let mut rounds = 0;
    while home.decided() < 5 {
        rounds += 1;
        assert!(rounds <= 20, "no decision in twenty rounds: {} decided", home.decided());
        for at in 0..5 {
            home.hour_of(at);
        }
    }
}
