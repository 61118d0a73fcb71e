//! What a node's effects ask of the sandbox, as functions: the driver runs them on threads of its own,
//! a simulation where it stands.
//!
//! All of them block until the module is done or out of fuel, and give the same result on every device.

use std::{collections::BTreeMap, fmt, sync::Arc};

use aura_coordination::{
    choreography::built_in::KeyProtocol,
    execution::{BuiltIn, InstructionResult, NativeProtocol, native},
};
use aura_distribution::{Rehearsal, challenge, migrate, receipt::personal, take_back};
use aura_protocol_core::{
    Descriptor, DeviceId, Digest, ModuleRef, ProtocolCapabilities, ProtocolInput, Record,
    SessionStart, encode, lifecycle::chain_trace, limits::STEP_FUEL_MAX, record::records_root,
};
use aura_wasm_host::{CallError, HostError, ModuleHost, ModuleMigrator, PrepareError, StepError};
use sha2::{Digest as _, Sha256};

use crate::{
    error::{AgentError, Whose},
    node::{Back, Group, MigrateJob, MigratedRecords, RehearseJob, latest},
};

/// Takes in a module that the person at this device brought along.
///
/// # Errors
/// `DigestMismatch` when the bytes are not the released ones, or the gate's refusal by its name.
pub fn take_offered(
    host: &ModuleHost,
    module: &ModuleRef,
    bytes: &[u8],
) -> Result<Descriptor, AgentError> {
    let (found, sha256) = (Digest::of(bytes), sha256(bytes));
    if found == module.digest && sha256 == module.sha256 {
        return prepare(host, module, bytes);
    }
    // A file that somebody brought along is theirs to put right, not the publisher's.
    Err(AgentError::new(
        "DigestMismatch",
        format!(
            "the module is not the released one: its digest is {}, the release says {}",
            found.short(),
            module.digest.short()
        ),
        Whose::Caller,
        "get the module again from whoever released it",
    ))
}

/// Makes a module ready that was taken in before; none when it was not.
///
/// # Errors
/// The gate's refusal, or `ModuleStore` when the cache cannot be read.
pub fn take_cached(
    host: &ModuleHost,
    module: &ModuleRef,
) -> Result<Option<Descriptor>, AgentError> {
    let bytes = host.bytes(module.digest).map_err(|error| host_error(&error))?;
    // Preparing again is cheap where the artifact is there, and rebuilds it where it is not.
    bytes.map(|bytes| prepare(host, module, &bytes)).transpose()
}

/// Checks, compiles and keeps a module.
///
/// # Errors
/// The gate's refusal by its name, such as `ImportNotAllowed`; the module's publisher is at fault.
pub fn prepare(
    host: &ModuleHost,
    module: &ModuleRef,
    bytes: &[u8],
) -> Result<Descriptor, AgentError> {
    host.prepare(bytes, module).map_err(|error| prepare_error(&error))
}

/// Runs one step of a session.
#[must_use]
pub fn step(
    host: &ModuleHost,
    module: Digest,
    state: Vec<u8>,
    caps: ProtocolCapabilities,
    input: ProtocolInput,
) -> InstructionResult {
    match host.step(module, state, caps, input, STEP_FUEL_MAX) {
        Ok(stepped) => InstructionResult::Stepped { state: stepped.state, step: stepped.step },
        Err(StepError::Protocol(error)) => InstructionResult::Refused(error),
        Err(error) => InstructionResult::Trapped {
            code: step_code(&error).to_string(),
            reason: with_causes(&error),
        },
    }
}

/// The protocols that are part of the program, by the digest under which their steps are asked for.
#[derive(Clone, Default)]
pub struct BuiltInProtocols(BTreeMap<Digest, Arc<dyn NativeProtocol>>);

