//! From the bytes of an envelope to the bytes of a reply: what runs inside an exported module.
//!
//! Pure and without `unsafe`, so a native test can drive a protocol exactly as a host will.

use alloc::{borrow::ToOwned, vec::Vec};
use core::mem;

use aura_protocol_core::{
    ProtocolError, ProtocolLifecycle,
    abi::{self, Lens, answer, given},
};

use crate::{Described, Migration};

/// The encoded [`Reply::Described`](abi::Reply::Described) is its variant's index, then the descriptor.
const DESCRIBED: u8 = 0;

/// Answers one encoded [`Envelope`](abi::Envelope) for a protocol.
#[must_use]
pub fn protocol<P: ProtocolLifecycle + Described>(input: &[u8]) -> Vec<u8> {
    operate::<P>(input, STEP, step::<P>)
}

/// Answers one encoded [`Envelope`](abi::Envelope) for a migration.
#[must_use]
pub fn migration<M: Migration>(input: &[u8]) -> Vec<u8> {
    operate::<M>(input, MIGRATE, migrate::<M>)
}

/// The indices of [`abi::Op`]'s variants. They are matched before what follows is read, so that a
/// protocol carries no code for records, nor a migration for sessions.
const DESCRIBE: u8 = 0;
const STEP: u8 = 1;
const MIGRATE: u8 = 2;

/// Lets `run` do the one operation that the module is for.
fn operate<D: Described>(
    input: &[u8],
    does: u8,
    run: fn(&[u8]) -> Result<Vec<u8>, ProtocolError>,
) -> Vec<u8> {
    let Some((head, arguments)) = input.split_first_chunk::<3>() else {
        return answer::failed(&not_our_abi());
    };
    let [low, high, op] = *head;
    let ours = u16::from_le_bytes([low, high]) == abi::VERSION;
    match op {
        DESCRIBE if ours && arguments.is_empty() => described(&D::DESCRIPTOR),
        op if ours && op == does => run(arguments).unwrap_or_else(|error| {
            let answer = answer::failed(&error);
            leave(error);
            answer
        }),
        STEP | MIGRATE if ours => answer::unsupported(),
        _ => answer::failed(&not_our_abi()),
    }
}

/// The same bytes that are in the section, so that the two cannot differ.
fn described(descriptor: &crate::DescriptorConst) -> Vec<u8> {
    let mut reply = alloc::vec![DESCRIBED];
    descriptor.append_to(&mut reply);
    reply
}

/// The host wrote the arguments, so their encoding need not be compared with the canonical one.
fn step<P: ProtocolLifecycle>(arguments: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    let (state, caps, input) = given::step(arguments).ok_or_else(not_our_abi)?;
    let mut session = if state.is_empty() { P::new() } else { P::restore(&state)? };
    let step = session.step(input, &caps)?;
    let answer = answer::stepped(&session.snapshot(), &step);
    leave((state, session, step));
    Ok(answer)
}

fn migrate<M: Migration>(arguments: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    let (lens, context) = given::migrate(arguments).ok_or_else(not_our_abi)?;
    Ok(match lens {
        Lens::Forward { record } => {
            let migrated = M::forward(record, &context)?;
            let answer = answer::forward(&migrated);
            leave((migrated, context));
            answer
        }
        Lens::Backward { origin, original, current } => {
            let record = M::backward(origin, original, current, &context)?;
            let answer = answer::backward(&record);
            leave((record, context));
            answer
        }
    })
}

/// In a module nothing is given back at the end of its one call: that would be code, and its host drops
/// all of its memory.
fn leave<T>(value: T) {
    if cfg!(target_family = "wasm") {
        mem::forget(value);
    }
}

fn not_our_abi() -> ProtocolError {
    ProtocolError::BadInput { reason: "not an envelope of ABI 1".to_owned() }
}
