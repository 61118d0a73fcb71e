//! Byte vectors of what crosses a boundary. Append-only from 0.1.0 on.

use std::collections::BTreeSet;

use aura_protocol_core::{
    Capability, Descriptor, DeviceId, Digest, Epoch, Outcome, ProtocolCapabilities, ProtocolEffect,
    ProtocolError, ProtocolInput, ProtocolStep, RecordKey, RecordWrite, SchemaId, SessionId,
    SessionStart,
    abi::{Envelope, Lens, Op, Reply},
    decode,
    descriptor::ModuleRole,
    encode,
    lifecycle::EffectReply,
    migration::{Migrated, RecordBody},
};
use proptest::prelude::*;

/// What the authors of modules in other languages read.
const PAGE: &str = include_str!("../../../../docs/abi.md");

#[track_caller]
fn check<T>(value: &T, expect: &str)
where
    T: borsh::BorshSerialize + borsh::BorshDeserialize + PartialEq + std::fmt::Debug,
{
    let bytes = encode(value);
    let hex: String = bytes.iter().map(|it| format!("{it:02x}")).collect();
    assert_eq!(hex, expect);
    assert!(PAGE.contains(&format!("| `{hex}` |")), "docs/abi.md lacks {hex}");
    assert_eq!(&decode::<T>(&bytes, bytes.len()).unwrap(), value);
}

#[test]
fn describe() {
    check(&Envelope::new(Op::Describe), "010000");
}

#[test]
fn start_step() {
    let start = SessionStart {
        session: SessionId::from_bytes([2; 32]),
        me: device(),
        opener: device(),
        participants: BTreeSet::from([device()]),
        spoken: "1.2.3".parse().unwrap(),
        params: b"p".to_vec(),
    };
    let caps: ProtocolCapabilities = [Capability::WriteRecords].into_iter().collect();
    let envelope =
        Envelope::new(Op::Step { state: vec![9], caps, input: ProtocolInput::Start(start) });
    let (one, two) = ("01".repeat(32), "02".repeat(32));
    check(
        &envelope,
        &[
            "0100",                    // the ABI
            "01",                      // a step
            "0100000009",              // the state
            "0100000001",              // the rights
            "00",                      // the start
            &two,                      // of this session
            &one,                      // at this device
            &one,                      // opened by it
            &format!("01000000{one}"), // among these
            "010002000300",            // speaking 1.2.3
            "0100000070",              // with these parameters
        ]
        .concat(),
    );
}

#[test]
fn stepped() {
    let step = ProtocolStep { effects: vec![], wake: None, outcome: None };
    check(&Reply::Stepped { state: vec![7], step }, "010100000007000000000000");
}

#[test]
fn descriptor() {
    let descriptor = Descriptor {
        protocol: "counter".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        abi: 1,
        role: ModuleRole::Protocol,
        capabilities: BTreeSet::from([Capability::WriteRecords]),
        session_types: vec![],
        schema: SchemaId::from_bytes([3; 32]),
        uses: BTreeSet::new(),
        authors: String::new(),
        source: Digest::ZERO,
    };
    check(
        &descriptor,
        &format!(
            "07000000636f756e7465720100000000000100000100000001{}{}{}{}{}",
            "00000000",
            "03".repeat(32),
            "00000000",
            "00000000",
            "00".repeat(32)
        ),
    );
    assert!(Descriptor::from_section(&[0; 20_000]).is_err());
}

fn device() -> DeviceId {
    DeviceId::from_bytes([1; 32])
}

fn key() -> RecordKey {
    RecordKey::from("k")
}

#[test]
fn inputs() {
    let (one, author) = ("01".repeat(32), device());
    let event = ProtocolInput::Event { author, label: "a".into(), payload: vec![2] };
    check(&event, &format!("01{one}01000000610100000002"));
    check(&ProtocolInput::Clock(Epoch(3)), "020300000000000000");
    let reply = |result| ProtocolInput::Reply { effect: 4, result };
    check(&reply(EffectReply::Record(None)), "0304000000000000000000");
    let page = EffectReply::Records(vec![(key(), vec![5])]);
    check(&reply(page), "0304000000000000000101000000010000006b0100000005");
    check(&reply(EffectReply::Used(vec![6])), "030400000000000000020100000006");
    let child = EffectReply::SubProtocol(Outcome::Aborted { reason: "n".into() });
    check(&reply(child), "0304000000000000000301010000006e");
    check(&reply(EffectReply::Denied("n".into())), "03040000000000000004010000006e");
    check(&ProtocolInput::Signal(vec![7]), "040100000007");
}