impl BuiltInProtocols {
    /// Adds one, in the place of one of the same name, version and session types.
    pub fn add(&mut self, protocol: Arc<dyn NativeProtocol>) -> BuiltIn {
        let built_in = BuiltIn::of(&protocol.descriptor());
        self.0.insert(built_in.digest, protocol);
        built_in
    }

    /// Adds those that make and use the account's keys, which every device has.
    #[must_use]
    pub fn with_key_protocols(mut self) -> Self {
        let protocols = KeyProtocol::ALL.into_iter().filter_map(KeyProtocol::protocol);
        protocols.for_each(|it| _ = self.add(it));
        self
    }

    /// What they say of themselves.
    pub fn descriptors(&self) -> impl Iterator<Item = Descriptor> {
        self.0.values().map(|it| it.descriptor())
    }

    /// Runs one step of a session, if `digest` is one of them.
    #[must_use]
    pub fn step(
        &self,
        digest: Digest,
        state: &[u8],
        caps: &ProtocolCapabilities,
        input: ProtocolInput,
    ) -> Option<InstructionResult> {
        let protocol = self.0.get(&digest)?;
        Some(native::run(protocol.as_ref(), state, input, caps))
    }
}

impl fmt::Debug for BuiltInProtocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Rehearses a proposal: takes the prestate to its layout, through the migration and into receipts.
///
/// # Errors
/// `MigrationFailed` when the records cannot be migrated at all.
pub fn rehearse(host: &ModuleHost, job: &RehearseJob) -> Result<Rehearsal, AgentError> {
    let before = latest(derive(host, job.groups.clone())?.records);
    let before: Vec<Record> = before.into_values().collect();
    let pre_root = records_root(&before);
    let (migrated, bytes) = through_steps(host, &job.steps, before)?;
    let post_root = records_root(&migrated.records);
    let mut receipts = BTreeMap::new();
    for signer in &job.signers {
        let trace = run_challenge(host, job, *signer);
        receipts.insert(*signer, personal(job.proposal, *signer, bytes, trace));
    }
    Ok(Rehearsal { pre_root, post_root, personal: receipts })
}

/// The records of a job in the layout that it leads to.
///
/// # Errors
/// When a module is not here any more, or the host fails.
pub fn derive_records(host: &ModuleHost, job: MigrateJob) -> Result<MigratedRecords, AgentError> {
    derive(host, job.groups)
}

