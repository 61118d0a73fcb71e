//! Byte vectors of what crosses a boundary. Append-only from 0.1.0 on.

use std::collections::BTreeSet;

use aura_protocol_core::{
    Capability, Descriptor, DeviceId, Digest, ProtocolCapabilities, ProtocolInput, ProtocolStep,
    SchemaId, SessionId, SessionStart,
    abi::{Envelope, Op, Reply},
    decode,
    descriptor::ModuleRole,
    encode,
};

#[track_caller]
fn check<T>(value: &T, expect: &str)
where
    T: borsh::BorshSerialize + borsh::BorshDeserialize + PartialEq + std::fmt::Debug,
{
    let bytes = encode(value);
    let hex: String = bytes.iter().map(|it| format!("{it:02x}")).collect();
    assert_eq!(hex, expect);
    assert_eq!(&decode::<T>(&bytes, bytes.len()).unwrap(), value);
}

#[test]
fn describe() {
    check(&Envelope::new(Op::Describe), "010000");
}

#[test]
fn start_step() {
    let device = DeviceId::from_bytes([1; 32]);
    let start = SessionStart {
        session: SessionId::from_bytes([2; 32]),
        me: device,
        opener: device,
        participants: BTreeSet::from([device]),
        spoken: "1.2.3".parse().unwrap(),
        params: b"p".to_vec(),
    };
    let caps: ProtocolCapabilities = [Capability::WriteRecords].into_iter().collect();
    let envelope =
        Envelope::new(Op::Step { state: vec![9], caps, input: ProtocolInput::Start(start) });
    let (one, two) = ("01".repeat(32), "02".repeat(32));
    check(
        &envelope,
        &format!(
            "010001010000000901000000010{zero}{two}{one}{one}01000000{one}0100020003000100000070",
            zero = "0"
        ),
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
