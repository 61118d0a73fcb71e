//! The one door through which units come in, cheapest checks first (`02-ledger`, section 2).
//!
//! V1: whether a unit is valid depends only on the unit, its causal past and the roster of its
//! configuration, never on arrival order or a clock. Nothing is stored before all checks pass.

use aura_protocol_core::{
    AccountId, Digest, Lamport,
    limits::{UNIT_BODY_BYTES_MAX, UNIT_DEPS_MAX},
};

use crate::{
    control::ControlChain,
    dag::{Dag, Need, Place, Segments},
    encoded::{Encoded, NamedUnit},
    error::Reject,
    scheme::UnitScheme,
    unit::{UNIT_BYTES_MAX, UNIT_VERSION, Unit},
};

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
pub(crate) fn read(account: AccountId, hash: Digest, bytes: &[u8]) -> Result<NamedUnit, Reject> {
    // Of another format nothing else may be looked at.
    if let Some(found) = Unit::version_of(bytes).filter(|it| *it != UNIT_VERSION) {
        return Err(Reject::Version { found });
    }
    let Unit { body, .. } = Unit::from_bytes(bytes).map_err(Reject::Malformed)?;
    let unit = NamedUnit::known(hash, bytes);
    let event_bytes = unit.encoded().event_bytes();
    if body.account != account {
        return Err(Reject::Account { expected: account, found: body.account });
    }
    if UNIT_BODY_BYTES_MAX < event_bytes {
        return Err(Reject::Size { found: event_bytes, limit: UNIT_BODY_BYTES_MAX });
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
    Ok(unit)
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
    unit: &Encoded<'_>,
    trust: Trust,
) -> Result<Check, Reject> {
    let (author, seq) = (unit.author(), unit.seq());
    let Some(config) = chain.config_at(unit.config()) else {
        return Ok(Check::Wait(Need::Config(unit.config())));
    };
    let Some(entry) = config.roster.get(&author) else {
        return Err(Reject::UnknownAuthor { author, config: unit.config() });
    };
    if dag.chain_of(&author).is_some_and(|it| seq < it.floor()) {
        return Ok(Check::Settled);
    }
    if let Some(missing) = check_parents(dag, unit)? {
        return Ok(Check::Wait(Need::Unit(missing)));
    }
    if let Some(need) = check_snapshot(dag, chain, segments, unit)? {
        return Ok(Check::Wait(need));
    }
    if dag.spent(chain, unit).is_none() {
        return Err(Reject::Quota { author, config: unit.config() });
    }
    if trust == Trust::Verify {
        unit.verify::<S>(&entry.unit_key).map_err(|_| Reject::Signature { author })?;
    }
    // Only now is it sure that the author itself signed it.
    Ok(match dag.chain_of(&author) {
        Some(chain) if chain.fork().is_some_and(|fork| fork <= seq) => Check::Account,
        Some(chain) if seq < chain.len() => Check::Fork,
        _ => Check::Ready,
    })
}

/// V3, V4, and that configurations do not go back. Gives the parent that is not held here, if there is one:
/// then nothing can be told.
fn check_parents(dag: &Dag, unit: &Encoded<'_>) -> Result<Option<Digest>, Reject> {
    let (author, seq) = (unit.author(), unit.seq());
    let mut before = None;
    let (mut least, mut want) = (0, next_lamport([].into_iter()));
    for parent in unit.parents() {
        let Some(place) = dag.place(&parent) else { return Ok(Some(parent)) };
        before = before.or(Some(place));
        least = place.config.max(least);
        want = next_lamport([place.lamport].into_iter()).max(want);
    }
    let follows = |it: Place| it.author == author && it.seq.checked_add(1) == Some(seq);
    if unit.prev().is_some() && !before.is_some_and(follows) {
        return Err(Reject::PrevMismatch { author, seq });
    }
    if unit.config() < least {
        return Err(Reject::Config { least, got: unit.config() });
    }
    if unit.lamport() != want {
        return Err(Reject::Lamport { want, got: unit.lamport() });
    }
    Ok(None)
}

/// V10, V11: a unit whose configuration begins with a snapshot, or comes after it, rests on nothing
/// below that but its tips, and on no unit beside it whose author had not heard of the one before either.
/// So whoever keeps the snapshot alone can take it. Until all that the snapshot closes over is here,
/// neither can be told.
fn check_snapshot(
    dag: &Dag,
    chain: &ControlChain,
    segments: &Segments,
    unit: &Encoded<'_>,
) -> Result<Option<Need>, Reject> {
    let Some(last) = chain.snapshots_until(unit.config()).last() else { return Ok(None) };
    if let Some(missing) = segments.missing_until(last.k) {
        return Ok(Some(Need::Unit(missing)));
    }
    let (author, seq) = (unit.author(), unit.seq());
    let is_closed = |unit: &Digest| segments.of(unit) <= last.k;
    let tips = chain.entry(last.k).map(|it| it.value.past.as_slice()).unwrap_or_default();
    let is_taken = dag.chain_of(&author).is_some_and(|it| it.at(seq).any(|unit| is_closed(&unit)));
    let is_deep = unit.deps().any(|it| is_closed(&it) && !tips.contains(&it));
    let mut beside = unit.parents().filter(|it| !is_closed(it)).filter_map(|it| dag.place(&it));
    if is_taken || is_deep || beside.any(|it| is_late(chain, &it, unit.config())) {
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
