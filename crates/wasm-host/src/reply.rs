//! Whether a reply answers the question, and keeps to the limits.

use aura_protocol_core::{
    Descriptor, Outcome, ProtocolStep, RecordKey, RecordWrite,
    abi::{Lens, Op, Reply},
    decode,
    limits::{RECORD_BYTES_MAX, RECORD_KEY_BYTES_MAX},
    migration::{Migrated, RecordBody},
};

use crate::{
    CallOutput, PrepareError, Trapped,
    limits::{BATCH_RECORDS_MAX, CALL_BYTES_MAX, SESSION_STATE_BYTES_MAX, STEP_EFFECTS_MAX},
    trapped::BadOutput,
};

/// The reply that `output` encodes, if it is one to `op`.
///
/// # Errors
/// [`BadOutput`], which is the failure of the module.
pub fn read(op: &Op, output: &[u8]) -> Result<Reply, BadOutput> {
    let reply = decode(output, CALL_BYTES_MAX)
        .map_err(|error| BadOutput::NotCanonical { reason: error.to_string() })?;
    match (op, &reply) {
        (_, Reply::Failed(_) | Reply::Unsupported) | (Op::Describe, Reply::Described(_)) => Ok(()),
        (Op::Step { .. }, Reply::Stepped { state, step }) => check_step(state, step),
        (Op::Migrate { lens: Lens::Forward { .. }, .. }, Reply::Forward(migrated)) => {
            check_migrated(migrated)
        }
        (Op::Migrate { lens: Lens::Backward { .. }, .. }, Reply::Backward(record)) => {
            check_record(&record.key, &record.bytes)
        }
        _ => Err(BadOutput::WrongReply),
    }?;
    Ok(reply)
}

/// A module answers `Describe` with what its section says, or is not taken in.
///
/// # Errors
/// [`PrepareError::Undescribed`] or [`PrepareError::DescriptorLies`].
pub fn check_description(
    answer: Result<CallOutput, Trapped>,
    section: &Descriptor,
) -> Result<(), PrepareError> {
    let output = answer.map_err(PrepareError::Undescribed)?;
    let reply =
        read(&Op::Describe, &output.output).map_err(|bad| PrepareError::Undescribed(bad.into()))?;
    match reply {
        Reply::Described(described) if described == *section => Ok(()),
        _ => Err(PrepareError::DescriptorLies),
    }
}

fn check_step(state: &[u8], step: &ProtocolStep) -> Result<(), BadOutput> {
    within("session state bytes", state.len(), SESSION_STATE_BYTES_MAX)?;
    within("effects of a step", step.effects.len(), STEP_EFFECTS_MAX)?;
    let Some(Outcome::Completed { batch, .. }) = &step.outcome else { return Ok(()) };
    within("records of a batch", batch.len(), BATCH_RECORDS_MAX)?;
    batch.iter().try_for_each(|RecordWrite { key, bytes }| {
        check_record(key, bytes.as_deref().unwrap_or_default())
    })
}

fn check_migrated(migrated: &Migrated) -> Result<(), BadOutput> {
    let Migrated::Records(records) = migrated else { return Ok(()) };
    within("records of a migrated record", records.len(), BATCH_RECORDS_MAX)?;
    records.iter().try_for_each(|RecordBody { key, bytes, .. }| check_record(key, bytes))
}

fn check_record(key: &RecordKey, bytes: &[u8]) -> Result<(), BadOutput> {
    within("record key bytes", key.0.len(), RECORD_KEY_BYTES_MAX)?;
    within("record bytes", key.0.len() + bytes.len(), RECORD_BYTES_MAX)
}

const fn within(rule: &'static str, found: usize, limit: usize) -> Result<(), BadOutput> {
    if limit < found { Err(BadOutput::LimitExceeded { rule, found, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use aura_protocol_core::{ProtocolCapabilities, ProtocolEffect, ProtocolInput, encode};

    use super::*;

    fn step_op() -> Op {
        Op::Step {
            state: vec![],
            caps: ProtocolCapabilities::default(),
            input: ProtocolInput::Signal(vec![]),
        }
    }

    fn stepped(state: usize, effects: usize, batch: Vec<RecordWrite>) -> Reply {
        let effects = vec![ProtocolEffect::Log(String::new()); effects];
        let outcome = Some(Outcome::Completed { result: vec![], batch });
        Reply::Stepped {
            state: vec![0; state],
            step: ProtocolStep { effects, wake: None, outcome },
        }
    }

    fn write(key: usize, bytes: usize) -> RecordWrite {
        RecordWrite { key: RecordKey(vec![0; key]), bytes: Some(vec![0; bytes]) }
    }

    #[track_caller]
    fn check(reply: Reply, expect: Result<(), &str>) {
        let found = read(&step_op(), &encode(&reply)).map(|_| ());
        match (found, expect) {
            (Ok(()), Ok(())) => {}
            (Err(BadOutput::LimitExceeded { rule, .. }), Err(expect)) => assert_eq!(rule, expect),
            (found, expect) => panic!("{found:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn a_step_keeps_to_the_limits() {
        check(stepped(SESSION_STATE_BYTES_MAX, STEP_EFFECTS_MAX, vec![]), Ok(()));
        check(stepped(SESSION_STATE_BYTES_MAX + 1, 0, vec![]), Err("session state bytes"));
        check(stepped(0, STEP_EFFECTS_MAX + 1, vec![]), Err("effects of a step"));
        let full = vec![write(1, 1); BATCH_RECORDS_MAX];
        check(stepped(0, 0, full.clone()), Ok(()));
        check(stepped(0, 0, [full, vec![write(1, 1)]].concat()), Err("records of a batch"));
        let (key, bytes) = (RECORD_KEY_BYTES_MAX, RECORD_BYTES_MAX - RECORD_KEY_BYTES_MAX);
        check(stepped(0, 0, vec![write(key, bytes)]), Ok(()));
        check(stepped(0, 0, vec![write(key, bytes + 1)]), Err("record bytes"));
        check(stepped(0, 0, vec![write(key + 1, 0)]), Err("record key bytes"));
    }

    #[test]
    fn a_reply_answers_the_question() {
        assert_eq!(
            read(&Op::Describe, &encode(&stepped(0, 0, vec![]))),
            Err(BadOutput::WrongReply)
        );
        let quarantine = Reply::Forward(Migrated::Quarantine { reason: String::new() });
        assert_eq!(read(&step_op(), &encode(&quarantine)), Err(BadOutput::WrongReply));
        assert_eq!(read(&step_op(), &encode(&Reply::Unsupported)), Ok(Reply::Unsupported));
        let trailing = [encode(&Reply::Unsupported), vec![0]].concat();
        assert!(matches!(read(&step_op(), &trailing), Err(BadOutput::NotCanonical { .. })));
    }
}
