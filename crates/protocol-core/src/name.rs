//! Protocol names: lower-case, dotted, at most 64 bytes.

use alloc::string::{String, ToString};
use core::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize, io};
use thiserror::Error;

use crate::limits::NAME_BYTES_MAX;

/// A protocol's name: parts of `[a-z][a-z0-9-]*` joined by dots, such as `counter` or `aura.dkd`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct ProtocolName(String);

/// Why a text is no protocol name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// It has no bytes or more than [`NAME_BYTES_MAX`].
    #[error("a protocol name has 1 to {NAME_BYTES_MAX} bytes, found {found}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// A part between dots is not `[a-z][a-z0-9-]*`.
    #[error("`{part}` is not a lower-case name part ([a-z][a-z0-9-]*)")]
    Part {
        /// The offending part.
        part: String,
    },
}

impl ProtocolName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProtocolName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || NAME_BYTES_MAX < text.len() {
            return Err(NameError::Length { found: text.len() });
        }
        match text.split('.').find(|part| !is_part(part)) {
            Some(part) => Err(NameError::Part { part: part.to_string() }),
            None => Ok(Self(text.to_string())),
        }
    }
}

fn is_part(part: &str) -> bool {
    part.starts_with(|first: char| first.is_ascii_lowercase())
        && part.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
}

impl fmt::Display for ProtocolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl BorshDeserialize for ProtocolName {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let text = String::deserialize_reader(reader)?;
        text.parse().map_err(|error: NameError| {
            io::Error::new(io::ErrorKind::InvalidData, error.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, valid: bool) {
        assert_eq!(text.parse::<ProtocolName>().is_ok(), valid, "{text}");
    }

    #[test]
    fn names() {
        check("counter", true);
        check("aura.dkd-2", true);
        check("", false);
        check("Counter", false);
        check("a..b", false);
        check("2fa", false);
        check(&"a".repeat(65), false);
    }

    #[test]
    fn a_bad_name_does_not_decode() {
        let bytes = borsh::to_vec("Not A Name").unwrap();
        assert!(borsh::from_slice::<ProtocolName>(&bytes).is_err());
    }
}
