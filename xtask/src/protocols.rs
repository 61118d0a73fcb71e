//! `cargo xtask protocols`: the guests, compiled, copied and compared.
//!
//! The same sources give the same bytes on every machine with the same compiler, wherever the
//! repository lies (`aura-guest-build` says how). `--check` holds that against
//! `protocols/digests.toml`; `--bless` writes this compiler's entry there.

mod c;
pub mod digests;

use anyhow::{Result, bail};
use aura_guest_build::{
    build::{self, Guest, Plan, cargo_home},
    metadata::Folders,
    project,
};
use clap::Args;

use crate::command::Shell;
use crate::provision::{self, Choice, Toolchain};
use crate::workspace::Workspace;
use digests::{Digests, ToolchainKey, Verdict};

/// What to do with the modules once they are built.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// Compare with protocols/digests.toml; fail where a known compiler gives other bytes
    #[arg(long, conflicts_with = "bless")]
    pub check: bool,
    /// Write the digests of this compiler to protocols/digests.toml
    #[arg(long)]
    pub bless: bool,
}

/// Runs the task.
pub fn run(workspace: &Workspace, choice: Choice, options: Options) -> Result<()> {
    let toolchain = provision::provision(&Shell, choice)?;
    let guests = guests(workspace, &toolchain)?;
    let c = c::build(&Shell, workspace)?;
    for guest in guests.iter().chain([&c.guest]) {
        println!("{:<28} {:>8} bytes  blake3 {}", guest.name, guest.bytes, guest.digest);
    }
    if options.bless {
        bless(workspace, &toolchain, &guests)?;
        c.bless()?;
    }
    if options.check {
        check(workspace, &toolchain, &guests)?;
        c.check()?;
    }
    Ok(())
}

/// Builds every guest, quietly unless cargo has something to compile.
pub fn ensure(workspace: &Workspace, choice: Choice) -> Result<()> {
    let toolchain = provision::provision(&Shell, choice)?;
    let guests = guests(workspace, &toolchain)?;
    c::build(&Shell, workspace)?;
    eprintln!("protocols: {} guests in {}", guests.len() + 1, workspace.modules().display());
    Ok(())
}

/// Builds the guests in protocols/.
fn guests(workspace: &Workspace, toolchain: &Toolchain) -> Result<Vec<Guest>> {
    let manifest = workspace.guests().join("Cargo.toml");
    if !manifest.is_file() {
        bail!("{} is missing; the guests have their own workspace there", manifest.display());
    }
    let packages = project::packages(&Shell, &workspace.guests(), toolchain)?;
    eprintln!("protocols: building {} guests (std: {})", packages.len(), toolchain.std_origin());
    let plan = Plan {
        folder: workspace.guests(),
        packages,
        target: workspace.guest_target(),
        modules: workspace.modules(),
        folders: folders(workspace)?,
    };
    Ok(build::build(&Shell, &plan, toolchain)?)
}

/// The folders of this machine that nothing that ships may depend on.
pub fn folders(workspace: &Workspace) -> Result<Folders> {
    let repository = Some(workspace.root().to_owned());
    Ok(Folders { repository, guest: None, cargo_home: cargo_home()? })
}

fn bless(workspace: &Workspace, toolchain: &Toolchain, guests: &[Guest]) -> Result<()> {
    let key = ToolchainKey::ask(&Shell, toolchain)?;
    let mut digests = Digests::load(&workspace.digests())?;
    digests.bless(&key, guests);
    digests.save(&workspace.digests())?;
    println!("protocols/digests.toml now holds {} guests for {key}", guests.len());
    Ok(())
}

fn check(workspace: &Workspace, toolchain: &Toolchain, guests: &[Guest]) -> Result<()> {
    let key = ToolchainKey::ask(&Shell, toolchain)?;
    match Digests::load(&workspace.digests())?.check(&key, guests) {
        Verdict::Same => println!("{} guests have the digests written for {key}", guests.len()),
        Verdict::UnknownToolchain => eprintln!(
            "warning: protocols/digests.toml has no entry for {key}, so nothing was compared; \
             `cargo xtask protocols --bless` writes one"
        ),
        Verdict::Different(findings) => {
            for finding in &findings {
                eprintln!("error: {finding}");
            }
            bail!("{} of the guests differ from protocols/digests.toml", findings.len());
        }
    }
    Ok(())
}
