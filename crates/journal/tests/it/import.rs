//! The door: what is refused, with which reason, and that nothing of it is kept.

use aura_journal::{
    Event, Ledger, Outcome, PeerTag, Reject, Unit, UnitBody,
    control::{Configuration, EntryBody},
    unit::{UNIT_BYTES_MAX, UNIT_VERSION},
};
use aura_protocol_core::{AccountId, DecodeError, Digest, Lamport, encode};

use crate::support::*;

/// Three devices, and a ledger in which the first two have written.
fn fixture() -> (Vec<Device>, Ledger) {
    let (devices, chain) = account(3);
    let mut ledger = Ledger::new(chain);
    write(&mut ledger, &devices[0], metadata(&devices[0], "zero"));
    write(&mut ledger, &devices[1], metadata(&devices[1], "one"));
    write(&mut ledger, &devices[0], metadata(&devices[0], "null"));
    (devices, ledger)
}

/// The next unit of the first device, as it should be.
fn next_body(devices: &[Device], ledger: &Ledger) -> UnitBody {
    let prev = ledger.arrivals()[2];
    UnitBody {
        version: UNIT_VERSION,
        account: ledger.account(),
        config: ledger.chain().config_index(),
        author: devices[0].id,
        seq: 2,
        lamport: Lamport(4),
        prev: Some(prev),
        deps: vec![ledger.arrivals()[1]],
        session: None,
        event: metadata(&devices[0], "next"),
    }
}

/// Imports a change of a good unit, signed by the first device, and says what came of it; whatever
/// it is, a refused unit changes nothing.
#[track_caller]
fn check(change: impl FnOnce(&mut UnitBody, &[Device], &Ledger), expected: Result<(), &str>) {
    let (devices, mut ledger) = fixture();
    let mut body = next_body(&devices, &ledger);
    change(&mut body, &devices, &ledger);
    let bytes = encode(&body.sign(&devices[0].key));
    let before = snapshot(&mut ledger);
    let outcome = ledger.import(PEER, &bytes);
    match expected {
        Ok(()) => assert!(matches!(outcome, Ok(Outcome::Applied(_))), "{outcome:?}"),
        Err("Parked") => assert_eq!(outcome, Ok(Outcome::Parked)),
        Err(code) => assert_eq!(outcome.map_err(|it| it.code()), Err(code)),
    }
    if expected.is_err() {
        assert_eq!(snapshot(&mut ledger), before);
    }
}

fn snapshot(ledger: &mut Ledger) -> (Vec<Digest>, Vec<Digest>, String, bool) {
    let state = format!("{:?}", ledger.state());
    (ledger.arrivals().to_vec(), ledger.heads(), state, ledger.take_batch().units.len() > 3)
}

#[test]
fn a_good_unit_is_taken() {
    check(|_, _, _| (), Ok(()));
}

#[test]
fn another_format_is_refused() {
    check(|it, _, _| it.version = 2, Err("Version"));
}

#[test]
fn another_account_is_refused() {
    check(|it, _, _| it.account = AccountId::from_bytes([7; 32]), Err("Account"));
}

#[test]
fn an_unknown_author_is_refused() {
    check(|it, _, _| it.author = device(77).id, Err("UnknownAuthor"));
}

/// The first configuration has the first device alone in it.
#[test]
fn an_author_is_looked_up_in_the_named_configuration() {
    check(
        |it, devices, _| {
            (it.author, it.config, it.seq, it.prev) = (devices[1].id, 0, 0, None);
        },
        Err("UnknownAuthor"),
    );
}

#[test]
fn another_authors_signature_is_refused() {
    check(
        |it, devices, ledger| {
            (it.author, it.seq, it.prev) = (devices[2].id, 0, None);
            (it.deps, it.lamport) = (vec![ledger.arrivals()[0]], Lamport(2));
        },
        Err("Signature"),
    );
}

#[test]
fn configurations_do_not_go_back() {
    check(|it, _, _| it.config = 0, Err("Config"));
}

#[test]
fn prev_is_the_authors_unit_before() {
    check(|it, _, ledger| it.prev = Some(ledger.arrivals()[0]), Err("PrevMismatch"));
    check(
        |it, _, ledger| (it.prev, it.deps) = (Some(ledger.arrivals()[1]), Vec::new()),
        Err("PrevMismatch"),
    );
    check(|it, _, _| it.prev = None, Err("PrevMismatch"));
    check(|it, _, _| it.seq = 0, Err("PrevMismatch"));
    check(|it, _, _| it.seq = 3, Err("PrevMismatch"));
    check(|it, _, _| it.seq = u64::MAX, Err("PrevMismatch"));
}

