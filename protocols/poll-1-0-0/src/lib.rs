//! Poll 1.0.0: devices answer a question, and all learn the same tally.
//!
//! A choreography: one text for every device. Whoever opened the session asks; everybody answers; the
//! opener closes when all have answered. Who says nothing for an hour gives up, and an hour after its
//! own answer the opener aborts, which everybody else waits for.

#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{format, string::String, vec};

use aura_protocol_sdk::{
    Capability, DescriptorConst, RecordKey, RecordWrite, RoleConst, SessionId, borsh,
    choreography::{Completed, Payload, Reason, Steps, Stop, choreography, session},
    encode, export_choreography, hex,
};
use borsh::{BorshDeserialize, BorshSerialize};

/// What was answered, in the order of the devices.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Payload)]
#[borsh(crate = "aura_protocol_sdk::borsh")]
#[payload(crate = aura_protocol_sdk::choreography)]
pub struct Tally {
    /// The question.
    pub question: String,
    /// How many said yes.
    pub yes: u32,
    /// How many said no.
    pub no: u32,
}

/// How long the person at a device has for an answer, in epochs. With the time that the opener then waits
/// for the others it is less than the session's `ttl`: who answered at once still hears how it ends.
pub const ANSWER_EPOCHS: u32 = 3600;

session! {
    crate = aura_protocol_sdk::choreography;
    /// A question, the answers, and their tally.
    pub mod poll;
    ttl 9000;
    msg { Ask(String), Answer(bool), Close(Tally), Abort(Reason) }
    write  ask:    Ask;
    each   answer: Answer;
    decide close:  on Answer[all] within 3600 => Close | Abort;
}

/// Asks, answers and counts.
#[choreography(Poll, crate = aura_protocol_sdk::choreography)]
pub async fn run(s: poll::Start) -> Result<poll::Finished<Completed>, Stop> {
    // What the opener passed to everybody is the question.
    let (asked, session) = (s.params_bytes(), s.session());
    let (mut s, question) = s.ask(|_| question_of(&asked)).await?;
    // The person at each device says yes or no, or has given up after an hour.
    let said = s.signal(Some(ANSWER_EPOCHS)).await?;
    let (s, _) = s.answer(|me| Ok((is_yes(said.here(me)?)?, ()))).await?;
    // The opener counts, and what it counted is what everybody learns.
    let (s, tally, _) = s
        .close(|_, answers| {
            let yes = answers.iter().filter(|(_, it)| *it).count() as u32;
            let no = answers.len() as u32 - yes;
            Ok((Tally { question: String::from(question.as_str()), yes, no }, ()))
        })
        .await?;
    let completed = session.zip(tally).map(|(session, tally)| Completed {
        result: format!("yes={} no={}", tally.yes, tally.no).into_bytes(),
        batch: vec![RecordWrite { key: poll_key(session), bytes: Some(encode(tally)) }],
    });
    Ok(s.finish(completed))
}

fn question_of(params: &[u8]) -> Result<String, Reason> {
    let text = core::str::from_utf8(params).ok().filter(|it| !it.trim().is_empty());
    text.map(String::from).ok_or_else(|| Reason::Other("a poll needs a question".into()))
}

fn is_yes(said: &[u8]) -> Result<bool, Reason> {
    match said.trim_ascii() {
        b"yes" => Ok(true),
        b"no" => Ok(false),
        _ => Err(Reason::Other("an answer is `yes` or `no`".into())),
    }
}

/// The layout of the records, as text.
pub const SCHEMA_TEXT: &str = "poll/1: poll/<session> = {question: string, yes: u32, no: u32}";
/// The identity of [`SCHEMA_TEXT`].
pub const SCHEMA: [u8; 32] =
    hex::bytes32("cb39c7f9660e2ed976665a23832b264d0b2f2e2479ed9684910b70b6a0622949");

/// The key of a session's record.
#[must_use]
pub fn poll_key(session: &SessionId) -> RecordKey {
    RecordKey(format!("poll/{session}").into_bytes())
}

export_choreography!(
    poll,
    Poll,
    DescriptorConst {
        protocol: "poll",
        version: [1, 0, 0],
        role: RoleConst::Protocol,
        capabilities: &[Capability::WriteRecords],
        session_types: &[],
        schema: SCHEMA,
        uses: &[],
        authors: "the authors of Aura",
        source: [0; 32],
    }
);

#[cfg(test)]
mod tests {
    use aura_protocol_sdk::SchemaId;

    use super::*;

    #[test]
    fn the_schema_id_is_that_of_the_text() {
        assert_eq!(SchemaId::from_bytes(SCHEMA).to_string(), SchemaId::of(SCHEMA_TEXT).to_string());
    }
}
