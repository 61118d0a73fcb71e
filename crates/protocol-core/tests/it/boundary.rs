//! INV-B2: what guests read and write in little code is what borsh reads and writes.

use aura_protocol_core::{
    Capability, DeviceId, Epoch, Outcome, ProtocolCapabilities, ProtocolEffect, ProtocolError,
    ProtocolInput, ProtocolName, ProtocolStep, ProtocolVersion, RecordKey, RecordWrite, SchemaId,
    SessionId, SessionStart,
    abi::{Lens, Reply, answer, given},
    canonical, encode,
    lifecycle::EffectReply,
    migration::{Migrated, RecordBody},
};
use proptest::{collection::vec, option, prelude::*, sample::Index};

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..9)
}

fn device() -> impl Strategy<Value = DeviceId> {
    any::<[u8; 32]>().prop_map(DeviceId::from_bytes)
}

fn key() -> impl Strategy<Value = RecordKey> {
    bytes().prop_map(RecordKey)
}

fn rights() -> impl Strategy<Value = ProtocolCapabilities> {
    vec(0..Capability::ALL.len(), 0..6)
        .prop_map(|it| it.into_iter().map(|it| Capability::ALL[it]).collect())
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let write = (key(), option::of(bytes())).prop_map(|(key, bytes)| RecordWrite { key, bytes });
    prop_oneof![
        (bytes(), vec(write, 0..3))
            .prop_map(|(result, batch)| Outcome::Completed { result, batch }),
        ".{0,5}".prop_map(|reason| Outcome::Aborted { reason }),
        ".{0,5}".prop_map(|reason| Outcome::Left { reason }),
    ]
}

fn start() -> impl Strategy<Value = SessionStart> {
    (any::<[u8; 32]>(), device(), device(), vec(device(), 0..4), any::<[u16; 3]>(), bytes())
        .prop_map(|(session, me, opener, participants, [major, minor, patch], params)| {
            SessionStart {
                session: SessionId::from_bytes(session),
                me,
                opener,
                participants: participants.into_iter().collect(),
                spoken: ProtocolVersion { major, minor, patch },
                params,
            }
        })
}

fn effect_reply() -> impl Strategy<Value = EffectReply> {
    prop_oneof![
        option::of(bytes()).prop_map(EffectReply::Record),
        vec((key(), bytes()), 0..3).prop_map(EffectReply::Records),
        bytes().prop_map(EffectReply::Used),
        outcome().prop_map(EffectReply::SubProtocol),
        ".{0,5}".prop_map(EffectReply::Denied),
    ]
}

fn input() -> impl Strategy<Value = ProtocolInput> {
    prop_oneof![
        start().prop_map(ProtocolInput::Start),
        (device(), ".{0,5}", bytes()).prop_map(|(author, label, payload)| {
            ProtocolInput::Event { author, label, payload }
        }),
        any::<u64>().prop_map(|it| ProtocolInput::Clock(Epoch(it))),
        (any::<u64>(), effect_reply())
            .prop_map(|(effect, result)| ProtocolInput::Reply { effect, result }),
        bytes().prop_map(ProtocolInput::Signal),
    ]
}

fn record() -> impl Strategy<Value = RecordBody> {
    (any::<[u8; 32]>(), key(), bytes()).prop_map(|(schema, key, bytes)| RecordBody {
        schema: SchemaId::from_bytes(schema),
        key,
        bytes,
    })
}

fn lens() -> impl Strategy<Value = Lens> {
    prop_oneof![
        record().prop_map(|record| Lens::Forward { record }),
        (key(), option::of(bytes()), vec(record(), 0..3))
            .prop_map(|(origin, original, current)| Lens::Backward { origin, original, current }),
    ]
}

fn effect() -> impl Strategy<Value = ProtocolEffect> {
    prop_oneof![
        (".{0,5}", bytes()).prop_map(|(label, payload)| ProtocolEffect::Append { label, payload }),
        key().prop_map(ProtocolEffect::GetRecord),
        (bytes(), option::of(key()), any::<u32>()).prop_map(|(prefix, after, limit)| {
            ProtocolEffect::ListRecords { prefix, after, limit }
        }),
        (0..Capability::ALL.len(), bytes()).prop_map(|(right, bytes)| ProtocolEffect::Use {
            capability: Capability::ALL[right],
            bytes,
        }),
        ("[a-z]{1,5}", bytes()).prop_map(|(name, params)| ProtocolEffect::RunSubProtocol {
            protocol: name.parse::<ProtocolName>().unwrap(),
            params,
        }),
        ".{0,5}".prop_map(ProtocolEffect::Log),
    ]
}

fn error() -> impl Strategy<Value = ProtocolError> {
    prop_oneof![
        Just(ProtocolError::BadState),
        (device(), ".{0,5}", ".{0,5}").prop_map(|(culprit, label, reason)| {
            ProtocolError::BadEvent { culprit, label, reason }
        }),
        ".{0,5}".prop_map(|reason| ProtocolError::BadInput { reason }),
        ".{0,5}".prop_map(|reason| ProtocolError::Unexpected { reason }),
        Just(ProtocolError::Irreversible),
    ]
}

/// The same bytes, cut short, longer, or with one byte changed; or as they are.
fn damage(bytes: &mut Vec<u8>, how: u8, at: Index, byte: u8) {
    match how {
        0 => bytes.truncate(at.index(bytes.len())),
        1 => bytes.push(byte),
        2 => {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// INV-B2
    #[test]
    fn a_guest_reads_what_borsh_reads(
        state in bytes(), caps in rights(), input in input(), how in 0_u8..4, at: Index, byte in 0_u8..8,
    ) {
        let mut bytes = encode(&(state, caps, input));
        damage(&mut bytes, how, at, byte);
        prop_assert_eq!(given::step(&bytes), canonical::read(&bytes).ok());
    }

    /// INV-B2
    #[test]
    fn a_migration_reads_what_borsh_reads(
        lens in lens(), context in bytes(), how in 0_u8..4, at: Index, byte in 0_u8..8,
    ) {
        let mut bytes = encode(&(lens, context));
        damage(&mut bytes, how, at, byte);
        prop_assert_eq!(given::migrate(&bytes), canonical::read(&bytes).ok());
    }

    /// INV-B2
    #[test]
    fn a_guest_writes_what_borsh_writes(
        state in bytes(),
        effects in vec(effect(), 0..3),
        wake in option::of(any::<u64>()),
        outcome in option::of(outcome()),
        error in error(),
        records in vec(record(), 1..3),
    ) {
        let step = ProtocolStep { effects, wake: wake.map(Epoch), outcome };
        prop_assert_eq!(answer::stepped(&state, &step), encode(&Reply::Stepped { state, step }));
        prop_assert_eq!(answer::failed(&error), encode(&Reply::Failed(error)));
        let one = records[0].clone();
        prop_assert_eq!(answer::backward(&one), encode(&Reply::Backward(one)));
        let migrated = Migrated::Records(records);
        prop_assert_eq!(answer::forward(&migrated), encode(&Reply::Forward(migrated)));
        let apart = Migrated::Quarantine { reason: "unreadable".to_owned() };
        prop_assert_eq!(answer::forward(&apart), encode(&Reply::Forward(apart)));
        prop_assert_eq!(answer::unsupported(), encode(&Reply::Unsupported));
    }
}
