//! A publisher's account: a chain of releases that one device certifies.

use std::path::{Path, PathBuf};

use aura_distribution::{Repository, check_release};
use aura_journal::{
    Ledger, LedgerStore as _, StoreBatch,
    control::{Entry, EntryBody, Release, ReleaseBuild, ReleasedMigration},
};
use aura_protocol_core::{
    Descriptor, Digest, ModuleRef, ProtocolName, decode, encode, limits::NAME_BYTES_MAX,
};
use aura_transport::modules::locations::is_location;
use aura_wasm_host::gate;
use serde::Serialize;

pub use crate::account::Created;
use crate::{
    account::{RECOVERY_DELAY_SECONDS, create_with},
    agent::read_module,
    chain_file,
    driver::{open_store, store_error},
    engine::sha256,
    error::{AgentError, Whose},
    identity::Identity,
};

/// Where a publisher's store says which protocol it is for.
const PROTOCOL: &str = "repository/protocol";
/// Largest encoded protocol name.
const PROTOCOL_BYTES_MAX: usize = NAME_BYTES_MAX + 4;

/// What to release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRequest {
    /// The module's file.
    pub module: PathBuf,
    /// The migration module's file; on majors only.
    pub migration: Option<PathBuf>,
    /// http(s) and file locations of the module, in the order in which devices try them.
    pub urls: Vec<String>,
    /// The same for the migration module.
    pub migration_urls: Vec<String>,
    /// What is new, for people.
    pub notes: String,
    /// Release modules that the gate refuses. Devices refuse them too.
    pub danger_unchecked: bool,
}

/// A release is out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Released {
    /// The protocol.
    pub protocol: String,
    /// The version.
    pub version: String,
    /// The module's BLAKE3 digest.
    pub digest: String,
}

/// A chain was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The publisher's account.
    pub account: String,
    /// How many releases it holds.
    pub releases: usize,
    /// The file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Makes a repository for `protocol` of the account in `dir`; of a new one where there is none.
///
/// # Errors
/// `BadArgument` when `protocol` is no protocol name, `RepositoryExists` when the account is one
/// already, and as [`crate::account::create`].
pub fn create(dir: &Path, name: &str, protocol: &str) -> Result<Created, AgentError> {
    let protocol: ProtocolName = protocol.parse().map_err(|error| {
        let next = "use lower-case letters, digits, `-` and dots";
        AgentError::new("BadArgument", error, Whose::Caller, next)
    })?;
    let mark = (PROTOCOL.to_string(), Some(encode(&protocol)));
    if !dir.join("ledger.redb").exists() {
        return create_with(dir, name, name, RECOVERY_DELAY_SECONDS, vec![mark]);
    }
    let identity = Identity::load(dir)?;
    let mut store = open_store(dir)?;
    let stored = store.load().map_err(|error| store_error(&error))?;
    if stored.local.contains_key(PROTOCOL) {
        return Err(AgentError::new(
            "RepositoryExists",
            format!("the account in {} is a repository already", dir.display()),
            Whose::Caller,
            "name another folder with --store",
        ));
    }
    let ledger = Ledger::restore(&stored).map_err(|error| damaged(&error))?;
    let batch = StoreBatch { local: vec![mark], ..StoreBatch::default() };
    store.commit(&batch).map_err(|error| store_error(&error))?;
    Ok(Created {
        account: ledger.account().to_string(),
        device: identity.device().to_string(),
        name: identity.name,
        recovery_code: String::new(),
    })
}

