//! Whole sessions of 1.0.0, natively.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use aura_protocol_sdk::{
    Capability, DeviceId, Outcome, ProtocolCapabilities, ProtocolEffect, ProtocolError,
    ProtocolInput, ProtocolLifecycle, ProtocolStep, RecordWrite, SchemaId, SessionId, SessionStart,
    encode,
};
use counter_common::{record::SCHEMA_1_TEXT, session_key};
use proptest::prelude::*;

use counter_1_0_0::Counter;

const SESSION: SessionId = SessionId::from_bytes([7; 32]);

fn device(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 32])
}

/// A session of devices 1 to `count`, at device 1.
fn begun(count: u8) -> Counter {
    let mut counter = Counter::new();
    let participants: BTreeSet<DeviceId> = (1..=count).map(device).collect();
    let (me, spoken) = (device(1), "1.0.0".parse().unwrap());
    let params = vec![];
    let start = SessionStart { session: SESSION, me, opener: me, participants, spoken, params };
    assert_eq!(tell(&mut counter, ProtocolInput::Start(start)), Ok(ProtocolStep::default()));
    counter
}

fn tell(counter: &mut Counter, input: ProtocolInput) -> Result<ProtocolStep, ProtocolError> {
    counter.step(input, &ProtocolCapabilities::default())
}

fn say(counter: &mut Counter, text: &str) -> Result<ProtocolStep, ProtocolError> {
    tell(counter, ProtocolInput::Signal(text.as_bytes().to_vec()))
}

fn hear(
    counter: &mut Counter,
    author: u8,
    payload: Vec<u8>,
) -> Result<ProtocolStep, ProtocolError> {
    let (author, label) = (device(author), "add".to_owned());
    tell(counter, ProtocolInput::Event { author, label, payload })
}

#[test]
fn the_descriptor_says_what_it_is() {
    let descriptor = Counter::descriptor();
    assert_eq!(descriptor.protocol.as_str(), "counter");
    assert_eq!(descriptor.version.to_string(), "1.0.0");
    assert_eq!(descriptor.schema, SchemaId::of(SCHEMA_1_TEXT));
    assert_eq!(descriptor.capabilities, BTreeSet::from([Capability::WriteRecords]));
    assert_eq!(descriptor.migration(), None);
}

#[test]
fn each_adds_and_all_learn_the_sum() {
    let mut counter = begun(3);
    let append = ProtocolEffect::Append { label: "add".to_owned(), payload: encode(&3u64) };
    assert_eq!(say(&mut counter, " 3\n").unwrap().effects, [append]);
    for author in [2, 1] {
        let step = hear(&mut counter, author, encode(&u64::from(author))).unwrap();
        assert_eq!(step, ProtocolStep::default());
    }
    let outcome = hear(&mut counter, 3, encode(&9u64)).unwrap().outcome;
    let write = RecordWrite { key: session_key(&SESSION), bytes: Some(encode(&12u64)) };
    let expect = Outcome::Completed { result: b"sum=12".to_vec(), batch: vec![write] };
    assert_eq!(outcome, Some(expect));
    let after = hear(&mut counter, 3, encode(&9u64)).unwrap_err();
    assert!(matches!(after, ProtocolError::Unexpected { .. }), "{after}");
}

/// INV-G2
#[test]
fn wrong_inputs_are_named_and_change_nothing() {
    let mut counter = begun(2);
    say(&mut counter, "1").unwrap();
    hear(&mut counter, 2, encode(&1u64)).unwrap();
    let before = counter.snapshot();
    for text in ["2", "", "-1", "1.5", "x", "18446744073709551616"] {
        let error = say(&mut counter, text).unwrap_err();
        assert!(matches!(error, ProtocolError::BadInput { .. }), "{text}: {error}");
    }
    for (author, payload) in
        [(2, encode(&1u64)), (9, encode(&1u64)), (1, vec![]), (1, vec![0; 7]), (1, vec![0; 9])]
    {
        let error = hear(&mut counter, author, payload).unwrap_err();
        let ProtocolError::BadEvent { culprit, label, .. } = error else { panic!("{error}") };
        assert_eq!((culprit, label.as_str()), (device(author), "add"));
    }
    let (author, payload) = (device(1), encode(&1u64));
    let event = ProtocolInput::Event { author, label: "take".to_owned(), payload };
    let error = tell(&mut counter, event).unwrap_err();
    assert!(matches!(error, ProtocolError::BadEvent { .. }), "{error}");
    let error = tell(&mut counter, ProtocolInput::Clock(Default::default())).unwrap_err();
    assert!(matches!(error, ProtocolError::Unexpected { .. }), "{error}");
    assert_eq!(counter.snapshot(), before);
}

