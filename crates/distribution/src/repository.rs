//! Repositories: what a publisher's chain may release (`05-upgrades`, section 3).

use aura_journal::control::{ControlChain, EntryBody, Release};
use aura_protocol_core::{ProtocolName, ProtocolVersion, Requirement, abi, descriptor::ModuleRole};
use thiserror::Error;

/// Why a release is refused. Always the publisher's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The version is out, for ever, as another module.
    #[error("version {version} is already released")]
    VersionExists {
        /// The version.
        version: ProtocolVersion,
    },
    /// The version is not the next patch, minor or major after one that is out.
    #[error("version {version} does not follow {latest}: release the next patch, minor or major")]
    VersionNotSequential {
        /// The version.
        version: ProtocolVersion,
        /// The highest that is out.
        latest: ProtocolVersion,
    },
    /// 0.0.0 is no version to release.
    #[error("version 0.0.0 cannot be released")]
    ZeroRelease,
    /// A major version without a way for the records to follow.
    #[error("version {version} begins a major version: a migration module is required")]
    MigrationRequired {
        /// The version.
        version: ProtocolVersion,
    },
    /// A migration where records must not change.
    #[error("version {version} is no major version: its records must not need a migration")]
    MigrationNotAllowed {
        /// The version.
        version: ProtocolVersion,
    },
    /// The module says of itself something else than the release says of it.
    #[error("the module's descriptor does not fit the release: {what}")]
    DescriptorMismatch {
        /// What differs.
        what: String,
    },
    /// The module's size or locations are beyond the limits.
    #[error("the module's size or locations are beyond the limits")]
    Limits,
}

impl ReleaseError {
    /// The stable name of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::VersionExists { .. } => "VersionExists",
            Self::VersionNotSequential { .. } => "VersionNotSequential",
            Self::ZeroRelease => "ZeroRelease",
            Self::MigrationRequired { .. } => "MigrationRequired",
            Self::MigrationNotAllowed { .. } => "MigrationNotAllowed",
            Self::DescriptorMismatch { .. } => "DescriptorMismatch",
            Self::Limits => "LimitExceeded",
        }
    }
}

/// The releases of one protocol on a chain, oldest first.
#[derive(Debug, Clone)]
pub struct Repository<'a> {
    releases: Vec<&'a Release>,
}

impl<'a> Repository<'a> {
    /// The releases of `protocol` that `chain` holds.
    #[must_use]
    pub fn of(chain: &'a ControlChain, protocol: &ProtocolName) -> Self {
        let releases = chain.entries().iter().filter_map(|entry| match &entry.value.body {
            EntryBody::Release(release) if release.protocol == *protocol => Some(&**release),
            _ => None,
        });
        Self { releases: releases.collect() }
    }

    /// All releases, oldest first.
    #[must_use]
    pub fn releases(&self) -> &[&'a Release] {
        &self.releases
    }

    /// The highest release that fulfils `requirement`.
    #[must_use]
    pub fn resolve(&self, requirement: &Requirement) -> Option<&'a Release> {
        let fitting = self.releases.iter().filter(|it| requirement.matches(it.version));
        fitting.copied().max_by_key(|it| it.version)
    }

    /// The highest release.
    #[must_use]
    pub fn latest(&self) -> Option<&'a Release> {
        self.releases.iter().copied().max_by_key(|it| it.version)
    }

    /// The release of exactly this version.
    #[must_use]
    pub fn release(&self, version: ProtocolVersion) -> Option<&'a Release> {
        self.releases.iter().copied().find(|it| it.version == version)
    }
}

/// Whether `release` may follow what `repository` already holds (INV-D1).
///
/// # Errors
/// [`ReleaseError`], naming the first rule that it breaks.
pub fn check_release(repository: &Repository<'_>, release: &Release) -> Result<(), ReleaseError> {
    let published: Vec<ProtocolVersion> =
        repository.releases().iter().map(|it| it.version).collect();
    check_version(&published, release.version)?;
    check_content(release)?;
    let migration_due = published.iter().any(|it| it.major < release.version.major);
    match &release.migration {
        None if migration_due && begins_major(release.version) => {
            Err(ReleaseError::MigrationRequired { version: release.version })
        }
        Some(_) if !migration_due || !begins_major(release.version) => {
            Err(ReleaseError::MigrationNotAllowed { version: release.version })
        }
        _ => Ok(()),
    }
}

/// Whether `version` may follow the `published` ones.
///
/// # Errors
/// `ZeroRelease`, `VersionExists` or `VersionNotSequential`.
pub fn check_version(
    published: &[ProtocolVersion],
    version: ProtocolVersion,
) -> Result<(), ReleaseError> {
    if version == ProtocolVersion::new(0, 0, 0) {
        return Err(ReleaseError::ZeroRelease);
    }
    if published.contains(&version) {
        return Err(ReleaseError::VersionExists { version });
    }
    match published.iter().max() {
        None => Ok(()),
        // A patch of an older minor follows the highest patch of that minor, not of all.
        Some(_) if published.iter().any(|it| version.is_next_after(*it)) => Ok(()),
        Some(latest) => Err(ReleaseError::VersionNotSequential { version, latest: *latest }),
    }
}

/// Whether a release and the modules that it names agree with each other, taken by themselves.
///
/// # Errors
/// `DescriptorMismatch` or `Limits`.
pub fn check_content(release: &Release) -> Result<(), ReleaseError> {
    let mismatch = |what: &str| Err(ReleaseError::DescriptorMismatch { what: what.to_string() });
    let descriptor = &release.descriptor;
    if descriptor.protocol != release.protocol {
        return mismatch("another protocol");
    }
    if descriptor.version != release.version {
        return mismatch("another version");
    }
    if descriptor.abi != abi::VERSION {
        return mismatch("another ABI");
    }
    if descriptor.role != ModuleRole::Protocol {
        return mismatch("the released module is a migration");
    }
    let Some(migration) = &release.migration else {
        return if release.module.is_within_limits() { Ok(()) } else { Err(ReleaseError::Limits) };
    };
    let Some(offer) = migration.descriptor.migration() else {
        return mismatch("the migration module is a protocol");
    };
    if migration.descriptor.protocol != release.protocol
        || migration.descriptor.version != release.version
        || migration.descriptor.schema != descriptor.schema
    {
        return mismatch("the migration module leads elsewhere");
    }
    if offer.from_schema == descriptor.schema {
        return mismatch("the migration module reads what it writes");
    }
    if !release.module.is_within_limits() || !migration.module.is_within_limits() {
        return Err(ReleaseError::Limits);
    }
    Ok(())
}

const fn begins_major(version: ProtocolVersion) -> bool {
    version.minor == 0 && version.patch == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(published: &str, version: &str, expect: &str) {
        let published: Vec<ProtocolVersion> =
            published.split_whitespace().map(|it| it.parse().unwrap()).collect();
        let found = check_version(&published, version.parse().unwrap());
        assert_eq!(found.map_or_else(|it| it.code(), |()| "ok"), expect, "{version}");
    }

    /// INV-D1
    #[test]
    fn versions_follow_each_other() {
        check("", "1.0.0", "ok");
        check("", "0.0.0", "ZeroRelease");
        check("1.0.0", "1.0.0", "VersionExists");
        check("1.0.0 1.1.0", "2.0.0", "ok");
        check("1.0.0 1.1.0", "1.0.1", "ok");
        check("1.0.0", "1.0.2", "VersionNotSequential");
        check("1.0.0", "3.0.0", "VersionNotSequential");
        check("1.0.0", "1.1.1", "VersionNotSequential");
    }
}
