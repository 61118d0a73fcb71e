//! Random histories of an account, and replicas that see them in other orders.

use std::collections::BTreeSet;

use aura_journal::{
    AccountState, Ledger, NamedUnit, Outcome, PeerTag, StoreBatch, Stored,
    control::{
        CertifiedEntry, Configuration, ControlChain, EntryBody, ReAdmit, Revoke, UpgradePolicy,
    },
};
use aura_protocol_core::{DeviceId, Digest, Epoch, encode};
use proptest::{prelude::*, sample::Index};

use crate::support::*;

/// One thing that a device does. Numbers choose among what there is.
#[derive(Debug, Clone)]
pub enum Step {
    Manifest(Index, u8),
    Open(Index),
    /// A session that is over so many epochs later.
    OpenUntil(Index, u8),
    Say(Index, Index),
    Close(Index, Index, u8),
    Abort(Index, Index),
    Propose(Index),
    Acknowledge(Index, Index),
    Ready(Index, Index),
    Decline(Index, Index),
    /// A device has an entry certified over its heads.
    Policy(Index),
    Install(Index),
    Activate(Index, Index),
    /// The active version is taken back, as far as the device knows.
    Revert(Index),
    /// The roster becomes all devices, or all but one.
    Reconfigure(Index, Option<Index>),
    Sync(Index, Index),
    /// A device begins a part of a session, or refuses to.
    Child(Index, Index, bool),
    /// A device signs the tick that the clock allows, or one some epochs off.
    Tick(Index, i8),
    /// A device leaves, with a cut somewhere along its units.
    Revoke(Index, Index, Index),
    /// A device gets another one's seat.
    ReAdmit(Index, Index),
    /// What a device has seen comes to stand for all of it.
    Snapshot(Index),
}

/// How many devices there are, and how many of them twice: two that sign with the same key.
pub type Crowd = (u8, u8);

/// Histories without forks and cuts.
#[allow(dead_code, reason = "the document's tests use it")]
pub fn steps() -> impl Strategy<Value = (Crowd, Vec<Step>)> {
    ((3u8..=5).prop_map(|it| (it, 0)), prop::collection::vec(step(), 1..60))
}

/// Histories in which up to three devices have a twin that signs with the same key.
pub fn forking_steps() -> impl Strategy<Value = (Crowd, Vec<Step>)> {
    let i = any::<Index>;
    let step = prop_oneof![
        40 => step(),
        1 => (i(), i(), i()).prop_map(|(a, d, n)| Step::Revoke(a, d, n)),
        1 => (i(), i()).prop_map(|(a, d)| Step::ReAdmit(a, d)),
        2 => i().prop_map(Step::Snapshot),
    ];
    ((3u8..=5, 0u8..=3), prop::collection::vec(step, 1..60))
}

fn step() -> impl Strategy<Value = Step> {
    let i = any::<Index>;
    prop_oneof![
        1 => (i(), any::<u8>()).prop_map(|(a, b)| Step::Manifest(a, b)),
        2 => i().prop_map(Step::Open),
        2 => (i(), 0u8..3).prop_map(|(a, n)| Step::OpenUntil(a, n)),
        4 => (i(), i()).prop_map(|(a, b)| Step::Say(a, b)),
        3 => (i(), i(), any::<u8>()).prop_map(|(a, b, c)| Step::Close(a, b, c)),
        1 => (i(), i()).prop_map(|(a, b)| Step::Abort(a, b)),
        1 => i().prop_map(Step::Propose),
        1 => (i(), i()).prop_map(|(a, b)| Step::Acknowledge(a, b)),
        1 => (i(), i()).prop_map(|(a, b)| Step::Ready(a, b)),
        1 => (i(), i()).prop_map(|(a, b)| Step::Decline(a, b)),
        1 => i().prop_map(Step::Policy),
        1 => i().prop_map(Step::Install),
        1 => (i(), i()).prop_map(|(a, b)| Step::Activate(a, b)),
        1 => i().prop_map(Step::Revert),
        1 => (i(), prop::option::of(i())).prop_map(|(a, b)| Step::Reconfigure(a, b)),
        6 => (i(), i()).prop_map(|(a, b)| Step::Sync(a, b)),
        2 => (i(), i(), any::<bool>()).prop_map(|(a, s, n)| Step::Child(a, s, n)),
        6 => (i(), prop_oneof![4 => Just(0i8), 1 => -3i8..4]).prop_map(|(a, n)| Step::Tick(a, n)),
    ]
}

