//! What the document costs, as one line of JSON: `cargo run --release -p aura-journal-document --example
//! document_figures -- 1000 10000 100000`.
//!
//! Times are of this thread's CPU, in microseconds per unit. The floor is L: one push and one strict
//! verification of a unit's signature, measured in the same run.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement that cannot go on fails"
)]

use std::collections::BTreeMap;

use aura_crypto::{HpkeSecretKey, SecretKey};
use aura_journal::{
    Event, Ledger,
    control::{
        Certificate, CertifiedEntry, Configuration, ControlChain, Entry, EntryBody, Genesis, Phase,
        Role, RosterEntry, Vote,
    },
    event::{CloseSession, OpenSession, RecordPut, SessionMessage},
    session_id,
};
use aura_journal_document::Document;
use aura_protocol_core::{
    Agreement, AppId, DeviceId, Digest, Outcome, ProtocolVersion, RecordKey, SchemaId, SessionId,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// Devices that write in turn.
const DEVICES: u8 = 8;
/// Units that are compiled one at a time.
const LIVE: usize = 300;
/// Goals, as ratios to L.
const BATCHED_GOAL: f64 = 0.35;
const LIVE_GOAL: f64 = 5.0;

struct Device {
    id: DeviceId,
    key: SecretKey,
}

/// What the units are.
#[derive(Clone, Copy)]
enum Mix {
    /// Sessions of ten units: an opening, eight messages of 250 bytes, an end with one record.
    Sessions,
    /// Nothing but openings: each unit makes a map of seven keys.
    Openings,
}

/// A ledger that units are written into.
struct Account {
    ledger: Ledger,
    devices: Vec<Device>,
    mix: Mix,
    session: Option<SessionId>,
    written: usize,
}

fn main() {
    let sizes: Vec<usize> = std::env::args().skip(1).map(|it| it.parse().unwrap()).collect();
    let sizes = if sizes.is_empty() { vec![1_000, 10_000, 100_000] } else { sizes };
    let mut rows = Vec::new();
    for size in sizes {
        for mix in [Mix::Sessions, Mix::Openings] {
            rows.extend(measure(mix, size));
        }
    }
    println!("{}", json!({ "bench": "document", "rows": rows }));
}

fn measure(mix: Mix, size: usize) -> Vec<Value> {
    let mut account = Account::new(mix);
    (0..size).for_each(|_| account.write());
    let floor = floor(&account);
    let name = match mix {
        Mix::Sessions => "sessions",
        Mix::Openings => "openings",
    };
    let row = |what: &str, value: f64, goal: f64| {
        let ratio = value / floor;
        eprintln!("{what}_{name}_{size}: {value:.2} us, L {floor:.2} us, {ratio:.3} L");
        json!({
            "name": format!("document_{what}_{name}_{size}"), "value": value, "unit": "us",
            "floor": floor, "ratio": ratio, "goal": goal, "met": ratio <= goal,
        })
    };
    let mut document = Document::new(account.ledger.account());
    let (batched, _) = timed(|| document.update(&account.ledger).unwrap());
    let mut live = 0.0;
    for _ in 0..LIVE {
        account.write();
        let (took, update) = timed(|| document.update(&account.ledger).unwrap());
        assert_eq!(update.units, 1);
        live += took;
    }
    let plain = |what: &str, value: f64, unit: &str| {
        eprintln!("{what}_{name}_{size}: {value:.2} {unit}");
        let note = "no goal";
        json!({ "name": format!("document_{what}_{name}_{size}"), "value": value, "unit": unit, "note": note })
    };
    let (save, bytes) = timed(|| document.save().unwrap());
    let (show, _) = timed(|| document.to_json());
    let units = size as f64;
    vec![
        row("batched", batched / units, BATCHED_GOAL),
        row("live", live / LIVE as f64, LIVE_GOAL),
        plain("save", save / 1_000.0, "ms"),
        plain("json", show / 1_000.0, "ms"),
        plain("file", bytes.len() as f64 / units, "bytes per unit"),
    ]
}

/// L: one push and one strict verification.
fn floor(account: &Account) -> f64 {
    let ledger = &account.ledger;
    let units: Vec<_> = ledger.arrivals().iter().take(2_000).collect();
    let mut pushed = Vec::new();
    let (took, ()) = timed(|| {
        for unit in &units {
            let held = ledger.unit(unit).unwrap();
            let key = ledger.chain().config().roster[&held.body.author].unit_key;
            held.verify(&key).unwrap();
            pushed.push(ledger.unit_bytes(unit).unwrap().to_vec());
        }
    });
    assert_eq!(pushed.len(), units.len());
    took / units.len() as f64
}

/// What a piece of work gives, and how many microseconds of CPU it takes.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
    };
    let before = now();
    let result = work();
    (now() - before, result)
}

