//! What one step may return. Whoever breaks this is the protocol's author, and the session fails on
//! every device alike; let through, it would end here and stay open in the ledger.

use std::collections::BTreeSet;

use aura_protocol_core::{
    Outcome, ProtocolEffect, ProtocolStep, RecordWrite, encode,
    limits::{
        BATCH_RECORDS_MAX, RECORD_BYTES_MAX, RECORD_KEY_BYTES_MAX, SESSION_STATE_BYTES_MAX,
        STEP_EFFECTS_MAX, UNIT_BODY_BYTES_MAX,
    },
};

/// What a unit adds to an event's label and payload, or to an outcome: tags, lengths, the layout.
const EVENT_FRAME_BYTES: usize = 64;
/// What a unit adds to each record that an outcome writes: the unit that wrote it before.
const RECORD_FRAME_BYTES: usize = 40;

/// Largest parameters of a child session, in bytes. Its opening has to fit a unit together with an
/// agreement of all participants, of which each takes below 256 bytes.
const CHILD_PARAMS_BYTES_MAX: usize = UNIT_BODY_BYTES_MAX / 2;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Breach {
    /// Its stable name.
    pub(super) code: &'static str,
    /// What broke it, for people.
    pub(super) reason: String,
}

/// The first rule that a step breaks.
pub(super) fn check_step(state: &[u8], step: &ProtocolStep) -> Result<(), Breach> {
    let (state_bytes, effects) = (state.len(), step.effects.len());
    check("a state", "bytes", state_bytes, SESSION_STATE_BYTES_MAX)?;
    check("a step", "effects", effects, STEP_EFFECTS_MAX)?;
    for effect in &step.effects {
        match effect {
            ProtocolEffect::Append { label, payload } => {
                let found = label.len() + payload.len() + EVENT_FRAME_BYTES;
                check("an event", "bytes", found, UNIT_BODY_BYTES_MAX)?;
            }
            // Kept in every snapshot until it is answered.
            ProtocolEffect::Use { bytes, .. } => {
                check("a use of a right", "bytes", bytes.len(), UNIT_BODY_BYTES_MAX)?;
            }
            ProtocolEffect::RunSubProtocol { params, .. } => {
                check("a child's parameters", "bytes", params.len(), CHILD_PARAMS_BYTES_MAX)?;
            }
            ProtocolEffect::GetRecord(_)
            | ProtocolEffect::ListRecords { .. }
            | ProtocolEffect::Log(_) => {}
        }
    }
    step.outcome.as_ref().map_or(Ok(()), check_outcome)
}

fn check_outcome(outcome: &Outcome) -> Result<(), Breach> {
    let batch: &[RecordWrite] = match outcome {
        Outcome::Completed { batch, .. } => batch,
        Outcome::Aborted { .. } | Outcome::Left { .. } => &[],
    };
    check("an outcome", "records", batch.len(), BATCH_RECORDS_MAX)?;
    for write in batch {
        let (key, content) = (write.key.0.len(), write.bytes.as_ref().map_or(0, Vec::len));
        check("a record's key", "bytes", key, RECORD_KEY_BYTES_MAX)?;
        check("a record", "bytes", key + content, RECORD_BYTES_MAX)?;
    }
    let found = encode(outcome).len() + EVENT_FRAME_BYTES + batch.len() * RECORD_FRAME_BYTES;
    check("an outcome", "bytes", found, UNIT_BODY_BYTES_MAX)?;
    let mut keys = BTreeSet::new();
    match batch.iter().find(|it| !keys.insert(&it.key)) {
        None => Ok(()),
        Some(twice) => {
            let reason = format!("an outcome writes record `{}` twice", twice.key);
            Err(Breach { code: "RecordWrittenTwice", reason })
        }
    }
}

/// Whether `found` of a thing is within `limit`.
pub(super) fn check(what: &str, unit: &str, found: usize, limit: usize) -> Result<(), Breach> {
    if found <= limit {
        return Ok(());
    }
    let reason = format!("{what} has at most {limit} {unit}, found {found}");
    Err(Breach { code: "LimitExceeded", reason })
}

#[cfg(test)]
mod tests {
    use aura_protocol_core::RecordKey;

    use super::*;

    /// A record that is too large is named as what it is, not as too large an outcome.
    #[test]
    fn the_breach_names_the_limit() {
        let write = |key: usize, content: usize| RecordWrite {
            key: RecordKey(vec![b'k'; key]),
            bytes: Some(vec![0; content]),
        };
        let reason = |batch: Vec<RecordWrite>| {
            let outcome = Outcome::Completed { result: Vec::new(), batch };
            check_outcome(&outcome).unwrap_err().reason
        };
        let large = RECORD_BYTES_MAX + 1;
        let expected = format!("a record has at most {RECORD_BYTES_MAX} bytes, found {large}");
        assert_eq!(reason(vec![write(1, RECORD_BYTES_MAX)]), expected);
        let long = RECORD_KEY_BYTES_MAX + 1;
        let expected =
            format!("a record's key has at most {RECORD_KEY_BYTES_MAX} bytes, found {long}");
        assert_eq!(reason(vec![write(long, 0)]), expected);
        assert_eq!(reason(vec![write(1, 0), write(1, 1)]), "an outcome writes record `k` twice");
    }
}