/// What came of a history: the units of all devices, and the decisions.
#[derive(Debug, Clone)]
pub struct History {
    pub founded: ControlChain,
    pub entries: Vec<CertifiedEntry>,
    /// Each unit after those that it rests on.
    pub units: Vec<Vec<u8>>,
    pub hashes: Vec<Digest>,
}

/// Lets the devices do these things, each on its own ledger.
pub fn play(crowd: Crowd, steps: &[Step]) -> History {
    play_on(crowd, steps).0
}

/// As [`play`], with the devices' ledgers as they are then.
pub fn play_on((count, clones): Crowd, steps: &[Step]) -> (History, Vec<Ledger>) {
    let (mut devices, chain) = account(count);
    devices.extend((0..clones).map(device));
    let mut ledgers: Vec<Ledger> = devices.iter().map(|_| Ledger::new(chain.clone())).collect();
    // What the quorum has decided so far, whoever has heard of it.
    let mut decided = chain.clone();
    for step in steps {
        act(&devices, &mut ledgers, &mut decided, step);
    }
    let mut all = Ledger::new(chain.clone());
    for entry in decided.entries() {
        all.import_entry(entry.clone()).unwrap();
    }
    for ledger in &ledgers {
        for unit in ledger.arrivals() {
            // One that knows of a snapshot may wait for what the snapshot closes over.
            let _outcome = all.import(PEER, ledger.unit_bytes(unit).unwrap()).unwrap();
        }
    }
    assert_eq!(all.waiting(), 0);
    let hashes = all.arrivals().to_vec();
    let units = hashes.iter().map(|it| all.unit_bytes(it).unwrap().to_vec()).collect();
    let founded = chain.entries().len();
    let entries = decided.entries()[founded..].to_vec();
    (History { founded: chain, entries, units, hashes }, ledgers)
}

fn act(devices: &[Device], ledgers: &mut [Ledger], decided: &mut ControlChain, step: &Step) {
    let who = |index: &Index| index.index(devices.len());
    if !is_member(&ledgers[who(actor(step))], &devices[who(actor(step))]) {
        return;
    }
    match step {
        Step::Manifest(a, n) => {
            write(
                &mut ledgers[who(a)],
                &devices[who(a)],
                metadata(&devices[who(a)], &n.to_string()),
            );
        }
        Step::Open(a) => {
            open_session(&mut ledgers[who(a)], &devices[who(a)], devices);
        }
        Step::OpenUntil(a, n) => begin_until(devices, &mut ledgers[who(a)], &devices[who(a)], *n),
        Step::Say(a, s) => in_session(devices, ledgers, a, s, message("hello")),
        Step::Close(a, s, n) => {
            let (key, text) = (format!("key {}", n % 4), n.to_string());
            let text = Some(text.as_str()).filter(|_| n % 5 != 0);
            in_session(devices, ledgers, a, s, close(&[(&key, text), ("shared", Some(&key))]));
        }
        Step::Abort(a, s) => in_session(devices, ledgers, a, s, abort()),
        Step::Propose(a) => {
            write(&mut ledgers[who(a)], &devices[who(a)], propose());
        }
        Step::Acknowledge(a, p) => on_proposal(devices, ledgers, a, p, |proposal| {
            aura_journal::Event::AcknowledgeUpgrade { proposal }
        }),
        Step::Ready(a, p) => on_proposal(devices, ledgers, a, p, ready),
        Step::Decline(a, p) => on_proposal(devices, ledgers, a, p, decline),
        Step::Policy(a) => decide(devices, &mut ledgers[who(a)], decided, manual()),
        Step::Install(a) => decide(devices, &mut ledgers[who(a)], decided, install()),
        Step::Activate(a, p) => {
            let ledger = &mut ledgers[who(a)];
            let proposals: Vec<Digest> = ledger.state().proposals.keys().copied().collect();
            if !proposals.is_empty() {
                decide(devices, ledger, decided, activate(*p.get(&proposals)));
            }
        }
        Step::Revert(a) => take_back(devices, &mut ledgers[who(a)], decided),
        Step::Reconfigure(a, without) => {
            let left_out = without.as_ref().map(who);
            let kept = devices.iter().enumerate().filter(|(nth, _)| left_out != Some(*nth));
            let config = Configuration::with_defaults(kept.map(|(_, it)| it.entry.clone()));
            decide(devices, &mut ledgers[who(a)], decided, EntryBody::Reconfigure(config.into()));
        }
        Step::Child(a, s, begins) => child(devices, &mut ledgers[who(a)], a, s, *begins),
        Step::Tick(a, off) => {
            let ledger = &mut ledgers[who(a)];
            let epoch = ledger.epoch().0.saturating_add(1).saturating_add_signed(i64::from(*off));
            write(ledger, &devices[who(a)], tick(epoch));
        }
        Step::Sync(a, b) => {
            let (a, b) = (who(a), who(b));
            if let Ok([one, two]) = ledgers.get_disjoint_mut([a, b]) {
                exchange(one, two);
            }
        }
        Step::Revoke(a, d, n) => {
            revoke(devices, &mut ledgers[who(a)], decided, devices[who(d)].id, n);
        }
        Step::Snapshot(a) => snapshot(devices, &mut ledgers[who(a)], decided),
        Step::ReAdmit(a, d) => {
            let entry = device(70 + u8::try_from(who(d)).unwrap()).entry;
            let body = EntryBody::ReAdmit(Box::new(ReAdmit { device: devices[who(d)].id, entry }));
            decide(devices, &mut ledgers[who(a)], decided, body);
        }
    }
}

