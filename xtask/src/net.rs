//! `cargo xtask test net`: the main job on hosts of their own, across a network that loses, delays,
//! reorders and breaks.
//!
//! Each device has a network namespace whose only way out is a TUN device. What leaves it goes through a
//! switch in this program, which decides from a seed what becomes of each packet. Root is not needed: a
//! user namespace of one's own will do. Where namespaces cannot be had, one line says so.

mod hosts;
mod link;
mod switch;
mod tun;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{Invocation, Shell, Streams, demand};
use crate::demo::{self, Watch};
use crate::provision::Choice;
use crate::workspace::Workspace;
use hosts::Hosts;
use link::Link;
use switch::Switch;

/// Set for the process inside the namespaces, to the `aura` program.
const INSIDE: &str = "AURA_NET_INSIDE";
/// Set beside it, to the folder with the built guests.
const MODULES: &str = "AURA_NET_MODULES";
/// What decides which packets are lost.
const SEED: u64 = 7;
/// Devices of the account, each a host.
const DEVICES: u8 = 5;

/// A link as people have it at a bad place: five packets of a hundred are lost, and an answer takes 50 ms.
const BAD: Link = Link {
    loss_per_mille: 50,
    delay: Duration::from_millis(25),
    jitter: Duration::from_millis(3),
    bytes_per_second: 2_500_000,
    reorder_per_mille: 10,
    down: false,
};
/// How long the account is in two parts.
const PARTITION: Duration = Duration::from_secs(40);
/// The device that is alone then. Without it there is no quorum while another is switched off.
const ALONE: usize = 1;

/// Runs the suite, or says in one line why it cannot be run here.
pub fn test(workspace: &Workspace, choice: Choice) -> Result<()> {
    if let Err(missing) = probe() {
        eprintln!("net: SKIPPED: {missing}");
        return Ok(());
    }
    // Asked before the build, which may put a newer file in its place.
    let this = env::current_exe().context("this program has no file")?;
    let program = demo::prepare(workspace, choice)?;
    let inside = Invocation::new("unshare")
        .args(NAMESPACES)
        .arg(this)
        .env(INSIDE, program)
        .env(MODULES, workspace.modules());
    demand(&Shell, &inside, Streams::Inherited).map(drop)
}

/// A user, a network and a mount namespace; in it this user is root.
const NAMESPACES: [&str; 4] = ["--user", "--map-root-user", "--net", "--mount"];

/// What this machine lacks, if anything.
fn probe() -> Result<(), String> {
    let tries = "ip link set lo up && ip tuntap add dev tun0 mode tun && mount -t tmpfs tmpfs /run";
    let ran = Command::new("unshare")
        .args(NAMESPACES)
        .args(["sh", "-c", tries])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("there is no `unshare` here ({error})"))?;
    if ran.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    let said = said.lines().next().unwrap_or("no reason was given").to_owned();
    Err(format!(
        "this machine grants no network namespaces ({said}); on Ubuntu try \
         `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
    ))
}

/// Runs the scenarios if that is what this process was started for.
pub fn run_as_inside() -> Option<Result<ExitCode>> {
    let program = PathBuf::from(env::var_os(INSIDE)?);
    let modules = PathBuf::from(env::var_os(MODULES)?);
    Some(inside(&program, &modules).map(|()| ExitCode::SUCCESS))
}

fn inside(program: &Path, modules: &Path) -> Result<()> {
    let hosts = Hosts::make(usize::from(DEVICES))?;
    let switch = Arc::new(Switch::start(&hosts, SEED)?);
    eprintln!("net: {DEVICES} hosts; every link {BAD}; cut for {} s", PARTITION.as_secs());
    switch.set_all(BAD);
    let mut watch = Partition { switch: Arc::clone(&switch), healing: None };
    demo::run_on(program, modules, &hosts.sites(), &mut watch)?;
    watch.healed()?;
    let counts = switch.counts();
    eprintln!("net: {counts}");
    if counts.lost == 0 || counts.cut == 0 {
        bail!("the links lost nothing: this was no test");
    }
    Ok(())
}

/// Cuts one device off at the moment when the account activates a version.
struct Partition {
    switch: Arc<Switch>,
    healing: Option<thread::JoinHandle<()>>,
}

impl Watch for Partition {
    fn step(&mut self, key: &str) {
        if key != "activate" {
            return;
        }
        eprintln!("net: device {ALONE} is alone from now on");
        self.switch.isolate(ALONE, true);
        let switch = Arc::clone(&self.switch);
        self.healing = Some(thread::spawn(move || {
            thread::sleep(PARTITION);
            switch.isolate(ALONE, false);
            eprintln!("net: device {ALONE} is back");
        }));
    }
}

impl Partition {
    fn healed(self) -> Result<()> {
        let healing = self.healing.context("the account never came to activate a version")?;
        healing.join().map_err(|_| anyhow::anyhow!("the partition was never healed"))
    }
}
