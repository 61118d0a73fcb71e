//! `aura protocol build`: a crate becomes a module, the same bytes on every machine.

use std::{error::Error, path::PathBuf};

use aura_agent::{AgentError, Whose, inspect};
use aura_guest_build::{
    build::{self, BuildError},
    command::Shell,
    project,
    provision::{self, Choice},
};
use aura_protocol_core::{
    abi::{Envelope, Op},
    limits::{MODULE_BYTES_MAX, STEP_FUEL_MAX},
};
use aura_wasm_host::{
    ModuleHost, PrepareError,
    limits::DESCRIBE_FUEL_MAX,
    trace::{self, Script, Step},
};
use clap::Args;
use serde::Serialize;

use crate::{
    context::Context,
    trace::{chain, read},
};

/// Whose first steps are measured: a session of three devices, without parameters.
const FIRST_STEPS: &str = "start 3\n";

/// Compiles a crate.
#[derive(Debug, Args)]
pub struct Build {
    /// The crate's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// How to get a compiler for WebAssembly [default: auto, or $AURA_WASM_TOOLCHAIN]
    #[arg(long, value_enum, value_name = "WAY")]
    wasm_toolchain: Option<Choice>,
}

#[derive(Serialize)]
struct Built {
    modules: Vec<Module>,
}

#[derive(Serialize)]
struct Module {
    package: String,
    file: PathBuf,
    size: usize,
    digest: String,
    sha256: String,
    /// `accepted`, or the rule by which the gate refuses it.
    verdict: String,
    /// Where `std` came from: another origin makes other bytes.
    std: &'static str,
    describe_fuel: Option<u64>,
    describe_fuel_max: u64,
    /// Of the dearest step of a session that begins.
    start_fuel: Option<u64>,
    start_fuel_max: u64,
}

impl Build {
    /// Builds every guest of the folder.
    pub fn run(self, context: &Context) -> Result<(), AgentError> {
        let choice = Choice::from_flag(self.wasm_toolchain).map_err(|error| {
            failed("Usage", &error, Whose::Caller, "set it to one of them, or to nothing")
        })?;
        let toolchain = provision::provision(&Shell, choice).map_err(|error| {
            failed("NoCompiler", &error, Whose::Machine, "do one of these, and build again")
        })?;
        let plan = project::plan(&Shell, &self.dir, &toolchain).map_err(|it| unbuilt(&it))?;
        let guests = build::build(&Shell, &plan, &toolchain).map_err(|it| unbuilt(&it))?;
        let mut modules = Vec::new();
        for guest in guests {
            let shown = inspect::inspect(&guest.file)?;
            let (describe_fuel, start_fuel) = fuel(&read(&guest.file, MODULE_BYTES_MAX)?)?;
            modules.push(Module {
                package: guest.name,
                file: guest.file,
                size: guest.bytes,
                digest: guest.digest,
                sha256: shown.sha256,
                verdict: shown.verdict,
                std: toolchain.std_origin(),
                describe_fuel,
                describe_fuel_max: DESCRIBE_FUEL_MAX,
                start_fuel,
                start_fuel_max: STEP_FUEL_MAX,
            });
        }
        let text: Vec<String> = modules.iter().map(Module::text).collect();
        context.output.document(&text.join("\n"), &Built { modules })
    }
}

impl Module {
    fn text(&self) -> String {
        let fuel = |used: Option<u64>, max| match used {
            Some(used) => format!("{used} of {max}"),
            None => "-".to_owned(),
        };
        let file = self.file.display().to_string();
        let rows = [
            ("file", file.clone()),
            ("size", format!("{} bytes", self.size)),
            ("digest", self.digest.clone()),
            ("sha256", self.sha256.clone()),
            ("verdict", self.verdict.clone()),
            ("fuel to describe", fuel(self.describe_fuel, self.describe_fuel_max)),
            ("fuel to start", fuel(self.start_fuel, self.start_fuel_max)),
            ("next", format!("aura protocol check {file}")),
        ];
        let lines = rows.map(|(name, value)| format!("{name:<16}  {value}"));
        format!("{}\n{}", self.package, lines.join("\n"))
    }
}

/// What saying what it is costs the module, and the dearest first step; nothing of what no device runs.
fn fuel(bytes: &[u8]) -> Result<(Option<u64>, Option<u64>), AgentError> {
    let host = ModuleHost::in_memory();
    let (digest, descriptor) = match host.prepare_own(bytes) {
        Ok(prepared) => prepared,
        Err(PrepareError::Host(error)) => {
            let next = "try again, or on another machine";
            return Err(failed("HostError", &error, Whose::Machine, next));
        }
        // `aura protocol check` says all about it.
        Err(_) => return Ok((None, None)),
    };
    let mut call = |envelope: &Envelope, fuel| host.call(digest, envelope, fuel);
    let described = call(&Envelope::new(Op::Describe), DESCRIBE_FUEL_MAX).ok().map(|it| it.1);
    let mut dearest = None;
    if descriptor.migration().is_none()
        && let Ok(script) = Script::parse(FIRST_STEPS)
    {
        let mut seen = |step: &Step| dearest = dearest.max(step.fuel());
        trace::run(digest, &descriptor, &script, &mut call, &mut seen).map_err(|error| {
            failed(error.code(), &error, Whose::Machine, "try again, or on another machine")
        })?;
    }
    Ok((described, dearest))
}

fn unbuilt(error: &BuildError) -> AgentError {
    let (code, whose, next) = match error {
        BuildError::NoGuest { .. } => {
            ("NoGuest", Whose::Caller, "name a protocol's crate, or begin one with `protocol new`")
        }
        BuildError::Command(_) => {
            ("BuildFailed", Whose::Caller, "mend what cargo reports above, and build again")
        }
        BuildError::NoModule { .. } | BuildError::Unexpected { .. } => {
            ("BuildFailed", Whose::Machine, "use the compiler of the crate's rust-toolchain.toml")
        }
        BuildError::NoHome => ("NoHome", Whose::Machine, "set CARGO_HOME to cargo's folder"),
        _ => ("Io", Whose::Machine, "name a folder that can be read and written"),
    };
    failed(code, error, whose, next)
}

fn failed(code: &str, error: &(dyn Error + 'static), whose: Whose, next: &str) -> AgentError {
    AgentError::new(code, chain(error), whose, next)
}
