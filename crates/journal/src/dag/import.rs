//! The one door through which units come in, cheapest checks first (`02-ledger`, section 2).
//!
//! V1: whether a unit is valid depends only on the unit, its causal past and the roster of its
//! configuration, never on arrival order or a clock. Nothing is stored before all checks pass.

use aura_protocol_core::{
    AccountId, DecodeError, Digest, Lamport,
    limits::{UNIT_BODY_BYTES_MAX, UNIT_DEPS_MAX},
};

use crate::{
    control::ControlChain,
    dag::{Dag, Need, Place, Segments},
    error::Reject,
    scheme::UnitScheme,
    unit::{UNIT_BYTES_MAX, UNIT_VERSION, Unit, UnitBody},
};

/// A unit that is well-formed by itself, with its bytes and its name.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) hash: Digest,
    pub(crate) unit: Unit,
    pub(crate) bytes: Vec<u8>,
}

/// Whether a signature still has to be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The bytes come from somebody else.
    Verify,
    /// The bytes were verified before they were stored, or were signed here just now.
    Verified,
}

/// What a candidate that breaks no rule needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Nothing: it may be stored.
    Ready,
    /// Nothing, and it proves that its author has forked, or earlier than was known.
    Fork,
    /// Room on its sender's account: its author has forked, at its place or before.
    Account,
    /// Something that is not held here yet.
    Wait(Need),
    /// Nothing: a snapshot stands for its author's units at its place.
    Settled,
}

/// Reads a unit, and checks all that can be seen on the unit alone.
pub(crate) fn read<S: UnitScheme>(
    account: AccountId,
    hash: Digest,
    bytes: &[u8],
) -> Result<Candidate, Reject> {
    // Of another format nothing else may be looked at.
    if let Some(found) = Unit::version_of(bytes).filter(|it| *it != UNIT_VERSION) {
        return Err(Reject::Version { found });
    }
    let mut unit = Unit::from_bytes(bytes).map_err(Reject::Malformed)?;
    if !S::reads(unit.body.event.tag()) {
        unit = Unit::unread(bytes).ok_or(Reject::Malformed(DecodeError::Malformed))?;
    }
    let body = &unit.body;
    if body.account != account {
        return Err(Reject::Account { expected: account, found: body.account });
    }
    if UNIT_BODY_BYTES_MAX < body.event_bytes() {
        return Err(Reject::Size { found: body.event_bytes(), limit: UNIT_BODY_BYTES_MAX });
    }
    let ascending = body.deps.iter().zip(body.deps.iter().skip(1)).all(|(a, b)| a < b);
    if UNIT_DEPS_MAX < body.deps.len()
        || !ascending
        || body.prev.is_some_and(|it| body.deps.contains(&it))
    {
        return Err(Reject::Deps);
    }
    if body.prev.is_some() != (0 < body.seq) {
        return Err(Reject::PrevMismatch { author: body.author, seq: body.seq });
    }
    Ok(Candidate { hash, unit, bytes: bytes.to_vec() })
}

/// Refuses bytes that are too long before anything of them is looked at.
pub(crate) fn check_size(bytes: &[u8]) -> Result<(), Reject> {
    if UNIT_BYTES_MAX < bytes.len() {
        return Err(Reject::Size { found: bytes.len(), limit: UNIT_BYTES_MAX });
    }
    Ok(())
}

