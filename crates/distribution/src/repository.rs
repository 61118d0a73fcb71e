//! Repositories: what a publisher's chain may release (`05-upgrades`, section 3).

use aura_journal::control::{ControlChain, EntryBody, Release, ReleasedMigration};
use aura_protocol_core::{
    ProtocolName, ProtocolVersion, Requirement, abi,
    descriptor::ModuleRole,
    limits::{MODULE_BYTES_MAX, MODULE_URLS_MAX, URL_BYTES_MAX},
};
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
    #[error("version {version} begins no major version after another: a migration is not allowed")]
    MigrationNotAllowed {
        /// The version.
        version: ProtocolVersion,
    },
    /// A module says of itself something else than the release, or the releases before it, say.
    #[error("a module's descriptor does not fit the release: {what}")]
    DescriptorMismatch {
        /// What differs.
        what: &'static str,
    },
    /// A module's size or locations are beyond the limits.
    #[error(
        "{module} is empty, or exceeds {MODULE_BYTES_MAX} bytes, {MODULE_URLS_MAX} locations or \
         {URL_BYTES_MAX} bytes in one of them"
    )]
    LimitExceeded {
        /// Which module.
        module: &'static str,
    },
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
            Self::LimitExceeded { .. } => "LimitExceeded",
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
    let version = release.version;
    let published: Vec<ProtocolVersion> =
        repository.releases().iter().map(|it| it.version).collect();
    check_version(&published, version)?;
    check_content(release)?;
    let begins_major = !published.is_empty() && published.iter().all(|it| it.major < version.major);
    match &release.migration {
        None if begins_major => Err(ReleaseError::MigrationRequired { version }),
        Some(_) if !begins_major => Err(ReleaseError::MigrationNotAllowed { version }),
        Some(migration) => check_reads_major_before(repository, version, migration),
        None => check_layout(repository, release),
    }
}

/// Records are told apart by their layout, and no migration stands between two versions of one major.
fn check_layout(repository: &Repository<'_>, release: &Release) -> Result<(), ReleaseError> {
    let mut same_major =
        repository.releases().iter().filter(|it| it.version.major == release.version.major);
    if same_major.all(|it| it.descriptor.schema == release.descriptor.schema) {
        Ok(())
    } else {
        mismatch("the record layout changes inside a major version")
    }
}

/// An account may be at any version of the major before, so the migration has to read them all.
fn check_reads_major_before(
    repository: &Repository<'_>,
    version: ProtocolVersion,
    migration: &ReleasedMigration,
) -> Result<(), ReleaseError> {
    let before = repository.releases().iter().filter(|it| it.version.major < version.major);
    let newest = before.clone().map(|it| it.version.major).max();
    let mut to_read = before.filter(|it| Some(it.version.major) == newest);
    let offer = migration.descriptor.migration();
    let reads = |it: &&Release| {
        offer.is_some_and(|offer| {
            offer.from.matches(it.version) && offer.from_schema == it.descriptor.schema
        })
    };
    if to_read.all(reads) {
        Ok(())
    } else {
        mismatch("the migration module does not read every version of the major before")
    }
}

/// Whether `version` may follow the `published` ones. The first may be any.
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
/// `DescriptorMismatch` or `LimitExceeded`.
pub fn check_content(release: &Release) -> Result<(), ReleaseError> {
    let descriptor = &release.descriptor;
    if descriptor.protocol != release.protocol {
        return mismatch("the module is of another protocol");
    }
    if descriptor.version != release.version {
        return mismatch("the module is of another version");
    }
    if descriptor.abi != abi::VERSION {
        return mismatch("the module speaks another ABI");
    }
    if descriptor.role != ModuleRole::Protocol {
        return mismatch("the module is a migration");
    }
    if !release.module.is_within_limits() {
        return Err(ReleaseError::LimitExceeded { module: "the module" });
    }
    release.migration.as_ref().map_or(Ok(()), |migration| check_migration(release, migration))
}

fn check_migration(release: &Release, migration: &ReleasedMigration) -> Result<(), ReleaseError> {
    let descriptor = &migration.descriptor;
    let Some(offer) = descriptor.migration() else {
        return mismatch("the migration module is a protocol");
    };
    if descriptor.abi != abi::VERSION {
        return mismatch("the migration module speaks another ABI");
    }
    if descriptor.protocol != release.protocol
        || descriptor.version != release.version
        || descriptor.schema != release.descriptor.schema
    {
        return mismatch("the migration module leads elsewhere");
    }
    if offer.from_schema == descriptor.schema {
        return mismatch("the migration module reads what it writes");
    }
    if !migration.module.is_within_limits() {
        return Err(ReleaseError::LimitExceeded { module: "the migration module" });
    }
    Ok(())
}

const fn mismatch(what: &'static str) -> Result<(), ReleaseError> {
    Err(ReleaseError::DescriptorMismatch { what })
}
