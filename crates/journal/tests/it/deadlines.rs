//! Sessions with a deadline by the quorum clock: who can end them when, and that everybody reads the same.

use aura_journal::{
    Event, Ledger, Outcome, SessionStatus, Unit, UnitBody, child_session_id, control::EntryBody,
    session_id,
};
use aura_protocol_core::{Epoch, Lamport, Outcome as Ended, SessionId, UnixTime, encode};
use proptest::{prelude::*, sample::Index, strategy::ValueTree as _};

use crate::{history::*, support::*};

/// The epoch at which the sessions of these tests are over.
const UNTIL: u64 = 3;

/// An account of four, of whom three drive the clock, and a session of the first three.
struct Fixture {
    devices: Vec<Device>,
    ledger: Ledger,
    session: SessionId,
}

fn fixture() -> Fixture {
    let (devices, chain) = account(4);
    let mut ledger = Ledger::new(chain);
    let session = begin(&mut ledger, &devices, UNTIL);
    Fixture { devices, ledger, session }
}

fn begin(ledger: &mut Ledger, devices: &[Device], until: u64) -> SessionId {
    let id = session_id(ledger.account(), devices[0].id, ledger.next_seq(devices[0].id));
    write_in(ledger, &devices[0], id, open_until(&devices[..3], until));
    id
}

/// Lets these devices tick until the clock stands at an epoch.
fn come_to(ledger: &mut Ledger, devices: &[Device], epoch: u64) {
    for next in ledger.epoch().0 + 1..=epoch {
        for device in devices {
            write(ledger, device, tick(next));
        }
    }
    assert_eq!(ledger.epoch(), Epoch(epoch));
}

impl Fixture {
    fn snapshot(&mut self) {
        let snapshot = self.ledger.snapshot(&self.ledger.heads()).unwrap();
        let (chain, heads) = (self.ledger.chain().clone(), self.ledger.heads());
        let entry = certify(&chain, &self.devices, heads, EntryBody::Snapshot(snapshot));
        self.ledger.import_entry(entry).unwrap();
    }

    /// A device that has everything, and has dropped what the snapshot stands for.
    fn compacted(&mut self) -> Ledger {
        let mut compacted = Ledger::new(self.ledger.chain().clone());
        exchange(&mut self.ledger, &mut compacted);
        let _dropped = compacted.compact(UnixTime(1 << 40)).unwrap();
        compacted
    }

    /// The next unit of a device, which rests on its last one alone.
    fn lonely(&self, nth: usize, session: Option<SessionId>, event: Event) -> Unit {
        let device = &self.devices[nth];
        let (_, last) = self.ledger.last_of(device.id).unwrap();
        let before = self.ledger.unit(&last).unwrap().body;
        let body = UnitBody {
            config: self.ledger.chain().config_index(),
            seq: before.seq + 1,
            lamport: Lamport(before.lamport.0 + 1),
            prev: Some(last),
            deps: Vec::new(),
            session,
            event,
            ..before
        };
        body.sign(&device.key)
    }

    fn status(&self) -> SessionStatus {
        self.ledger.state().sessions[&self.session].status
    }

    fn write(&mut self, nth: usize, event: Event) {
        write_in(&mut self.ledger, &self.devices[nth], self.session, event);
    }
}

/// INV-J64: from the deadline on each participant can say that a session timed out, and nobody before; it
/// wrote nothing then, whatever its opener says.
#[test]
fn a_session_times_out_by_the_quorum_clock() {
    let mut it = fixture();
    assert_eq!(it.ledger.state().sessions[&it.session].until, Some(Epoch(UNTIL)));
    it.write(1, message("one"));
    come_to(&mut it.ledger, &it.devices, UNTIL - 1);
    it.write(1, abort());
    assert_eq!(it.status(), SessionStatus::Active, "it has one epoch more");
    come_to(&mut it.ledger, &it.devices, UNTIL);
    assert_eq!(it.status(), SessionStatus::Active, "nobody has said so");
    it.write(3, abort());
    assert_eq!(it.status(), SessionStatus::Active, "who takes no part has no say");
    it.write(2, close(&[("sum", Some("1"))]));
    assert_eq!(it.status(), SessionStatus::TimedOut);
    let outcome = it.ledger.state().sessions[&it.session].outcome.clone();
    assert!(matches!(outcome, Some(Ended::Aborted { reason }) if reason.starts_with("TimedOut")));
    it.write(0, close(&[("sum", Some("2"))]));
    assert_eq!(it.status(), SessionStatus::TimedOut);
    assert!(it.ledger.state().records.is_empty());
    let heads = it.ledger.heads();
    assert_eq!(it.ledger.records_at(app(), &heads), Ok(Vec::new()));
}