fn begin_until(devices: &[Device], ledger: &mut Ledger, device: &Device, epochs: u8) {
    let until = ledger.epoch().0.saturating_add(u64::from(epochs));
    let id = aura_journal::session_id(ledger.account(), device.id, ledger.next_seq(device.id));
    write_in(ledger, device, id, open_until(devices, until));
}

fn take_back(devices: &[Device], ledger: &mut Ledger, decided: &mut ControlChain) {
    if let Some(body) = ledger.state().apps.get(&app()).and_then(revert) {
        decide(devices, ledger, decided, body);
    }
}

pub fn manual() -> EntryBody {
    EntryBody::SetUpgradePolicy { app: app(), policy: UpgradePolicy::Manual }
}

/// A device that is up to date with the chain, and has all that is decided, has a snapshot certified.
fn snapshot(devices: &[Device], ledger: &mut Ledger, decided: &mut ControlChain) {
    if let Ok(snapshot) = ledger.snapshot(&ledger.heads()) {
        decide(devices, ledger, decided, EntryBody::Snapshot(snapshot));
    }
}

fn child(devices: &[Device], ledger: &mut Ledger, a: &Index, s: &Index, begins: bool) {
    let sessions: Vec<_> = ledger.state().sessions.keys().copied().collect();
    if !sessions.is_empty() {
        let event = open_child(*s.get(&sessions), 1, begins.then_some(devices));
        let child = aura_journal::child_session_id(*s.get(&sessions), 1);
        write_in(ledger, &devices[a.index(devices.len())], child, event);
    }
}

fn revoke(
    devices: &[Device],
    ledger: &mut Ledger,
    decided: &mut ControlChain,
    device: DeviceId,
    n: &Index,
) {
    let units = ledger.arrivals().iter().map(|it| (ledger.unit(it).unwrap(), *it));
    let units: Vec<_> = units.filter(|it| it.0.body.author == device).collect();
    if !units.is_empty() {
        let (last, last_hash) = n.get(&units);
        let last_seq = last.body.seq;
        let body = EntryBody::Revoke(Revoke { device, last_seq, last_hash: *last_hash });
        decide(devices, ledger, decided, body);
    }
}

/// Who does it.
fn actor(step: &Step) -> &Index {
    match step {
        Step::Manifest(a, _)
        | Step::Open(a)
        | Step::OpenUntil(a, _)
        | Step::Say(a, _)
        | Step::Close(a, _, _)
        | Step::Abort(a, _)
        | Step::Propose(a)
        | Step::Acknowledge(a, _)
        | Step::Ready(a, _)
        | Step::Decline(a, _)
        | Step::Policy(a)
        | Step::Install(a)
        | Step::Activate(a, _)
        | Step::Revert(a)
        | Step::Reconfigure(a, _)
        | Step::Child(a, _, _)
        | Step::Tick(a, _)
        | Step::Revoke(a, ..)
        | Step::ReAdmit(a, _)
        | Step::Snapshot(a)
        | Step::Sync(a, _) => a,
    }
}

/// As far as the device itself knows. One that sees that it has forked writes no more.
fn is_member(ledger: &Ledger, device: &Device) -> bool {
    ledger.chain().config().roster.contains_key(&device.id)
        && ledger.check_author(device.id).is_ok()
}

fn in_session(
    devices: &[Device],
    ledgers: &mut [Ledger],
    a: &Index,
    s: &Index,
    event: aura_journal::Event,
) {
    let who = a.index(devices.len());
    let sessions: Vec<_> = ledgers[who].state().sessions.keys().copied().collect();
    if !sessions.is_empty() {
        write_in(&mut ledgers[who], &devices[who], *s.get(&sessions), event);
    }
}

