//! Other programs: as `aura-guest-build` runs them, with the errors of tasks.

use anyhow::Result;

pub use aura_guest_build::command::*;

/// Runs `invocation` and demands success; the error names the command.
pub fn demand(runner: &impl Runner, invocation: &Invocation, streams: Streams) -> Result<Ran> {
    Ok(aura_guest_build::command::demand(runner, invocation, streams)?)
}
