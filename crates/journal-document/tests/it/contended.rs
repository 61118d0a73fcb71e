//! Many writes of few records at the same time, with entries in between.

use aura_journal::{
    Ledger, PeerTag,
    control::{CertifiedEntry, EntryBody, UpgradePolicy},
};
use aura_journal_document::Document;
use proptest::prelude::*;
use serde_json::Value;

use crate::{fold::records, support::*};

/// One thing that a device does. Devices are numbered.
#[derive(Debug, Clone)]
pub enum Step {
    /// It writes a record, or deletes it.
    Put(usize, u8, Option<u8>),
    /// It gets what another one has.
    Sync(usize, usize),
    /// The quorum decides something over what it has.
    Entry(usize),
}

const DEVICES: u8 = 3;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let device = 0..usize::from(DEVICES);
    let step = prop_oneof![
        5 => (device.clone(), 0..2u8, prop::option::weighted(0.8, any::<u8>()))
            .prop_map(|(a, key, value)| Step::Put(a, key, value)),
        2 => (device.clone(), device.clone()).prop_map(|(a, b)| Step::Sync(a, b)),
        1 => device.prop_map(Step::Entry),
    ];
    prop::collection::vec(step, 1..40)
}

fn harmless() -> EntryBody {
    EntryBody::SetUpgradePolicy { app: app(), policy: UpgradePolicy::Manual }
}

/// What came of it: every unit after those that it rests on, and the decisions.
fn play(steps: &[Step]) -> (Vec<Vec<u8>>, Vec<CertifiedEntry>) {
    let (devices, chain) = account(DEVICES);
    let mut ledgers: Vec<Ledger> = devices.iter().map(|_| Ledger::new(chain.clone())).collect();
    let mut decided = chain.clone();
    for step in steps {
        match step {
            Step::Put(a, key, value) => {
                let ledger = &mut ledgers[*a];
                let (session, _) = open_session(ledger, &devices[*a], &devices);
                let (key, value) = (format!("key {key}"), value.map(|it| it.to_string()));
                let write = close(&[(key.as_str(), value.as_deref())]);
                write_in(ledger, &devices[*a], session, write);
            }
            Step::Sync(a, b) => {
                if let Ok([from, to]) = ledgers.get_disjoint_mut([*a, *b]) {
                    sync(from, to);
                }
            }
            Step::Entry(a) => {
                let entry = certify(&decided, &devices, ledgers[*a].heads(), harmless());
                decided.append(entry).unwrap();
                for entry in decided.entries() {
                    ledgers[*a].import_entry(entry.clone()).unwrap();
                }
            }
        }
    }
    let mut all = Ledger::new(decided.clone());
    ledgers.iter().for_each(|it| sync(it, &mut all));
    let units = all.arrivals().iter().map(|it| all.unit_bytes(it).unwrap().to_vec()).collect();
    (units, decided.entries()[chain.entries().len()..].to_vec())
}

/// The records of the document and how many of them stand side by side.
fn shown(document: &Document) -> (Value, usize) {
    let shown = document.to_json();
    let app = shown["apps"].get(app().to_string()).cloned().unwrap_or_default();
    let empty = || Value::Object(serde_json::Map::new());
    let beside = |it: &Value| it.as_object().map_or(0, serde_json::Map::len);
    let conflicts = app.get("conflicts").and_then(|it| it.as_object());
    let conflicts = conflicts.into_iter().flatten().map(|(_, it)| beside(it)).sum();
    (app.get("records").cloned().unwrap_or_else(empty), conflicts)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// INV-DOC1, INV-DOC3: whatever was written at the same time and whatever came late, all replicas
    /// have the same document, and after an entry it shows the records of the fold alone.
    #[test]
    fn what_is_closed_is_settled(
        (steps, order) in steps().prop_flat_map(|steps| {
            let units = steps.iter().filter(|it| matches!(it, Step::Put(..))).count() * 2;
            (Just(steps), Just((0..units).collect::<Vec<_>>()).prop_shuffle())
        }),
        entries_each in 1usize..6,
    ) {
        let (units, entries) = play(&steps);
        let (devices, chain) = account(DEVICES);
        let mut ledger = Ledger::new(chain.clone());
        let mut document = Document::of(&ledger).unwrap();
        let mut due = entries.iter();
        for (nth, unit) in order.iter().enumerate() {
            let peer = PeerTag([u8::try_from(nth % 3).unwrap(); 32]);
            let _outcome = ledger.import(peer, &units[*unit]).unwrap();
            if nth % entries_each == 0 {
                due.next().map(|it| ledger.import_entry(it.clone()).unwrap());
            }
            let _update = document.update(&ledger).unwrap();
        }
        let mut straight = Ledger::new(chain);
        for entry in &entries {
            ledger.import_entry(entry.clone()).unwrap();
            straight.import_entry(entry.clone()).unwrap();
        }
        for unit in &units {
            let _outcome = straight.import(PEER, unit).unwrap();
        }
        let _update = document.update(&ledger).unwrap();
        let other = Document::of(&straight).unwrap();
        prop_assert_eq!(document.heads(), other.heads());
        prop_assert_eq!(document.save().unwrap(), other.save().unwrap());
        let entry = certify(ledger.chain(), &devices, ledger.heads(), harmless());
        ledger.import_entry(entry).unwrap();
        let _update = document.update(&ledger).unwrap();
        prop_assert_eq!(shown(&document), (records(ledger.state()), 0));
    }
}

/// The property above would show nothing if nothing were ever written at the same time.
#[test]
fn there_is_something_to_settle() {
    let steps = [Step::Put(0, 0, Some(1)), Step::Put(1, 0, Some(2)), Step::Put(2, 1, Some(3))];
    let (units, entries) = play(&steps);
    let mut ledger = Ledger::new(account(DEVICES).1);
    for unit in &units {
        let _outcome = ledger.import(PEER, unit).unwrap();
    }
    let (records, conflicts) = shown(&Document::of(&ledger).unwrap());
    let keys = records[schema().to_string()].as_object().unwrap().len();
    assert_eq!((units.len(), entries.len(), keys, conflicts), (6, 0, 2, 1));
}