/// An opener that comes too late says by closing it that it timed out.
#[test]
fn an_opener_that_is_late_writes_nothing() {
    let mut it = fixture();
    come_to(&mut it.ledger, &it.devices, UNTIL);
    it.write(0, close(&[("sum", Some("2"))]));
    assert_eq!(it.status(), SessionStatus::TimedOut);
    assert!(it.ledger.state().records.is_empty());
}

/// An end that was there in time wins over a deadline that has passed for others, whatever came first.
#[test]
fn what_its_opener_said_in_time_counts() {
    let it = fixture();
    let mut apart = Ledger::new(it.ledger.chain().clone());
    sync(&it.ledger, &mut apart);
    come_to(&mut apart, &it.devices[1..], UNTIL);
    write_in(&mut apart, &it.devices[1], it.session, abort());
    let mut opener = Ledger::new(it.ledger.chain().clone());
    sync(&it.ledger, &mut opener);
    // Its own unit stands higher than all that the others did.
    for _ in 0..40 {
        write_in(&mut opener, &it.devices[0], it.session, message("on"));
    }
    write_in(&mut opener, &it.devices[0], it.session, close(&[("sum", Some("2"))]));
    for (first, second) in [(&apart, &opener), (&opener, &apart)] {
        let mut both = Ledger::new(it.ledger.chain().clone());
        sync(first, &mut both);
        sync(second, &mut both);
        assert_eq!(both.state().sessions[&it.session].status, SessionStatus::Completed);
        assert_eq!(both.state().records.len(), 1);
        let heads = both.heads();
        assert_eq!(both.records_at(app(), &heads).unwrap().len(), 1);
    }
}

/// Fewer than m devices bring no deadline nearer, however much they tick.
#[test]
fn fewer_than_a_quorum_time_nothing_out() {
    let mut it = fixture();
    for epoch in 1..=10 {
        for nth in 1..3 {
            write(&mut it.ledger, &it.devices[nth], tick(epoch));
        }
    }
    write(&mut it.ledger, &it.devices[1], tick(u64::MAX));
    it.write(1, abort());
    assert_eq!(it.status(), SessionStatus::Pending);
    it.write(0, close(&[("sum", Some("2"))]));
    assert_eq!(it.status(), SessionStatus::Completed);
}

/// A part has a deadline of its own, and none begins when the session's is over.
#[test]
fn parts_have_deadlines() {
    let mut it = fixture();
    let part = |nth| child_session_id(it.session, nth);
    let (first, second) = (part(1), part(2));
    let participants: Vec<Device> = (0..3).map(device).collect();
    let child = |nth| open_child_until(it.session, nth, &participants, UNTIL - 1);
    let (one, two) = (child(1), child(2));
    write_in(&mut it.ledger, &it.devices[0], first, one);
    come_to(&mut it.ledger, &it.devices, UNTIL - 1);
    write_in(&mut it.ledger, &it.devices[1], first, abort());
    let status = it.ledger.state().sessions[&first].status;
    assert_eq!((status, it.status()), (SessionStatus::TimedOut, SessionStatus::Pending));
    come_to(&mut it.ledger, &it.devices, UNTIL);
    write_in(&mut it.ledger, &it.devices[0], second, two);
    assert!(!it.ledger.state().sessions.contains_key(&second));
}

/// A deadline goes on over a snapshot, also where only the snapshot is left; a session that timed out is
/// forgotten with it like any that ended.
#[test]
fn deadlines_go_on_over_a_snapshot() {
    let mut it = fixture();
    let ended = begin(&mut it.ledger, &it.devices, 1);
    come_to(&mut it.ledger, &it.devices, UNTIL - 1);
    write_in(&mut it.ledger, &it.devices[1], ended, abort());
    assert_eq!(it.ledger.state().sessions[&ended].status, SessionStatus::TimedOut);
    it.snapshot();
    assert!(!it.ledger.state().sessions.contains_key(&ended));
    for device in &it.devices {
        write(&mut it.ledger, device, metadata(device, "heard"));
    }
    let mut compacted = it.compacted();
    assert_eq!(compacted.state(), it.ledger.state());
    assert_eq!(compacted.state().sessions[&it.session].until, Some(Epoch(UNTIL)));
    it.write(1, abort());
    assert_eq!(it.status(), SessionStatus::Pending);
    come_to(&mut it.ledger, &it.devices, UNTIL);
    it.write(1, abort());
    assert_eq!(it.status(), SessionStatus::TimedOut);
    exchange(&mut it.ledger, &mut compacted);
    assert_eq!(compacted.state(), it.ledger.state());
    assert_eq!(compacted.epoch(), it.ledger.epoch());
}

