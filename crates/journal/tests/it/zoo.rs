//! Attacks of the project's list (`docs/attacks.md`), each with as many liars as the rules allow for, with
//! one more, and once where the defence is left out: there it has to succeed, or these tests show nothing.

use aura_crypto::Signature;
use aura_journal::{
    Event, Ledger, SessionStatus, Unit, UnitBody,
    control::{
        CertificateError, CertifiedEntry, ChainError, Configuration, ControlChain, EntryBody,
        Phase, Vote,
    },
    session_id,
};
use aura_protocol_core::{DeviceId, Digest, Epoch, Lamport, decode, encode};

use crate::support::*;

/// The votes of a certificate as the list that somebody sends.
fn listed(entry: &CertifiedEntry) -> Vec<Vote> {
    let votes = entry.certificate.votes.iter();
    let vote = |(key, signature): (&aura_crypto::PublicKey, &Signature)| Vote {
        slot: entry.slot,
        phase: Phase::Commit,
        view: 0,
        value: entry.value.hash(),
        key: *key,
        signature: *signature,
    };
    votes.map(vote).collect()
}

/// What six update frameworks did: every signature in the list that verifies counts.
fn is_certified_by_a_list(chain: &ControlChain, votes: &[Vote]) -> bool {
    let valid =
        |it: &&Vote| it.verify().is_ok() && chain.config().voter_with_key(&it.key).is_some();
    usize::from(chain.config().m) <= votes.iter().filter(valid).count()
}

/// Row 12. Fewer than m keys certify nothing, however often each of them stands there.
#[test]
fn row_12_quorum_stuffing() {
    let (devices, chain) = account(5);
    let m = usize::from(chain.config().m);
    let full = certify(&chain, &devices, Vec::new(), install());
    assert_eq!(full.certificate.votes.len(), m);
    // With m liars there is nothing to stuff: they are a quorum.
    assert!(chain.clone().append(full.clone()).is_ok());
    let mut votes = listed(&full);
    let _last = votes.pop();
    assert!(!is_certified_by_a_list(&chain, &votes), "one liar fewer is no quorum");
    votes.push(votes[0].clone());
    assert!(is_certified_by_a_list(&chain, &votes), "without the map a copy is a vote");
    // With it, the copies fall together.
    let mut stuffed = full;
    stuffed.certificate.votes = votes.iter().map(|it| (it.key, it.signature)).collect();
    let too_few = CertificateError::TooFewVotes { found: m - 1, needed: m };
    let refused = chain.clone().append(stuffed.clone());
    assert_eq!(refused, Err(ChainError::Certificate(too_few)));
    // Nor can a map be sent in which a key stands twice.
    let bytes = encode(&stuffed.certificate);
    let (header, rest) = bytes.split_at(8 + 4);
    let count = u32::try_from(m).unwrap().to_le_bytes();
    let twice = [&header[..8], &count, rest, &rest[rest.len() - 96..]].concat();
    assert!(decode::<aura_journal::control::Certificate>(&twice, twice.len()).is_err());
}

/// The devices that a ledger counts as ready.
fn ready_ones(ledger: &Ledger, proposal: Digest) -> Vec<DeviceId> {
    ledger.state().proposals[&proposal].ready.keys().copied().collect()
}

fn push(ledger: &mut Ledger, unit: &Unit) {
    assert!(ledger.import(PEER, &encode(unit)).is_ok());
}

/// Row 13. A device that says to some that it is ready and to others that it is not is counted by nobody
/// who has heard both; before that, its word has split them.
#[test]
fn row_13_signal_equivocation() {
    let (devices, chain) = account(4);
    let m = usize::from(chain.config().m);
    let mut base = Ledger::new(chain.clone());
    base.import_entry(certify(&chain, &devices, Vec::new(), install())).unwrap();
    let proposal = write(&mut base, &devices[0], propose());
    for honest in &devices[..m - 1] {
        write(&mut base, honest, ready(proposal));
    }
    let copy = || {
        let mut ledger = Ledger::new(chain.clone());
        sync(&base, &mut ledger);
        ledger
    };
    let (liar, mut one, mut other) = (&devices[m], copy(), copy());
    let said = write(&mut one, liar, ready(proposal));
    let body = one.unit(&said).unwrap().body;
    let twin = UnitBody { event: decline(proposal), ..body }.sign(&liar.key);
    push(&mut other, &twin);
    // Where the proof has not come, the liar decides for each of them what a quorum is.
    assert_eq!(ready_ones(&one, proposal).len(), m);
    assert_eq!(ready_ones(&other, proposal).len(), m - 1);
    let first = one.unit(&said).unwrap();
    push(&mut one, &twin);
    push(&mut other, &first);
    for ledger in [&one, &other] {
        assert_eq!(ready_ones(ledger, proposal).len(), m - 1, "both are void");
        assert_eq!(ledger.forks(), [(liar.id, first.body.seq)].into());
    }
    // One honest device more, and it is a quorum everywhere, with the liar left out.
    let fourth = devices[..]
        .iter()
        .find(|it| it.id != liar.id && !ready_ones(&one, proposal).contains(&it.id));
    let fourth = fourth.unwrap();
    let unit = write(&mut one, fourth, ready(proposal));
    push(&mut other, &one.unit(&unit).unwrap());
    for ledger in [&one, &other] {
        assert_eq!(ready_ones(ledger, proposal).len(), m);
    }
}

