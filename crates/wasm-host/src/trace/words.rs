//! A step in words, for people. Long bytes are cut; the trace has them whole.

use std::fmt::Write as _;

use aura_protocol_core::{
    Outcome, ProtocolEffect, ProtocolInput, ProtocolStep, lifecycle::EffectReply,
};

use super::{Answer, Step};

/// Bytes that are shown of any value.
const SHOWN_BYTES_MAX: usize = 64;

impl Step {
    /// What the device was told.
    #[must_use]
    pub fn input_words(&self) -> String {
        match &self.input {
            ProtocolInput::Start(start) => format!("start {}", bytes(&start.params)),
            ProtocolInput::Event { author, label, payload } => {
                let author = author.as_bytes().first().copied().unwrap_or_default();
                format!("event of {author}: {} {}", text(label), bytes(payload))
            }
            ProtocolInput::Clock(epoch) => format!("clock {}", epoch.0),
            ProtocolInput::Reply { effect, result } => format!("reply {effect}: {}", reply(result)),
            ProtocolInput::Signal(said) => format!("signal {}", bytes(said)),
        }
    }

    /// What the module made of it.
    #[must_use]
    pub fn answer_words(&self) -> String {
        match &self.answer {
            Answer::Stepped { step, .. } => stepped(step),
            Answer::Failed { error, .. } => format!("error: {}", text(&error.to_string())),
            Answer::Trapped(trapped) => format!("trapped: {}", trapped.code()),
        }
    }

    /// What it cost; nothing is known of a step that trapped.
    #[must_use]
    pub const fn fuel(&self) -> Option<u64> {
        match self.answer {
            Answer::Stepped { fuel, .. } | Answer::Failed { fuel, .. } => Some(fuel),
            Answer::Trapped(_) => None,
        }
    }
}

fn stepped(step: &ProtocolStep) -> String {
    let mut words: Vec<String> = step.effects.iter().map(effect).collect();
    words.extend(step.wake.map(|it| format!("wake at {}", it.0)));
    words.extend(step.outcome.as_ref().map(outcome));
    if words.is_empty() { "nothing to do".to_owned() } else { words.join("; ") }
}

fn effect(effect: &ProtocolEffect) -> String {
    match effect {
        ProtocolEffect::Append { label, payload } => {
            format!("append {} {}", text(label), bytes(payload))
        }
        ProtocolEffect::GetRecord(key) => format!("get {}", bytes(&key.0)),
        ProtocolEffect::ListRecords { prefix, limit, .. } => {
            format!("list {limit} of {}", bytes(prefix))
        }
        ProtocolEffect::Use { capability, bytes: argument } => {
            format!("use {capability} {}", bytes(argument))
        }
        ProtocolEffect::RunSubProtocol { protocol, params } => {
            format!("run {protocol} {}", bytes(params))
        }
        ProtocolEffect::Log(line) => format!("log {}", text(line)),
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Completed { result, batch } => {
            let noun = if batch.len() == 1 { "record" } else { "records" };
            format!("completed {}, {} {noun}", bytes(result), batch.len())
        }
        Outcome::Aborted { reason } => format!("aborted: {}", text(reason)),
        Outcome::Left { reason } => format!("left: {}", text(reason)),
    }
}

fn reply(reply: &EffectReply) -> String {
    match reply {
        EffectReply::Record(None) => "no record".to_owned(),
        EffectReply::Record(Some(content)) => format!("record {}", bytes(content)),
        EffectReply::Records(records) => format!("{} records", records.len()),
        EffectReply::Used(answer) => format!("used {}", bytes(answer)),
        EffectReply::SubProtocol(ended) => outcome(ended),
        EffectReply::Denied(reason) => format!("denied: {}", text(reason)),
    }
}

/// Bytes as the text that they are, or in hexadecimal.
fn bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(said) if !said.chars().any(char::is_control) => text(said),
        _ => {
            let mut digits = "0x".to_owned();
            for byte in bytes.iter().take(SHOWN_BYTES_MAX) {
                let _infallible = write!(digits, "{byte:02x}");
            }
            if SHOWN_BYTES_MAX < bytes.len() { digits + "…" } else { digits }
        }
    }
}

/// A text in quotes, on one line.
fn text(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .take(SHOWN_BYTES_MAX)
        .collect();
    if SHOWN_BYTES_MAX < text.chars().count() {
        shown.push('…');
    }
    format!("“{shown}”")
}