impl Account {
    fn new(mix: Mix) -> Self {
        let seed = |device: u8, purpose: u8| {
            let mut seed = [device; 32];
            seed[0] = purpose;
            seed
        };
        let mut devices = Vec::new();
        let mut entries = Vec::new();
        for number in 0..DEVICES {
            let key = SecretKey::from_seed(seed(number, 100));
            let id = DeviceId::derive(key.public().as_bytes());
            entries.push(RosterEntry {
                device: id,
                role: Role::Voter,
                unit_key: key.public(),
                vote_key: SecretKey::from_seed(seed(number, 101)).public(),
                hpke_key: HpkeSecretKey::from_seed(seed(number, 102)).public(),
                transport_key: SecretKey::from_seed(seed(number, 103)).public(),
            });
            devices.push(Device { id, key });
        }
        let vote_key = SecretKey::from_seed(seed(0, 101));
        let first = entries[0].clone();
        let genesis = Genesis { nonce: [9; 32], name: "figures".to_owned(), first };
        let mut chain = ControlChain::found(genesis, &vote_key).unwrap();
        let config = Configuration::with_defaults(entries);
        let value = Entry { past: Vec::new(), body: EntryBody::Reconfigure(Box::new(config)) };
        let slot = chain.next_slot();
        let vote = Vote::sign(slot, Phase::Commit, 0, value.hash(), &vote_key);
        let votes = BTreeMap::from([(vote.key, vote.signature)]);
        let certificate = Certificate { view: 0, votes };
        let _appended = chain.append(CertifiedEntry { slot, value, certificate }).unwrap();
        Self { ledger: Ledger::new(chain), devices, mix, session: None, written: 0 }
    }

    /// Writes the next unit of the mix.
    fn write(&mut self) {
        let nth = self.written % 10;
        let round = self.written / 10;
        self.written += 1;
        let opener = match self.mix {
            Mix::Sessions => round % self.devices.len(),
            Mix::Openings => self.written % self.devices.len(),
        };
        let (author, event) = match (self.mix, nth) {
            (Mix::Openings, _) | (_, 0) => {
                let device = self.devices[opener].id;
                let seq = self.ledger.next_seq(device);
                self.session = Some(session_id(self.ledger.account(), device, seq));
                (opener, self.open())
            }
            (_, 9) => (opener, close(round)),
            _ => (nth % self.devices.len(), message()),
        };
        let device = &self.devices[author];
        self.ledger.author(device.id, &device.key, self.session, event).unwrap();
    }

    fn open(&self) -> Event {
        let version = ProtocolVersion::new(1, 0, 0);
        let run = (version, Digest::of(b"module"));
        Event::OpenSession(Box::new(OpenSession {
            app: AppId::from_bytes([7; 32]),
            protocol: "counter".parse().unwrap(),
            agreement: Agreement {
                spoken: version,
                runs: self.devices.iter().map(|it| (it.id, run)).collect(),
            },
            transcript: Digest::ZERO,
            manifests: BTreeMap::new(),
            params: Vec::new(),
        }))
    }
}

fn message() -> Event {
    Event::SessionMessage(SessionMessage { label: "Say".to_owned(), payload: vec![7; 250] })
}

/// One record, of ten thousand different ones.
fn close(round: usize) -> Event {
    let key = RecordKey::from(format!("key {}", round % 10_000).as_str());
    let bytes = Some(format!("value {round}").into_bytes());
    Event::CloseSession(CloseSession {
        outcome: Outcome::Completed { result: Vec::new(), batch: Vec::new() },
        schema: SchemaId::of("counter 1"),
        batch: vec![RecordPut { key, base: None, bytes }],
    })
}
