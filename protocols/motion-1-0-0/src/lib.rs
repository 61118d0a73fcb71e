//! Motion 1.0.0: a motion is put, a poll on it runs as a part, and what it came to is kept.
//!
//! The poll is a session of its own, of whatever version of `poll` the devices have in common: people
//! answer that session, and this one goes on when it has ended.

#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{format, string::String, vec};

use aura_protocol_sdk::{
    Capability, DescriptorConst, Outcome, RecordKey, RecordWrite, RoleConst, SessionId, borsh,
    choreography::{
        Completed, Dev, DeviceSet, Payload, Reason, Steps, Stop, choreography, session,
    },
    encode, export_choreography, hex,
};
use borsh::{BorshDeserialize, BorshSerialize};

/// What the poll came to at one device.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Payload)]
#[borsh(crate = "aura_protocol_sdk::borsh")]
#[payload(crate = aura_protocol_sdk::choreography)]
pub enum Heard {
    /// It was closed.
    Polled(Votes),
    /// It was not, and why.
    Nothing(String),
}

/// How many were for a motion, and how many against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Payload)]
#[borsh(crate = "aura_protocol_sdk::borsh")]
#[payload(crate = aura_protocol_sdk::choreography)]
pub struct Votes {
    /// For it.
    pub yes: u32,
    /// Against it.
    pub no: u32,
}

session! {
    crate = aura_protocol_sdk::choreography;
    /// A motion, what the poll on it came to at each device, and what that means.
    pub mod motion;
    ttl 14400;
    msg { Put(String), Hear(Heard), Close(Votes), Abort(Reason) }
    write  put:   Put;
    each   hear:  Hear;
    decide close: on Hear[threshold] within 600 => Close | Abort;
}

/// How many epochs a device waits for the poll: the poll's own end, and some more.
const PATIENCE: u32 = 7500;

/// Puts the motion, has a poll on it, and closes.
#[choreography(pub Motion, crate = aura_protocol_sdk::choreography)]
pub async fn run(s: motion::Start) -> Result<motion::Finished<Completed>, Stop> {
    // What the opener passed to everybody is the motion.
    let (moved, session) = (s.params_bytes(), s.session());
    let (mut s, text) = s.put(|_| text_of(&moved)).await?;
    // Everybody begins the same poll. A device may have stopped waiting for it, so what it came to is
    // each device's own until the opener has decided.
    let polled = s.run_protocol("poll", moved.to_vec(), Some(PATIENCE)).await?;
    let (s, polled) = s
        .hear(|me| {
            let heard = polled.here(me)?.as_ref().map_or_else(|why| nothing(why), heard_of);
            Ok((heard.clone(), heard))
        })
        .await?;
    let (s, votes, _) = s
        .close(|me, heard| match polled.here(me)? {
            Heard::Nothing(why) => Err(Reason::Other(why.clone())),
            Heard::Polled(votes) => check(*votes, heard).map(|()| (*votes, ())),
        })
        .await?;
    let completed = session.zip(votes).zip(text).map(|((session, votes), text)| Completed {
        result: format!("{}: {text}", if votes.carry() { "carried" } else { "lost" }).into_bytes(),
        batch: vec![RecordWrite {
            key: motion_key(session),
            bytes: Some(encode(&(text.clone(), *votes))),
        }],
    });
    Ok(s.finish(completed))
}

impl Votes {
    /// Whether the motion carries.
    #[must_use]
    pub const fn carry(&self) -> bool {
        self.no < self.yes
    }
}

fn text_of(params: &[u8]) -> Result<String, Reason> {
    let text = core::str::from_utf8(params).ok().filter(|it| !it.trim().is_empty());
    text.map(String::from).ok_or_else(|| Reason::Other("a motion needs a text".into()))
}

fn nothing(why: &str) -> Heard {
    Heard::Nothing(String::from(why))
}

fn heard_of(ended: &Outcome) -> Heard {
    match ended {
        Outcome::Completed { result, .. } => votes_of(result)
            .map_or_else(|| nothing("the poll's result has no votes"), Heard::Polled),
        Outcome::Aborted { reason } | Outcome::Left { reason } => nothing(reason),
    }
}

/// What a poll says when it ends: `yes=2 no=1`.
fn votes_of(result: &[u8]) -> Option<Votes> {
    let (yes, no) = core::str::from_utf8(result).ok()?.split_once(' ')?;
    let count = |text: &str, name| text.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
    Some(Votes { yes: count(yes, "yes")?, no: count(no, "no")? })
}

/// The poll has one end: whoever heard of another lies.
fn check(votes: Votes, heard: &[(Dev, Heard)]) -> Result<(), Reason> {
    let lies = |it: &Heard| matches!(it, Heard::Polled(other) if *other != votes);
    let culprits: DeviceSet =
        heard.iter().filter(|(_, it)| lies(it)).map(|(dev, _)| *dev).collect();
    if culprits.is_empty() { Ok(()) } else { Err(Reason::Byzantine { culprits }) }
}

/// The layout of the records, as text.
pub const SCHEMA_TEXT: &str =
    "motion/1: motion/<session> = {motion: string, votes: {yes: u32, no: u32}}";
/// The identity of [`SCHEMA_TEXT`].
pub const SCHEMA: [u8; 32] =
    hex::bytes32("1f12f07001b08e45ae0244e523aa705f361090d3a91ece6ab39f5f725c89cef1");

/// The key of a session's record.
#[must_use]
pub fn motion_key(session: &SessionId) -> RecordKey {
    RecordKey(format!("motion/{session}").into_bytes())
}

export_choreography!(
    motion,
    Motion,
    DescriptorConst {
        protocol: "motion",
        version: [1, 0, 0],
        role: RoleConst::Protocol,
        capabilities: &[Capability::WriteRecords, Capability::RunSubProtocol],
        session_types: &[],
        schema: SCHEMA,
        uses: &["poll"],
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

    #[test]
    fn what_a_poll_says_is_understood() {
        assert_eq!(votes_of(b"yes=12 no=3"), Some(Votes { yes: 12, no: 3 }));
        for other in ["", "yes=1", "yes= no=1", "no=1 yes=1", "yes=1 no=1 "] {
            assert_eq!(votes_of(other.as_bytes()), None, "{other}");
        }
    }
}