#[test]
fn the_lamport_is_one_more_than_the_parents() {
    check(|it, _, _| it.lamport = Lamport(3), Err("Lamport"));
    check(|it, _, _| it.lamport = Lamport(5), Err("Lamport"));
    check(|it, _, _| it.lamport = Lamport(1 << 63), Err("Lamport"));
    check(|it, _, _| it.lamport = Lamport(u64::MAX), Err("Lamport"));
}

#[test]
fn deps_are_few_sorted_and_others() {
    check(|it, _, ledger| it.deps = vec![ledger.arrivals()[1]; 2], Err("Deps"));
    check(|it, _, _| it.deps = it.prev.into_iter().collect(), Err("Deps"));
    check(
        |it, _, ledger| {
            it.deps = ledger.arrivals()[..2].to_vec();
            it.deps.sort_unstable();
            it.deps.reverse();
        },
        Err("Deps"),
    );
    check(
        |it, _, _| it.deps = (1..=5).map(|it| Digest::from_bytes([it; 32])).collect(),
        Err("Deps"),
    );
    // An older unit of the author's own is a link as good as any.
    check(
        |it, _, ledger| {
            it.deps = ledger.arrivals()[..2].to_vec();
            it.deps.sort_unstable();
        },
        Ok(()),
    );
}

#[test]
fn a_missing_parent_or_configuration_is_waited_for() {
    check(|it, _, _| it.deps = vec![Digest::ZERO], Err("Parked"));
    check(|it, _, _| (it.prev, it.seq) = (Some(Digest::ZERO), 9), Err("Parked"));
    check(|it, _, _| it.config = 2, Err("Parked"));
    check(|it, _, _| it.config = u64::MAX, Err("Parked"));
}

#[test]
fn a_large_event_is_refused() {
    let payload = |len: usize| "x".repeat(len);
    // Discriminant, the length and text of the label, the length of the payload.
    let overhead = 1 + 4 + 3 + 4;
    check(|it, _, _| it.event = message(&payload((64 << 10) - overhead)), Ok(()));
    check(|it, _, _| it.event = message(&payload((64 << 10) - overhead + 1)), Err("Size"));
    let (_, mut ledger) = fixture();
    let limit = UNIT_BYTES_MAX;
    let refused = ledger.import(PEER, &vec![0; limit + 1]);
    assert_eq!(refused, Err(Reject::Size { found: limit + 1, limit }));
}

/// INV-J21: whatever a peer makes of a unit's bytes is refused with a reason, and nothing is kept.
#[test]
fn every_changed_byte_is_refused() {
    let (devices, mut ledger) = fixture();
    let mut body = next_body(&devices, &ledger);
    body.event = open(&devices);
    let good = encode(&body.sign(&devices[0].key));
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            refused_or_parked(&mut ledger, &bytes);
        }
    }
    for end in 0..good.len() {
        refused_or_parked(&mut ledger, &good[..end]);
    }
    for more in 0..=255 {
        refused_or_parked(&mut ledger, &[good.as_slice(), &[more]].concat());
    }
    assert!(matches!(ledger.import(PEER, &good), Ok(Outcome::Applied(_))));
}

/// A change of a parent or of the configuration names one that is not here; such a unit waits, and
/// is never stored, since its signature does not fit.
#[track_caller]
fn refused_or_parked(ledger: &mut Ledger, bytes: &[u8]) {
    match ledger.import(PEER, bytes) {
        Err(_) => assert_eq!(ledger.waiting(), 0),
        Ok(outcome) => {
            assert_eq!(outcome, Outcome::Parked);
            let body = Unit::from_bytes(bytes).unwrap().body;
            let known = body.parents().all(|it| ledger.contains(&it));
            assert!(!known || ledger.chain().config_index() < body.config);
            ledger.forget_peer(PEER);
        }
    }
    assert_eq!(ledger.len(), 3);
    assert_eq!(ledger.waiting(), 0);
}

