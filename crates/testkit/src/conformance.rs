//! What runs is what was declared, in both its homes.
//!
//! [`check`]: a native type and its module answer every input alike. [`choreography`]: what a script
//! asks is, at every device, a path of the projection of its global type.

mod paths;
mod seen;
mod table;

pub use paths::{Departed, Home, Paths, Subject, choreography, choreography_at};

use std::collections::BTreeSet;

use aura_protocol_core::{
    DeviceId, Digest, Epoch, ProtocolCapabilities, ProtocolInput, ProtocolLifecycle,
    ProtocolVersion, SessionId, SessionStart,
    abi::{Envelope, Op, Reply},
    encode,
    lifecycle::{EffectReply, chain_trace},
};
use thiserror::Error;

use crate::seed::Seeded;

/// What a session is told, in order.
#[derive(Debug, Clone)]
pub struct Script {
    /// The inputs. The first need not be a start: a protocol must survive that too.
    pub inputs: Vec<ProtocolInput>,
}

/// Where the two homes differ.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Divergence {
    /// They answer an input differently.
    #[error("input {index}: the native type answers {native:?}, the module {module:?}")]
    Reply {
        /// Which input.
        index: usize,
        /// The native reply.
        native: Box<Reply>,
        /// The module's reply.
        module: Box<Reply>,
    },
    /// The native type changed its state although it reported an error.
    #[error("input {index}: the native type reported an error and changed its state")]
    ErrorChangedState {
        /// Which input.
        index: usize,
    },
}

impl Script {
    /// A session of up to five devices: mostly what a protocol expects, at times what it does not.
    ///
    /// `labels` are those of the protocol; `payload` makes a payload or signal, good or bad.
    pub fn seeded(
        seed: u64,
        spoken: ProtocolVersion,
        labels: &[&str],
        mut payload: impl FnMut(&mut Seeded) -> Vec<u8>,
    ) -> Self {
        let mut random = Seeded::new(seed);
        let device = |it: u64| DeviceId::from_bytes([it as u8; 32]);
        let count = 1 + random.below(5);
        let participants: BTreeSet<DeviceId> = (1..=count).map(device).collect();
        let me = device(1 + random.below(count));
        let session = SessionId::from_bytes([random.next_u64() as u8; 32]);
        let params = random.bytes(4);
        let opener = device(1);
        let start = SessionStart { session, me, opener, participants, spoken, params };
        let mut inputs = vec![ProtocolInput::Start(start.clone())];
        for _ in 0..random.below(4 * count + 4) {
            let input = match random.below(16) {
                0..10 => ProtocolInput::Event {
                    author: device(1 + random.below(count + 1)), // One of them does not take part.
                    label: random.pick(labels).map_or_else(String::new, |it| (*it).to_owned()),
                    payload: payload(&mut random),
                },
                10..13 => ProtocolInput::Signal(payload(&mut random)),
                13 => ProtocolInput::Clock(Epoch(random.below(9))),
                14 => ProtocolInput::Reply {
                    effect: random.below(3),
                    result: EffectReply::Used(random.bytes(8)),
                },
                _ => ProtocolInput::Start(start.clone()),
            };
            inputs.push(input);
        }
        if random.below(8) == 0 {
            inputs.rotate_left(1);
        }
        Self { inputs }
    }
}

/// Runs `script` on the native `P`, kept alive throughout, and on `module`, which is given its own
/// last state each time, and demands equal replies. Returns the digest of the trace.
///
/// # Errors
/// [`Divergence`], at the first input where the two differ; or whatever `module` reports.
pub fn check<P, E>(
    script: &Script,
    caps: &ProtocolCapabilities,
    mut module: impl FnMut(&Envelope) -> Result<Reply, E>,
) -> Result<Digest, E>
where
    P: ProtocolLifecycle,
    E: From<Divergence>,
{
    let mut native = P::new();
    let (mut state, mut trace) = (Vec::new(), Digest::ZERO);
    for (index, input) in script.inputs.iter().enumerate() {
        let (caps, input) = (*caps, input.clone());
        let expected = step(&mut native, input.clone(), &caps)
            .ok_or(Divergence::ErrorChangedState { index })?;
        let reply = module(&Envelope::new(Op::Step { state: state.clone(), caps, input }))?;
        if reply != expected {
            let (native, module) = (Box::new(expected), Box::new(reply));
            return Err(Divergence::Reply { index, native, module }.into());
        }
        trace = chain_trace(trace, &encode(&reply), 0);
        if let Reply::Stepped { state: next, .. } = reply {
            state = next;
        }
    }
    Ok(trace)
}

/// The native reply; none if an error changed the state.
fn step<P: ProtocolLifecycle>(
    native: &mut P,
    input: ProtocolInput,
    caps: &ProtocolCapabilities,
) -> Option<Reply> {
    let before = native.snapshot();
    match native.step(input, caps) {
        Ok(step) => Some(Reply::Stepped { state: native.snapshot(), step }),
        Err(error) => (native.snapshot() == before).then_some(Reply::Failed(error)),
    }
}
