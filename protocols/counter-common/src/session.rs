//! Who has added which number so far, and what a next input means.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
};

use aura_protocol_sdk::{
    DeviceId, ProtocolEffect, ProtocolError, ProtocolVersion, SessionStart, borsh, canonical,
    decode, encode,
};
use borsh::{BorshDeserialize, BorshSerialize};

/// The label of the one event that there is.
pub const ADD: &str = "add";

/// A session that has begun.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(crate = "aura_protocol_sdk::borsh")]
pub struct Session {
    /// What it began with.
    pub start: SessionStart,
    /// The numbers that have arrived.
    #[borsh(deserialize_with = "canonical::read_map")]
    pub numbers: BTreeMap<DeviceId, u64>,
    /// Whether this device has said its number, which may not have come back as an event yet.
    said: bool,
}

impl Session {
    /// A session that begins with `start`, at a device that runs `version`.
    ///
    /// # Errors
    /// [`ProtocolError::BadInput`] when this device does not take part, or cannot speak as agreed.
    pub fn begin(start: SessionStart, version: ProtocolVersion) -> Result<Self, ProtocolError> {
        if !start.participants.contains(&start.me) {
            return Err(bad_input("this device is not a participant"));
        }
        if !version.is_soft_fork_compatible(&start.spoken) {
            return Err(bad_input(&format!("{version} does not speak {}", start.spoken)));
        }
        Ok(Self { start, numbers: BTreeMap::new(), said: false })
    }

    /// The person at this device says its number.
    ///
    /// # Errors
    /// [`ProtocolError::BadInput`] when it is no number, or the second one.
    pub fn say(&mut self, text: &[u8]) -> Result<ProtocolEffect, ProtocolError> {
        if self.said {
            return Err(bad_input("this device has already given its number"));
        }
        let number = core::str::from_utf8(text.trim_ascii())
            .ok()
            .and_then(|it| it.parse::<u64>().ok())
            .ok_or_else(|| bad_input("expected a whole number from 0 to 18446744073709551615"))?;
        self.said = true;
        Ok(ProtocolEffect::Append { label: ADD.to_string(), payload: encode(&number) })
    }

    /// A participant's event arrived, this device's own included.
    ///
    /// # Errors
    /// [`ProtocolError::BadEvent`] when it is not the first number of a participant.
    pub fn add(
        &mut self,
        author: DeviceId,
        label: String,
        payload: &[u8],
    ) -> Result<(), ProtocolError> {
        let bad = |label: String, reason: &str| ProtocolError::BadEvent {
            culprit: author,
            label,
            reason: reason.to_string(),
        };
        if !self.start.participants.contains(&author) {
            return Err(bad(label, "the author is not a participant"));
        }
        if label != ADD {
            return Err(bad(label, "there is no such event in this protocol"));
        }
        if self.numbers.contains_key(&author) {
            return Err(bad(label, "the author has already added a number"));
        }
        let Ok(number) = decode::<u64>(payload, size_of::<u64>()) else {
            return Err(bad(label, "the payload is not a number"));
        };
        self.numbers.insert(author, number);
        self.said |= author == self.start.me;
        Ok(())
    }

    /// Whether every participant's number has arrived.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.numbers.len() == self.start.participants.len()
    }

    /// The sum, unless it is greater than a `u64`. Zero or more are added, so order is no matter.
    #[must_use]
    pub fn sum(&self) -> Option<u64> {
        self.numbers.values().try_fold(0u64, |sum, number| sum.checked_add(*number))
    }
}

/// The caller's fault.
pub(crate) fn bad_input(reason: &str) -> ProtocolError {
    ProtocolError::BadInput { reason: reason.to_string() }
}
