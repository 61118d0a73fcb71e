//! From the bytes of an envelope to the bytes of a reply: what runs inside an exported module.
//!
//! Pure and without `unsafe`, so a native test can drive a protocol exactly as a host will.

use alloc::{borrow::ToOwned, vec::Vec};

use aura_protocol_core::{
    ProtocolError, ProtocolLifecycle,
    abi::{self, Envelope, Lens, Op, Reply},
    encode,
};

use crate::{Described, Migration};

/// The encoded [`Reply::Described`] is its variant's index, then the descriptor.
const DESCRIBED: u8 = 0;

/// Answers one encoded [`Envelope`] for a protocol.
#[must_use]
pub fn protocol<P: ProtocolLifecycle + Described>(input: &[u8]) -> Vec<u8> {
    answer::<P>(input, |op| match op {
        Op::Step { state, caps, input } => step::<P>(&state, |it| it.step(input, &caps)),
        Op::Migrate { .. } | Op::Describe => Ok(Reply::Unsupported),
    })
}

/// Answers one encoded [`Envelope`] for a migration.
#[must_use]
pub fn migration<M: Migration>(input: &[u8]) -> Vec<u8> {
    answer::<M>(input, |op| match op {
        Op::Migrate { lens: Lens::Forward { record }, context } => {
            M::forward(record, &context).map(Reply::Forward)
        }
        Op::Migrate { lens: Lens::Backward { origin, original, current }, context } => {
            M::backward(origin, original, current, &context).map(Reply::Backward)
        }
        Op::Step { .. } | Op::Describe => Ok(Reply::Unsupported),
    })
}

/// Decodes, lets `run` do all but `Describe`, and encodes.
fn answer<D: Described>(
    input: &[u8],
    run: impl FnOnce(Op) -> Result<Reply, ProtocolError>,
) -> Vec<u8> {
    // The host wrote the envelope, so its encoding need not be compared with the canonical one.
    let op = match borsh::from_slice(input) {
        Ok(Envelope { abi: abi::VERSION, op }) => op,
        _ => return encode(&Reply::Failed(not_our_abi())),
    };
    if op == Op::Describe {
        return described(&D::DESCRIPTOR);
    }
    encode(&run(op).unwrap_or_else(Reply::Failed))
}

/// The same bytes that are in the section, so that the two cannot differ.
fn described(descriptor: &crate::DescriptorConst) -> Vec<u8> {
    let mut reply = alloc::vec![DESCRIBED];
    descriptor.append_to(&mut reply);
    reply
}

fn step<P: ProtocolLifecycle>(
    state: &[u8],
    run: impl FnOnce(&mut P) -> Result<aura_protocol_core::ProtocolStep, ProtocolError>,
) -> Result<Reply, ProtocolError> {
    let mut session = if state.is_empty() { P::new() } else { P::restore(state)? };
    let step = run(&mut session)?;
    Ok(Reply::Stepped { state: session.snapshot(), step })
}

fn not_our_abi() -> ProtocolError {
    ProtocolError::BadInput { reason: "not an envelope of ABI 1".to_owned() }
}