/// Checks a module and certifies its release.
///
/// # Errors
/// `BadLocation`, the gate's refusal, or a release rule by its name, such as `VersionNotSequential`.
pub fn release(dir: &Path, request: ReleaseRequest) -> Result<Released, AgentError> {
    let identity = Identity::load(dir)?;
    let mut store = open_store(dir)?;
    let stored = store.load().map_err(|error| store_error(&error))?;
    let protocol = protocol_of(&stored.local)?;
    let mut ledger = Ledger::restore(&stored).map_err(|error| damaged(&error))?;
    let (mut module, descriptor) = released_module(&request.module, request.danger_unchecked)?;
    module.urls = locations(request.urls)?;
    let mut migration_urls = locations(request.migration_urls)?;
    if descriptor.protocol != protocol {
        return Err(AgentError::new(
            "DescriptorMismatch",
            format!("the module is of `{}`, the repository of `{protocol}`", descriptor.protocol),
            Whose::Caller,
            "release it in the repository of its own protocol",
        ));
    }
    let migration = request.migration.as_deref().map(|path| {
        let (mut module, descriptor) = released_module(path, request.danger_unchecked)?;
        module.urls = std::mem::take(&mut migration_urls);
        Ok::<_, AgentError>(ReleasedMigration { module, descriptor })
    });
    let release = Release {
        protocol,
        version: descriptor.version,
        module,
        descriptor,
        migration: migration.transpose()?,
        notes: request.notes,
        build: ReleaseBuild::default(),
    };
    let published = Repository::of(ledger.chain(), &release.protocol);
    check_release(&published, &release).map_err(|error| {
        AgentError::new(error.code(), &error, Whose::Caller, "correct the module and try again")
    })?;
    let released = Released {
        protocol: release.protocol.to_string(),
        version: release.version.to_string(),
        digest: release.module.digest.to_string(),
    };
    let body = EntryBody::Release(Box::new(release));
    let value = Entry { past: ledger.heads(), body };
    let entry = ledger.chain().certify_alone(value, &identity.vote).map_err(|error| {
        let next = "release from the account's only device";
        AgentError::new(error.code(), &error, Whose::Caller, next)
    })?;
    ledger.import_entry(entry).map_err(|error| damaged(&error))?;
    store.commit(&ledger.take_batch()).map_err(|error| store_error(&error))?;
    Ok(released)
}

/// Writes the publisher's chain to `file`, for installers to read.
///
/// # Errors
/// When the store cannot be opened or the file cannot be written.
pub fn export(dir: &Path, file: &Path) -> Result<Exported, AgentError> {
    let stored = open_store(dir)?.load().map_err(|error| store_error(&error))?;
    protocol_of(&stored.local)?;
    let ledger = Ledger::restore(&stored).map_err(|error| damaged(&error))?;
    let bytes = chain_file::write(file, ledger.chain())?;
    Ok(Exported {
        account: ledger.account().to_string(),
        releases: ledger.state().releases.len(),
        file: file.to_path_buf(),
        bytes,
    })
}

fn protocol_of(
    local: &std::collections::BTreeMap<String, Vec<u8>>,
) -> Result<ProtocolName, AgentError> {
    let Some(bytes) = local.get(PROTOCOL) else {
        return Err(AgentError::new(
            "NotARepository",
            "this store is a device's, not a publisher's",
            Whose::Caller,
            "create one with `aura repository create`, or name another folder with --store",
        ));
    };
    decode(bytes, PROTOCOL_BYTES_MAX).map_err(|error| damaged(&error))
}

/// Locations that every device would refuse are no use to anybody.
fn locations(urls: Vec<String>) -> Result<Vec<String>, AgentError> {
    match urls.iter().find(|it| !is_location(it)) {
        None => Ok(urls),
        Some(bad) => Err(AgentError::new(
            "BadLocation",
            format!("`{bad}` is no http, https or file location"),
            Whose::Caller,
            "write it in full, such as https://example.org/counter-2.0.0.wasm",
        )),
    }
}

fn released_module(path: &Path, unchecked: bool) -> Result<(ModuleRef, Descriptor), AgentError> {
    let bytes = read_module(path)?;
    let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let module = ModuleRef {
        digest: Digest::of(&bytes),
        sha256: sha256(&bytes),
        size,
        urls: Vec::new(),
        peers_ok: true,
    };
    let refused = |error: aura_wasm_host::Refused| {
        AgentError::new(
            error.code(),
            format!("{}: {error}", path.display()),
            Whose::Caller,
            "correct the module: every device would refuse it",
        )
    };
    let descriptor = if unchecked {
        gate::read_descriptor(&bytes).map_err(refused)?
    } else {
        gate::check(&bytes, &module).map_err(refused)?.descriptor().clone()
    };
    Ok((module, descriptor))
}

fn damaged(error: &dyn std::fmt::Display) -> AgentError {
    let next = "restore the folder from a copy";
    AgentError::new("StoreDamaged", error, Whose::Machine, next)
}
