//! Typed protocol versions and what two of them may do together (RFC 140, section 2).
//!
//! The class that a version number claims is only a claim: the class that counts is computed from
//! the session types that a module carries.

use alloc::string::{String, ToString};
use core::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

/// `MAJOR.MINOR.PATCH`, without pre-release or build parts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct ProtocolVersion {
    /// Differs between versions that cannot talk to each other.
    pub major: u16,
    /// Differs between versions that can, in what they speak together: the lower one.
    pub minor: u16,
    /// Differs between versions that behave alike.
    pub patch: u16,
}

/// What two peers that run different versions may do together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compatibility {
    /// The same version.
    Same,
    /// Same behaviour: they may differ in speed or in bugs.
    Patch,
    /// They talk by the lower minor version.
    SoftFork,
    /// They do not talk.
    HardFork,
}

/// A text is not `MAJOR.MINOR.PATCH`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a version: expected MAJOR.MINOR.PATCH, each from 0 to 65535")]
pub struct ParseVersionError {
    /// The text found.
    pub text: String,
}

impl ProtocolVersion {
    /// `major.minor.patch`.
    #[must_use]
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }

    /// No hard fork lies between the two (RFC 140, section 2).
    #[must_use]
    pub const fn is_hard_fork_compatible(&self, other: &Self) -> bool {
        self.major == other.major
    }

    /// `self` may interact with `other`: the same major, and an equal or lower minor on the other
    /// side (RFC 140, section 2). Not symmetric; see [`Self::compatibility`].
    #[must_use]
    pub const fn is_soft_fork_compatible(&self, other: &Self) -> bool {
        self.is_hard_fork_compatible(other) && self.minor >= other.minor
    }

    /// Symmetric: `a.compatibility(b) == b.compatibility(a)`.
    #[must_use]
    pub const fn compatibility(self, peer: Self) -> Compatibility {
        if self.major != peer.major {
            return Compatibility::HardFork;
        }
        if self.minor != peer.minor {
            return Compatibility::SoftFork;
        }
        if self.patch != peer.patch {
            return Compatibility::Patch;
        }
        Compatibility::Same
    }

    /// `self` is exactly the next patch, minor or major after `previous`.
    #[must_use]
    pub fn is_next_after(self, previous: Self) -> bool {
        let Self { major, minor, patch } = previous;
        let next_patch = patch.checked_add(1).map(|patch| Self { major, minor, patch });
        let next_minor = minor.checked_add(1).map(|minor| Self { major, minor, patch: 0 });
        let next_major = major.checked_add(1).map(|major| Self { major, minor: 0, patch: 0 });
        [next_patch, next_minor, next_major].contains(&Some(self))
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for ProtocolVersion {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, ParseVersionError> {
        let error = || ParseVersionError { text: text.to_string() };
        let mut parts = text.split('.').map(|part| {
            // "01" and "+1" parse as numbers, but one version has one spelling.
            let canonical = part == "0" || !part.starts_with(['0', '+']);
            part.parse::<u16>().ok().filter(|_| canonical).ok_or_else(error)
        });
        let mut next = || parts.next().ok_or_else(error)?;
        let version = Self { major: next()?, minor: next()?, patch: next()? };
        if parts.next().is_some() { Err(error()) } else { Ok(version) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v(text: &str) -> ProtocolVersion {
        text.parse().unwrap()
    }

    #[test]
    fn spelling_is_unique() {
        for text in ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.+3", "1.2.x", "1.2.65536", "1.2.3 "]
        {
            assert!(text.parse::<ProtocolVersion>().is_err(), "{text}");
        }
        assert_eq!(v("1.20.3").to_string(), "1.20.3");
    }

    #[test]
    fn the_rfc_predicates() {
        assert!(v("1.4.0").is_soft_fork_compatible(&v("1.2.9")));
        assert!(!v("1.2.9").is_soft_fork_compatible(&v("1.4.0")));
        assert!(!v("2.0.0").is_hard_fork_compatible(&v("1.9.9")));
    }

    #[test]
    fn next_versions() {
        for (new, old, next) in [
            ("1.2.4", "1.2.3", true),
            ("1.3.0", "1.2.3", true),
            ("2.0.0", "1.2.3", true),
            ("1.3.1", "1.2.3", false),
            ("1.2.5", "1.2.3", false),
            ("3.0.0", "1.2.3", false),
            ("1.2.3", "1.2.3", false),
        ] {
            assert_eq!(v(new).is_next_after(v(old)), next, "{new} after {old}");
        }
        assert!(!v("0.0.0").is_next_after(v("0.65535.65535")));
    }

    prop_compose! {
        fn arb_version()(major in 0u16..3, minor in 0u16..4, patch in 0u16..4) -> ProtocolVersion {
            ProtocolVersion { major, minor, patch }
        }
    }

    proptest! {
        /// INV-V1
        #[test]
        fn compatibility_is_symmetric(a in arb_version(), b in arb_version()) {
            prop_assert_eq!(a.compatibility(b), b.compatibility(a));
        }

        #[test]
        fn text_round_trips(a in any::<(u16, u16, u16)>()) {
            let version = ProtocolVersion::new(a.0, a.1, a.2);
            prop_assert_eq!(version.to_string().parse(), Ok(version));
        }
    }
}
