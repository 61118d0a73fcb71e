//! Version requirements, with the operators and meaning of the semver crate.

use alloc::string::{String, ToString};
use core::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize, io};
use semver::{BuildMetadata, Prerelease, Version, VersionReq};
use thiserror::Error;

use crate::{ProtocolVersion, limits::REQUIREMENT_BYTES_MAX};

/// Which versions an account or a distributor accepts, such as `^1` or `>=1.2, <3`.
///
/// Stored as the text that it was written as: that text is what was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    text: String,
    parsed: VersionReq,
}

/// A text is no requirement.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a version requirement: {reason}")]
pub struct ParseRequirementError {
    /// The text found, cut to the allowed length.
    pub text: String,
    /// What the parser says.
    pub reason: String,
}

impl Requirement {
    /// Whether `version` fulfils it.
    #[must_use]
    pub fn matches(&self, version: ProtocolVersion) -> bool {
        self.parsed.matches(&Version {
            major: version.major.into(),
            minor: version.minor.into(),
            patch: version.patch.into(),
            pre: Prerelease::EMPTY,
            build: BuildMetadata::EMPTY,
        })
    }

    /// The text that it was written as.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Requirement {
    type Err = ParseRequirementError;

    fn from_str(text: &str) -> Result<Self, ParseRequirementError> {
        let error = |reason: String| ParseRequirementError {
            text: text.chars().take(REQUIREMENT_BYTES_MAX).collect(),
            reason,
        };
        if REQUIREMENT_BYTES_MAX < text.len() {
            return Err(error(alloc::format!("longer than {REQUIREMENT_BYTES_MAX} bytes")));
        }
        let parsed = VersionReq::parse(text).map_err(|it| error(it.to_string()))?;
        Ok(Self { text: text.to_string(), parsed })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl BorshSerialize for Requirement {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.text.serialize(writer)
    }
}

impl BorshDeserialize for Requirement {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let text = String::deserialize_reader(reader)?;
        text.parse().map_err(|error: ParseRequirementError| {
            io::Error::new(io::ErrorKind::InvalidData, error.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(requirement: &str, version: &str, expect: bool) {
        let requirement: Requirement = requirement.parse().unwrap();
        assert_eq!(
            requirement.matches(version.parse().unwrap()),
            expect,
            "{requirement} {version}"
        );
    }

    #[test]
    fn operators() {
        check("^1", "1.9.0", true);
        check("^1", "2.0.0", false);
        check("~1.2", "1.2.9", true);
        check("~1.2", "1.3.0", false);
        check(">=1.0.0, <3", "2.7.1", true);
        check(">=1.0.0, <3", "3.0.0", false);
        check("1.*", "1.4.0", true);
        check("=1.2.3", "1.2.4", false);
        assert!("".parse::<Requirement>().is_err());
        assert!("^x".parse::<Requirement>().is_err());
        assert!("^1,".repeat(100).parse::<Requirement>().is_err());
    }

    proptest! {
        /// The meaning is the semver crate's, whatever the operator.
        #[test]
        fn means_what_semver_means(
            op in prop::sample::select(alloc::vec!["^", "~", "=", ">", ">=", "<", "<="]),
            bound in (0u16..4, 0u16..4, 0u16..4), version in (0u16..4, 0u16..4, 0u16..4),
        ) {
            let text = alloc::format!("{op}{}.{}.{}", bound.0, bound.1, bound.2);
            let ours: Requirement = text.parse().unwrap();
            let theirs = VersionReq::parse(&text).unwrap();
            let (a, b, c) = version;
            prop_assert_eq!(
                ours.matches(ProtocolVersion::new(a, b, c)),
                theirs.matches(&Version::new(a.into(), b.into(), c.into()))
            );
        }
    }
}
