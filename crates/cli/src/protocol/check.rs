//! `aura protocol check`: everything that devices would refuse a module for, and what to do about it.

use std::{path::PathBuf, process::ExitCode};

use aura_agent::AgentError;
use aura_protocol_core::{Digest, limits::MODULE_BYTES_MAX};
use aura_wasm_host::{
    ModuleHost, PrepareError, Refused,
    gate::{self, Survey, Usage},
};
use clap::Args;
use serde::Serialize;

use crate::{
    context::Context,
    exit,
    trace::{chain, read, unprepared},
};

/// How many limits a person is shown, those that are nearest.
const NEAREST: usize = 5;

/// Checks a module.
#[derive(Debug, Args)]
pub struct Check {
    /// The module's file
    file: PathBuf,
}

#[derive(Serialize)]
struct Checked {
    file: PathBuf,
    size: usize,
    digest: String,
    protocol: Option<String>,
    version: Option<String>,
    /// `accepted` or `refused`.
    verdict: &'static str,
    /// Every rule that it breaks.
    findings: Vec<Finding>,
    /// How near it comes to each limit, the nearest first.
    limits: Vec<Limit>,
}

#[derive(Serialize)]
struct Finding {
    code: &'static str,
    rule: &'static str,
    reason: String,
    next: &'static str,
}

#[derive(Serialize)]
struct Limit {
    rule: &'static str,
    found: u64,
    limit: u64,
}

impl Check {
    /// Prints the verdict. Refused is an answer, and ends with the code of one.
    pub fn run(self, context: &Context) -> Result<ExitCode, AgentError> {
        let bytes = read(&self.file, MODULE_BYTES_MAX)?;
        let Survey { refusals, usage, descriptor } = gate::survey(&bytes);
        let mut findings: Vec<Finding> = refusals.iter().map(Finding::of).collect();
        if findings.is_empty() {
            findings.extend(self.fails_to_describe(&bytes)?);
        }
        let checked = Checked {
            size: bytes.len(),
            digest: Digest::of(&bytes).to_string(),
            protocol: descriptor.as_ref().map(|it| it.protocol.to_string()),
            version: descriptor.as_ref().map(|it| it.version.to_string()),
            verdict: if findings.is_empty() { "accepted" } else { "refused" },
            findings,
            limits: limits(usage),
            file: self.file,
        };
        context.output.document(&checked.text(), &checked)?;
        Ok(if checked.findings.is_empty() { ExitCode::SUCCESS } else { exit::REFUSED.into() })
    }

    /// What the gate cannot see: whether the module says of itself what its descriptor does.
    fn fails_to_describe(&self, bytes: &[u8]) -> Result<Option<Finding>, AgentError> {
        let error = match ModuleHost::in_memory().prepare_own(bytes) {
            Ok(_) => return Ok(None),
            Err(error @ PrepareError::Host(_)) => return Err(unprepared(&self.file, &error)),
            Err(error) => error,
        };
        let next = "export the type with the SDK, whose answer is the descriptor's bytes";
        Ok(Some(Finding { code: error.code(), rule: "Describe", reason: chain(&error), next }))
    }
}

impl Finding {
    fn of(refused: &Refused) -> Self {
        let reason = refused.to_string();
        Self { code: refused.code(), rule: refused.rule(), reason, next: refused.next() }
    }
}

/// The nearest first: what the author reaches next.
fn limits(usage: Vec<Usage>) -> Vec<Limit> {
    let mut limits: Vec<Limit> = usage
        .into_iter()
        .map(|Usage { rule, found, limit }| Limit { rule, found, limit })
        .collect();
    limits.sort_by_key(|it| std::cmp::Reverse(it.percent()));
    limits
}

impl Limit {
    fn percent(&self) -> u64 {
        self.found.saturating_mul(100).checked_div(self.limit).unwrap_or(100)
    }
}

impl Checked {
    fn text(&self) -> String {
        let mut lines = vec![match self.findings.len() {
            0 => format!("{}: accepted", self.file.display()),
            1 => format!("{}: refused, by 1 rule", self.file.display()),
            count => format!("{}: refused, by {count} rules", self.file.display()),
        }];
        for Finding { rule, code, reason, next } in &self.findings {
            lines.push(format!("  {rule} ({code}): {reason}"));
            lines.push(format!("    next: {next}"));
        }
        if let (Some(protocol), Some(version)) = (&self.protocol, &self.version) {
            lines.push(format!("protocol  {protocol} {version}"));
        }
        lines.push(format!("size      {} bytes", self.size));
        lines.push(format!("digest    {}", self.digest));
        for limit in self.limits.iter().take(NEAREST) {
            let Limit { rule, found, limit: most } = limit;
            lines.push(format!("limit     {rule}: {found} of {most} ({} %)", limit.percent()));
        }
        if self.findings.is_empty() {
            lines.push("next      aura repository release, which signs it".to_owned());
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_limit_comes_first() {
        let usage = |rule, found, limit| Usage { rule, found, limit };
        let sorted = limits(vec![usage("a", 1, 100), usage("b", 9, 10), usage("c", 5, 0)]);
        assert_eq!(sorted.iter().map(|it| it.rule).collect::<Vec<_>>(), ["c", "b", "a"]);
    }
}
