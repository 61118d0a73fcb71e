//! Protocols that are part of the program: Rust code in the process of the host.
//!
//! A session of one is like a session of a module, with another identity: a digest over name, version
//! and session types. All participants have to have it under the same identity; none of them can show
//! the others that it runs the same code, as little as it could show that it runs any code at all.

use std::marker::PhantomData;

use aura_choreography::{Hosted, Script};
use aura_protocol_core::{
    AppId, Descriptor, Digest, ProtocolCapabilities, ProtocolError, ProtocolInput,
    ProtocolLifecycle, ProtocolName, ProtocolStep, encode,
};

use crate::execution::types::InstructionResult;

/// A protocol that is part of the program. State in, input in; effects and state out.
///
/// # Invariants
/// The same arguments lead to the same result, on every device: no clock, randomness or hash order.
pub trait NativeProtocol: Send + Sync {
    /// What this protocol is and needs. Always the same.
    fn descriptor(&self) -> Descriptor;

    /// Takes one input; `state` is what the last step returned, empty before the first. Returns the
    /// new state and what is to be done.
    ///
    /// # Errors
    /// [`ProtocolError`]; the state is then as before.
    fn step(
        &self,
        state: &[u8],
        input: ProtocolInput,
        caps: &ProtocolCapabilities,
    ) -> Result<(Vec<u8>, ProtocolStep), ProtocolError>;
}

/// A [`ProtocolLifecycle`] type as a [`NativeProtocol`].
pub struct Native<P>(PhantomData<fn() -> P>);

impl<P: ProtocolLifecycle> Native<P> {
    /// The protocol that `P` implements.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<P: ProtocolLifecycle> Default for Native<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: ProtocolLifecycle> NativeProtocol for Native<P> {
    fn descriptor(&self) -> Descriptor {
        P::descriptor()
    }

    fn step(
        &self,
        state: &[u8],
        input: ProtocolInput,
        caps: &ProtocolCapabilities,
    ) -> Result<(Vec<u8>, ProtocolStep), ProtocolError> {
        let mut session = if state.is_empty() { P::new() } else { P::restore(state)? };
        let step = session.step(input, caps)?;
        Ok((session.snapshot(), step))
    }
}

/// A script of this program as a [`NativeProtocol`].
pub struct NativeScript {
    script: &'static dyn Script,
    descriptor: Descriptor,
}

impl NativeScript {
    /// `script`, which says this of itself.
    pub const fn new(script: &'static dyn Script, descriptor: Descriptor) -> Self {
        Self { script, descriptor }
    }
}

impl NativeProtocol for NativeScript {
    fn descriptor(&self) -> Descriptor {
        self.descriptor.clone()
    }

    fn step(
        &self,
        state: &[u8],
        input: ProtocolInput,
        _caps: &ProtocolCapabilities,
    ) -> Result<(Vec<u8>, ProtocolStep), ProtocolError> {
        let mut session = Hosted::restore(self.script, state)?;
        let step = session.step(input)?;
        Ok((session.snapshot(), step))
    }
}

/// What sessions of a built-in protocol are opened under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuiltIn {
    /// Its app: the same for all versions. No repository can release under it.
    pub app: AppId,
    /// Its identity, in the place of a module's digest.
    pub digest: Digest,
}

impl BuiltIn {
    /// The identity of the built-in protocol that says this of itself.
    #[must_use]
    pub fn of(descriptor: &Descriptor) -> Self {
        let (name, version) = (encode(&descriptor.protocol), encode(&descriptor.version));
        let types = encode(&descriptor.session_types);
        let digest = Digest::tagged("aura built-in protocol v1", &[&name, &version, &types]);
        Self { app: Self::app(&descriptor.protocol), digest }
    }

    /// The app of the built-in protocol of this name.
    #[must_use]
    pub fn app(protocol: &ProtocolName) -> AppId {
        Digest::tagged("aura built-in app v1", &[protocol.as_str().as_bytes()]).into()
    }
}

/// Runs one step of a built-in protocol, as an engine does of a module.
pub fn run(
    protocol: &dyn NativeProtocol,
    state: &[u8],
    input: ProtocolInput,
    caps: &ProtocolCapabilities,
) -> InstructionResult {
    match protocol.step(state, input, caps) {
        Ok((state, step)) => InstructionResult::Stepped { state, step },
        Err(error) => InstructionResult::Refused(error),
    }
}
