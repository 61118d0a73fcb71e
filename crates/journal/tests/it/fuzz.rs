//! A small corpus for every decoder: an honest message and what is near it, and what was stored once.

use std::{collections::BTreeMap, fs, path::Path};

use aura_journal::{
    ForkProof, Ledger,
    control::{ControlMessage, Entry, EntryBody, LedgerProof, Phase, Question, Vote},
    fuzz::TARGETS,
    sync::{SyncMessage, answer, base_part, hello},
};
use aura_protocol_core::{UnixTime, encode};

use crate::support::*;

type Corpus = BTreeMap<&'static str, Vec<u8>>;

/// A ledger that has dropped units, and one that has them all.
fn ledgers() -> (Vec<Device>, Ledger, Ledger) {
    let (devices, chain) = account(2);
    let mut ledger = Ledger::new(chain);
    ledger.import_entry(certify(ledger.chain(), &devices, Vec::new(), install())).unwrap();
    let (session, _) = open_session(&mut ledger, &devices[0], &devices);
    write_in(&mut ledger, &devices[1], session, message("said"));
    write(&mut ledger, &devices[0], propose());
    let snapshot = ledger.snapshot(&ledger.heads()).unwrap();
    let entry = certify(ledger.chain(), &devices, ledger.heads(), EntryBody::Snapshot(snapshot));
    ledger.import_entry(entry).unwrap();
    for device in &devices {
        write(&mut ledger, device, metadata(device, "heard"));
    }
    let mut dropped = Ledger::new(ledger.chain().clone());
    exchange(&mut dropped, &mut ledger);
    dropped.compact(UnixTime(1 << 40)).unwrap();
    (devices, ledger, dropped)
}

/// One honest message for each decoder.
fn honest() -> Corpus {
    let (devices, ledger, dropped) = ledgers();
    let unit = *ledger.arrivals().last().unwrap();
    let held = ledger.unit(&unit).unwrap();
    let mut twin = held.body.clone();
    twin.event = message("twice");
    let twin = twin.sign(&devices[1].key);
    let slot = ledger.chain().next_slot();
    let value = Entry { past: ledger.heads(), body: install() };
    let vote = Vote::sign(slot, Phase::Prepare, 0, value.hash(), &devices[0].vote_key);
    let entry = ledger.chain().entries().last().unwrap();
    let proved = LedgerProof::make(ledger.chain(), Question::Was(1)).unwrap();
    let (k, base) = dropped.base().unwrap();
    let part = base_part(&dropped, k, 0).unwrap();
    let SyncMessage::Base(inner) = part.clone() else { panic!("{part:?}") };
    let fresh = Ledger::new(dropped.chain().clone());
    [
        ("unit", ledger.unit_bytes(&unit).unwrap().to_vec()),
        ("fork-proof", encode(&ForkProof { one: held.clone(), other: twin })),
        ("vote", encode(&vote)),
        ("control-message", {
            encode(&ControlMessage::Propose { slot, view: 0, value: Box::new(value) })
        }),
        ("certificate", encode(&entry.certificate)),
        ("certified-entry", encode(entry)),
        ("chain", encode(&ledger.chain().entries()[0])),
        ("chain-proof", encode(&proof(1))),
        ("ledger-proof", encode(&proved)),
        ("base", base.to_vec()),
        ("base-part", encode(&inner)),
        ("frontier", encode(&ledger.frontier())),
        ("hello", encode(&hello(&ledger))),
        ("sync-message", answer(&ledger, &hello(&fresh))[0].to_bytes()),
    ]
    .into()
}

fn near(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let flipped = (0..bytes.len()).map(|at| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1 << (at % 8);
        bytes
    });
    let step = 1 + bytes.len() / 500;
    let cut = (0..=bytes.len()).step_by(step).map(|end| bytes[..end].to_vec());
    let longer = [0, 1, 255].map(|more| [bytes, &[more]].concat());
    flipped.chain(cut).chain(longer)
}

/// INV-J21: no decoder panics, and none accepts a second encoding, of an honest message or of what is
/// near it: every byte flipped, and what is shorter.
#[test]
fn what_is_near_an_honest_message_is_decoded_or_refused() {
    let corpus = honest();
    assert!(corpus.keys().copied().eq(names()), "{:?}", corpus.keys());
    for (name, target) in TARGETS {
        let good = &corpus[name];
        assert!(8 < good.len(), "{name}");
        for bytes in near(good) {
            target(&bytes);
        }
    }
}

fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = TARGETS.iter().map(|it| it.0).collect();
    names.sort_unstable();
    names
}

/// What is stored in the corpus, one line of hexadecimal digits each, is given to every decoder: counts
/// and lengths that promise more than there is, and whatever a fuzzer found once.
#[test]
fn the_stored_corpus_is_decoded_or_refused() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/fuzz.txt");
    let text = fs::read_to_string(path).unwrap();
    let mut count = 0;
    for line in text.lines().filter(|it| !it.starts_with('#')) {
        let digits = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..line.len()).step_by(2).map(digits).collect();
        for (_, target) in TARGETS {
            target(&bytes);
        }
        count += 1;
    }
    assert!(10 < count);
}