#[test]
fn garbage_is_malformed() {
    let (_, mut ledger) = fixture();
    let of_this_version = [&[1, 0][..], &[0; 130]].concat();
    for bytes in [&[][..], &[1], &[1, 0], of_this_version.as_slice()] {
        assert_eq!(ledger.import(PEER, bytes), Err(Reject::Malformed(DecodeError::Malformed)));
    }
}

/// A unit by a device that joins later waits for the entry that lets it in.
#[test]
fn an_author_of_a_later_configuration_waits_for_the_entry() {
    let (devices, chain) = account(3);
    let joiner = device(50);
    let config = devices.iter().map(|it| it.entry.clone()).chain([joiner.entry.clone()]);
    let body = EntryBody::Reconfigure(Configuration::with_defaults(config).into());
    let entry = certify(&chain, &devices, Vec::new(), body);
    let mut there = Ledger::new(chain.clone());
    there.import_entry(entry.clone()).unwrap();
    let unit = write(&mut there, &joiner, metadata(&joiner, "new"));
    let mut here = Ledger::new(chain);
    assert_eq!(here.import(PEER, there.unit_bytes(&unit).unwrap()), Ok(Outcome::Parked));
    assert!(here.state().metadata.is_empty());
    here.import_entry(entry).unwrap();
    assert_eq!(here.units_after(0), [unit]);
    assert_eq!(here.state(), there.state());
    assert_eq!(here.waiting(), 0);
}

/// One unit that comes last brings in all that rest on it.
#[test]
fn waiting_units_come_in_with_what_they_rest_on() {
    let (devices, chain) = account(3);
    let mut there = Ledger::new(chain.clone());
    for nth in 0..60 {
        let device = &devices[nth % 3];
        write(&mut there, device, metadata(device, &nth.to_string()));
    }
    let mut here = Ledger::new(chain);
    let units = there.arrivals().to_vec();
    for unit in units[1..].iter().rev() {
        assert_eq!(here.import(PEER, there.unit_bytes(unit).unwrap()), Ok(Outcome::Parked));
    }
    // Parked twice is parked once.
    assert_eq!(here.import(PEER, there.unit_bytes(&units[9]).unwrap()), Ok(Outcome::Parked));
    assert_eq!(here.waiting(), 59);
    let first = there.unit_bytes(&units[0]).unwrap();
    assert_eq!(here.import(PEER, first), Ok(Outcome::Applied(units.clone())));
    assert_eq!(here.state(), there.state());
    assert_eq!(here.take_batch().units.len(), 60);
}

/// Units that wait for parents which never come, signed by nobody.
fn orphans(devices: &[Device], ledger: &Ledger, count: u32, tag: u8) -> Vec<Vec<u8>> {
    let orphan = |nth: u32| {
        let mut body = next_body(devices, ledger);
        body.deps = vec![Digest::of(&[&nth.to_le_bytes()[..], &[tag]].concat())];
        encode(&body.sign(&device(99).key))
    };
    (0..count).map(orphan).collect()
}

/// INV-J22: what waits is bounded per peer, and no peer can push out what another sent.
#[test]
fn a_flood_fills_only_the_ring_of_its_sender() {
    flood(PeerTag([0; 32]));
    flood(PeerTag([2; 32]));
}

fn flood(honest: PeerTag) {
    let (devices, mut ledger) = fixture();
    let parent = write_elsewhere(&devices, &ledger);
    assert_eq!(ledger.import(honest, &parent[1]), Ok(Outcome::Parked));
    for orphan in orphans(&devices, &ledger, 1000, 0) {
        assert_eq!(ledger.import(PEER, &orphan), Ok(Outcome::Parked));
    }
    assert!(ledger.waiting() <= 1 + 256, "{}", ledger.waiting());
    // The hostile one can send the honest one's unit too, and push that out of its own ring.
    assert_eq!(ledger.import(PEER, &parent[1]), Ok(Outcome::Parked));
    for orphan in orphans(&devices, &ledger, 1000, 1) {
        assert_eq!(ledger.import(PEER, &orphan), Ok(Outcome::Parked));
    }
    let Ok(Outcome::Applied(applied)) = ledger.import(honest, &parent[0]) else { panic!() };
    assert_eq!(applied.len(), 2);
}

