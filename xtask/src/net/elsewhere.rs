//! Where there are no network namespaces, the suite of real hosts says so.

use std::process::ExitCode;

use anyhow::Result;

use crate::provision::Choice;
use crate::workspace::Workspace;

/// Says that the suite cannot be run here.
pub fn test(_workspace: &Workspace, _choice: Choice) -> Result<()> {
    eprintln!("net: SKIPPED: only Linux has network namespaces");
    Ok(())
}

/// No process is ever started for that here.
pub fn run_as_inside() -> Option<Result<ExitCode>> {
    None
}
