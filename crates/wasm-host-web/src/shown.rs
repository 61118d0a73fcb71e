//! What the page is told, as JSON. Numbers that JavaScript could not hold exactly are texts.

use aura_protocol_core::{Descriptor, Digest, descriptor::ModuleRole};
use aura_wasm_host::{
    CheckedModule, Expected, PrepareError, gate,
    trace::{Ran, Step},
};
use serde::Serialize;

/// A module, as the gate and it itself see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownModule {
    /// Bytes of the file.
    pub size: usize,
    /// Bytes of what the browser compiles, once the gate rewrote it.
    pub metered_size: Option<usize>,
    /// The BLAKE3 digest: the module's identity.
    pub digest: String,
    /// What the gate and the browser say.
    pub verdict: Verdict,
    /// What the module says of itself, where that can be read.
    pub descriptor: Option<ShownDescriptor>,
    /// The sessions that it runs.
    pub session_types: Vec<ShownType>,
    /// How near it comes to each limit; empty where it was refused.
    pub usage: Vec<ShownUsage>,
}

/// Whether a device would run it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether it would.
    pub accepted: bool,
    /// `accepted`, or the stable name of the reason.
    pub code: String,
    /// The reason in words; empty where it is accepted.
    pub reason: String,
}

/// What a module says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownDescriptor {
    /// The protocol.
    pub protocol: String,
    /// The version.
    pub version: String,
    /// The interface that it speaks.
    pub abi: u16,
    /// `protocol`, or what it migrates from.
    pub role: String,
    /// The rights that it asks for.
    pub capabilities: Vec<String>,
    /// The layout of its records.
    pub schema: String,
    /// Other protocols that it runs sessions of.
    pub uses: Vec<String>,
    /// Who wrote it.
    pub authors: String,
    /// The digest of its source; none where its build did not say.
    pub source: Option<String>,
}

/// A session type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownType {
    /// Its name.
    pub name: String,
    /// Its canonical text.
    pub text: String,
    /// A sequence diagram of it, in Mermaid's language.
    pub diagram: String,
}

