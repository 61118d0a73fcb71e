//! A peer that withholds, reorders, floods, answers with other units, promises more for ever, and lies
//! about how far it is; beside a peer that is honest.

use aura_journal::{
    Event, Ledger, Outcome, PeerTag, Unit,
    event::SessionMessage,
    sync::{ANSWER_BYTES_MAX, Frontier, Hello, Pull, SyncMessage, answer, hello},
};
use aura_protocol_core::{DeviceId, Digest, encode};

use crate::{medium::draw, support::*};

const LIAR: PeerTag = PeerTag([6; 32]);
const HONEST: PeerTag = PeerTag([7; 32]);
/// Most units that wait for one peer.
const WAITING_MAX: usize = 256;
const UNITS: usize = 600;

fn note(nth: usize, bytes: usize) -> Event {
    let payload = vec![nth.to_le_bytes()[0]; bytes];
    Event::SessionMessage(SessionMessage { label: "Say".to_owned(), payload })
}

/// A ledger in which three devices wrote in turn, and an empty one of the same account.
fn apart(units: usize) -> (Vec<Device>, Ledger, Ledger) {
    let (devices, chain) = account(3);
    let mut full = Ledger::new(chain.clone());
    for nth in 0..units {
        write(&mut full, &devices[nth % 3], note(nth, 250));
    }
    (devices, full, Ledger::new(chain))
}

fn units_of(messages: Vec<SyncMessage>) -> Vec<Vec<u8>> {
    let units = messages.into_iter().map(|it| match it {
        SyncMessage::Units(units) => units,
        other => panic!("{other:?}"),
    });
    units.flatten().collect()
}

/// Takes units as a device does. What was refused, by name.
fn take(ledger: &mut Ledger, from: PeerTag, units: &[Vec<u8>]) -> Vec<&'static str> {
    let outcomes = ledger.import_all(from, units.iter().map(Vec::as_slice));
    outcomes.into_iter().filter_map(Result::err).map(|it| it.code()).collect()
}

/// What an honest peer answers, taken as it comes.
fn catch_up(ledger: &mut Ledger, honest: &Ledger) {
    let units = units_of(answer(honest, &hello(ledger)));
    assert!(take(ledger, HONEST, &units).is_empty());
    assert_eq!(ledger.heads(), honest.heads());
    assert_eq!(ledger.state(), honest.state());
}

/// INV-J18: whatever a peer leaves out, in whatever order the rest comes, nothing of it is wrong, little of
/// it waits, and an honest peer brings everything.
#[test]
fn what_is_withheld_or_reordered_comes_from_others() {
    let (_, full, empty) = apart(UNITS);
    let all = units_of(answer(&full, &hello(&empty)));
    let every_other = |it: &Vec<Vec<u8>>| it.iter().step_by(2).cloned().collect::<Vec<_>>();
    let backwards = |it: &Vec<Vec<u8>>| it.iter().rev().cloned().collect::<Vec<_>>();
    let shuffled = |it: &Vec<Vec<u8>>| {
        let mut units: Vec<(usize, Vec<u8>)> =
            it.iter().enumerate().map(|(nth, unit)| (draw(5, nth as u64), unit.clone())).collect();
        units.sort_unstable();
        units.into_iter().map(|it| it.1).collect::<Vec<_>>()
    };
    let repeated = |it: &Vec<Vec<u8>>| [it.clone(), it.clone()].concat();
    let but_the_first = |it: &Vec<Vec<u8>>| it[1..].to_vec();
    let ways: [fn(&Vec<Vec<u8>>) -> Vec<Vec<u8>>; 5] =
        [every_other, backwards, shuffled, repeated, but_the_first];
    for (nth, way) in ways.iter().enumerate() {
        let mut ledger = Ledger::new(empty.chain().clone());
        assert!(take(&mut ledger, LIAR, &way(&all)).is_empty(), "{nth}");
        assert!(ledger.waiting() <= WAITING_MAX, "{nth}: {}", ledger.waiting());
        catch_up(&mut ledger, &full);
        // What waited has come in with the rest, or was dropped.
        assert_eq!(ledger.waiting(), 0, "{nth}");
    }
}

/// INV-J18: units that rest on what there is not fill the ring of their sender alone; another peer's
/// units, in a bad order too, wait beside them and come in.
#[test]
fn a_flood_keeps_nothing_away() {
    let (devices, full, mut ledger) = apart(UNITS);
    let mut elsewhere = Ledger::new(ledger.chain().clone());
    write(&mut elsewhere, &devices[0], note(1, 10));
    let base = elsewhere.unit(&elsewhere.arrivals()[0]).unwrap().body.clone();
    let all = units_of(answer(&full, &hello(&ledger)));
    let mut honest = all[1..=200].iter().cloned();
    for nth in 0..10_000u64 {
        let mut body = base.clone();
        body.seq = nth + 1;
        body.prev = Some(Digest::of(&nth.to_le_bytes()));
        body.lamport = aura_protocol_core::Lamport(nth + 2);
        let orphan = encode(&body.sign(&devices[0].key));
        assert_eq!(ledger.import(LIAR, &orphan), Ok(Outcome::Parked));
        if nth % 50 == 0 {
            let unit: Vec<Vec<u8>> = honest.next().into_iter().collect();
            assert!(take(&mut ledger, HONEST, &unit).is_empty());
        }
    }
    assert_eq!((ledger.waiting(), ledger.len()), (WAITING_MAX + 200, 0));
    assert!(take(&mut ledger, HONEST, &all[..1]).is_empty());
    assert_eq!((ledger.waiting(), ledger.len()), (WAITING_MAX, 201));
    catch_up(&mut ledger, &full);
}

