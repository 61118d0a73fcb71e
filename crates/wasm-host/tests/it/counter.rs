//! The real guests in the sandbox: whole sessions, and the migration there and back.

use std::collections::{BTreeMap, BTreeSet};

use aura_protocol_core::{
    Capability, DeviceId, Digest, Outcome, ProtocolCapabilities, ProtocolEffect, ProtocolError,
    ProtocolInput, ProtocolVersion, RecordKey, SchemaId, SessionId, SessionStart,
    abi::Reply,
    decode, encode,
    lifecycle::chain_trace,
    limits::STEP_FUEL_MAX,
    migration::{Migrated, Migrator, RecordBody},
};
use aura_testkit::hostile::Frame;
use aura_wasm_host::{ModuleHost, ModuleMigrator, StepError, Stepped};

use crate::{guest, reference};

fn device(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 32])
}

/// One device's side of a session.
struct Side<'a> {
    host: &'a ModuleHost,
    module: Digest,
    state: Vec<u8>,
}

impl<'a> Side<'a> {
    fn begin(host: &'a ModuleHost, module: Digest, me: u8, spoken: &str) -> Self {
        let mut side = Self { host, module, state: vec![] };
        let start = SessionStart {
            session: SessionId::from_bytes([0xab; 32]),
            me: device(me),
            opener: device(1),
            participants: (1..=3).map(device).collect(),
            spoken: spoken.parse().unwrap(),
            params: vec![],
        };
        let stepped = side.tell(ProtocolInput::Start(start)).unwrap();
        assert_eq!(stepped.step, Default::default());
        side
    }

    fn tell(&mut self, input: ProtocolInput) -> Result<Stepped, StepError> {
        let caps: ProtocolCapabilities = [Capability::WriteRecords].into_iter().collect();
        let stepped =
            self.host.step(self.module, self.state.clone(), caps, input, STEP_FUEL_MAX)?;
        self.state.clone_from(&stepped.state);
        Ok(stepped)
    }

    fn say(&mut self, text: &str) -> Vec<u8> {
        let stepped = self.tell(ProtocolInput::Signal(text.as_bytes().to_vec())).unwrap();
        let [ProtocolEffect::Append { label, payload }] = stepped.step.effects.as_slice() else {
            panic!("{stepped:?}")
        };
        assert_eq!(label, "add");
        payload.clone()
    }

    fn hear(&mut self, author: u8, payload: &[u8]) -> Option<Outcome> {
        let (author, label, payload) = (device(author), "add".to_owned(), payload.to_vec());
        self.tell(ProtocolInput::Event { author, label, payload }).unwrap().step.outcome
    }
}

/// A whole session of three devices, which all end alike. Returns the result and the record.
fn session(name: &str, spoken: &str) -> (String, RecordKey, Vec<u8>) {
    let host = ModuleHost::in_memory();
    let bytes = guest(name);
    host.prepare(&bytes, &reference(&bytes)).unwrap();
    let mut sides: Vec<Side<'_>> =
        (1..=3).map(|me| Side::begin(&host, Digest::of(&bytes), me, spoken)).collect();
    let said: Vec<Vec<u8>> =
        sides.iter_mut().zip(["3", "4", "5"]).map(|it| it.0.say(it.1)).collect();
    let orders = [[1, 2, 3], [3, 1, 2], [2, 3, 1]];
    let outcomes: Vec<Outcome> = sides
        .iter_mut()
        .zip(orders)
        .map(|(side, order)| {
            let heard = order.map(|author| side.hear(author, &said[usize::from(author) - 1]));
            assert_eq!(heard[..2], [None, None]);
            heard[2].clone().unwrap()
        })
        .collect();
    assert!(outcomes.iter().all(|it| it == &outcomes[0]), "{outcomes:?}");
    let Outcome::Completed { result, batch } = &outcomes[0] else { panic!("{outcomes:?}") };
    let [write] = batch.as_slice() else { panic!("{batch:?}") };
    let result = String::from_utf8(result.clone()).unwrap();
    (result, write.key.clone(), write.bytes.clone().unwrap())
}

#[test]
fn each_version_does_its_own() {
    let number = encode(&12u64);
    let key = RecordKey::from(format!("sum/{}", "ab".repeat(32)).as_str());
    let check = |name: &str, spoken: &str, text: &str, record: &[u8]| {
        let expect = (text.to_owned(), key.clone(), record.to_vec());
        assert_eq!(session(name, spoken), expect, "{name} speaking {spoken}");
    };
    check("counter-1-0-0", "1.0.0", "sum=12", &number);
    check("counter-1-1-0", "1.0.0", "sum=12", &number);
    check("counter-1-1-0", "1.1.0", "sum=12 mean=4", &number);
    let by_device: BTreeMap<DeviceId, u64> =
        [(1, 3), (2, 4), (3, 5)].map(|it| (device(it.0), it.1)).into();
    check("counter-2-0-0", "2.0.0", "sum=12 of 3 devices", &encode(&(12u64, by_device)));
}