/// How near a module comes to a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownUsage {
    /// What is limited.
    pub rule: &'static str,
    /// How much was found.
    pub found: u64,
    /// How much is allowed.
    pub limit: u64,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownStep {
    /// Counted from 1.
    pub number: u64,
    /// The line of the script.
    pub line: usize,
    /// The device.
    pub device: u8,
    /// What it was told.
    pub input: String,
    /// What the module made of it.
    pub answer: String,
    /// What it cost, where that is known.
    pub fuel: Option<String>,
    /// The trace up to here.
    pub trace: String,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownRun {
    /// The digest to compare.
    pub trace: String,
    /// How many steps there were.
    pub steps: u64,
    /// How many sessions.
    pub sessions: u64,
    /// What they cost.
    pub fuel: String,
    /// The first steps, as many as are shown.
    pub log: Vec<ShownStep>,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Its stable name.
    pub code: String,
    /// What it is, with its causes.
    pub message: String,
}

/// Steps of a run that are shown.
pub const SHOWN_STEPS_MAX: usize = 1_000;

impl ShownModule {
    /// Takes a module through the gate and then through `prepare`, which compiles it and has it say
    /// what it is.
    pub fn of<T>(
        bytes: &[u8],
        prepare: impl FnOnce(&CheckedModule) -> Result<T, PrepareError>,
    ) -> (Self, Result<(CheckedModule, T), PrepareError>) {
        let prepared = gate::check(bytes, Expected::of(bytes))
            .map_err(PrepareError::from)
            .and_then(|checked| prepare(&checked).map(|it| (checked, it)));
        let checked = prepared.as_ref().ok().map(|(checked, _)| checked);
        let descriptor = gate::read_descriptor(bytes).ok();
        let usage = checked.map_or(&[][..], |it| it.usage());
        let show =
            |it: &gate::Usage| ShownUsage { rule: it.rule, found: it.found, limit: it.limit };
        let this = Self {
            size: bytes.len(),
            metered_size: checked.map(|it| it.instrumented().len()),
            digest: Digest::of(bytes).to_string(),
            verdict: Verdict::of(prepared.as_ref().err()),
            session_types: descriptor.as_ref().map(types).unwrap_or_default(),
            descriptor: descriptor.map(ShownDescriptor::from),
            usage: usage.iter().map(show).collect(),
        };
        (this, prepared)
    }
}

impl Verdict {
    fn of(error: Option<&PrepareError>) -> Self {
        let code = error.map_or("accepted", PrepareError::code).to_owned();
        Self {
            accepted: error.is_none(),
            code,
            reason: error.map(|it| chain(it)).unwrap_or_default(),
        }
    }
}

impl From<Descriptor> for ShownDescriptor {
    fn from(it: Descriptor) -> Self {
        let role = match &it.role {
            ModuleRole::Protocol => "protocol".to_owned(),
            ModuleRole::Migration(offer) => {
                let back = if offer.reversible { "reversible" } else { "irreversible" };
                format!("migration from {}, {back}", offer.from)
            }
        };
        Self {
            protocol: it.protocol.to_string(),
            version: it.version.to_string(),
            abi: it.abi,
            role,
            capabilities: it.capabilities.iter().map(ToString::to_string).collect(),
            schema: it.schema.to_string(),
            uses: it.uses.iter().map(ToString::to_string).collect(),
            authors: it.authors,
            source: (it.source != Digest::ZERO).then(|| it.source.to_string()),
        }
    }
}

impl From<&Step> for ShownStep {
    fn from(it: &Step) -> Self {
        Self {
            number: it.number,
            line: it.line,
            device: it.device,
            input: it.input_words(),
            answer: it.answer_words(),
            fuel: it.fuel().map(|it| it.to_string()),
            trace: it.trace.to_string(),
        }
    }
}

impl ShownRun {
    /// A run and the steps of it that are shown.
    #[must_use]
    pub fn new(ran: Ran, log: Vec<ShownStep>) -> Self {
        let Ran { steps, sessions, fuel, trace } = ran;
        Self { trace: trace.to_string(), steps, sessions, fuel: fuel.to_string(), log }
    }
}

impl Failure {
    /// An error with its causes.
    #[must_use]
    pub fn new(code: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { code: code.to_owned(), message: chain(error) }
    }
}

/// The types that can be read; the verdict says why when one cannot.
fn types(descriptor: &Descriptor) -> Vec<ShownType> {
    let show = |it: &aura_protocol_core::session_type::SessionType| ShownType {
        name: it.name.clone(),
        text: it.to_string(),
        diagram: it.mermaid(),
    };
    descriptor.types().map(|it| it.iter().map(show).collect()).unwrap_or_default()
}

/// An error and what caused it, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |it| (*it).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use aura_testkit::hostile;

    use super::*;

    #[test]
    fn an_accepted_module_is_shown_whole() {
        let bytes = hostile::hidden_counter("counter", "1.0.0");
        let (shown, prepared) = ShownModule::of(&bytes, |_| Ok(()));
        assert!(prepared.is_ok() && shown.verdict.accepted);
        assert_eq!((shown.size, shown.verdict.code.as_str()), (bytes.len(), "accepted"));
        assert!(shown.metered_size.is_some_and(|it| bytes.len() < it), "metering takes room");
        assert_eq!(shown.descriptor.map(|it| it.protocol), Some("counter".to_owned()));
        assert!(shown.usage.iter().any(|it| it.found <= it.limit && it.rule == "functions"));
    }

    /// INV-WB1.
    #[test]
    fn a_refused_module_is_shown_as_far_as_it_can_be_read_and_not_compiled() {
        let compile = |_: &CheckedModule| -> Result<(), PrepareError> { panic!("compiled") };
        let (shown, _) = ShownModule::of(&hostile::unknown_import("counter", "2.0.0"), compile);
        assert_eq!(shown.verdict.code, "ImportNotAllowed");
        assert!(shown.verdict.reason.contains("imports nothing"), "{}", shown.verdict.reason);
        assert_eq!(shown.descriptor.map(|it| it.version), Some("2.0.0".to_owned()));
        let (shown, _) = ShownModule::of(b"no module", |_| Ok(()));
        assert_eq!((shown.verdict.code.as_str(), shown.descriptor), ("Malformed", None));
    }

    #[test]
    fn a_cause_is_told() {
        let error = PrepareError::Undescribed(aura_wasm_host::Trapped::OutOfFuel);
        let said = "the module cannot say what it is: the module ran out of fuel";
        assert_eq!(Verdict::of(Some(&error)).reason, said);
    }
}