/// Takes records one by one: what one of them leads to does not depend on which others come along.
fn derive(host: &ModuleHost, groups: Vec<Group>) -> Result<MigratedRecords, AgentError> {
    let mut all = MigratedRecords::default();
    for Group { back, forward: steps, mut records } in groups {
        for back in back {
            let MigratedRecords { records: taken, quarantined } = backward(host, back, records)?;
            records = taken;
            all.quarantined.extend(quarantined);
        }
        for record in records {
            let key = record.key.to_string();
            match through_steps(host, &steps, vec![record]) {
                Ok((migrated, _)) => {
                    all.records.extend(migrated.records);
                    all.quarantined.extend(migrated.quarantined);
                }
                // Modules that can be called and yet fail on a record fail on it everywhere.
                Err(error) if steps.iter().all(|it| host.describe(*it).is_ok()) => {
                    all.quarantined.push((key, error.message));
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(all)
}

/// Takes records back through one migration, together with what they came from.
fn backward(
    host: &ModuleHost,
    back: Back,
    records: Vec<Record>,
) -> Result<MigratedRecords, AgentError> {
    let prior = back.prior.into_iter().map(|(forward, records)| Group {
        back: Vec::new(),
        forward,
        records,
    });
    let prior = latest(derive(host, prior.collect())?.records);
    // Whatever it fails on from here on is a record's fault, which is the same everywhere.
    host.describe(back.lens).map_err(|error| migration_failed(&error))?;
    let lens = ModuleMigrator::new(host, back.lens, Vec::new());
    let run =
        take_back(&lens, prior.values(), records).map_err(|error| migration_failed(&error))?;
    let aside = run.quarantined.into_iter().map(|it| (it.record.key.to_string(), it.reason));
    Ok(MigratedRecords {
        records: run.records.into_values().collect(),
        quarantined: aside.collect(),
    })
}

fn migration_failed(error: &dyn std::error::Error) -> AgentError {
    AgentError::new(
        "MigrationFailed",
        with_causes(error),
        Whose::Publisher,
        "do not activate it; tell its publisher",
    )
}

/// Takes records through migrations in order. Also hashes all bytes that came out on the way.
fn through_steps(
    host: &ModuleHost,
    steps: &[Digest],
    records: Vec<Record>,
) -> Result<(MigratedRecords, Digest), AgentError> {
    let mut migrated = MigratedRecords { records, quarantined: Vec::new() };
    let mut bytes = Digest::ZERO;
    for step in steps {
        let lens = ModuleMigrator::new(host, *step, Vec::new());
        let run = migrate(&lens, &migrated.records).map_err(|error| migration_failed(&error))?;
        bytes = Digest::tagged("aura migrated steps v1", &[bytes.as_bytes(), run.bytes.as_bytes()]);
        migrated.records = run.records.into_values().collect();
        let aside = run.quarantined.into_iter().map(|it| (it.record.key.to_string(), it.reason));
        migrated.quarantined.extend(aside);
    }
    Ok((migrated, bytes))
}

/// Runs the new module on inputs that depend on proposal and signer, and hashes all that comes out.
fn run_challenge(host: &ModuleHost, job: &RehearseJob, signer: DeviceId) -> Digest {
    let seed = challenge(job.proposal, signer);
    let start = SessionStart {
        session: seed.into(),
        me: signer,
        opener: signer,
        // Not all signers: which devices there are differs between early and late rehearsals.
        participants: [signer].into(),
        spoken: job.version,
        params: Vec::new(),
    };
    let number = seed.as_bytes().iter().fold(0u64, |sum, byte| (sum << 1) + u64::from(*byte));
    let inputs = [
        ProtocolInput::Start(start),
        ProtocolInput::Signal(number.to_string().into_bytes()),
        ProtocolInput::Signal(seed.as_bytes().to_vec()),
        ProtocolInput::Event {
            author: signer,
            label: "challenge".to_string(),
            payload: seed.as_bytes().to_vec(),
        },
    ];
    let (mut trace, mut state) = (seed, Vec::new());
    for input in inputs {
        let result = host.step(job.module, state.clone(), job.caps, input, STEP_FUEL_MAX);
        trace = match result {
            Ok(stepped) => {
                let output = encode(&(&stepped.state, &stepped.step));
                state = stepped.state;
                chain_trace(trace, &output, stepped.fuel_used)
            }
            Err(StepError::Protocol(error)) => chain_trace(trace, &encode(&error), 0),
            Err(error) => chain_trace(trace, step_code(&error).as_bytes(), 0),
        };
    }
    trace
}

fn step_code(error: &StepError) -> &'static str {
    match error {
        StepError::Call(CallError::Trapped(trapped)) => trapped.code(),
        StepError::Call(CallError::NotPrepared { .. }) => "NotPrepared",
        StepError::Call(_) => "HostError",
        _ => "ProtocolError",
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

/// The gate's verdict, as a person meets it.
fn prepare_error(error: &PrepareError) -> AgentError {
    match error {
        PrepareError::Host(error) => host_error(error),
        refused => AgentError::new(
            refused.code(),
            format!("the module is refused: {}", with_causes(refused)),
            Whose::Publisher,
            "do not use it; tell its publisher",
        ),
    }
}

fn host_error(error: &HostError) -> AgentError {
    let next = "see that the store's folder can be written and the disk has room";
    AgentError::new("ModuleStore", with_causes(error), Whose::Machine, next)
}

/// An error's text, and those of the errors behind it, which it does not print itself.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
