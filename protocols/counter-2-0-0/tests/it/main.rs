//! What 2.0.0 writes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use aura_protocol_sdk::{
    DeviceId, Outcome, ProtocolCapabilities, ProtocolError, ProtocolInput, ProtocolLifecycle,
    RecordWrite, SchemaId, SessionId, SessionStart, encode,
};
use counter_common::{Sum, record::SCHEMA_2_TEXT, session_key};

use counter_2_0_0::Counter;

const SESSION: SessionId = SessionId::from_bytes([7; 32]);

fn device(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 32])
}

fn start(spoken: &str) -> ProtocolInput {
    ProtocolInput::Start(SessionStart {
        session: SESSION,
        me: device(1),
        opener: device(1),
        participants: [1, 2, 3].map(device).into(),
        spoken: spoken.parse().unwrap(),
        params: vec![],
    })
}

#[test]
fn the_record_says_who_added_what() {
    let (mut counter, caps) = (Counter::new(), ProtocolCapabilities::default());
    counter.step(start("2.0.0"), &caps).unwrap();
    let mut outcome = None;
    for (author, number) in [(3, 5u64), (1, 3), (2, 4)] {
        let (author, label, payload) = (device(author), "add".to_owned(), encode(&number));
        outcome =
            counter.step(ProtocolInput::Event { author, label, payload }, &caps).unwrap().outcome;
    }
    let by_device: BTreeMap<DeviceId, u64> =
        [(device(1), 3), (device(2), 4), (device(3), 5)].into();
    let bytes = Some(encode(&Sum { sum: 12, by_device }));
    let batch = vec![RecordWrite { key: session_key(&SESSION), bytes }];
    let result = b"sum=12 of 3 devices".to_vec();
    assert_eq!(outcome, Some(Outcome::Completed { result, batch }));
}

#[test]
fn it_does_not_speak_1_x() {
    let error = Counter::new().step(start("1.1.0"), &ProtocolCapabilities::default()).unwrap_err();
    assert!(matches!(error, ProtocolError::BadInput { .. }), "{error}");
}

#[test]
fn the_layout_is_new() {
    assert_eq!(Counter::descriptor().version.to_string(), "2.0.0");
    assert_eq!(Counter::descriptor().schema, SchemaId::of(SCHEMA_2_TEXT));
}
