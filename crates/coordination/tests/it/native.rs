//! Built-in protocols: what identifies them, and that they are driven as modules are.

use aura_coordination::execution::{BuiltIn, InstructionResult, Native, NativeProtocol, native};
use aura_protocol_core::{
    Descriptor, Digest, ProtocolCapabilities, ProtocolError, ProtocolInput, ProtocolLifecycle,
    ProtocolStep, SchemaId, abi, descriptor::ModuleRole,
};

/// Counts its inputs; refuses a signal of no bytes.
struct Counter(u8);

impl ProtocolLifecycle for Counter {
    fn descriptor() -> Descriptor {
        Descriptor {
            protocol: "built-in-counter".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            abi: abi::VERSION,
            role: ModuleRole::Protocol,
            capabilities: [].into(),
            session_types: vec![b"each add: u64".to_vec()],
            schema: SchemaId::of("none"),
            uses: [].into(),
            authors: String::new(),
            source: Digest::ZERO,
        }
    }

    fn new() -> Self {
        Self(0)
    }

    fn restore(state: &[u8]) -> Result<Self, ProtocolError> {
        state.first().map(|it| Self(*it)).ok_or(ProtocolError::BadState)
    }

    fn snapshot(&self) -> Vec<u8> {
        vec![self.0]
    }

    fn step(
        &mut self,
        input: ProtocolInput,
        _caps: &ProtocolCapabilities,
    ) -> Result<ProtocolStep, ProtocolError> {
        if input == ProtocolInput::Signal(Vec::new()) {
            return Err(ProtocolError::BadInput { reason: "say something".into() });
        }
        self.0 += 1;
        Ok(ProtocolStep::default())
    }
}

#[test]
fn a_lifecycle_is_a_native_protocol() {
    let counter = Native::<Counter>::new();
    let caps = ProtocolCapabilities::default();
    let said = |bytes: &[u8]| ProtocolInput::Signal(bytes.to_vec());
    let run = |state: &[u8], said| native::run(&counter, state, said, &caps);
    let InstructionResult::Stepped { state, .. } = run(&[], said(b"1")) else { panic!("refused") };
    let InstructionResult::Stepped { state, .. } = run(&state, said(b"1")) else {
        panic!("refused")
    };
    assert_eq!(state, [2]);
    assert!(matches!(run(&state, said(b"")), InstructionResult::Refused(_)));
}

#[test]
fn another_version_or_session_type_is_another_protocol() {
    let descriptor = Native::<Counter>::new().descriptor();
    let built_in = BuiltIn::of(&descriptor);
    let version = Descriptor { version: "1.0.1".parse().unwrap(), ..descriptor.clone() };
    let types = Descriptor { session_types: vec![], ..descriptor.clone() };
    let name = Descriptor { protocol: "other".parse().unwrap(), ..descriptor.clone() };
    for (other, same_app) in [(&version, true), (&types, true), (&name, false)] {
        let other = BuiltIn::of(other);
        assert_ne!(other.digest, built_in.digest);
        assert_eq!(other.app == built_in.app, same_app);
    }
    // What a build does not say of itself does not matter.
    let authors = Descriptor { authors: "somebody".into(), ..descriptor };
    assert_eq!(BuiltIn::of(&authors), built_in);
}
