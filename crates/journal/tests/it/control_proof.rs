//! Proofs for those who know nothing but an account's id.

use aura_journal::control::{
    Certificate, CertifiedEntry, ChainError, ChainLink, ChainProof, ControlChain, Entry, EntryBody,
    Install, PROOF_DEPTH_MAX, UpgradePolicy,
};
use aura_protocol_core::{
    AccountId, AppId, Digest, ProtocolCapabilities, Requirement, decode, encode,
};

use crate::control_fixture::{Device, chain_of, decide, devices, reconfigure, value};

fn hidden(roots: Digest, value: Digest) -> ChainLink {
    ChainLink::Hash { roots, value }
}

/// Genesis, five devices, two values, a configuration of five others, two values.
fn long_chain() -> (Vec<Device>, ControlChain) {
    let all = devices(6);
    let mut chain = chain_of(&all[..5]);
    decide(&mut chain, value(1), &all[..4]);
    decide(&mut chain, value(2), &all[..4]);
    decide(&mut chain, reconfigure(&all[1..]), &all[..4]);
    decide(&mut chain, value(3), &all[2..]);
    decide(&mut chain, value(4), &all[2..]);
    (all, chain)
}

/// INV-J5: of every entry, the last or not, and after a journey as bytes.
#[test]
fn every_entry_is_provable() {
    let (_, chain) = long_chain();
    for (k, entry) in (0..).zip(chain.entries()) {
        let bytes = encode(&chain.prove(k).unwrap());
        let proof: ChainProof = decode(&bytes, bytes.len()).unwrap();
        let proved = proof.verify().unwrap();
        assert_eq!(proved.account, chain.account());
        assert_eq!(proved.slot, entry.slot);
        assert_eq!(proved.entry, entry.value);
        assert_eq!(Some(proved.head), chain.head_at(k));
    }
    assert_eq!(chain.prove(7), None);
    assert_eq!(chain.prove(u64::MAX), None);
}

/// What is not needed is not sent: a decision on the way costs its hash.
#[test]
fn proofs_are_short() {
    let publisher = devices(1);
    let mut chain = chain_of(&publisher);
    let short = encode(&chain.prove(1).unwrap()).len();
    for number in 0..100 {
        let entry = chain.certify_alone(value(number), &publisher[0].vote_key).unwrap();
        chain.append(entry).unwrap();
    }
    let long = encode(&chain.prove(101).unwrap()).len();
    assert!(long < short + 101 * 65 + 256, "{short} bytes became {long}");
}

/// INV-J5: every byte counts.
#[test]
fn a_changed_byte_is_refused() {
    let (_, chain) = long_chain();
    let bytes = encode(&chain.prove(6).unwrap());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        if let Ok(proof) = decode::<ChainProof>(&changed, bytes.len()) {
            assert!(proof.verify().is_err(), "byte {at}");
        }
    }
}

/// INV-J5: links hang together.
#[test]
fn missing_added_and_swapped_links_are_refused() {
    let (_, chain) = long_chain();
    let whole = chain.prove(6).unwrap();
    let verify = |change: &dyn Fn(&mut Vec<ChainLink>)| {
        let mut proof = whole.clone();
        change(&mut proof.links);
        proof.verify()
    };
    assert!(verify(&|_| ()).is_ok());
    for at in 0..whole.links.len() - 1 {
        assert!(
            verify(&|links| {
                links.remove(at);
            })
            .is_err(),
            "without link {at}"
        );
        assert!(verify(&|links| links.insert(at, links[at].clone())).is_err(), "link {at} twice");
        assert!(verify(&|links| links.swap(at, at + 1)).is_err(), "link {at} swapped");
    }
    assert_eq!(verify(&|links| links.clear()), Err(ChainError::NoGenesis));
    assert_eq!(
        verify(&|links| {
            links.remove(0);
        }),
        Err(ChainError::NoGenesis)
    );
    let ends_with_hash = verify(&|links| links.push(hidden(Digest::ZERO, Digest::ZERO)));
    assert_eq!(ends_with_hash, Err(ChainError::NothingProved));
    let genesis_hidden = verify(&|links| {
        let ChainLink::Full { value, .. } = &links[0] else { panic!("a genesis is full") };
        links[0] = hidden(Digest::ZERO, value.hash());
    });
    assert_eq!(genesis_hidden, Err(ChainError::NoGenesis));
}

