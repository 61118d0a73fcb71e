//! Writes the glue between a browser and a module: `xtask-bindgen MODULE FOLDER`.
//!
//! A package of its own, so that `cargo xtask` does not wait for it to compile. `cargo xtask web` runs
//! it. Its version and wasm-bindgen's are one line of the workspace's manifest each, and must be equal.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let (module, folder) = arguments
        .next()
        .zip(arguments.next())
        .context("usage: xtask-bindgen MODULE FOLDER; `cargo xtask web` does it for you")?;
    Bindgen::new()
        .input_path(&module)
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&folder)
        .with_context(|| format!("no glue could be written for {}", module.display()))
}