fn on_proposal(
    devices: &[Device],
    ledgers: &mut [Ledger],
    a: &Index,
    p: &Index,
    event: impl Fn(Digest) -> aura_journal::Event,
) {
    let who = a.index(devices.len());
    let proposals: Vec<Digest> = ledgers[who].state().proposals.keys().copied().collect();
    if !proposals.is_empty() {
        write(&mut ledgers[who], &devices[who], event(*p.get(&proposals)));
    }
}

/// The quorum decides `body` over what this device has seen, when the device is up to date with the
/// chain.
fn decide(devices: &[Device], ledger: &mut Ledger, decided: &mut ControlChain, body: EntryBody) {
    if ledger.chain().head() != decided.head() {
        return;
    }
    let entry = certify(decided, devices, ledger.heads(), body);
    if decided.append(entry.clone()).is_ok() {
        ledger.import_entry(entry).unwrap();
    }
}

/// What a replica is compared by.
#[derive(Debug, PartialEq)]
pub struct View {
    pub state: AccountState,
    pub segments: Vec<Option<u64>>,
    pub frontier: Vec<u8>,
    pub heads: Vec<Digest>,
    pub counts: Vec<bool>,
    pub root: Digest,
    pub epoch: Epoch,
    pub missing: BTreeSet<DeviceId>,
}

pub fn view(history: &History, ledger: &Ledger) -> View {
    let records = ledger.state().records.values().filter(|it| !it.deleted).map(|it| &it.record);
    let apps = [(app(), aura_journal::app_root(records))].into();
    View {
        state: ledger.state().clone(),
        segments: history.hashes.iter().map(|it| ledger.segment(it)).collect(),
        frontier: encode(&ledger.frontier()),
        // Which units beyond a fork others may rest on depends on what came first.
        heads: if ledger.forks().is_empty() { ledger.heads() } else { Vec::new() },
        counts: history.hashes.iter().map(|it| ledger.counts(it)).collect(),
        root: aura_journal::state_root(ledger.chain().head(), &apps),
        epoch: ledger.epoch(),
        missing: ledger.ticks_missing(),
    }
}

/// The view of a replica that got everything in order, then folded once.
pub fn reference(history: &History) -> Ledger {
    let stored = Stored {
        entries: history.founded.entries().iter().chain(&history.entries).cloned().collect(),
        units: history.units.iter().map(|it| NamedUnit::of(it.as_slice())).collect(),
        ..Stored::default()
    };
    let mut ledger = Ledger::restore(&stored).unwrap();
    assert_eq!(ledger.take_batch(), StoreBatch::default());
    assert_eq!(ledger.take_record_changes(), Vec::new());
    ledger
}

/// Gives a fresh replica the units in this order, with the entries in between, and some of them
/// twice. The units come from as many peers as it takes that no ring overflows.
pub fn scramble(history: &History, order: &[usize], entries_at: &[Index]) -> Ledger {
    let mut ledger = Ledger::new(history.founded.clone());
    let mut entries = history.entries.iter();
    for (nth, unit) in order.iter().enumerate() {
        let due = entries_at.iter().filter(|it| it.index(order.len()) == nth).count();
        for entry in entries.by_ref().take(due) {
            ledger.import_entry(entry.clone()).unwrap();
        }
        let bytes = &history.units[*unit];
        let seen = ledger.contains(&history.hashes[*unit]);
        let outcome = ledger.import(PeerTag([u8::try_from(nth % 3).unwrap(); 32]), bytes).unwrap();
        assert_eq!(seen, outcome == Outcome::Duplicate);
    }
    for entry in entries {
        ledger.import_entry(entry.clone()).unwrap();
    }
    ledger
}

/// Gives a fresh replica the units in this order, in batches of this size, with an entry after each.
pub fn scramble_in_batches(history: &History, order: &[usize], size: usize) -> Ledger {
    let mut ledger = Ledger::new(history.founded.clone());
    let mut entries = history.entries.iter();
    for batch in order.chunks(size) {
        let units = batch.iter().map(|it| history.units[*it].as_slice());
        let outcomes = ledger.import_all(PEER, units);
        assert_eq!(outcomes.len(), batch.len());
        assert!(outcomes.iter().all(Result::is_ok));
        if let Some(entry) = entries.next() {
            ledger.import_entry(entry.clone()).unwrap();
        }
    }
    for entry in entries {
        ledger.import_entry(entry.clone()).unwrap();
    }
    ledger
}