/// Checks a unit against its causal past and the roster of its configuration; the signature last.
pub(crate) fn check<S: UnitScheme>(
    dag: &Dag,
    chain: &ControlChain,
    segments: &Segments,
    candidate: &Candidate,
    trust: Trust,
) -> Result<Check, Reject> {
    let body = &candidate.unit.body;
    let (author, seq) = (body.author, body.seq);
    let Some(config) = chain.config_at(body.config) else {
        return Ok(Check::Wait(Need::Config(body.config)));
    };
    let Some(entry) = config.roster.get(&author) else {
        return Err(Reject::UnknownAuthor { author, config: body.config });
    };
    if dag.chain_of(&author).is_some_and(|it| seq < it.floor()) {
        return Ok(Check::Settled);
    }
    if let Some(unit) = body.parents().find(|it| !dag.contains(it)) {
        return Ok(Check::Wait(Need::Unit(unit)));
    }
    check_parents(dag, candidate)?;
    if let Some(need) = check_snapshot(dag, chain, segments, body)? {
        return Ok(Check::Wait(need));
    }
    if dag.spent(candidate, config).is_none() {
        return Err(Reject::Quota { author, config: body.config });
    }
    if trust == Trust::Verify {
        let verdict = candidate.unit.verify_read::<S>(&candidate.bytes, &entry.unit_key);
        verdict.map_err(|_| Reject::Signature { author })?;
    }
    // Only now is it sure that the author itself signed it.
    Ok(match dag.chain_of(&author) {
        Some(chain) if chain.fork().is_some_and(|fork| fork <= seq) => Check::Account,
        Some(chain) if seq < chain.len() => Check::Fork,
        _ => Check::Ready,
    })
}

/// V3, V4, and that configurations do not go back. All parents are held.
fn check_parents(dag: &Dag, candidate: &Candidate) -> Result<(), Reject> {
    let body = &candidate.unit.body;
    let (author, seq) = (body.author, body.seq);
    let parents = || body.parents().filter_map(|it| dag.place(&it));
    if body.prev.is_some() {
        let before = parents().next();
        if before.is_none_or(|it| it.author != author || it.seq.checked_add(1) != Some(seq)) {
            return Err(Reject::PrevMismatch { author, seq });
        }
    }
    let least = parents().map(|it| it.config).max().unwrap_or(0);
    if body.config < least {
        return Err(Reject::Config { least, got: body.config });
    }
    let want = next_lamport(parents().map(|it| it.lamport));
    if body.lamport != want {
        return Err(Reject::Lamport { want, got: body.lamport });
    }
    Ok(())
}

/// V10, V11: a unit whose configuration begins with a snapshot, or comes after it, rests on nothing
/// below that but its tips, and on no unit beside it whose author had not heard of the one before either.
/// So whoever keeps the snapshot alone can take it. Until all that the snapshot closes over is here,
/// neither can be told.
fn check_snapshot(
    dag: &Dag,
    chain: &ControlChain,
    segments: &Segments,
    body: &UnitBody,
) -> Result<Option<Need>, Reject> {
    let Some(last) = chain.snapshots_until(body.config).last() else { return Ok(None) };
    if let Some(unit) = segments.missing_until(last.k) {
        return Ok(Some(Need::Unit(unit)));
    }
    let (author, seq) = (body.author, body.seq);
    let is_closed = |unit: &Digest| segments.of(unit) <= last.k;
    let tips = chain.entry(last.k).map(|it| it.value.past.as_slice()).unwrap_or_default();
    let is_taken = dag.chain_of(&author).is_some_and(|it| it.at(seq).any(|unit| is_closed(&unit)));
    let is_deep = body.deps.iter().any(|it| is_closed(it) && !tips.contains(it));
    let mut beside = body.parents().filter(|it| !is_closed(it)).filter_map(|it| dag.place(&it));
    if is_taken || is_deep || beside.any(|it| is_late(chain, &it, body.config)) {
        return Err(Reject::Settled { author, seq });
    }
    Ok(None)
}

/// Whether the author of a unit had heard of fewer than all but one of the snapshots that whoever names
/// `config` has heard of.
pub(crate) fn is_late(chain: &ControlChain, unit: &Place, config: u64) -> bool {
    chain.snapshots_until(unit.config).len() + 2 <= chain.snapshots_until(config).len()
}

/// V3: 1 + the greatest of the parents'.
pub(crate) fn next_lamport(parents: impl Iterator<Item = Lamport>) -> Lamport {
    parents.max().unwrap_or_default().saturating_add(1)
}
