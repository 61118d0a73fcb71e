//! One version of the counter as a protocol: the shared session, and what this version makes of it.

use alloc::{
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::marker::PhantomData;

use aura_protocol_sdk::{
    Capability, Described, Descriptor, DescriptorConst, Outcome, ProtocolCapabilities,
    ProtocolError, ProtocolInput, ProtocolLifecycle, ProtocolStep, ProtocolVersion, RecordWrite,
    RoleConst, SessionStart, decode, encode, limits,
};

use crate::{Session, session_key};

/// What tells one version of the counter from the others.
pub trait Edition {
    /// The version's number.
    const VERSION: [u16; 3];
    /// The layout of its records.
    const SCHEMA: [u8; 32];

    /// The result as people read it. All numbers are there, and `sum` is theirs.
    fn result(session: &Session, sum: u64) -> String;

    /// The content of the record that the session writes.
    fn record(session: &Session, sum: u64) -> Vec<u8>;
}

/// The counter in edition `E`: each participant adds a number, and all learn the sum.
#[derive(Debug)]
pub struct Counter<E> {
    phase: Phase,
    edition: PhantomData<E>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Nothing has happened.
    New,
    /// Numbers are missing.
    Running(Session),
    /// The outcome was given.
    Ended,
}

impl<E: Edition> Described for Counter<E> {
    const DESCRIPTOR: DescriptorConst = DescriptorConst {
        protocol: "counter",
        version: E::VERSION,
        role: RoleConst::Protocol,
        capabilities: &[Capability::WriteRecords],
        session_types: &[],
        schema: E::SCHEMA,
        uses: &[],
        authors: "the authors of Aura",
        source: [0; 32],
    };
}

impl<E: Edition> ProtocolLifecycle for Counter<E> {
    fn descriptor() -> Descriptor {
        Self::DESCRIPTOR.descriptor()
    }

    fn new() -> Self {
        Self { phase: Phase::New, edition: PhantomData }
    }

    fn restore(state: &[u8]) -> Result<Self, ProtocolError> {
        let session = decode::<Option<Session>>(state, limits::SESSION_STATE_BYTES_MAX)
            .map_err(|_| ProtocolError::BadState)?;
        let phase = session.map_or(Phase::Ended, Phase::Running);
        Ok(Self { phase, edition: PhantomData })
    }

    fn snapshot(&self) -> Vec<u8> {
        match &self.phase {
            Phase::New => Vec::new(),
            Phase::Running(session) => encode(&Some(session)),
            Phase::Ended => encode(&None::<Session>),
        }
    }

    fn step(
        &mut self,
        input: ProtocolInput,
        _caps: &ProtocolCapabilities,
    ) -> Result<ProtocolStep, ProtocolError> {
        match (&mut self.phase, input) {
            (Phase::New, ProtocolInput::Start(start)) => self.begin(start),
            (Phase::New, _) => Err(unexpected("the session has not begun")),
            (Phase::Running(session), ProtocolInput::Signal(text)) => {
                let effects = vec![session.say(&text)?];
                Ok(ProtocolStep { effects, ..ProtocolStep::default() })
            }
            (Phase::Running(session), ProtocolInput::Event { author, label, payload }) => {
                session.add(author, label, &payload)?;
                let outcome = session.is_complete().then(|| outcome::<E>(session));
                if outcome.is_some() {
                    self.phase = Phase::Ended;
                }
                Ok(ProtocolStep { outcome, ..ProtocolStep::default() })
            }
            (Phase::Running(_), ProtocolInput::Start(_)) => {
                Err(unexpected("the session has already begun"))
            }
            (Phase::Running(_), ProtocolInput::Clock(_) | ProtocolInput::Reply { .. }) => {
                Err(unexpected("the session asked for nothing"))
            }
            (Phase::Ended, _) => Err(unexpected("the session has ended")),
        }
    }
}

impl<E: Edition> Counter<E> {
    fn begin(&mut self, start: SessionStart) -> Result<ProtocolStep, ProtocolError> {
        let [major, minor, patch] = E::VERSION;
        let session = Session::begin(start, ProtocolVersion::new(major, minor, patch))?;
        self.phase = Phase::Running(session);
        Ok(ProtocolStep::default())
    }
}

fn outcome<E: Edition>(session: &Session) -> Outcome {
    let Some(sum) = session.sum() else {
        return Outcome::Aborted { reason: "the sum is greater than 2^64 - 1".to_string() };
    };
    let bytes = Some(E::record(session, sum));
    let batch = vec![RecordWrite { key: session_key(&session.start.session), bytes }];
    Outcome::Completed { result: E::result(session, sum).into_bytes(), batch }
}

fn unexpected(reason: &str) -> ProtocolError {
    ProtocolError::Unexpected { reason: reason.to_string() }
}