#[test]
fn a_session_begins_once_and_with_us() {
    let mut counter = Counter::new();
    assert!(matches!(say(&mut counter, "1"), Err(ProtocolError::Unexpected { .. })));
    let start = |me: u8, spoken: &str| {
        ProtocolInput::Start(SessionStart {
            session: SESSION,
            me: device(me),
            opener: device(1),
            participants: [device(1), device(2)].into(),
            spoken: spoken.parse().unwrap(),
            params: vec![],
        })
    };
    for (me, spoken) in [(3, "1.0.0"), (1, "1.1.0"), (1, "2.0.0")] {
        let error = tell(&mut counter, start(me, spoken)).unwrap_err();
        assert!(matches!(error, ProtocolError::BadInput { .. }), "{me} {spoken}: {error}");
    }
    tell(&mut counter, start(2, "1.0.0")).unwrap();
    let again = tell(&mut counter, start(2, "1.0.0")).unwrap_err();
    assert!(matches!(again, ProtocolError::Unexpected { .. }), "{again}");
}

/// A number that was said before a restart comes back as an event; it is not said twice.
#[test]
fn a_restored_session_goes_on() {
    let mut counter = begun(2);
    hear(&mut counter, 1, encode(&4u64)).unwrap();
    let mut restored = Counter::restore(&counter.snapshot()).unwrap();
    assert!(matches!(say(&mut restored, "5"), Err(ProtocolError::BadInput { .. })));
    assert!(hear(&mut restored, 2, encode(&5u64)).unwrap().outcome.is_some());
    let ended = Counter::restore(&restored.snapshot()).unwrap();
    assert_eq!(ended.snapshot(), restored.snapshot());
    for bad in [&[][..], &[2], &[1, 0], &[0, 0]] {
        assert!(matches!(Counter::restore(bad), Err(ProtocolError::BadState)), "{bad:?}");
    }
}

#[test]
fn a_sum_that_is_too_large_aborts() {
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        let mut counter = begun(3);
        let numbers = [u64::MAX, 0, 1];
        let heard = order.map(|author| {
            hear(&mut counter, author, encode(&numbers[usize::from(author) - 1])).unwrap().outcome
        });
        assert!(matches!(heard, [None, None, Some(Outcome::Aborted { .. })]), "{heard:?}");
    }
}

proptest! {
    /// INV-G1: whatever the order, and wherever it is stored and restored in between.
    #[test]
    fn order_does_not_matter(
        (numbers, order, restore) in prop::collection::vec(0..u64::MAX / 2, 1..8).prop_flat_map(|it| {
            let authors: Vec<usize> = (0..it.len()).collect();
            (Just(it), Just(authors).prop_shuffle(), any::<u8>())
        })
    ) {
        let run = |order: &[usize], restore: u8| {
            let mut counter = begun(numbers.len() as u8);
            let mut outcome = None;
            for (step, index) in order.iter().enumerate() {
                if restore & (1 << (step % 8)) != 0 {
                    counter = Counter::restore(&counter.snapshot()).unwrap();
                }
                outcome = hear(&mut counter, *index as u8 + 1, encode(&numbers[*index])).unwrap().outcome;
            }
            (outcome.unwrap(), counter.snapshot())
        };
        let sorted: Vec<usize> = (0..numbers.len()).collect();
        prop_assert_eq!(run(&order, restore), run(&sorted, 0));
    }
}