/// INV-J6: neither the new voters nor the old ones can prove anything past a hidden change.
#[test]
fn a_hidden_reconfiguration_is_refused() {
    let (_, chain) = long_chain();
    let mut proof = chain.prove(6).unwrap();
    for link in &mut proof.links[1..6] {
        if let ChainLink::Full { roots, value, .. } = link {
            *link = hidden(*roots, value.hash());
        }
    }
    assert!(matches!(proof.verify(), Err(ChainError::Certificate(_))));

    // The old voters say that a value stands in place of the change: their honest majority never
    // voted there, so the votes that they have are for another slot.
    let mut proof = chain.prove(3).unwrap();
    let last = proof.links.pop().unwrap();
    let hide = |it: &CertifiedEntry| hidden(it.slot.roots, it.value.hash());
    proof.links.extend(chain.entries()[3..5].iter().map(hide));
    proof.links.push(last);
    assert!(matches!(proof.verify(), Err(ChainError::Certificate(_))));
}

/// INV-J6: even when the change keeps the voters and their keys.
#[test]
fn a_hidden_reconfiguration_among_the_same_voters_is_refused() {
    let all = devices(5);
    let mut chain = chain_of(&all);
    decide(&mut chain, reconfigure(&all), &all[..4]);
    decide(&mut chain, value(1), &all[..4]);
    let mut proof = chain.prove(3).unwrap();
    assert!(proof.verify().is_ok());
    let entry = &chain.entries()[2];
    proof.links[2] = hidden(entry.slot.roots, entry.value.hash());
    assert!(matches!(proof.verify(), Err(ChainError::Certificate(_))));
}

fn nested(release: ChainProof) -> ChainProof {
    let repository = AccountId::from_bytes([1; 32]);
    let install = Install {
        app: AppId::derive(repository, &"counter".parse().unwrap()),
        alias: "counter".to_owned(),
        repository,
        protocol: "counter".parse().unwrap(),
        distributor: None,
        requirement: "^1.0.0".parse::<Requirement>().unwrap(),
        policy: UpgradePolicy::Manual,
        release,
        capabilities: ProtocolCapabilities::default(),
    };
    let value = Entry { past: vec![], body: EntryBody::Install(Box::new(install)) };
    let certificate = Certificate { view: 0, votes: [].into() };
    let value = Box::new(value);
    ChainProof { links: vec![ChainLink::Full { roots: Digest::ZERO, value, certificate }] }
}

/// INV-J7
#[test]
fn nesting_is_bounded() {
    let mut proof = ChainProof { links: vec![] };
    for depth in 1..=PROOF_DEPTH_MAX + 2 {
        let bytes = encode(&proof);
        let decoded = decode::<ChainProof>(&bytes, bytes.len());
        assert_eq!(decoded.is_ok(), depth <= PROOF_DEPTH_MAX, "depth {depth}");
        proof = nested(proof);
    }
    // After a refusal the decoder is as it was.
    let shallow = encode(&nested(ChainProof { links: vec![] }));
    assert!(decode::<ChainProof>(&shallow, shallow.len()).is_ok());
}

/// INV-J7: as deep as a frame has room, within the stack of a thread.
#[test]
fn a_deep_nest_does_not_exhaust_the_stack() {
    let inner = encode(&nested(ChainProof { links: vec![] }));
    let outer = encode(&nested(nested(ChainProof { links: vec![] })));
    let before = (1..outer.len()).find(|at| outer[*at..].starts_with(&inner)).unwrap();
    let bytes = outer[..before].repeat((1 << 20) / before);
    assert!(decode::<ChainProof>(&bytes, bytes.len()).is_err());
    assert!(decode::<CertifiedEntry>(&bytes, bytes.len()).is_err());
}
