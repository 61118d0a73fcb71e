//! The document is a function of the set: whatever came first, how often, and together with what.

use aura_journal::{Ledger, Outcome, PeerTag};
use aura_journal_document::Document;
use proptest::{prelude::*, sample::Index};

use crate::{history::*, reading, support::*};

/// A history, an order of its units in which each stands once or twice, and where entries come in.
pub fn scrambled() -> impl Strategy<Value = (History, Vec<usize>, Vec<Index>)> {
    steps().prop_map(|(count, steps)| play(count, &steps)).prop_flat_map(|history| {
        let once: Vec<usize> = (0..history.units.len()).collect();
        let order = [once.clone(), once].concat();
        let entries = history.entries.len();
        let entries_at = prop::collection::vec(any::<Index>(), 0..=entries);
        (Just(history), Just(order).prop_shuffle(), entries_at)
    })
}

/// A replica that gets units in this order with entries in between, and its document, which is brought
/// up to date after every `each` of them.
fn grown(history: &History, order: &[usize], entries_at: &[Index], each: usize) -> Document {
    let mut ledger = Ledger::new(history.founded.clone());
    let mut document = Document::new(ledger.account());
    let mut entries = history.entries.iter();
    let (mut units, mut changes) = (0, 0);
    for (nth, unit) in order.iter().enumerate() {
        let due = entries_at.iter().filter(|it| it.index(order.len()) == nth).count();
        for entry in entries.by_ref().take(due) {
            ledger.import_entry(entry.clone()).unwrap();
        }
        let peer = PeerTag([u8::try_from(nth % 3).unwrap(); 32]);
        let outcome = ledger.import(peer, &history.units[*unit]).unwrap();
        assert!(matches!(outcome, Outcome::Applied(_) | Outcome::Parked | Outcome::Duplicate));
        if nth % each == 0 {
            let update = document.update(&ledger).unwrap();
            assert!(!update.rebuilt);
            (units, changes) = (units + update.units, changes + update.changes);
        }
    }
    for entry in entries {
        ledger.import_entry(entry.clone()).unwrap();
    }
    let update = document.update(&ledger).unwrap();
    assert_eq!(update.waiting, 0);
    assert_eq!(units + update.units, ledger.len());
    let all = reading::open(&document.save().unwrap()).get_changes(&[]).len();
    assert_eq!(changes + update.changes, all);
    document
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// INV-DOC1: whoever compiled the same units and entries has the same heads and the same bytes.
    #[test]
    fn same_set_same_bytes((history, order, entries_at) in scrambled(), each in 1usize..20) {
        let whole = Document::of(&reference(&history)).unwrap();
        let grown = grown(&history, &order, &entries_at, each);
        prop_assert_eq!(grown.heads(), whole.heads());
        prop_assert_eq!(grown.save().unwrap(), whole.save().unwrap());
        prop_assert_eq!(grown.to_json(), whole.to_json());
        // And once more brings nothing.
        let mut again = grown;
        let nothing = again.update(&reference(&history)).unwrap();
        prop_assert_eq!((nothing.units, nothing.changes, nothing.rebuilt), (0, 0, false));
    }

    /// INV-DOC2: a document only grows: what was saved before is part of what is saved later, so copies
    /// can be merged and compared by Automerge's own means.
    #[test]
    fn a_document_only_grows((history, order, entries_at) in scrambled(), cut in any::<Index>()) {
        prop_assume!(!order.is_empty());
        let early = grown_to(&history, &order[..cut.index(order.len())]);
        let late = grown(&history, &order, &entries_at, 1);
        let mut merged = reading::open(&early);
        let before = merged.get_changes(&[]).len();
        let mut whole = reading::open(&late.save().unwrap());
        prop_assert!(before <= whole.get_changes(&[]).len());
        merged.merge(&mut whole).unwrap();
        prop_assert_eq!(reading::heads(&merged), reading::heads(&whole));
        prop_assert_eq!(reading::see(&merged), reading::see(&whole));
    }
}

/// What a replica that got no more than these saves.
fn grown_to(history: &History, order: &[usize]) -> Vec<u8> {
    let mut ledger = Ledger::new(history.founded.clone());
    for unit in order {
        let _outcome = ledger.import(PEER, &history.units[*unit]).unwrap();
    }
    Document::of(&ledger).unwrap().save().unwrap()
}
