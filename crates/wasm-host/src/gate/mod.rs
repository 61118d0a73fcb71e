//! The gate: what decides whether a module may be compiled, and rewrites it so that it is metered.
//!
//! It knows no engine. Its checks are straight-line and cheapest first: nothing is parsed before the
//! digest is right, and nothing is compiled before all of them passed. Only the gate makes a
//! [`CheckedModule`], and engines compile nothing else.

mod body;
mod exports;
mod feature;
mod findings;
pub mod fuel;
mod instrument;
mod meter;
mod scan;
mod usage;
mod work;

use aura_protocol_core::{Descriptor, Digest, ModuleRef, abi};
use wasmparser::{Parser, Payload};

use crate::{
    limits::{DESCRIPTOR_BYTES_MAX, MODULE_BYTES_MAX},
    refused::Refused,
};

pub use fuel::FUEL_SCHEDULE_VERSION;
pub use instrument::{FUEL_GLOBAL, NO_MEMORY_GLOBAL, RESERVED_PREFIX, STACK_GLOBAL};
pub use usage::Usage;

/// Counted up with every change to the checks, the limits, the rewriting or the fuel schedule. What
/// was compiled behind another version of the gate is compiled again.
pub const VERSION: u32 = 3;

/// What the bytes of a module must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Their digest.
    pub digest: Digest,
    /// Their length.
    pub size: u64,
}

impl From<&ModuleRef> for Expected {
    fn from(module: &ModuleRef) -> Self {
        Self { digest: module.digest, size: module.size.into() }
    }
}

impl Expected {
    /// What `bytes` are, for bytes that are trusted to be the right ones: tests and local tools.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { digest: Digest::of(bytes), size: bytes.len() as u64 }
    }
}

/// A module that passed the gate. Only [`check`] makes one.
#[derive(Debug, Clone)]
pub struct CheckedModule {
    descriptor: Descriptor,
    metered: Metered,
    usage: Vec<Usage>,
}

/// The metered form of a module, which is what engines compile. It never leaves this device.
#[derive(Debug, Clone)]
pub struct Metered {
    digest: Digest,
    bytes: Vec<u8>,
}

impl Metered {
    /// The digest of the original bytes: the module's identity.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The metered module's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the parent of this process took through the gate.
    #[cfg(any(feature = "engine", feature = "engine-wasmi"))]
    pub(crate) const fn of_parent(digest: Digest, bytes: Vec<u8>) -> Self {
        Self { digest, bytes }
    }
}

impl CheckedModule {
    /// The digest of the original bytes: the module's identity.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.metered.digest
    }

    /// What the module says of itself.
    #[must_use]
    pub const fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// What is compiled of it.
    #[must_use]
    pub const fn metered(&self) -> &Metered {
        &self.metered
    }

    /// The metered module's bytes.
    #[must_use]
    pub fn instrumented(&self) -> &[u8] {
        &self.metered.bytes
    }

    /// How near it comes to each limit, by rule.
    #[must_use]
    pub fn usage(&self) -> &[Usage] {
        &self.usage
    }
}

/// Checks a module against what was signed and against every rule, then makes it metered.
///
/// # Errors
/// [`Refused`], which names the first rule that the module breaks.
pub fn check(bytes: &[u8], expected: impl Into<Expected>) -> Result<CheckedModule, Refused> {
    let expected = expected.into();
    identify(bytes, expected)?; // Cheapest first: nothing is parsed before this line.
    let shape = scan::scan(bytes)?;
    exports::check(&shape)?;
    let descriptor = parse_descriptor(shape.descriptor)?;
    let metered =
        Metered { digest: expected.digest, bytes: instrument::instrument(bytes, &shape)? };
    Ok(CheckedModule { descriptor, metered, usage: shape.tally.usage() })
}

/// What the gate finds in a module when it does not stop at the first rule that is broken.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Every rule that the module breaks, each once for each place of its kind; none for a module that
    /// [`check`] lets through.
    pub refusals: Vec<Refused>,
    /// How near the module comes to each limit, by rule, as far as it could be read.
    pub usage: Vec<Usage>,
    /// What it says of itself, where that can be read.
    pub descriptor: Option<Descriptor>,
}

/// Looks at all of a module for its author, who is to mend everything at once. A device asks [`check`].
///
/// A function that breaks a rule is named by the first rule that it breaks, and of rules that many
/// functions break the worst is told (INV-H9).
#[must_use]
pub fn survey(bytes: &[u8]) -> Survey {
    let (found, limit) = (bytes.len() as u64, MODULE_BYTES_MAX as u64);
    if let Err(refused) = Refused::unless_within("module bytes", found, limit) {
        return Survey { refusals: vec![refused], usage: Vec::new(), descriptor: None };
    }
    let (shape, mut all) = scan::survey(bytes);
    let is_module = !all.ends_malformed();
    if is_module || !shape.exports.is_empty() {
        all.extend(exports::survey(&shape));
    }
    let descriptor = parse_descriptor(shape.descriptor);
    if is_module || shape.descriptor.is_some() {
        all.extend(descriptor.as_ref().err().cloned());
    }
    let refusals = all.into_refusals();
    Survey { refusals, usage: shape.tally.usage(), descriptor: descriptor.ok() }
}

/// Checks that `bytes` are the ones that were signed, and nothing else of them.
///
/// # Errors
/// [`Refused::SizeMismatch`], [`Refused::DigestMismatch`], or the limit on a module's size.
pub fn identify(bytes: &[u8], expected: Expected) -> Result<(), Refused> {
    check_size(bytes, expected.size)?; // Nothing is hashed before this line.
    check_digest(bytes, expected.digest)
}

/// What a module says of itself, read without checking or compiling anything else of it. For
/// inspection; to run it takes [`check`].
///
/// # Errors
/// [`Refused`] when it is too long, is no WebAssembly, or has not exactly one readable descriptor.
pub fn read_descriptor(bytes: &[u8]) -> Result<Descriptor, Refused> {
    Refused::unless_within("module bytes", bytes.len() as u64, MODULE_BYTES_MAX as u64)?;
    let mut section = None;
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::CustomSection(custom) = payload? {
            scan::take_descriptor(&mut section, &custom)?;
        }
    }
    parse_descriptor(section)
}

fn check_size(bytes: &[u8], expected: u64) -> Result<(), Refused> {
    let found = bytes.len() as u64;
    if found != expected {
        return Err(Refused::SizeMismatch { expected, found });
    }
    Refused::unless_within("module bytes", found, MODULE_BYTES_MAX as u64)
}

fn check_digest(bytes: &[u8], expected: Digest) -> Result<(), Refused> {
    let found = Digest::of(bytes);
    if found == expected { Ok(()) } else { Err(Refused::DigestMismatch { expected, found }) }
}

fn parse_descriptor(section: Option<&[u8]>) -> Result<Descriptor, Refused> {
    let bytes = section.ok_or(Refused::DescriptorMissing)?;
    let limit = DESCRIPTOR_BYTES_MAX as u64;
    Refused::unless_within("descriptor bytes", bytes.len() as u64, limit)?;
    let descriptor = Descriptor::from_section(bytes)
        .map_err(|error| Refused::DescriptorMalformed { reason: error.to_string() })?;
    if descriptor.abi != abi::VERSION {
        return Err(Refused::AbiVersion { found: descriptor.abi });
    }
    descriptor.types().map_err(|error| Refused::SessionType { reason: error.to_string() })?;
    Ok(descriptor)
}