/// INV-J21: an answer with units of others, of another account, signed by nobody, or no units at all, is
/// refused by name, and nothing of it is kept.
#[test]
fn answers_with_other_units_are_refused_by_name() {
    let (devices, full, mut ledger) = apart(6);
    let stranger = device(50);
    let mut theirs = Ledger::new(alone(&stranger, "theirs"));
    write(&mut theirs, &stranger, note(1, 10));
    let first = full.unit(&full.arrivals()[0]).unwrap().clone();
    let mut by_stranger = first.body.clone();
    by_stranger.author = stranger.id;
    let forged = Unit { signature: first.body.clone().sign(&devices[1].key).signature, ..first };
    let cases: [(&str, Vec<u8>); 5] = [
        ("Account", theirs.unit_bytes(&theirs.arrivals()[0]).unwrap().to_vec()),
        ("UnknownAuthor", encode(&by_stranger.sign(&stranger.key))),
        ("Signature", encode(&forged)),
        ("Malformed", b"not a unit at all".to_vec()),
        ("Size", vec![0; 1 << 20]),
    ];
    for (code, bytes) in cases {
        assert_eq!(take(&mut ledger, LIAR, &[bytes]), [code]);
        assert_eq!((ledger.len(), ledger.waiting()), (0, 0));
    }
    catch_up(&mut ledger, &full);
}

/// INV-J18: a peer whose answers bring nothing is not asked again at once, however often it says that there
/// is more; one whose answers were cut is, and ends.
#[test]
fn more_without_end_is_not_asked_for() {
    let (devices, mut full, mut ledger) = apart(3);
    let mut pull = Pull::default();
    assert!(pull.more(&ledger));
    for _ in 0..1_000 {
        assert!(!pull.more(&ledger));
    }
    // Junk is no progress.
    let _refused = take(&mut ledger, LIAR, &[b"junk".to_vec()]);
    assert!(!pull.more(&ledger));
    for nth in 0..ANSWER_BYTES_MAX / 60_000 + 40 {
        write(&mut full, &devices[nth % 3], note(nth, 60_000));
    }
    let (mut asked, mut again) = (0, true);
    while again {
        asked += 1;
        again = false;
        for message in answer(&full, &hello(&ledger)) {
            match message {
                SyncMessage::Units(units) => {
                    assert!(take(&mut ledger, HONEST, &units).is_empty());
                }
                SyncMessage::More => again = pull.more(&ledger),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((asked, ledger.len()), (2, full.len()));
}

/// INV-J18: whoever says that it is less far, or further, or elsewhere, gets no more than one bounded answer
/// for it, of units that it may have anyway; and the answers to honest peers are what they were.
#[test]
fn false_frontiers_cost_one_answer() {
    let (devices, full, empty) = apart(UNITS);
    let truth = hello(&full);
    let of = |frontier: Frontier| Hello { frontier, ..truth.clone() };
    let mut ahead = truth.frontier.clone();
    ahead.chains.values_mut().for_each(|it| it.0 += 1_000);
    let mut strangers = Frontier::default();
    for nth in 0..=255u8 {
        strangers.chains.insert(DeviceId::from_bytes([nth; 32]), (u64::MAX, Digest::ZERO));
    }
    let mut elsewhere = truth.frontier.clone();
    elsewhere.chains.insert(devices[0].id, (7, Digest::of(b"no such unit")));
    for lie in [of(Frontier::default()), of(ahead), of(strangers), of(elsewhere)] {
        for _ in 0..3 {
            let messages = answer(&full, &lie);
            let bytes: usize = messages.iter().map(|it| it.to_bytes().len()).sum();
            assert!(bytes <= ANSWER_BYTES_MAX + 64 * messages.len());
            // Nothing that it says of itself is kept.
            assert_eq!(hello(&full), truth);
            assert_eq!(units_of(answer(&full, &hello(&empty))).len(), UNITS);
        }
    }
}

/// Two greetings and two answers make two devices equal, whatever each lacks: four messages, of which an
/// answer is as many frames as its units need.
#[test]
fn four_messages_do() {
    for (ours, theirs) in [(1, 0), (0, 1), (400, 30), (1_500, 1_500)] {
        let (devices, mut one, _) = apart(10);
        let mut two = Ledger::new(one.chain().clone());
        sync(&one, &mut two);
        for nth in 0..ours {
            write(&mut one, &devices[nth % 2], note(nth, 100));
        }
        for nth in 0..theirs {
            write(&mut two, &devices[2], note(nth, 100));
        }
        let (hello_one, hello_two) = (hello(&one), hello(&two));
        let (to_two, to_one) = (answer(&one, &hello_two), answer(&two, &hello_one));
        assert!(take(&mut one, HONEST, &units_of(to_one)).is_empty());
        assert!(take(&mut two, HONEST, &units_of(to_two)).is_empty());
        assert_eq!((one.frontier(), one.state()), (two.frontier(), two.state()));
        assert_eq!(one.len(), 10 + ours + theirs);
    }
}