/// Row 14. Devices that a liar makes up count for nothing before m votes have let them in.
#[test]
fn row_14_sybil_readiness() {
    let (devices, chain) = account(5);
    let m = usize::from(chain.config().m);
    let mut ledger = Ledger::new(chain.clone());
    let proposal = write(&mut ledger, &devices[0], propose());
    write(&mut ledger, &devices[0], ready(proposal));
    let sybils: Vec<Device> = (50..60).map(device).collect();
    let all = devices.iter().chain(&sybils).map(|it| it.entry.clone());
    let grown = EntryBody::Reconfigure(Configuration::with_defaults(all).into());
    // m − 1 liars let nobody in.
    let mut few = certify(&chain, &devices, Vec::new(), grown.clone());
    let _last = few.certificate.votes.pop_last();
    assert!(matches!(ledger.import_entry(few), Err(ChainError::Certificate(_))));
    // So what the made-up devices sign comes in nowhere. Counted by what was signed, they would be many.
    let mut signed = 0;
    for sybil in &sybils {
        let body = UnitBody {
            version: aura_journal::unit::UNIT_VERSION,
            account: ledger.account(),
            config: ledger.chain().config_index(),
            author: sybil.id,
            seq: 0,
            lamport: Lamport(2),
            prev: None,
            deps: vec![proposal],
            session: None,
            event: ready(proposal),
        };
        let unit = body.sign(&sybil.key);
        signed += usize::from(unit.verify(&sybil.key.public()).is_ok());
        let refused = ledger.import(PEER, &encode(&unit)).unwrap_err();
        assert_eq!(refused.code(), "UnknownAuthor");
    }
    assert!(m <= 1 + signed, "by signatures alone it would be a quorum");
    assert_eq!(ready_ones(&ledger, proposal), [devices[0].id]);
    // With m liars they are in, and are a quorum of what the account then is.
    let entry = certify(&chain, &devices, ledger.heads(), grown);
    ledger.import_entry(entry).unwrap();
    for sybil in &sybils {
        write(&mut ledger, sybil, ready(proposal));
    }
    assert!(usize::from(ledger.chain().config().m) <= ready_ones(&ledger, proposal).len());
}

/// What comes last when units are ordered by the height that their authors claim.
fn last_by_claim(units: &[UnitBody]) -> DeviceId {
    units.iter().max_by_key(|it| it.lamport).unwrap().author
}

/// Row 25, the order: a height follows from the parents. Believed as it is claimed, one unit would stand
/// above all that anybody writes afterwards.
#[test]
fn row_25_lamport_inflation() {
    let (devices, chain) = account(3);
    let mut ledger = Ledger::new(chain);
    write(&mut ledger, &devices[1], metadata(&devices[1], "before"));
    let honest = write(&mut ledger, &devices[0], metadata(&devices[0], "honest"));
    let mut claimed = ledger.unit(&honest).unwrap().body;
    (claimed.author, claimed.lamport) = (devices[2].id, Lamport(1 << 63));
    (claimed.seq, claimed.prev, claimed.deps) = (0, None, ledger.heads());
    let unit = claimed.clone().sign(&devices[2].key);
    assert_eq!(ledger.import(PEER, &encode(&unit)).unwrap_err().code(), "Lamport");
    let mut units = vec![claimed];
    for _ in 0..100 {
        let later = write(&mut ledger, &devices[0], metadata(&devices[0], "later"));
        units.push(ledger.unit(&later).unwrap().body);
    }
    assert_eq!(last_by_claim(&units), devices[2].id, "believed, it wins for ever");
    assert!(units[1..].iter().all(|it| it.lamport < Lamport(200)));
}

/// Row 25, the clock: m − 1 liars neither bring a deadline nearer nor hold one off; m of them do both. A
/// session is over by the quorum's clock, not by the epoch that somebody names.
#[test]
fn row_25_clock_inflation() {
    for liars in [3, 4] {
        let (devices, chain) = account(5);
        assert_eq!(chain.config().m, 4);
        let mut ledger = Ledger::new(chain);
        let id = session_id(ledger.account(), devices[4].id, 0);
        write_in(&mut ledger, &devices[4], id, open_until(&devices, 50));
        for epoch in (1..=60).chain([1 << 63, u64::MAX]) {
            for liar in &devices[..liars] {
                write(&mut ledger, liar, tick(epoch));
            }
        }
        write_in(&mut ledger, &devices[0], id, abort());
        let status = |ledger: &Ledger| ledger.state().sessions[&id].status;
        if liars < 4 {
            assert_eq!((ledger.epoch(), status(&ledger)), (Epoch(0), SessionStatus::Pending));
            // Nor can one of five keep the others from coming there.
            for epoch in 1..=50 {
                for device in &devices[1..] {
                    write(&mut ledger, device, tick(epoch));
                }
            }
            assert_eq!(ledger.epoch(), Epoch(50));
            write_in(&mut ledger, &devices[1], id, abort());
        }
        assert_eq!(status(&ledger), SessionStatus::TimedOut);
    }
    // By the newest epoch that anybody names, one device would do.
    let (devices, chain) = account(5);
    let mut ledger = Ledger::new(chain);
    let unit = write(&mut ledger, &devices[0], tick(u64::MAX));
    let Event::EpochTick { epoch } = ledger.unit(&unit).unwrap().body.event else { panic!() };
    assert!(Epoch(50) <= epoch && ledger.epoch() == Epoch(0));
}
