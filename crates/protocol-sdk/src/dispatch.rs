//! From the bytes of an envelope to the bytes of a reply: what runs inside an exported module.
//!
//! Pure and without `unsafe`, so a native test can drive a protocol exactly as a host will.

use alloc::{borrow::ToOwned, vec::Vec};

use aura_protocol_core::{
    ProtocolCapabilities, ProtocolError, ProtocolInput, ProtocolLifecycle,
    abi::{self, Lens, Reply},
    canonical, encode,
};
use borsh::BorshDeserialize;

use crate::{Described, Migration};

/// The encoded [`Reply::Described`] is its variant's index, then the descriptor.
const DESCRIBED: u8 = 0;

/// Answers one encoded [`Envelope`](abi::Envelope) for a protocol.
#[must_use]
pub fn protocol<P: ProtocolLifecycle + Described>(input: &[u8]) -> Vec<u8> {
    answer::<P>(input, STEP, |arguments| {
        let (state, caps, input) = read::<(Vec<u8>, _, _)>(arguments)?;
        step::<P>(&state, input, &caps)
    })
}

/// Answers one encoded [`Envelope`](abi::Envelope) for a migration.
#[must_use]
pub fn migration<M: Migration>(input: &[u8]) -> Vec<u8> {
    answer::<M>(input, MIGRATE, |arguments| {
        let (lens, context) = read::<(Lens, Vec<u8>)>(arguments)?;
        match lens {
            Lens::Forward { record } => M::forward(record, &context).map(Reply::Forward),
            Lens::Backward { origin, original, current } => {
                M::backward(origin, original, current, &context).map(Reply::Backward)
            }
        }
    })
}

/// The indices of [`abi::Op`]'s variants. They are matched before what follows is read, so that a
/// protocol carries no code for records, nor a migration for sessions.
const DESCRIBE: u8 = 0;
const STEP: u8 = 1;
const MIGRATE: u8 = 2;

/// Lets `run` do the one operation that the module is for.
fn answer<D: Described>(
    input: &[u8],
    does: u8,
    run: impl FnOnce(&[u8]) -> Result<Reply, ProtocolError>,
) -> Vec<u8> {
    let Some((head, arguments)) = input.split_first_chunk::<3>() else {
        return encode(&Reply::Failed(not_our_abi()));
    };
    let [low, high, op] = *head;
    let ours = u16::from_le_bytes([low, high]) == abi::VERSION;
    match op {
        DESCRIBE if ours && arguments.is_empty() => described(&D::DESCRIPTOR),
        op if ours && op == does => encode(&run(arguments).unwrap_or_else(Reply::Failed)),
        STEP | MIGRATE if ours => encode(&Reply::Unsupported),
        _ => encode(&Reply::Failed(not_our_abi())),
    }
}

/// The host wrote the envelope, so its encoding need not be compared with the canonical one.
fn read<T: BorshDeserialize>(arguments: &[u8]) -> Result<T, ProtocolError> {
    canonical::read(arguments).map_err(|_| not_our_abi())
}

/// The same bytes that are in the section, so that the two cannot differ.
fn described(descriptor: &crate::DescriptorConst) -> Vec<u8> {
    let mut reply = alloc::vec![DESCRIBED];
    descriptor.append_to(&mut reply);
    reply
}

fn step<P: ProtocolLifecycle>(
    state: &[u8],
    input: ProtocolInput,
    caps: &ProtocolCapabilities,
) -> Result<Reply, ProtocolError> {
    let mut session = if state.is_empty() { P::new() } else { P::restore(state)? };
    let step = session.step(input, caps)?;
    Ok(Reply::Stepped { state: session.snapshot(), step })
}

fn not_our_abi() -> ProtocolError {
    ProtocolError::BadInput { reason: "not an envelope of ABI 1".to_owned() }
}
