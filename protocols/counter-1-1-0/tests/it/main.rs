//! What 1.1.0 adds, and where it does not.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use aura_protocol_sdk::{
    DeviceId, Outcome, ProtocolCapabilities, ProtocolInput, ProtocolLifecycle, SchemaId, SessionId,
    SessionStart, encode,
};
use counter_common::record::SCHEMA_1_TEXT;

use counter_1_1_0::Counter;

/// The result of a session whose participants add `numbers`.
fn result(spoken: &str, numbers: &[u64]) -> String {
    let device = |it: usize| DeviceId::from_bytes([it as u8; 32]);
    let mut counter = Counter::new();
    let start = ProtocolInput::Start(SessionStart {
        session: SessionId::from_bytes([7; 32]),
        me: device(0),
        opener: device(0),
        participants: (0..numbers.len()).map(device).collect(),
        spoken: spoken.parse().unwrap(),
        params: vec![],
    });
    let caps = ProtocolCapabilities::default();
    counter.step(start, &caps).unwrap();
    let mut outcome = None;
    for (author, number) in numbers.iter().enumerate() {
        let (author, label, payload) = (device(author), "add".to_owned(), encode(number));
        let event = ProtocolInput::Event { author, label, payload };
        outcome = counter.step(event, &caps).unwrap().outcome;
    }
    let Some(Outcome::Completed { result, batch }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(batch[0].bytes, Some(encode(&numbers.iter().sum::<u64>())));
    String::from_utf8(result).unwrap()
}

#[test]
fn the_mean_is_told_where_all_speak_1_1() {
    assert_eq!(result("1.1.0", &[3, 4, 5]), "sum=12 mean=4");
    assert_eq!(result("1.1.0", &[1, 2]), "sum=3 mean=1");
    assert_eq!(result("1.1.0", &[u64::MAX]), format!("sum={0} mean={0}", u64::MAX));
    assert_eq!(result("1.0.0", &[3, 4, 5]), "sum=12");
}

#[test]
fn the_layout_is_that_of_1_0_0() {
    let descriptor = Counter::descriptor();
    assert_eq!(descriptor.version.to_string(), "1.1.0");
    assert_eq!(descriptor.schema, SchemaId::of(SCHEMA_1_TEXT));
}
