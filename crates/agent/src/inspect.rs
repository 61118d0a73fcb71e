//! What a module's file is, without running it.

use std::path::{Path, PathBuf};

use aura_protocol_core::{Descriptor, Digest, descriptor::ModuleRole, session_type::SessionType};
use aura_wasm_host::{Expected, gate};
use serde::Serialize;

use crate::{
    agent::read_module,
    engine::sha256,
    error::{AgentError, Whose},
};

/// What a module says of itself, and what the gate says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspected {
    /// The file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: usize,
    /// Its BLAKE3 digest: the module's identity.
    pub digest: String,
    /// Its SHA-256 digest.
    pub sha256: String,
    /// The protocol.
    pub protocol: String,
    /// The version.
    pub version: String,
    /// The ABI that it speaks.
    pub abi: u16,
    /// `protocol`, or what it migrates from.
    pub role: String,
    /// The rights that it asks for.
    pub capabilities: Vec<String>,
    /// The layout of its records.
    pub schema: String,
    /// Other protocols that it runs sessions of.
    pub uses: Vec<String>,
    /// The sessions that it runs, by name; [`types`] shows them.
    pub sessions: Vec<String>,
    /// Who wrote it.
    pub authors: String,
    /// `accepted`, or the rule by which the gate refuses it.
    pub verdict: String,
    /// Why the gate refuses it; empty otherwise.
    pub reason: String,
}

/// Reads the module in `file`.
///
/// # Errors
/// When the file cannot be read, or holds no module with a descriptor.
pub fn inspect(file: &Path) -> Result<Inspected, AgentError> {
    let bytes = read_module(file)?;
    let descriptor = read_descriptor(file, &bytes)?;
    let sessions = shown(file, &descriptor)?.into_iter().map(|it| it.name).collect();
    let verdict = gate::check(&bytes, Expected::of(&bytes));
    let role = match &descriptor.role {
        ModuleRole::Protocol => "protocol".to_string(),
        ModuleRole::Migration(offer) => {
            let back = if offer.reversible { "reversible" } else { "irreversible" };
            format!("migration from {}, {back}", offer.from)
        }
    };
    Ok(Inspected {
        file: file.to_path_buf(),
        size: bytes.len(),
        digest: Digest::of(&bytes).to_string(),
        sha256: sha256(&bytes).to_string(),
        protocol: descriptor.protocol.to_string(),
        version: descriptor.version.to_string(),
        abi: descriptor.abi,
        role,
        capabilities: descriptor.capabilities.iter().map(ToString::to_string).collect(),
        schema: descriptor.schema.to_string(),
        uses: descriptor.uses.iter().map(ToString::to_string).collect(),
        sessions,
        authors: descriptor.authors,
        verdict: verdict.as_ref().err().map_or("accepted", |it| it.code()).to_string(),
        reason: verdict.err().map(|it| it.to_string()).unwrap_or_default(),
    })
}

/// A session type of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownType {
    /// Its name.
    pub name: String,
    /// Its canonical text.
    pub text: String,
    /// A sequence diagram of it, in Mermaid's language.
    pub diagram: String,
}

/// The session types of the module in `file`.
///
/// # Errors
/// As [`inspect`]; and `SessionTypeInvalid` when one is no canonical text.
pub fn types(file: &Path) -> Result<Vec<ShownType>, AgentError> {
    let bytes = read_module(file)?;
    shown(file, &read_descriptor(file, &bytes)?)
}

fn read_descriptor(file: &Path, bytes: &[u8]) -> Result<Descriptor, AgentError> {
    gate::read_descriptor(bytes).map_err(|error| {
        AgentError::new(
            error.code(),
            format!("{}: {error}", file.display()),
            Whose::Caller,
            "name the file of a module that was built with the SDK",
        )
    })
}

fn shown(file: &Path, descriptor: &Descriptor) -> Result<Vec<ShownType>, AgentError> {
    let types = descriptor.types().map_err(|error| {
        AgentError::new(
            "SessionTypeInvalid",
            format!("{}: a session type of its descriptor: {error}", file.display()),
            Whose::Caller,
            "name the file of a module that was built with the SDK",
        )
    })?;
    let show = |it: &SessionType| ShownType {
        name: it.name.clone(),
        text: it.to_string(),
        diagram: it.mermaid(),
    };
    Ok(types.iter().map(show).collect())
}
