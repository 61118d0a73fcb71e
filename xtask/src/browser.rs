//! `cargo xtask test browser`: the page in a real browser, and the same runs natively beside it.
//!
//! A headless Chromium is driven by its DevTools protocol (`devtools.rs`). Where no browser can be had
//! there is nothing to test, which one line says.

mod checks;
mod chromium;
mod corpus;
mod devtools;
mod scripts;

use std::fs;
use std::thread;

use anyhow::{Context, Result};

use crate::command::Shell;
use crate::demo;
use crate::protocols;
use crate::provision::Choice;
use crate::web;
use crate::workspace::Workspace;
use checks::Bench;
use devtools::Browser;

/// Builds the page and the guests, and runs every check.
pub fn test(workspace: &Workspace, choice: Choice) -> Result<()> {
    // First of all: where there is no browser, nothing needs to be built.
    let program = match chromium::find(&Shell, choice) {
        Ok(program) => program,
        Err(reason) => {
            println!("browser: skipped, because no browser can be had here: {reason}");
            return Ok(());
        }
    };
    protocols::ensure(workspace, choice)?;
    let folder = web::build(workspace, choice)?;
    let aura = demo::program(workspace)?;
    let server = web::serve::Server::open(folder, 0)?;
    let address = format!("http://{}/", server.address());
    thread::spawn(move || server.run());
    let pictures = workspace.root().join("target/browser-pictures");
    fs::create_dir_all(&pictures)
        .with_context(|| format!("{} cannot be made", pictures.display()))?;
    let browser = Browser::start(&program)?;
    let bench =
        Bench { workspace, aura: &aura, browser: &browser, address: &address, pictures: &pictures };
    let passed = checks::run(&bench)?;
    browser.close()?;
    println!("browser: {passed} passed, 0 failed; pictures of the page in {}", pictures.display());
    Ok(())
}
