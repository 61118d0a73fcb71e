//! `aura protocol run`: a module's sessions in a room of their own, without an account or a network.
//!
//! The trace is what a browser's page computes too (`cargo xtask web`).

use std::{
    error::Error,
    fs::File,
    io::{self, Read},
    iter,
    path::{Path, PathBuf},
};

use aura_agent::{AgentError, Whose};
use aura_protocol_core::limits::MODULE_BYTES_MAX;
use aura_wasm_host::{
    ModuleHost, PrepareError,
    trace::{self, RunError, SCRIPT_BYTES_MAX, Script, Step},
};
use clap::Args;
use serde::Serialize;

use crate::context::Context;

/// Which module is run, and on what.
#[derive(Debug, Args)]
pub struct Run {
    /// The module's file
    file: PathBuf,
    /// The script's file, or - for standard input: start, signal, event, clock and record, one a line
    #[arg(long, value_name = "FILE")]
    script: PathBuf,
    /// Print the digest of the whole run, to compare with another machine's or a browser's, and no steps
    #[arg(long)]
    trace: bool,
}

#[derive(Serialize)]
struct Traced {
    trace: String,
    module: String,
    steps: u64,
    sessions: u64,
    fuel: u64,
}

#[derive(Serialize)]
struct Steps {
    steps: Vec<ShownStep>,
}

#[derive(Serialize)]
struct ShownStep {
    step: u64,
    line: usize,
    device: u8,
    input: String,
    answer: String,
    fuel: Option<u64>,
}

impl From<&Step> for ShownStep {
    fn from(it: &Step) -> Self {
        Self {
            step: it.number,
            line: it.line,
            device: it.device,
            input: it.input_words(),
            answer: it.answer_words(),
            fuel: it.fuel(),
        }
    }
}

impl Run {
    /// Runs the script, and prints its steps or its trace.
    pub fn run(&self, context: &Context) -> Result<(), AgentError> {
        let bytes = read(&self.file, MODULE_BYTES_MAX)?;
        let script = script(&self.script)?;
        let host = ModuleHost::in_memory();
        let (digest, descriptor) =
            host.prepare_own(&bytes).map_err(|error| unprepared(&self.file, &error))?;
        let mut steps = Vec::new();
        let mut call = |envelope: &_, fuel| host.call(digest, envelope, fuel);
        let mut seen = |step: &Step| {
            if !self.trace {
                steps.push(ShownStep::from(step));
            }
        };
        let ran = trace::run(digest, &descriptor, &script, &mut call, &mut seen)
            .map_err(|error| stopped(&error))?;
        if !self.trace {
            return context.output.object(&Steps { steps });
        }
        let trace::Ran { steps, sessions, fuel, trace } = ran;
        let (trace, module) = (trace.to_string(), digest.to_string());
        let traced = Traced { trace, module, steps, sessions, fuel };
        context.output.document(&traced.trace, &traced)
    }
}

fn script(path: &Path) -> Result<Script, AgentError> {
    let bytes = read(path, SCRIPT_BYTES_MAX)?;
    let invalid = |what: &dyn Error| {
        let message = format!("{}: {what}", path.display());
        let next = "write one of start, signal, event, clock, record on each line";
        AgentError::new("ScriptInvalid", message, Whose::Caller, next)
    };
    let text = str::from_utf8(&bytes).map_err(|error| invalid(&error))?;
    Script::parse(text).map_err(|error| invalid(&error))
}

/// A file's bytes, or those of standard input, of which there may be so many.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, AgentError> {
    let unreadable = |error: io::Error| {
        let message = format!("{} cannot be read: {error}", path.display());
        AgentError::new("Io", message, Whose::Caller, "name a file that can be read")
    };
    let mut bytes = Vec::new();
    let mut most = |from: &mut dyn Read| from.take(limit as u64 + 1).read_to_end(&mut bytes);
    if path == Path::new("-") {
        most(&mut io::stdin().lock()).map_err(unreadable)?;
    } else {
        most(&mut File::open(path).map_err(unreadable)?).map_err(unreadable)?;
    }
    if bytes.len() <= limit {
        return Ok(bytes);
    }
    let message = format!("{} has more than {limit} bytes", path.display());
    Err(AgentError::new("TooLong", message, Whose::Caller, "give a shorter one"))
}

pub(crate) fn unprepared(file: &Path, error: &PrepareError) -> AgentError {
    let message = format!("{}: {}", file.display(), chain(error));
    let (whose, next) = match error {
        PrepareError::Host(_) => (Whose::Machine, "try again, or on another machine"),
        _ => (Whose::Publisher, "have its author mend the module, and build it with the SDK"),
    };
    AgentError::new(error.code(), message, whose, next)
}

fn stopped(error: &RunError) -> AgentError {
    let (whose, next) = match error {
        RunError::Call { .. } => (Whose::Machine, "try again, or on another machine"),
        RunError::NoSessions => (Whose::Caller, "name the module of a protocol"),
        _ => (Whose::Caller, "shorten the script"),
    };
    AgentError::new(error.code(), chain(error), whose, next)
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |it| (*it).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
