//! The quorum clock: nobody alone can drive it, and everybody reads the same.

use std::collections::{BTreeMap, BTreeSet};

use aura_journal::{
    Event, Filter, Ledger,
    control::{Configuration, EntryBody, Role},
};
use aura_protocol_core::{DeviceId, Digest, Epoch};
use proptest::{prelude::*, sample::Index};

use crate::{history::*, support::*};

/// The clock, straight from its definition: each tick judged by its whole past, unit by unit.
fn by_definition(ledger: &Ledger) -> Epoch {
    let mut valid: BTreeMap<Digest, (DeviceId, u64)> = BTreeMap::new();
    for hash in ledger.arrivals() {
        let body = &ledger.unit(hash).unwrap().body;
        let Event::EpochTick { epoch } = body.event else { continue };
        let parents: Vec<Digest> = body.parents().collect();
        let past = ledger.closure(&parents).unwrap();
        let own = ledger.chain().config_at(body.config).unwrap();
        let before = stand(valid.iter().filter(|(unit, _)| past.contains(unit)), own);
        if (1..=before + 1).contains(&epoch.0) {
            valid.insert(*hash, (body.author, epoch.0));
        }
    }
    Epoch(stand(valid.iter(), ledger.chain().config()))
}

fn stand<'a>(
    ticks: impl Iterator<Item = (&'a Digest, &'a (DeviceId, u64))>,
    config: &Configuration,
) -> u64 {
    let ticks: Vec<(DeviceId, u64)> = ticks.map(|(_, tick)| *tick).collect();
    let newest = ticks.iter().map(|(_, epoch)| *epoch).max().unwrap_or(0);
    let signers: BTreeSet<DeviceId> = ticks
        .iter()
        .filter(|(device, epoch)| *epoch == newest && config.roster.contains_key(device))
        .map(|(device, _)| *device)
        .collect();
    let reached = usize::from(config.m) <= signers.len();
    if reached { newest } else { newest.saturating_sub(1) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// INV-J28: the clock is a function of the set of units, and the one that its definition says.
    #[test]
    fn the_clock_is_what_its_definition_says((count, steps) in ticking()) {
        let history = play(count, &steps);
        let ledger = reference(&history);
        prop_assert_eq!(ledger.epoch(), by_definition(&ledger));
    }

    /// Where the clock stood when a unit came does not change by a restart.
    #[test]
    fn a_restart_knows_when_a_unit_came((count, steps) in ticking(), order in any::<Index>()) {
        let history = play(count, &steps);
        let nth = order.index(history.units.len().max(1));
        let mut live = Ledger::new(history.founded.clone());
        for entry in &history.entries {
            live.import_entry(entry.clone()).unwrap();
        }
        for unit in history.units.iter().skip(nth).chain(&history.units) {
            prop_assert!(live.import(PEER, unit).is_ok());
        }
        let mut stored = aura_journal::Stored::default();
        stored.apply(&live.take_batch());
        let restored = Ledger::restore(&stored).unwrap();
        for unit in live.arrivals() {
            prop_assert_eq!(live.arrived_at(unit), restored.arrived_at(unit));
        }
    }
}

/// Histories in which much is ticked.
fn ticking() -> impl Strategy<Value = (Crowd, Vec<Step>)> {
    let i = any::<Index>;
    let step = prop_oneof![
        8 => i().prop_map(|a| Step::Tick(a, 0)),
        2 => (i(), -3i8..4).prop_map(|(a, n)| Step::Tick(a, n)),
        12 => (i(), i()).prop_map(|(a, b)| Step::Sync(a, b)),
        1 => (i(), any::<u8>()).prop_map(|(a, b)| Step::Manifest(a, b)),
        1 => (i(), prop::option::of(i())).prop_map(|(a, b)| Step::Reconfigure(a, b)),
    ];
    ((2u8..=4, 0u8..=1), prop::collection::vec(step, 1..40))
}

/// Lets devices tick in turn, each seeing all that came before.
fn tick_all(ledger: &mut Ledger, devices: &[Device], epoch: u64) {
    for device in devices {
        write(ledger, device, tick(epoch));
    }
}

/// INV-J28: fewer than m devices cannot drive the clock, however much they sign.
#[test]
fn one_device_does_not_speed_it_up() {
    let (devices, chain) = account(5);
    let mut ledger = Ledger::new(chain);
    assert_eq!(ledger.chain().config().m, 4);
    for epoch in [1, 1, 2, 3, 100, u64::MAX, 0, 1, 2] {
        tick_all(&mut ledger, &devices[..3], epoch);
    }
    assert_eq!(ledger.epoch(), Epoch(0));
    let missing: BTreeSet<DeviceId> = devices[3..].iter().map(|it| it.id).collect();
    assert_eq!(ledger.ticks_missing(), missing);
    // The fourth makes it the first epoch, and all that was signed for later ones stays void.
    write(&mut ledger, &devices[3], tick(1));
    assert_eq!(ledger.epoch(), Epoch(1));
    assert_eq!(ledger.ticks_missing().len(), 5);
    tick_all(&mut ledger, &devices[..3], 3);
    assert_eq!(ledger.epoch(), Epoch(1));
    // Nor does the fifth stop it.
    tick_all(&mut ledger, &devices[..4], 2);
    tick_all(&mut ledger, &devices[..4], 3);
    assert_eq!(ledger.epoch(), Epoch(3));
    // Who comes late is at once where all are.
    write(&mut ledger, &devices[4], tick(4));
    assert_eq!(ledger.ticks_missing().len(), 4);
}

/// A tick proves nothing to those who do not see what it rests on: it counts by its own past alone.
#[test]
fn a_tick_counts_by_its_own_past() {
    let (devices, chain) = account(3);
    let mut whole = Ledger::new(chain.clone());
    let mut apart = Ledger::new(chain);
    tick_all(&mut whole, &devices[..2], 1);
    // The third has seen neither when it signs the second epoch, and both when all is joined.
    write(&mut apart, &devices[2], tick(2));
    sync(&apart, &mut whole);
    assert_eq!(whole.epoch(), Epoch(1));
    assert_eq!(whole.ticks_missing().len(), 3);
}

/// Readers vote on nothing: the clock does not wait for them, and they do not drive it.
#[test]
fn readers_do_not_tick() {
    let (devices, chain) = account(3);
    let entries = devices.iter().enumerate().map(|(nth, it)| {
        let role = if nth == 0 { Role::Voter } else { Role::Reader };
        aura_journal::control::RosterEntry { role, ..it.entry.clone() }
    });
    let body = EntryBody::Reconfigure(Box::new(Configuration::with_defaults(entries)));
    let mut ledger = Ledger::new(chain.clone());
    ledger.import_entry(certify(&chain, &devices, Vec::new(), body)).unwrap();
    tick_all(&mut ledger, &devices[1..], 1);
    assert_eq!(ledger.epoch(), Epoch(0));
    assert_eq!(ledger.ticks_missing(), [devices[0].id].into());
    write(&mut ledger, &devices[0], tick(1));
    assert_eq!(ledger.epoch(), Epoch(1));
}

/// More votes, other devices: the clock goes on within one epoch of where it stood.
#[test]
fn it_goes_on_in_another_configuration() {
    let (devices, chain) = account(5);
    let mut ledger = Ledger::new(alone(&devices[0], "ours"));
    for epoch in 1..=7 {
        write(&mut ledger, &devices[0], tick(epoch));
    }
    assert_eq!(ledger.epoch(), Epoch(7));
    ledger.import_entry(chain.entries()[1].clone()).unwrap();
    assert_eq!(ledger.epoch(), Epoch(6), "one of five has signed the seventh");
    tick_all(&mut ledger, &devices[1..4], 7);
    assert_eq!(ledger.epoch(), Epoch(7));
}

/// A unit has few links, and there may be many heads.
#[test]
fn a_tick_links_as_many_heads_as_it_needs() {
    let (devices, chain) = account(20);
    let m = usize::from(chain.config().m);
    assert!(5 < m);
    let mut joined = Ledger::new(chain.clone());
    for device in &devices {
        let mut alone = Ledger::new(chain.clone());
        alone.tick(device.id, &device.key, Epoch(1)).unwrap();
        sync(&alone, &mut joined);
    }
    assert_eq!((joined.epoch(), joined.heads().len()), (Epoch(1), 20));
    let before = joined.len();
    joined.tick(devices[0].id, &devices[0].key, Epoch(9)).unwrap();
    assert_eq!(joined.ticks_missing().len(), 19, "the tick of the second epoch counts");
    assert!(joined.len() - before <= 5);
}

/// Ticks are in no state, root or stream, and leave the order of everything else as it is.
#[test]
fn ticks_change_nothing_else() {
    let (devices, chain) = account(3);
    let mut ledger = Ledger::new(chain);
    let all = ledger.subscribe(Filter::default());
    write(&mut ledger, &devices[0], metadata(&devices[0], "one"));
    assert_eq!(ledger.poll(all).len(), 1);
    let before = ledger.state().clone();
    for epoch in 1..10 {
        tick_all(&mut ledger, &devices, epoch);
    }
    assert_eq!(ledger.epoch(), Epoch(9));
    assert!(ledger.take_woken().is_empty());
    assert_eq!(ledger.poll(all), []);
    let past = ledger.heads();
    let entry = certify(&ledger.chain().clone(), &devices, past, install());
    ledger.import_entry(entry).unwrap();
    let mut after = ledger.state().clone();
    after.apps.clear();
    assert_eq!(after, before);
    assert_eq!(ledger.epoch(), Epoch(9));
}
