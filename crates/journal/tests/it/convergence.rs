//! State is a function of the set: whatever came first, how often, and together with what.

use std::collections::BTreeSet;

use aura_journal::{Event, EventKind, Filter, Finality, Ledger, SubscriptionId, Unit};
use aura_protocol_core::Digest;
use proptest::{prelude::*, sample::Index};

use crate::{history::*, support::*};

/// How many units a ledger does not hold and needs no more, since it knows that their author forked before
/// them. One that came before that was known may wait for another, and nobody sends that for its sake.
fn needless(history: &History, ledger: &Ledger) -> usize {
    let is_needless = |(bytes, hash): &(&Vec<u8>, &Digest)| {
        let body = Unit::from_bytes(bytes).unwrap().body;
        let forks = ledger.forks();
        let fork = forks.get(&body.author);
        ledger.unit(hash).is_none() && fork.is_some_and(|it| *it <= body.seq)
    };
    history.units.iter().zip(&history.hashes).filter(is_needless).count()
}

/// A history, an order of its units in which each stands once or twice, and where entries come in.
fn scrambled() -> impl Strategy<Value = (History, Vec<usize>, Vec<Index>)> {
    forking_steps().prop_map(|(count, steps)| play(count, &steps)).prop_flat_map(|history| {
        let once: Vec<usize> = (0..history.units.len()).collect();
        let order = [once.clone(), once].concat();
        let entries = history.entries.len();
        let entries_at = prop::collection::vec(any::<Index>(), 0..=entries);
        (Just(history), Just(order).prop_shuffle(), entries_at)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// INV-J20: replicas that hold the same units and entries have the same state and roots.
    #[test]
    fn same_set_same_state((history, order, entries_at) in scrambled(), size in 1usize..20) {
        let expected = view(&history, &reference(&history));
        let one_by_one = scramble(&history, &order, &entries_at);
        let in_batches = scramble_in_batches(&history, &order, size);
        for ledger in [one_by_one, in_batches] {
            prop_assert_eq!(ledger.waiting(), 0);
            prop_assert_eq!(ledger.len(), history.units.len());
            prop_assert_eq!(&view(&history, &ledger), &expected);
        }
    }

    /// INV-J23: the records of a prestate are the same for everybody who holds its closure.
    #[test]
    fn a_prestate_is_the_same_for_all(
        (history, order, entries_at) in scrambled(), past in prop::collection::vec(any::<Index>(), 1..4),
    ) {
        prop_assume!(!history.hashes.is_empty());
        let past: Vec<Digest> = past.iter().map(|it| *it.get(&history.hashes)).collect();
        let expected = reference(&history).records_at(app(), &past).unwrap();
        // One that got everything in another order, and one that has no more than the closure.
        let scrambled = scramble(&history, &order, &entries_at);
        prop_assert_eq!(&scrambled.records_at(app(), &past).unwrap(), &expected);
        let config = |it: &Digest| scrambled.unit(it).unwrap().body.config;
        let newest = past.iter().map(config).max().unwrap();
        // What a snapshot that the past names stands for belongs to it.
        let snapshots = scrambled.chain().snapshots_until(newest).iter();
        let tips = snapshots.flat_map(|it| &scrambled.chain().entry(it.k).unwrap().value.past);
        let tips: Vec<Digest> = past.iter().chain(tips).copied().collect();
        let closure = scrambled.closure(&tips).unwrap();
        let mut least = Ledger::new(history.founded.clone());
        let mut entries = history.entries.iter();
        while least.chain().config_index() < newest {
            least.import_entry(entries.next().unwrap().clone()).unwrap();
        }
        for unit in scrambled.arrivals().iter().filter(|it| closure.contains(it)) {
            prop_assert!(least.import(PEER, scrambled.unit_bytes(unit).unwrap()).is_ok());
        }
        prop_assert_eq!(least.len(), closure.len());
        prop_assert_eq!(&least.records_at(app(), &past).unwrap(), &expected);
        if least.chain().height() == history.founded.height() {
            let all: Vec<_> = least.state().records.values().cloned().collect();
            prop_assert_eq!(all, expected);
        }
    }

    /// INV-J24: a subscription sees each matching unit exactly once, whether it arrived before or
    /// after.
    #[test]
    fn streams_lose_and_repeat_nothing(
        (history, order, entries_at) in scrambled(), begin in any::<Index>(), author in any::<Index>(),
    ) {
        let (devices, _) = account(3);
        let author = BTreeSet::from([author.get(&devices).id]);
        let sessions = reference(&history);
        let session = sessions.state().sessions.keys().next().copied();
        let kind = Some(EventKind::SessionMessage);
        let filters = [Finality::Tentative, Finality::Final].map(|finality| [
            Filter { finality, ..Filter::default() },
            Filter { finality, kind, ..Filter::default() },
            Filter { finality, session, kind, ..Filter::default() },
            Filter { finality, session, authors: Some(author.clone()), ..Filter::default() },
        ]).concat();
        let mut ledger = Ledger::new(history.founded.clone());
        let mut streams: Vec<(SubscriptionId, Vec<Digest>)> = Vec::new();
        let mut entries = history.entries.iter();
        for (nth, unit) in order.iter().enumerate() {
            if nth == begin.index(order.len()) {
                streams = filters.iter().map(|it| (ledger.subscribe(it.clone()), Vec::new())).collect();
            }
            let due = entries_at.iter().filter(|it| it.index(order.len()) == nth).count();
            for entry in entries.by_ref().take(due) {
                ledger.import_entry(entry.clone()).unwrap();
            }
            prop_assert!(ledger.import(PEER, &history.units[*unit]).is_ok());
            // Whoever polls only what was woken misses nothing.
            let woken = ledger.take_woken();
            for (id, seen) in streams.iter_mut().filter(|(id, _)| woken.contains(id)) {
                let fresh = ledger.poll(*id);
                prop_assert!(!fresh.is_empty());
                seen.extend(fresh);
            }
        }
        for ((id, seen), filter) in streams.iter().zip(&filters) {
            prop_assert_eq!(ledger.poll(*id), Vec::new());
            let unique: BTreeSet<Digest> = seen.iter().copied().collect();
            prop_assert_eq!(unique.len(), seen.len());
            let wanted: BTreeSet<Digest> =
                ledger.arrivals().iter().copied().filter(|it| wants(&ledger, filter, it)).collect();
            prop_assert_eq!(unique, wanted);
        }
    }

    /// INV-J27: what an entry has closed over keeps its place, whatever arrives late.
    #[test]
    fn a_late_unit_comes_after_what_was_closed((history, order, _) in scrambled()) {
        let whole = reference(&history);
        let pasts = history.entries.iter().flat_map(|it| it.value.past.clone());
        let closed = whole.closure(&pasts.collect::<Vec<_>>()).unwrap();
        let mut ledger = Ledger::new(history.founded.clone());
        for unit in whole.arrivals().iter().filter(|it| closed.contains(it)) {
            prop_assert!(ledger.import(PEER, whole.unit_bytes(unit).unwrap()).is_ok());
        }
        for entry in &history.entries {
            ledger.import_entry(entry.clone()).unwrap();
        }
        let segments = |ledger: &Ledger| -> Vec<_> {
            closed.iter().map(|it| (ledger.segment(it), ledger.counts(it))).collect()
        };
        let before = (ledger.state().apps.clone(), segments(&ledger));
        let records = ledger.state().records.clone();
        for unit in &order {
            prop_assert!(ledger.import(PEER, &history.units[*unit]).is_ok());
        }
        prop_assert_eq!((ledger.state().apps.clone(), segments(&ledger)), before);
        for (id, record) in &records {
            let now = &ledger.state().records[id];
            prop_assert!(now == record || record.position < now.position);
            prop_assert!(now == record || now.position.segment == u64::MAX);
        }
    }

    /// INV-J40: devices that exchange hellos end with the same state and roots, whoever has forked and
    /// whatever each of them had taken first.
    #[test]
    fn devices_that_talk_end_alike((crowd, steps) in forking_steps(), order in any::<u64>()) {
        let (history, mut ledgers) = play_on(crowd, &steps);
        for ledger in &mut ledgers {
            for entry in &history.entries {
                ledger.import_entry(entry.clone()).unwrap();
            }
        }
        let count = ledgers.len();
        for round in 0..2 * count {
            let first = (order as usize).wrapping_add(round) % count;
            for nth in (0..count).filter(|nth| *nth != first) {
                let [one, two] = ledgers.get_disjoint_mut([first, nth]).unwrap();
                exchange(one, two);
            }
        }
        let expected = view(&history, &reference(&history));
        for ledger in &ledgers {
            let found = view(&history, ledger);
            prop_assert_eq!((&found.state, found.root), (&expected.state, expected.root));
            prop_assert!(ledger.waiting() <= needless(&history, ledger), "{}", ledger.waiting());
            prop_assert!(ledger.forks().iter().eq(reference(&history).forks().iter()));
        }
    }

    /// The changes of records, collected along the way, lead from nothing to the end.
    #[test]
    fn record_changes_miss_nothing((history, order, entries_at) in scrambled()) {
        let mut ledger = Ledger::new(history.founded.clone());
        let mut mirror = std::collections::BTreeMap::new();
        let mut entries = history.entries.iter();
        for (nth, unit) in order.iter().enumerate() {
            let due = entries_at.iter().filter(|it| it.index(order.len()) == nth).count();
            for entry in entries.by_ref().take(due) {
                ledger.import_entry(entry.clone()).unwrap();
            }
            prop_assert!(ledger.import(PEER, &history.units[*unit]).is_ok());
            for id in ledger.take_record_changes() {
                let now = ledger.state().records.get(&id).cloned();
                prop_assert_ne!(mirror.get(&id), now.as_ref(), "no change was reported as one");
                match now {
                    Some(record) => mirror.insert(id, record),
                    None => mirror.remove(&id),
                };
            }
            prop_assert_eq!(&mirror, &ledger.state().records);
        }
    }
}

fn wants(ledger: &Ledger, filter: &Filter, unit: &Digest) -> bool {
    let body = &ledger.unit(unit).unwrap().body;
    filter.session.is_none_or(|it| body.session == Some(it))
        && filter.kind.is_none_or(|it| body.event.kind() == it)
        && filter.authors.as_ref().is_none_or(|it| it.contains(&body.author))
        && (filter.finality == Finality::Tentative
            || ledger.segment(unit).is_some() && ledger.counts(unit))
        && body.event.kind() != EventKind::EpochTick
}

/// The proptests above would show nothing if their histories said nothing.
#[test]
fn histories_say_something() {
    let (devices, chain) = account(3);
    let mut ledger = Ledger::new(chain);
    let (session, _) = open_session(&mut ledger, &devices[0], &devices);
    write_in(&mut ledger, &devices[1], session, message("one"));
    write_in(&mut ledger, &devices[0], session, close(&[("a", Some("1")), ("b", None)]));
    let proposal = write(&mut ledger, &devices[2], propose());
    write(&mut ledger, &devices[0], Event::AcknowledgeUpgrade { proposal });
    write(&mut ledger, &devices[0], ready(proposal));
    for body in [install(), activate(proposal)] {
        let entry = certify(ledger.chain(), &devices, ledger.heads(), body);
        ledger.import_entry(entry).unwrap();
    }
    let state = ledger.state();
    assert_eq!(state.records.len(), 2);
    assert_eq!(state.apps[&app()].active.version.to_string(), "1.1.0");
    assert_eq!(state.proposals[&proposal].activated_at, Some(3));
    assert_eq!(state.proposals[&proposal].ready.len(), 1);
}
