//! What happens in a run, as text that a person types: one thing a line.
//!
//! ```text
//! start 3 What for lunch?   # three devices begin a session, with these parameters
//! signal 2 yes              # the person at device 2 says something
//! event 3 add 0x05          # device 3 writes an event, whatever its module thinks of it
//! clock 3600                # the quorum clock reaches an epoch
//! record sum/1 0x05         # a record is there before the next session begins
//! ```
//!
//! A text that begins with `0x` is bytes in hexadecimal. A line that begins with `#` says nothing.

use aura_protocol_core::{Digest, Epoch};
use thiserror::Error;

use super::{SCRIPT_BYTES_MAX, SCRIPT_DEVICES_MAX};

/// What happens in a run, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    lines: Vec<Line>,
    digest: Digest,
}

/// One line of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Counted from 1.
    pub number: usize,
    /// What it says.
    pub command: Command,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A session begins.
    Start {
        /// How many devices take part. The first opens it.
        devices: u8,
        /// What the opener passes to everybody.
        params: Vec<u8>,
    },
    /// The person at a device says something.
    Signal {
        /// The device, counted from 1.
        device: u8,
        /// What is said.
        bytes: Vec<u8>,
    },
    /// A device writes an event; it need not take part.
    Event {
        /// The device, counted from 1.
        author: u8,
        /// Under which label.
        label: String,
        /// What it says.
        payload: Vec<u8>,
    },
    /// The quorum clock reaches an epoch, which those devices learn that asked to.
    Clock(Epoch),
    /// A record is written.
    Record {
        /// Its key.
        key: Vec<u8>,
        /// Its content.
        bytes: Vec<u8>,
    },
}

/// Why a text is no script. The fault of who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {fault}")]
pub struct ScriptError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: ScriptFault,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScriptFault {
    /// The text is too long; the line is the one in which it gets so.
    #[error("the script has more than {limit} bytes")]
    TooLong {
        /// How many it may have.
        limit: usize,
    },
    /// The first word means nothing.
    #[error("`{found}` is none of start, signal, event, clock, record")]
    Unknown {
        /// The word.
        found: String,
    },
    /// A word is missing.
    #[error("expected {form}")]
    Missing {
        /// How the line should look.
        form: &'static str,
    },
    /// A number is none, or out of bounds.
    #[error("`{found}` is no whole number from {least} to {most}")]
    Number {
        /// The word.
        found: String,
        /// The least there may be.
        least: u64,
        /// The most there may be.
        most: u64,
    },
    /// What follows `0x` is not hexadecimal.
    #[error("`{found}` is not hexadecimal: after `0x` come two digits for each byte")]
    Hexadecimal {
        /// The word.
        found: String,
    },
    /// There is no session that it could happen in.
    #[error("no session has begun: begin with `start DEVICES`")]
    NotStarted,
}

impl Script {
    /// The script that a text says.
    ///
    /// # Errors
    /// [`ScriptError`], for the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let within = text.get(..SCRIPT_BYTES_MAX.min(text.len()));
        if SCRIPT_BYTES_MAX < text.len() {
            let fault = ScriptFault::TooLong { limit: SCRIPT_BYTES_MAX };
            return Err(ScriptError { line: within.unwrap_or_default().lines().count(), fault });
        }
        let (mut lines, mut canonical, mut devices) = (Vec::new(), String::new(), None);
        for (index, text) in text.lines().map(str::trim).enumerate() {
            let number = index + 1;
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let command =
                parse(text, &mut devices).map_err(|fault| ScriptError { line: number, fault })?;
            canonical.push_str(text);
            canonical.push('\n');
            lines.push(Line { number, command });
        }
        Ok(Self { lines, digest: Digest::of(canonical.as_bytes()) })
    }

    /// Its lines, without the empty ones.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The digest of what it says: without empty lines, comments, and spaces at either end.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

/// Reads one line; `devices` take part in the session that it is about.
fn parse(text: &str, devices: &mut Option<u8>) -> Result<Command, ScriptFault> {
    let (word, rest) = split(text);
    match word {
        "start" => {
            let (count, params) = split(needed(rest, "`start DEVICES [PARAMETERS]`")?);
            let count = device(count, SCRIPT_DEVICES_MAX)?;
            *devices = Some(count);
            Ok(Command::Start { devices: count, params: bytes(params)? })
        }
        "signal" => {
            let most = devices.ok_or(ScriptFault::NotStarted)?;
            let (at, said) = split(needed(rest, "`signal DEVICE [TEXT]`")?);
            Ok(Command::Signal { device: device(at, most)?, bytes: bytes(said)? })
        }
        "event" => {
            devices.ok_or(ScriptFault::NotStarted)?;
            let form = "`event DEVICE LABEL [PAYLOAD]`";
            let (author, rest) = split(needed(rest, form)?);
            let (label, payload) = split(needed(rest, form)?);
            let (author, label) = (device(author, u8::MAX)?, label.to_owned());
            Ok(Command::Event { author, label, payload: bytes(payload)? })
        }
        "clock" => {
            devices.ok_or(ScriptFault::NotStarted)?;
            number(needed(rest, "`clock EPOCH`")?, 0, u64::MAX).map(|it| Command::Clock(Epoch(it)))
        }
        "record" => {
            let (key, content) = split(needed(rest, "`record KEY [CONTENT]`")?);
            Ok(Command::Record { key: bytes(key)?, bytes: bytes(content)? })
        }
        _ => Err(ScriptFault::Unknown { found: word.to_owned() }),
    }
}

