//! From envelope bytes to reply bytes, natively.

use aura_protocol_sdk::{
    Described, Descriptor, DescriptorConst, Migrated, Migration, Outcome, ProtocolCapabilities,
    ProtocolError, ProtocolInput, ProtocolLifecycle, ProtocolStep, RecordBody, RoleConst, SchemaId,
    abi::{Envelope, Lens, Op, Reply},
    decode, dispatch, encode,
    limits::CALL_BYTES_MAX,
};

/// Ends when it was told as many things as it was told the first time.
struct Countdown(u8);

impl Described for Countdown {
    const DESCRIPTOR: DescriptorConst = DescriptorConst {
        protocol: "countdown",
        version: [1, 0, 0],
        role: RoleConst::Protocol,
        capabilities: &[],
        session_types: &[],
        schema: [1; 32],
        uses: &[],
        authors: "",
        source: [0; 32],
    };
}

impl ProtocolLifecycle for Countdown {
    fn descriptor() -> Descriptor {
        Self::DESCRIPTOR.descriptor()
    }
    fn new() -> Self {
        Self(0)
    }
    fn restore(state: &[u8]) -> Result<Self, ProtocolError> {
        decode(state, 1).map(Self).map_err(|_| ProtocolError::BadState)
    }
    fn snapshot(&self) -> Vec<u8> {
        encode(&self.0)
    }
    fn step(
        &mut self,
        input: ProtocolInput,
        _caps: &ProtocolCapabilities,
    ) -> Result<ProtocolStep, ProtocolError> {
        let ProtocolInput::Signal(bytes) = input else {
            return Err(ProtocolError::Unexpected { reason: "a signal".to_owned() });
        };
        self.0 = if self.0 == 0 { bytes.len() as u8 } else { self.0 - 1 };
        let outcome = Outcome::Completed { result: vec![], batch: vec![] };
        Ok(ProtocolStep { outcome: (self.0 == 0).then_some(outcome), ..Default::default() })
    }
}

/// Forgets, so it has no way back.
enum Forget {}

impl Described for Forget {
    const DESCRIPTOR: DescriptorConst = DescriptorConst {
        role: RoleConst::Migration { from: "^1", from_schema: [1; 32], reversible: false },
        ..Countdown::DESCRIPTOR
    };
}

impl Migration for Forget {
    fn forward(record: RecordBody, context: &[u8]) -> Result<Migrated, ProtocolError> {
        Ok(Migrated::Records(vec![RecordBody { bytes: context.to_vec(), ..record }]))
    }
}

#[track_caller]
fn ask(answer: impl Fn(&[u8]) -> Vec<u8>, op: Op) -> Reply {
    decode(&answer(&encode(&Envelope::new(op))), CALL_BYTES_MAX).unwrap()
}

fn signal(state: &[u8], text: &[u8]) -> Op {
    Op::Step {
        state: state.to_vec(),
        caps: ProtocolCapabilities::default(),
        input: ProtocolInput::Signal(text.to_vec()),
    }
}

fn record() -> RecordBody {
    RecordBody { schema: SchemaId::from_bytes([1; 32]), key: "k".into(), bytes: vec![1] }
}

/// INV-S1
#[test]
fn describe_answers_the_descriptor() {
    let reply = ask(dispatch::protocol::<Countdown>, Op::Describe);
    assert_eq!(reply, Reply::Described(Countdown::descriptor()));
    let reply = ask(dispatch::migration::<Forget>, Op::Describe);
    assert_eq!(reply, Reply::Described(Forget::DESCRIPTOR.descriptor()));
}

#[test]
fn the_state_goes_in_and_comes_out() {
    let mut state = vec![];
    for left in [2u8, 1, 0] {
        let reply = ask(dispatch::protocol::<Countdown>, signal(&state, b"ab"));
        let Reply::Stepped { state: next, step } = reply else { panic!("{reply:?}") };
        assert_eq!((next.as_slice(), step.outcome.is_some()), ([left].as_slice(), left == 0));
        state = next;
    }
}

#[test]
fn errors_are_replies() {
    let reply = ask(dispatch::protocol::<Countdown>, signal(&[1, 2], b""));
    assert_eq!(reply, Reply::Failed(ProtocolError::BadState));
    let bad_abi = Envelope { abi: 2, op: Op::Describe };
    for bytes in [&encode(&bad_abi)[..], &[], &[1, 0, 9], &[1, 0, 0, 0]] {
        let reply = decode(&dispatch::protocol::<Countdown>(bytes), CALL_BYTES_MAX).unwrap();
        assert!(matches!(reply, Reply::Failed(ProtocolError::BadInput { .. })), "{reply:?}");
    }
}

#[test]
fn a_module_does_what_it_is_for_and_nothing_else() {
    let forward = || Op::Migrate { lens: Lens::Forward { record: record() }, context: vec![8] };
    let lens = Lens::Backward { origin: "k".into(), original: None, current: vec![record()] };
    let backward = Op::Migrate { lens, context: vec![] };
    let moved = Migrated::Records(vec![RecordBody { bytes: vec![8], ..record() }]);
    assert_eq!(ask(dispatch::migration::<Forget>, forward()), Reply::Forward(moved));
    let reply = ask(dispatch::migration::<Forget>, backward);
    assert_eq!(reply, Reply::Failed(ProtocolError::Irreversible));
    assert_eq!(ask(dispatch::migration::<Forget>, signal(&[], b"")), Reply::Unsupported);
    assert_eq!(ask(dispatch::protocol::<Countdown>, forward()), Reply::Unsupported);
}
