//! `cargo xtask web`: the page that runs modules in a browser, in a folder that any static server serves.

pub mod serve;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use aura_guest_build::build::{clean, encoded_flags};
use clap::Args;

use crate::command::{Invocation, Runner, Shell, Streams, demand};
use crate::protocols;
use crate::provision::{self, Choice, TARGET, Toolchain};
use crate::workspace::Workspace;

/// The crate that runs in the browser.
const PACKAGE: &str = "aura-wasm-host-web";
/// The module that cargo makes of it.
const MODULE: &str = "aura_wasm_host_web.wasm";
/// The files of the page that are written by hand.
const PAGE: [&str; 4] = ["index.html", "style.css", "page.js", "worker.js"];
/// What is in the folder beside them, once it is whole.
const GLUE: [&str; 2] = ["aura_wasm_host_web.js", "aura_wasm_host_web_bg.wasm"];

/// What to do with the page once it is built.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// Serve it to this machine until interrupted
    #[arg(long)]
    pub serve: bool,
    /// The port to serve it at; 0 lets the system choose
    #[arg(long, default_value_t = 8140, requires = "serve")]
    pub port: u16,
}

/// Runs the task.
pub fn run(workspace: &Workspace, choice: Choice, options: Options) -> Result<()> {
    let folder = build(workspace, choice)?;
    let mut bytes = 0;
    for name in PAGE.iter().chain(&GLUE) {
        let file = folder.join(name);
        let data = fs::metadata(&file).with_context(|| format!("{} is missing", file.display()))?;
        bytes += data.len();
    }
    println!("{} holds the page: {bytes} bytes for any static server", folder.display());
    if !options.serve {
        return Ok(());
    }
    let server = serve::Server::open(folder, options.port)?;
    println!("http://{}/ until interrupted", server.address());
    server.run()
}

/// Builds the page and returns its folder.
pub fn build(workspace: &Workspace, choice: Choice) -> Result<PathBuf> {
    let toolchain = provision::provision(&Shell, choice)?;
    build_with(&Shell, workspace, &toolchain)
}

fn build_with(
    runner: &impl Runner,
    workspace: &Workspace,
    toolchain: &Toolchain,
) -> Result<PathBuf> {
    eprintln!("web: building the page (std: {})", toolchain.std_origin());
    let target = workspace.root().join("target/browser");
    let compile = clean(toolchain.cargo())
        .dir(workspace.root())
        .args(["rustc", "--profile", "web", "--locked", "--target", TARGET])
        .args(["--package", PACKAGE, "--lib", "--crate-type", "cdylib", "--target-dir"])
        .arg(&target)
        .args(toolchain.build_args())
        .env("CARGO_ENCODED_RUSTFLAGS", encoded_flags(&protocols::folders(workspace)?));
    demand(runner, &compile, Streams::ToStderr)?;
    let module = target.join(TARGET).join("web").join(MODULE);
    let folder = workspace.page();
    let glue = Invocation::new("cargo")
        .dir(workspace.root())
        .args(["run", "--quiet", "--locked", "--package", "xtask-bindgen", "--"])
        .arg(&module)
        .arg(&folder);
    demand(runner, &glue, Streams::ToStderr)?;
    copy_page(workspace, &folder)?;
    Ok(folder)
}

fn copy_page(workspace: &Workspace, folder: &PathBuf) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let from = workspace.root().join("crates/wasm-host-web/page");
    for name in PAGE {
        let (from, to) = (from.join(name), folder.join(name));
        fs::copy(&from, &to)
            .with_context(|| format!("{} cannot be copied to {}", from.display(), to.display()))?;
    }
    for entry in fs::read_dir(&from).with_context(|| format!("{}", from.display()))? {
        let name = entry?.file_name();
        if !PAGE.iter().any(|it| name == *it) {
            bail!("{} is no file of the page: name it in PAGE, xtask/src/web.rs", name.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::fake::FakeRunner;

    #[test]
    fn the_page_is_built_with_the_compiler_that_was_found_and_copied() {
        let root = tempfile::tempdir().unwrap();
        let page = root.path().join("crates/wasm-host-web/page");
        fs::create_dir_all(&page).unwrap();
        PAGE.iter().for_each(|it| fs::write(page.join(it), it).unwrap());
        let workspace = Workspace::at(root.path());
        let source = Toolchain::Source {
            cargo: "/usr/bin/cargo".into(),
            rustc: "/usr/bin/rustc".into(),
            linker: "/usr/bin/wasm-ld".into(),
        };
        let runner =
            FakeRunner::default().on("/usr/bin/cargo rustc", 0, "").on("cargo run --quiet", 0, "");
        let folder = build_with(&runner, &workspace, &source).unwrap();
        let commands = runner.commands();
        assert!(commands[0].contains("--profile web --locked --target wasm32-unknown-unknown"));
        assert!(commands[0].ends_with("-Z build-std=std,panic_abort"), "{}", commands[0]);
        assert!(commands[1].contains("--package xtask-bindgen -- "), "{}", commands[1]);
        assert_eq!(fs::read_to_string(folder.join("worker.js")).unwrap(), "worker.js");

        fs::write(page.join("new.js"), "").unwrap();
        let error = build_with(&runner, &workspace, &source).unwrap_err().to_string();
        assert!(error.starts_with("new.js is no file of the page"), "{error}");
    }
}