/// The clock of a snapshot is in the past of every unit whose author has heard of it, whatever that unit rests
/// on: so whoever dropped what was before reads the same as whoever has it.
#[test]
fn the_clock_of_a_snapshot_is_in_every_past_after_it() {
    let mut it = fixture();
    write(&mut it.ledger, &it.devices[2], metadata(&it.devices[2], "quiet"));
    let others = [0, 1, 3].map(device);
    come_to(&mut it.ledger, &others, UNTIL);
    it.snapshot();
    for other in &others {
        write(&mut it.ledger, other, metadata(other, "heard"));
    }
    let heard = it.lonely(2, None, metadata(&it.devices[2], "heard"));
    assert!(it.ledger.import(PEER, &encode(&heard)).is_ok());
    let mut compacted = it.compacted();
    let close = it.lonely(2, Some(it.session), abort());
    for ledger in [&mut it.ledger, &mut compacted] {
        assert!(ledger.import(PEER, &encode(&close)).is_ok());
        assert_eq!(ledger.clock_before(&close.hash()), Some(Epoch(UNTIL)));
        assert_eq!(ledger.state().sessions[&it.session].status, SessionStatus::TimedOut);
    }
}

/// A participant that had not heard of a snapshot cannot say after it that a session timed out: what it rests
/// on is gone for some. Its opener's word counts as in time.
#[test]
fn who_missed_a_snapshot_times_nothing_out() {
    for (nth, status) in [(1, SessionStatus::Pending), (0, SessionStatus::Completed)] {
        let mut it = fixture();
        // What it rests on is beyond the deadline.
        come_to(&mut it.ledger, &it.devices, UNTIL + 1);
        let late = it.lonely(nth, Some(it.session), close(&[("sum", Some("1"))]));
        it.snapshot();
        for device in &it.devices {
            write(&mut it.ledger, device, metadata(device, "heard"));
        }
        // It takes the place of what its author says after the snapshot only where nobody has that.
        let mut apart = Ledger::new(it.ledger.chain().clone());
        let known: Vec<Vec<u8>> = it
            .ledger
            .arrivals()
            .iter()
            .map(|unit| it.ledger.unit(unit).unwrap())
            .filter(|unit| unit.body.author != it.devices[nth].id || unit.body.seq < late.body.seq)
            .map(|unit| encode(&unit))
            .collect();
        for unit in &known {
            assert!(apart.import(PEER, unit).is_ok());
        }
        assert!(matches!(apart.import(PEER, &encode(&late)), Ok(Outcome::Applied(_))));
        assert_eq!(apart.clock_before(&late.hash()), Some(Epoch(UNTIL)));
        assert_eq!(apart.state().sessions[&it.session].status, status);
    }
}

/// Histories in which sessions have deadlines, and the clock moves.
fn with_deadlines() -> impl Strategy<Value = (Crowd, Vec<Step>)> {
    let i = any::<Index>;
    let step = prop_oneof![
        4 => (i(), 0u8..3).prop_map(|(a, n)| Step::OpenUntil(a, n)),
        8 => i().prop_map(|a| Step::Tick(a, 0)),
        6 => (i(), i(), any::<u8>()).prop_map(|(a, s, n)| Step::Close(a, s, n)),
        2 => (i(), i(), any::<bool>()).prop_map(|(a, s, n)| Step::Child(a, s, n)),
        8 => (i(), i()).prop_map(|(a, b)| Step::Sync(a, b)),
        1 => i().prop_map(Step::Policy),
        1 => i().prop_map(Step::Snapshot),
    ];
    ((3u8..=4, 0u8..=1), prop::collection::vec(step, 10..60))
}

/// How the ended sessions of a state ended.
fn timed_out(ledger: &Ledger) -> usize {
    let sessions = ledger.state().sessions.values();
    sessions.filter(|it| it.status == SessionStatus::TimedOut).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// INV-J64: whether a session timed out is a function of the set of units and entries.
    #[test]
    fn deadlines_do_not_depend_on_the_order(
        (crowd, steps) in with_deadlines(),
        seeds in prop::collection::vec(any::<u64>(), 60),
        entries_at in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let history = play(crowd, &steps);
        let mut order: Vec<usize> = (0..history.units.len()).collect();
        order.sort_by_key(|it| seeds[it % seeds.len()].rotate_left(u32::try_from(*it).unwrap()));
        let expected = reference(&history);
        let found = scramble(&history, &order, &entries_at);
        prop_assert_eq!(timed_out(&found), timed_out(&expected));
        prop_assert_eq!(view(&history, &found), view(&history, &expected));
    }
}

/// Not all of these histories are without one that timed out.
#[test]
fn some_histories_time_out() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let found = (0..40).filter(|_| {
        let tree = with_deadlines().new_tree(&mut runner).unwrap();
        let (crowd, steps) = tree.current();
        0 < timed_out(&reference(&play(crowd, &steps)))
    });
    assert!(0 < found.count());
}