/// The first word, and what follows the spaces after it.
fn split(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim()))
}

const fn needed<'a>(rest: &'a str, form: &'static str) -> Result<&'a str, ScriptFault> {
    if rest.is_empty() { Err(ScriptFault::Missing { form }) } else { Ok(rest) }
}

fn device(word: &str, most: u8) -> Result<u8, ScriptFault> {
    number(word, 1, most.into()).map(|it| u8::try_from(it).unwrap_or(most))
}

fn number(word: &str, least: u64, most: u64) -> Result<u64, ScriptFault> {
    let found = word.parse().ok().filter(|it| (least..=most).contains(it));
    found.ok_or_else(|| ScriptFault::Number { found: word.to_owned(), least, most })
}

/// A text's own bytes, or those that it writes in hexadecimal.
fn bytes(text: &str) -> Result<Vec<u8>, ScriptFault> {
    let Some(digits) = text.strip_prefix("0x") else { return Ok(text.as_bytes().to_vec()) };
    let wrong = || ScriptFault::Hexadecimal { found: text.to_owned() };
    let nibble = |it: &u8| char::from(*it).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => nibble(high).zip(nibble(low)).map(|(high, low)| high << 4 | low),
        _ => None,
    };
    digits.as_bytes().chunks(2).map(byte).collect::<Option<_>>().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expect: &str) {
        assert_eq!(Script::parse(text).unwrap_err().to_string(), expect);
    }

    #[test]
    fn a_script_is_read_line_by_line() {
        let text = "# lunch\nstart 3  What for lunch? \n\n signal 2 yes\nevent 9 add 0x0aFF\n\
                    clock 3600\nrecord sum/1 0x05\nsignal 1";
        let script = Script::parse(text).unwrap();
        let command = |at: usize| script.lines().get(at).map(|it| (it.number, it.command.clone()));
        let params = b"What for lunch?".to_vec();
        assert_eq!(command(0), Some((2, Command::Start { devices: 3, params })));
        assert_eq!(command(1), Some((4, Command::Signal { device: 2, bytes: b"yes".to_vec() })));
        let event =
            Command::Event { author: 9, label: "add".to_owned(), payload: vec![0x0a, 0xff] };
        assert_eq!(command(2), Some((5, event)));
        assert_eq!(command(3), Some((6, Command::Clock(Epoch(3600)))));
        let record = Command::Record { key: b"sum/1".to_vec(), bytes: vec![5] };
        assert_eq!(command(4), Some((7, record)));
        assert_eq!(command(5), Some((8, Command::Signal { device: 1, bytes: vec![] })));
    }

    #[test]
    fn what_says_nothing_changes_nothing() {
        let script = |text| Script::parse(text).unwrap().digest();
        assert_eq!(script("start 2\nsignal 1 a\n"), script("\n  start 2\r\n# x\nsignal 1 a"));
        assert_ne!(script("start 2\nsignal 1 a\n"), script("start 2\nsignal 1 b\n"));
    }

    #[test]
    fn a_wrong_line_is_named() {
        refused("\nstrat 1", "line 2: `strat` is none of start, signal, event, clock, record");
        refused("start", "line 1: expected `start DEVICES [PARAMETERS]`");
        refused("start 17", "line 1: `17` is no whole number from 1 to 16");
        refused("start 2\nsignal 3 a", "line 2: `3` is no whole number from 1 to 2");
        refused("signal 1 a", "line 1: no session has begun: begin with `start DEVICES`");
        refused("start 1\nevent 1", "line 2: expected `event DEVICE LABEL [PAYLOAD]`");
        let digits = "is not hexadecimal: after `0x` come two digits for each byte";
        refused("start 1 0x1", &format!("line 1: `0x1` {digits}"));
        refused("start 1 0xzz", &format!("line 1: `0xzz` {digits}"));
    }

    #[test]
    fn a_script_is_bounded() {
        let fits = " ".repeat(SCRIPT_BYTES_MAX);
        assert_eq!(Script::parse(&fits).unwrap().lines(), []);
        refused(&format!("\n{fits}"), "line 2: the script has more than 262144 bytes");
    }
}
