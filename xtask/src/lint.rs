//! `cargo xtask lint`: form, lints and documentation, each a failure when it is not clean.

use anyhow::Result;

use crate::command::{Invocation, Shell, Streams, demand};
use crate::provision::{self, Choice, TARGET, Toolchain};
use crate::workspace::Workspace;

/// Runs every lint, in the order in which they are quick.
pub fn run(workspace: &Workspace, choice: Choice) -> Result<()> {
    for invocation in invocations(workspace) {
        eprintln!("lint: {invocation}");
        demand(&Shell, &invocation, Streams::ToStderr)?;
    }
    let toolchain = provision::provision(&Shell, choice)?;
    match browser_crate(workspace, &toolchain) {
        Some(invocation) => {
            eprintln!("lint: {invocation}");
            demand(&Shell, &invocation, Streams::ToStderr)?;
        }
        None => eprintln!("lint: the browser's code is left to a toolchain that has {TARGET}"),
    }
    println!("lint: clean");
    Ok(())
}

/// Clippy for the code that only a browser runs. Debian's compiler has no clippy that knows its `std`.
fn browser_crate(workspace: &Workspace, toolchain: &Toolchain) -> Option<Invocation> {
    let clippy =
        Invocation::new("cargo").dir(workspace.root()).args(["clippy", "--target", TARGET]);
    let clippy = clippy.args(["--package", "aura-wasm-host-web", "--lib", "--", "-D", "warnings"]);
    matches!(toolchain, Toolchain::Prebuilt).then_some(clippy)
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
