//! A small corpus for every decoder: one honest message, and what is near it.

use std::collections::BTreeMap;

use aura_crypto::{
    Derivation, Holders, HpkeSecretKey, KeyKind, Message as _, SecretKey, SessionKey, Signing,
    Suite,
    certificate::{DeviceCertificate, Enrolment, EnrolmentSecrets},
    complaint::Complaint,
    dkd, dkg,
    envelope::Signed,
    fence::Grant,
    fuzz::TARGETS,
    repair::{self, RepairPlan},
    rotation::{Rotation, SignedRotation},
    seal::StorageKey,
    sign,
};
use aura_protocol_core::{DeviceId, Digest, Epoch, UnixTime, encode};

use super::world::{self, account, context, indices, ix, members, request, rng, session};

type Corpus = BTreeMap<&'static str, Vec<u8>>;

fn of_suite<S: Suite>(corpus: &mut Corpus, names: [&'static str; 4]) {
    let mut rng = rng(1);
    let holders = indices([1, 2, 3]);
    let group = world::generate::<S>(2, &holders, &mut rng);
    corpus.insert(names[0], group.sharing.to_bytes());
    let members = members(2, &holders, &mut rng);
    let mut begin = |me| dkg::begin::<S>(&members.terms, me, &mut rng).unwrap();
    let (dealer, own) = begin(ix(1));
    let mut broadcasts: BTreeMap<_, _> = [2, 3].map(|it| (ix(it), begin(ix(it)).1)).into();
    corpus.insert(names[1], own.to_bytes());
    broadcasts.insert(ix(1), own);
    let (_, _, delivery) = dealer.deliver(&broadcasts, &mut rng).unwrap();
    corpus.insert("dkg-delivery", delivery.to_bytes());
    corpus.insert("dkg-terms", members.terms.to_bytes());
    let quorum = group.quorum();
    let run = world::deal(&group, &quorum, (Holders::Devices, 2), &holders, &mut rng);
    corpus.insert("reshare-plan", run.plan.to_bytes());
    corpus.insert(names[2], run.dealings[&quorum[0]].to_bytes());
    let outcome = run.outcome(&group.sharing);
    let ack = outcome.acknowledge(&run.receive(&outcome, ix(3)).unwrap(), &mut rng).unwrap();
    corpus.insert("reshare-ack", ack.to_bytes());
    let keys = [1, 2].map(|it| (ix(it), SessionKey::generate(&mut rng)));
    let plan = RepairPlan {
        session: session(6),
        sharing: group.sharing.id(),
        helpers: keys.iter().map(|it| (it.0, it.1.public())).collect(),
        target: ix(3),
        target_key: SessionKey::generate(&mut rng).public(),
    };
    corpus.insert("repair-plan", plan.to_bytes());
    let splits: BTreeMap<_, _> = [1, 2]
        .map(|it| {
            let share = &group.shares[&ix(it)];
            (ix(it), repair::split(&plan, share, &group.sharing, &mut rng).unwrap())
        })
        .into();
    corpus.insert(names[3], splits[&ix(1)].to_bytes());
    let me = (ix(1), &keys[0].1);
    let sum = repair::add_up(&plan, &group.sharing, &splits, me, &mut rng).unwrap();
    corpus.insert("repair-sum", sum.to_bytes());
}

fn signing(corpus: &mut Corpus) {
    let mut rng = rng(2);
    let group = world::generate::<Signing>(2, &indices([1, 2, 3]), &mut rng);
    let mut commit = |it| sign::commit(&group.shares[&ix(it)], &group.sharing, &mut rng).unwrap();
    let [(nonces, first), (_, second)] = [1, 2].map(&mut commit);
    let body = b"body".to_vec();
    let task = sign::SigningTask::new(&context(), body, &group.sharing, [first, second]).unwrap();
    let mut spent = std::collections::BTreeSet::new();
    let share = &group.shares[&ix(1)];
    let signed = nonces.sign(&task, &context(), share, &group.sharing, &mut spent).unwrap();
    corpus.insert("nonce-commitment", first.to_bytes());
    corpus.insert("signing-task", task.to_bytes());
    corpus.insert("signature-share", signed.to_bytes());
}

fn derivation(corpus: &mut Corpus) {
    let mut rng = rng(3);
    let root = world::generate::<Derivation>(2, &indices([1, 2]), &mut rng);
    let name = request("chat");
    let (_, initiation) = dkd::initiate(session(4), name.clone(), &root.sharing, &mut rng).unwrap();
    let checked = initiation.check(session(4), &name, &root.sharing).unwrap();
    let (_, reveal) = checked.evaluate(&root.shares[&ix(1)], &mut rng).unwrap();
    corpus.insert("dkd-initiation", initiation.to_bytes());
    corpus.insert("dkd-reveal", reveal.to_bytes());
    let key = world::derive(&root, &root.quorum(), &name, &mut rng);
    corpus.insert("dkd-claim", key.claim().to_bytes());
}

fn others(corpus: &mut Corpus) {
    let [unit, vote, transport] = [1, 2, 3].map(|it| SecretKey::from_seed([it; 32]));
    let secrets = EnrolmentSecrets { unit: &unit, vote: &vote, transport: &transport };
    let hpke = HpkeSecretKey::from_seed([4; 32]).public();
    let enrolment = Enrolment::new(secrets, hpke, account(), 1);
    corpus.insert("enrolment", enrolment.to_bytes());
    let certificate = DeviceCertificate::issue(enrolment, &unit, account(), 1).unwrap();
    corpus.insert("device-certificate", certificate.to_bytes());
    let complaint =
        Complaint { session: session(1), key: KeyKind::Signing, accused: ix(1), by: ix(2) };
    corpus.insert("signed-complaint", Signed::new(complaint, &unit, account(), 1).to_bytes());
    // A justification is a complaint and a number.
    let justification = [encode(&complaint), [vec![1], vec![0; 31]].concat(), vec![9; 64]].concat();
    corpus.insert("signed-justification", justification);
    let holder = DeviceId::from_bytes([1; 32]);
    let grant = Grant { lock: b"lock".into(), fence: 3, holder, expires: Epoch(4) };
    corpus.insert("lock-grant", grant.to_bytes());
    let rotation = Rotation {
        version: 1,
        old: unit.public(),
        new: vote.public(),
        transcript: Digest::ZERO,
        expires: UnixTime(1),
    };
    let (frame, body) = (rotation.context(account()), rotation.to_bytes());
    let (by_old, by_new) = (unit.sign(&frame, &body), vote.sign(&frame, &body));
    corpus.insert("key-rotation", SignedRotation { rotation, by_old, by_new }.to_bytes());
    let mut rng = rng(4);
    let sealed = StorageKey::from_keyring([7; 32]).seal(b"fuzz", b"secret", &mut rng).unwrap();
    corpus.insert("storage", sealed);
    corpus.insert("key-file", StorageKey::new_key_file(&mut rng).to_vec());
}

fn corpus() -> Corpus {
    let mut corpus = Corpus::new();
    of_suite::<Signing>(
        &mut corpus,
        [
            "sharing-signing",
            "dkg-broadcast-signing",
            "reshare-dealing-signing",
            "repair-split-signing",
        ],
    );
    of_suite::<Derivation>(
        &mut corpus,
        [
            "sharing-derivation",
            "dkg-broadcast-derivation",
            "reshare-dealing-derivation",
            "repair-split-derivation",
        ],
    );
    signing(&mut corpus);
    derivation(&mut corpus);
    others(&mut corpus);
    corpus
}

/// INV-C5: no bytes near an honest message make a decoder panic or accept a second encoding.
#[test]
fn decoders_hold() {
    let corpus = corpus();
    for (name, target) in TARGETS {
        let honest = corpus.get(name).unwrap_or_else(|| panic!("no corpus for {name}"));
        target(honest);
        for at in 0..honest.len() {
            target(&honest[..at]);
            for value in [0, 1, 0x7f, 0xff, honest[at] ^ 1] {
                let mut changed = honest.clone();
                changed[at] = value;
                target(&changed);
            }
        }
        target(&[honest.as_slice(), &[0]].concat());
        target(&[0xff; 70_000]);
    }
    assert_eq!(corpus.len(), TARGETS.len(), "every corpus has its decoder");
}

/// The corpus is one: each honest message decodes.
#[test]
fn the_corpus_decodes() {
    let corpus = corpus();
    let decoded = [
        aura_crypto::Sharing::<Signing>::from_bytes(&corpus["sharing-signing"]).is_ok(),
        sign::SigningTask::from_bytes(&corpus["signing-task"]).is_ok(),
        dkd::Initiation::from_bytes(&corpus["dkd-initiation"]).is_ok(),
        Signed::<aura_crypto::complaint::Justification>::from_bytes(
            &corpus["signed-justification"],
        )
        .is_ok(),
        dkg::Delivery::from_bytes(&corpus["dkg-delivery"]).is_ok(),
    ];
    assert_eq!(decoded, [true; 5]);
}