#[test]
fn effects() {
    let append = ProtocolEffect::Append { label: "a".into(), payload: vec![2] };
    check(&append, "0001000000610100000002");
    check(&ProtocolEffect::GetRecord(key()), "01010000006b");
    let page = ProtocolEffect::ListRecords { prefix: vec![], after: Some(key()), limit: 3 };
    check(&page, "020000000001010000006b03000000");
    let used = ProtocolEffect::Use { capability: Capability::Sign, bytes: vec![] };
    check(&used, "030200000000");
    let protocol = "c".parse().unwrap();
    check(&ProtocolEffect::RunSubProtocol { protocol, params: vec![] }, "04010000006300000000");
    check(&ProtocolEffect::Log("n".into()), "05010000006e");
}

#[test]
fn ends() {
    let write = RecordWrite { key: key(), bytes: Some(vec![1]) };
    let outcome = Outcome::Completed { result: vec![2], batch: vec![write] };
    check(&outcome, "00010000000201000000010000006b010100000001");
    check(&Outcome::Aborted { reason: "n".into() }, "01010000006e");
    check(&Outcome::Left { reason: "n".into() }, "02010000006e");
    let step =
        ProtocolStep { effects: vec![], wake: Some(Epoch(1)), outcome: Some(outcome.clone()) };
    let wake = "010100000000000000";
    check(&step, &format!("00000000{wake}0100010000000201000000010000006b010100000001"));
}

#[test]
fn refusals() {
    check(&ProtocolError::BadState, "00");
    let reason = || "n".to_owned();
    let bad = ProtocolError::BadEvent { culprit: device(), label: "a".into(), reason: reason() };
    check(&bad, &format!("01{}0100000061010000006e", "01".repeat(32)));
    check(&ProtocolError::BadInput { reason: reason() }, "02010000006e");
    check(&ProtocolError::Unexpected { reason: reason() }, "03010000006e");
    check(&ProtocolError::Irreversible, "04");
    check(&Reply::Failed(ProtocolError::BadState), "0400");
    check(&Reply::Unsupported, "05");
}

#[test]
fn migrations() {
    let schema = "03".repeat(32);
    let body = RecordBody { schema: SchemaId::from_bytes([3; 32]), key: key(), bytes: vec![9] };
    let record = format!("{schema}010000006b0100000009");
    let forward = Op::Migrate { lens: Lens::Forward { record: body.clone() }, context: vec![] };
    check(&forward, &format!("0200{record}00000000"));
    let lens = Lens::Backward { origin: key(), original: None, current: vec![body.clone()] };
    let backward = Op::Migrate { lens, context: vec![8] };
    check(&backward, &format!("0201010000006b0001000000{record}0100000008"));
    let records = Reply::Forward(Migrated::Records(vec![body.clone()]));
    check(&records, &format!("020001000000{record}"));
    let aside = Reply::Forward(Migrated::Quarantine { reason: "n".into() });
    check(&aside, "0201010000006e");
    check(&Reply::Backward(body), &format!("03{record}"));
}

fn arb_reply() -> impl Strategy<Value = Reply> {
    let effect = prop_oneof![
        any::<Vec<u8>>().prop_map(|it| ProtocolEffect::GetRecord(RecordKey(it))),
        ".{0,8}".prop_map(ProtocolEffect::Log),
        ("[a-z]{1,4}", any::<Vec<u8>>())
            .prop_map(|(label, payload)| ProtocolEffect::Append { label, payload }),
    ];
    let step = (prop::collection::vec(effect, 0..4), any::<Option<u64>>())
        .prop_map(|(effects, wake)| ProtocolStep { effects, wake: wake.map(Epoch), outcome: None });
    (any::<Vec<u8>>(), step).prop_map(|(state, step)| Reply::Stepped { state, step })
}

proptest! {
    /// INV-B1: whatever a module hands out decodes to what encodes to the same bytes, or not at all.
    #[test]
    fn one_encoding_of_whatever_decodes(
        reply in arb_reply(),
        at in any::<prop::sample::Index>(),
        flip in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = encode(&reply);
        prop_assert_eq!(decode::<Reply>(&bytes, bytes.len()), Ok(reply.clone()));
        let mut damaged = bytes.clone();
        damaged[at.index(bytes.len())] ^= flip;
        if let Ok(other) = decode::<Reply>(&damaged, damaged.len()) {
            prop_assert_eq!(encode(&other), damaged);
            prop_assert_eq!(other == reply, flip == 0);
        }
        let cut = &bytes[..cut.index(bytes.len())];
        prop_assert!(decode::<Reply>(cut, bytes.len()).is_err(), "a part is not the whole");
    }
}
