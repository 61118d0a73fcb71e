//! `cargo xtask lint`: form, lints and documentation, each a failure when it is not clean.

use anyhow::Result;

use crate::command::{Invocation, Shell, Streams, demand};
use crate::workspace::Workspace;

/// Runs every lint, in the order in which they are quick.
pub fn run(workspace: &Workspace) -> Result<()> {
    for invocation in invocations(workspace) {
        eprintln!("lint: {invocation}");
        demand(&Shell, &invocation, Streams::ToStderr)?;
    }
    println!("lint: clean");
    Ok(())
}

fn invocations(workspace: &Workspace) -> Vec<Invocation> {
    let cargo = || Invocation::new("cargo").dir(workspace.root());
    vec![
        cargo().args(["fmt", "--all", "--check"]),
        cargo().args(["fmt", "--all", "--check", "--manifest-path", "protocols/Cargo.toml"]),
        cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        Invocation::new("cargo")
            .args(["clippy", "--locked", "--all-targets", "--target-dir"])
            .arg(workspace.guest_target())
            .args(["--", "-D", "warnings"])
            .dir(workspace.guests()),
        cargo().args(["doc", "--no-deps", "--workspace"]).env("RUSTDOCFLAGS", "-D warnings"),
    ]
}
