//! Children that end with their parent.
//!
//! Dropping a [`super::process::Process`] kills it, but nothing is dropped when this program itself
//! is killed. So each device is started through this program, which first asks the kernel to be
//! killed when its parent ends, and then becomes the device. Where the kernel knows no such wish,
//! the device is simply started.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

/// Set for a child that is to become a device, to the id of its parent. Its presence makes this
/// program a leash.
const VARIABLE: &str = "AURA_DEMO_LEASH";

/// Set beside it, to the network namespace that the device is to run in.
const NAMESPACE: &str = "AURA_DEMO_NAMESPACE";

/// The program that runs the command appended to it on a leash, in a network namespace if one is named.
pub fn command(namespace: Option<&Path>) -> io::Result<Command> {
    let mut command = Command::new(this_program()?);
    command.env(VARIABLE, std::process::id().to_string());
    if let Some(namespace) = namespace {
        command.env(NAMESPACE, namespace);
    }
    Ok(command)
}

/// This very program. Building the workspace may replace its file while it runs; on Linux the
/// kernel still knows the file that was started.
fn this_program() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") { Ok(running.to_path_buf()) } else { env::current_exe() }
}

/// Becomes the device if that is what this process was started for.
pub fn run_as_leash() -> Option<Result<ExitCode>> {
    let parent = env::var(VARIABLE).ok()?;
    Some(become_device(&parent))
}

fn become_device(parent: &str) -> Result<ExitCode> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .context("the kernel refused to end this process with its parent")?;
    // The parent may have ended before the wish was known; then the wish comes too late.
    let now = rustix::process::getppid().map(|it| it.as_raw_nonzero().to_string());
    ensure!(now.as_deref() == Some(parent), "the parent has ended already");
    #[cfg(target_os = "linux")]
    if let Some(namespace) = env::var_os(NAMESPACE) {
        let file = std::fs::File::open(namespace).context("the network namespace is gone")?;
        let kind = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), kind)
            .context("the network namespace was not entered")?;
    }
    let mut args = env::args_os().skip(1);
    let program = args.next().context("no program was named")?;
    let error = Command::new(&program).args(args).env_remove(VARIABLE).env_remove(NAMESPACE).exec();
    Err(error).with_context(|| format!("{} could not be started", program.display()))
}
