//! Streams with predicates of their own, and what it costs to wake whoever waits.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aura_journal::{Event, EventKind, Filter, Finality, Ledger};
use aura_protocol_core::Digest;

use crate::support::*;

/// How often a predicate is asked when one unit comes into a ledger with so many others, and what was seen.
fn asked_for_one_more(others: usize) -> usize {
    let (devices, chain) = account(2);
    let mut ledger = Ledger::new(chain);
    for nth in 0..others {
        write(&mut ledger, &devices[nth % 2], metadata(&devices[nth % 2], "name"));
    }
    let (session, _) = open_session(&mut ledger, &devices[0], &devices);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let filter = Filter { session: Some(session), ..Filter::default() };
    let stream = ledger.subscribe(filter.matching(move |body| {
        counted.fetch_add(1, Ordering::Relaxed);
        matches!(&body.event, Event::SessionMessage(it) if it.payload == b"two")
    }));
    assert!(ledger.take_woken().is_empty());
    assert_eq!(ledger.poll(stream), Vec::new());
    asked.store(0, Ordering::Relaxed);
    write_in(&mut ledger, &devices[1], session, message("one"));
    write(&mut ledger, &devices[1], metadata(&devices[1], "other"));
    assert!(ledger.take_woken().is_empty(), "what does not match wakes nobody");
    let two = write_in(&mut ledger, &devices[1], session, message("two"));
    assert!(ledger.take_woken().contains(&stream));
    assert_eq!(ledger.poll(stream), [two]);
    assert_eq!(ledger.poll(stream), Vec::new());
    asked.load(Ordering::Relaxed)
}

/// A wake costs the same in a short log as in a long one: nothing is looked at but what came since.
#[test]
fn a_wake_looks_at_nothing_old() {
    let short = asked_for_one_more(4);
    assert_eq!(short, asked_for_one_more(4_000));
    // Once when it comes in and once when it is fetched, for each unit of the session.
    assert_eq!(short, 4);
}

/// The same predicate over units that are final alone: each is seen once an entry closes over it, those from
/// before and those to come in one stream.
#[test]
fn a_predicate_sees_what_is_final_once() {
    let (devices, chain) = account(3);
    let mut ledger = Ledger::new(chain.clone());
    let names = |ledger: &Ledger, units: &[Digest]| -> Vec<String> {
        let name = |it: &Digest| match &ledger.unit(it).unwrap().body.event {
            Event::PublishManifest(it) => it.name.clone(),
            other => panic!("{other:?}"),
        };
        units.iter().map(name).collect()
    };
    let close = |ledger: &mut Ledger| {
        let entry = certify(ledger.chain(), &devices, ledger.heads(), install());
        ledger.import_entry(entry).unwrap();
    };
    write(&mut ledger, &devices[0], metadata(&devices[0], "one"));
    write(&mut ledger, &devices[1], metadata(&devices[1], "two"));
    close(&mut ledger);
    let kind = Some(EventKind::PublishManifest);
    let filter = |finality| {
        let filter = Filter { finality, kind, ..Filter::default() };
        filter
            .matching(|it| matches!(&it.event, Event::PublishManifest(it) if it.name.contains('o')))
    };
    let last = ledger.subscribe(filter(Finality::Final));
    let first = ledger.subscribe(filter(Finality::Tentative));
    write(&mut ledger, &devices[2], metadata(&devices[2], "three"));
    write(&mut ledger, &devices[2], metadata(&devices[2], "four"));
    let seen = ledger.poll(last);
    assert_eq!(names(&ledger, &seen), ["one", "two"]);
    let seen = ledger.poll(first);
    assert_eq!(names(&ledger, &seen), ["one", "two", "four"]);
    assert!(ledger.take_woken().is_empty());
    close(&mut ledger);
    assert_eq!(ledger.take_woken(), [last].into());
    let seen = ledger.poll(last);
    assert_eq!(names(&ledger, &seen), ["four"]);
    ledger.unsubscribe(last);
    assert_eq!(ledger.poll(last), Vec::new());
}
