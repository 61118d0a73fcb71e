//! Hello 1.0.0: who opens a session greets, and all are greeted alike. The smallest whole protocol: it
//! shows what each part of the lifecycle is for, and how small a module can be.

#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{borrow::ToOwned, vec, vec::Vec};

use aura_protocol_sdk::{
    Described, Descriptor, DescriptorConst, DeviceId, Outcome, ProtocolCapabilities,
    ProtocolEffect, ProtocolError, ProtocolInput, ProtocolLifecycle, ProtocolStep, RoleConst,
    SessionStart, export_protocol,
};

/// The label of the one event.
pub const GREETING: &str = "greeting";
/// What every greeting begins with; what the opener passed follows.
pub const HELLO: &[u8] = b"hello, ";

/// A session that is over as soon as its opener's greeting is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hello {
    /// Nothing has happened.
    New,
    /// The greeting of this device is awaited.
    Waiting(DeviceId),
    /// The outcome was given.
    Ended,
}

impl Described for Hello {
    const DESCRIPTOR: DescriptorConst = DescriptorConst {
        protocol: "hello",
        version: [1, 0, 0],
        role: RoleConst::Protocol,
        capabilities: &[],
        session_types: &[],
        schema: [0; 32],
        uses: &[],
        authors: "the authors of Aura",
        source: [0; 32],
    };
}

impl ProtocolLifecycle for Hello {
    fn descriptor() -> Descriptor {
        Self::DESCRIPTOR.descriptor()
    }

    fn new() -> Self {
        Self::New
    }

    /// The state is the opener's identifier, or one byte when all is over. A new session has none.
    fn restore(state: &[u8]) -> Result<Self, ProtocolError> {
        match (<[u8; 32]>::try_from(state), state) {
            (Ok(opener), _) => Ok(Self::Waiting(DeviceId::from_bytes(opener))),
            (Err(_), [0]) => Ok(Self::Ended),
            _ => Err(ProtocolError::BadState),
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        match self {
            Self::New => Vec::new(),
            Self::Waiting(opener) => opener.as_bytes().to_vec(),
            Self::Ended => vec![0],
        }
    }

    fn step(
        &mut self,
        input: ProtocolInput,
        _caps: &ProtocolCapabilities,
    ) -> Result<ProtocolStep, ProtocolError> {
        match (&*self, input) {
            (Self::New, ProtocolInput::Start(start)) => {
                *self = Self::Waiting(start.opener);
                Ok(ProtocolStep { effects: greet(start), ..ProtocolStep::default() })
            }
            (Self::Waiting(opener), ProtocolInput::Event { author, label, payload }) => {
                if author != *opener || label != GREETING {
                    let reason = "one greeting is awaited, from who opened the session".to_owned();
                    return Err(ProtocolError::BadEvent { culprit: author, label, reason });
                }
                *self = Self::Ended;
                let result = [HELLO, &payload].concat();
                let outcome = Some(Outcome::Completed { result, batch: Vec::new() });
                Ok(ProtocolStep { outcome, ..ProtocolStep::default() })
            }
            _ => Err(ProtocolError::Unexpected { reason: "nothing of this is awaited".to_owned() }),
        }
    }
}

/// What the opener says; the others wait for it.
fn greet(start: SessionStart) -> Vec<ProtocolEffect> {
    if start.me != start.opener {
        return Vec::new();
    }
    vec![ProtocolEffect::Append { label: GREETING.to_owned(), payload: start.params }]
}

export_protocol!(Hello);

#[cfg(test)]
mod tests {
    use aura_protocol_sdk::SessionId;

    use super::*;

    fn device(it: u8) -> DeviceId {
        DeviceId::from_bytes([it; 32])
    }

    fn started(me: u8) -> (Hello, ProtocolStep) {
        let mut session = Hello::new();
        let start = SessionStart {
            session: SessionId::from_bytes([7; 32]),
            me: device(me),
            opener: device(1),
            participants: [device(1), device(2)].into(),
            spoken: "1.0.0".parse().unwrap(),
            params: b"world".to_vec(),
        };
        let step = session.step(ProtocolInput::Start(start), &ProtocolCapabilities::default());
        (session, step.unwrap())
    }

    fn greeting(author: u8) -> ProtocolInput {
        let (label, payload) = (GREETING.to_owned(), b"world".to_vec());
        ProtocolInput::Event { author: device(author), label, payload }
    }

    #[test]
    fn all_are_greeted_alike() {
        for me in [1, 2] {
            let (session, step) = started(me);
            assert_eq!(step.effects.len(), usize::from(me == 1), "the opener alone greets");
            let mut session = Hello::restore(&session.snapshot()).unwrap();
            let step = session.step(greeting(1), &ProtocolCapabilities::default()).unwrap();
            let result = b"hello, world".to_vec();
            assert_eq!(step.outcome, Some(Outcome::Completed { result, batch: vec![] }));
            assert_eq!(Hello::restore(&session.snapshot()).unwrap(), Hello::Ended);
        }
    }

    #[test]
    fn what_is_not_awaited_changes_nothing() {
        let (mut session, _) = started(2);
        let caps = ProtocolCapabilities::default();
        for input in [greeting(2), ProtocolInput::Signal(vec![])] {
            session.step(input, &caps).unwrap_err();
            assert_eq!(session, Hello::Waiting(device(1)));
        }
        assert!(Hello::new().step(greeting(1), &caps).is_err());
        for state in [&[0_u8; 31][..], &[1]] {
            assert_eq!(Hello::restore(state), Err(ProtocolError::BadState));
        }
    }
}