#[test]
fn an_error_names_the_culprit_and_changes_nothing() {
    let host = ModuleHost::in_memory();
    let bytes = guest("counter-1-0-0");
    host.prepare(&bytes, &reference(&bytes)).unwrap();
    let mut side = Side::begin(&host, Digest::of(&bytes), 1, "1.0.0");
    let before = side.state.clone();
    let label = "add".to_owned();
    let event = ProtocolInput::Event { author: device(9), label, payload: encode(&1u64) };
    let error = side.tell(event).unwrap_err();
    let StepError::Protocol(ProtocolError::BadEvent { culprit, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!((culprit, &side.state), (device(9), &before));
    side.state = vec![1, 2, 3];
    let error = side.tell(ProtocolInput::Signal(b"1".to_vec())).unwrap_err();
    assert!(matches!(error, StepError::Protocol(ProtocolError::BadState)), "{error:?}");
}

#[test]
fn records_migrate_there_and_back() {
    let host = ModuleHost::in_memory();
    let bytes = guest("counter-migration-2-0-0");
    let descriptor = host.prepare(&bytes, &reference(&bytes)).unwrap();
    let offer = descriptor.migration().unwrap();
    assert!(offer.reversible && offer.from.matches(ProtocolVersion::new(1, 1, 0)));
    let lens = ModuleMigrator::new(&host, Digest::of(&bytes), vec![]);
    let record =
        |schema: SchemaId, bytes: Vec<u8>| RecordBody { schema, key: "sum/x".into(), bytes };
    let old = record(offer.from_schema, encode(&12u64));
    let Migrated::Records(new) = lens.forward(&old).unwrap() else { panic!("quarantined") };
    let empty = encode(&(12u64, BTreeMap::<DeviceId, u64>::new()));
    assert_eq!(new, [record(descriptor.schema, empty)]);
    assert_eq!(lens.backward(&old.key, Some(&old.bytes), &new).unwrap(), old);
    let damaged = lens.forward(&record(offer.from_schema, vec![1])).unwrap();
    assert!(matches!(damaged, Migrated::Quarantine { .. }), "{damaged:?}");
    assert!(lens.backward(&old.key, None, std::slice::from_ref(&old)).is_err());
    assert!(lens.backward(&old.key, None, &[]).is_err());
}

/// A lens is for records, and a protocol is not a lens.
#[test]
fn a_protocol_does_not_migrate() {
    let host = ModuleHost::in_memory();
    let bytes = guest("counter-1-0-0");
    host.prepare(&bytes, &reference(&bytes)).unwrap();
    let record = RecordBody { schema: Digest::ZERO.into(), key: "k".into(), bytes: vec![] };
    let lens = ModuleMigrator::new(&host, Digest::of(&bytes), vec![]);
    assert!(lens.forward(&record).unwrap_err().to_string().contains("no migration"));
    let missing = ModuleMigrator::new(&host, Digest::ZERO, vec![]);
    assert!(missing.forward(&record).unwrap_err().to_string().contains("not on this device"));
}

/// The trace of a short session: every reply and what it cost.
pub(crate) fn trace(host: &ModuleHost, module: Digest) -> Digest {
    let version = host.describe(module).unwrap().version.to_string();
    let mut side = Side::begin(host, module, 1, &version);
    let mut trace = Digest::ZERO;
    let mut inputs = vec![ProtocolInput::Signal(b"7".to_vec())];
    let authors: BTreeSet<u8> = [1, 2, 3].into();
    inputs.extend(authors.iter().map(|author| ProtocolInput::Event {
        author: device(*author),
        label: "add".to_owned(),
        payload: encode(&u64::from(*author)),
    }));
    for input in inputs {
        let stepped = side.tell(input).unwrap();
        let reply = encode(&(&stepped.state, &stepped.step));
        assert!(decode::<(Vec<u8>, aura_protocol_core::ProtocolStep)>(&reply, 1 << 20).is_ok());
        trace = chain_trace(trace, &reply, stepped.fuel_used);
    }
    trace
}

/// What a lens says of one record sets that record aside; it does not stop the others.
#[test]
fn a_lens_that_fails_on_a_record_sets_it_aside() {
    let reply = encode(&Reply::Failed(ProtocolError::BadState));
    let hex: String = reply.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let answer = 2048 | (reply.len() as u64) << 32;
    let module = Frame::new("counter", "2.0.0")
        .tail(&format!("(data (i32.const 2048) \"{hex}\")"))
        .body(&format!("(i64.const {answer})"))
        .build();
    let host = ModuleHost::in_memory();
    host.prepare(&module, &reference(&module)).unwrap();
    let lens = ModuleMigrator::new(&host, Digest::of(&module), vec![]);
    let schema = SchemaId::of("any");
    let record = RecordBody { schema, key: RecordKey::from("k"), bytes: vec![1] };
    let Ok(Migrated::Quarantine { reason }) = lens.forward(&record) else {
        panic!("the record is not set aside")
    };
    assert!(reason.contains("not written by this protocol"), "{reason}");
}
