//! Why the gate refuses a module, always before anything of it is compiled.

use aura_protocol_core::Digest;
use thiserror::Error;

/// Why the gate refuses a module. Whoever published or sent it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refused {
    /// The bytes are longer or shorter than signed.
    #[error("the module has {found} bytes, but {expected} were signed")]
    SizeMismatch {
        /// The signed size.
        expected: u64,
        /// The size found.
        found: u64,
    },
    /// The bytes are others than signed.
    #[error("the module's digest is {found}, but {expected} was signed")]
    DigestMismatch {
        /// The signed digest.
        expected: Digest,
        /// The digest found.
        found: Digest,
    },
    /// The bytes are no valid WebAssembly.
    #[error("malformed module: {reason}")]
    Malformed {
        /// What is wrong, and where.
        reason: String,
    },
    /// It imports something, and a module imports nothing.
    #[error("the module imports `{import}`, and a module imports nothing")]
    ImportNotAllowed {
        /// What it wants.
        import: String,
    },
    /// It runs code before it is asked anything.
    #[error("the module has a start function")]
    StartFunction,
    /// It uses a proposal that is not allowed, because it is not deterministic or not metered.
    #[error("the module uses {feature}, which is not allowed")]
    FeatureNotAllowed {
        /// Which.
        feature: &'static str,
    },
    /// It is larger or deeper than a rule allows.
    #[error("{rule}: {found} exceed the limit of {limit}")]
    LimitExceeded {
        /// What is limited.
        rule: &'static str,
        /// How much was found, at least.
        found: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// It lacks a part of the interface, or has it with another type.
    #[error("the module does not export `{export}` as {expected}")]
    MissingExport {
        /// The name.
        export: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// It exports a name that metering needs.
    #[error("the module exports `{export}`, a name that is reserved for metering")]
    ReservedExport {
        /// The name.
        export: String,
    },
    /// It does not carry exactly the one marker of the interface.
    #[error("expected the one interface marker `aura_abi_1`, found [{}]", found.join(", "))]
    AbiMarker {
        /// The markers that it carries.
        found: Vec<String>,
    },
    /// Its descriptor names another interface than its marker.
    #[error("the descriptor names interface {found}, the marker interface 1")]
    AbiVersion {
        /// The version in the descriptor.
        found: u16,
    },
    /// It does not say what it is.
    #[error("the module has no section `aura.descriptor`")]
    DescriptorMissing,
    /// A session type of its descriptor is no canonical text of one.
    #[error("a session type in `aura.descriptor` is not in order: {reason}")]
    SessionType {
        /// What is wrong with it, and where.
        reason: String,
    },
    /// What it says of itself cannot be read.
    #[error("the section `aura.descriptor` is unreadable: {reason}")]
    DescriptorMalformed {
        /// What is wrong with it.
        reason: String,
    },
}

impl Refused {
    /// The stable name of the reason, for logs, tests and machine-readable output.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SizeMismatch { .. } => "SizeMismatch",
            Self::DigestMismatch { .. } => "DigestMismatch",
            Self::Malformed { .. } => "Malformed",
            Self::ImportNotAllowed { .. } => "ImportNotAllowed",
            Self::StartFunction => "StartFunction",
            Self::FeatureNotAllowed { .. } => "FeatureNotAllowed",
            Self::LimitExceeded { .. } => "LimitExceeded",
            Self::MissingExport { .. } => "MissingExport",
            Self::ReservedExport { .. } => "ReservedExport",
            Self::AbiMarker { .. } => "AbiMarker",
            Self::AbiVersion { .. } => "AbiVersion",
            Self::DescriptorMissing => "DescriptorMissing",
            Self::DescriptorMalformed { .. } => "DescriptorMalformed",
            Self::SessionType { .. } => "SessionType",
        }
    }

    /// The rule that was broken: the code, or for a limit what is limited.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::LimitExceeded { rule, .. } => rule,
            Self::FeatureNotAllowed { feature } => feature,
            Self::MissingExport { export, .. } => export,
            _ => self.code(),
        }
    }

    /// What the module's author does about it.
    #[must_use]
    pub const fn next(&self) -> &'static str {
        match self {
            Self::SizeMismatch { .. } | Self::DigestMismatch { .. } => {
                "fetch the module again, or release the one that was meant"
            }
            Self::Malformed { .. } => "build it again, as a module and not as a component",
            Self::ImportNotAllowed { .. } => {
                "leave out what needs it: files, clocks, randomness and threads are not there; a right is asked \
                 for with an effect"
            }
            Self::StartFunction => "do what it does when a session starts",
            Self::FeatureNotAllowed { .. } => {
                "build for wasm32-unknown-unknown without further target features, and count in integers"
            }
            Self::LimitExceeded { .. } => {
                "make it smaller: split what is large, and build with `opt-level = \"z\"` and `lto = true`"
            }
            Self::MissingExport { .. } | Self::AbiMarker { .. } => {
                "export the type with `export_protocol!`, `export_choreography!` or `export_migration!`, once"
            }
            Self::ReservedExport { .. } => "give the export another name",
            Self::AbiVersion { .. } => "build it with the SDK of this version",
            Self::DescriptorMissing => {
                "export the type with the SDK, and strip with `strip = true`, which keeps the section"
            }
            Self::SessionType { .. } => "let `export_choreography!` fill in the session types",
            Self::DescriptorMalformed { .. } => "let the SDK write the descriptor, once",
        }
    }

    /// Whether `other` breaks the same rule. Texts of what is malformed differ by place, and count alike.
    pub(crate) fn is_same_rule(&self, other: &Self) -> bool {
        self.code() == other.code() && self.rule() == other.rule()
    }

    /// How much was found of what is limited.
    pub(crate) const fn found(&self) -> u64 {
        match self {
            Self::LimitExceeded { found, .. } => *found,
            _ => 0,
        }
    }

    /// `found` kept to `limit`, or [`Refused::LimitExceeded`].
    pub(crate) const fn unless_within(
        rule: &'static str,
        found: u64,
        limit: u64,
    ) -> Result<(), Self> {
        if limit < found { Err(Self::LimitExceeded { rule, found, limit }) } else { Ok(()) }
    }
}

impl From<wasmparser::Error> for Refused {
    fn from(error: wasmparser::Error) -> Self {
        Self::Malformed { reason: error.to_string() }
    }
}