/// Two units of the third device, the second on top of the first.
fn write_elsewhere(devices: &[Device], ledger: &Ledger) -> [Vec<u8>; 2] {
    let mut there = Ledger::new(ledger.chain().clone());
    ["a", "b"].map(|name| {
        let unit = write(&mut there, &devices[2], metadata(&devices[2], name));
        there.unit_bytes(&unit).unwrap().to_vec()
    })
}

#[test]
fn waiting_bytes_are_bounded() {
    let (devices, mut ledger) = fixture();
    for nth in 0u32..100 {
        let mut body = next_body(&devices, &ledger);
        body.deps = vec![Digest::of(&nth.to_le_bytes())];
        body.event = message(&"x".repeat(60_000));
        let bytes = encode(&body.sign(&devices[0].key));
        assert_eq!(ledger.import(PEER, &bytes), Ok(Outcome::Parked));
        assert!(ledger.waiting() * 60_000 <= 1 << 20);
    }
}

#[test]
fn too_many_peers_are_told_so_until_one_has_nothing_waiting() {
    let (devices, mut ledger) = fixture();
    let units = orphans(&devices, &ledger, 1, 0);
    let peer = |nth: u8| PeerTag([nth; 32]);
    for nth in 0..128 {
        assert_eq!(ledger.import(peer(nth), &units[0]), Ok(Outcome::Parked));
    }
    assert_eq!(ledger.import(peer(128), &units[0]), Err(Reject::Crowded { peers: 128 }));
    ledger.forget_peer(peer(5));
    assert_eq!(ledger.import(peer(128), &units[0]), Ok(Outcome::Parked));
}

/// A unit that waited and then turns out bad counts against who sent it, not against who sent what
/// it had waited for.
#[test]
fn a_waiting_unit_that_is_bad_is_reported_with_its_sender() {
    let (devices, mut ledger) = fixture();
    let [first, second] = write_elsewhere(&devices, &ledger);
    let mut bad = second.clone();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    let (liar, honest) = (PeerTag([3; 32]), PeerTag([4; 32]));
    assert_eq!(ledger.import(liar, &bad), Ok(Outcome::Parked));
    assert!(matches!(ledger.import(honest, &first), Ok(Outcome::Applied(it)) if it.len() == 1));
    assert_eq!(ledger.take_refusals(), [(liar, Reject::Signature { author: devices[2].id })]);
    assert_eq!(ledger.take_refusals(), []);
    assert!(matches!(ledger.import(honest, &second), Ok(Outcome::Applied(_))));
}

#[test]
fn only_members_write_and_only_with_their_key() {
    let (devices, mut ledger) = fixture();
    let stranger = device(60);
    let event = || metadata(&devices[0], "x");
    let mut refused = |id, key| ledger.author(id, key, None, event()).unwrap_err().code();
    assert_eq!(refused(stranger.id, &stranger.key), "NotInRoster");
    assert_eq!(refused(devices[0].id, &devices[1].key), "WrongKey");
    let too_long = Event::AcknowledgeUpgrade { proposal: Digest::ZERO };
    assert!(ledger.author(devices[0].id, &devices[0].key, None, too_long).is_ok());
    let too_long = message(&"x".repeat(65 << 10));
    let refused = ledger.author(devices[0].id, &devices[0].key, None, too_long);
    assert_eq!(refused.unwrap_err().code(), "Size");
}

/// With more heads than links, a unit still rests on what it answers to.
#[test]
fn what_a_unit_answers_to_is_in_its_past() {
    let (devices, chain) = account(12);
    let mut ledger = Ledger::new(chain.clone());
    let (session, opened) = open_session(&mut ledger, &devices[0], &devices);
    // Ten devices that have not heard of it write at the same time.
    for device in &devices[2..] {
        let mut there = Ledger::new(chain.clone());
        let unit = write(&mut there, device, metadata(device, "unaware"));
        let outcome = ledger.import(PEER, there.unit_bytes(&unit).unwrap());
        assert!(matches!(outcome, Ok(Outcome::Applied(_))));
    }
    let answer = write_in(&mut ledger, &devices[1], session, message("here"));
    assert!(ledger.closure(&[answer]).unwrap().contains(&opened));
    assert_eq!(ledger.unit(&answer).unwrap().body.deps.len(), 4);
    assert_eq!(ledger.state().sessions[&session].messages, [answer]);
    assert_eq!(ledger.records_at(app(), &[Digest::ZERO]).unwrap_err().unit, Digest::ZERO);
}
