//! Where a Chromium is, or comes from: the path, else Debian's package.

use std::path::{Path, PathBuf};

use crate::command::Invocation;
use crate::provision::{Choice, Machine, captured, install_from_debian};

/// The names under which systems install it.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
/// Debian's package.
const PACKAGES: [&str; 1] = ["chromium"];

/// Finds a browser, or installs one where `choice` allows that anything is installed.
pub fn find(machine: &impl Machine, choice: Choice) -> Result<PathBuf, String> {
    if let Some(program) = installed(machine) {
        return Ok(program);
    }
    let none = format!("none of {} is in PATH", NAMES.join(", "));
    if choice == Choice::Installed {
        return Err(none);
    }
    install_from_debian(machine, &PACKAGES).map_err(|reason| format!("{none}, and {reason}"))?;
    installed(machine).ok_or_else(|| format!("the package is installed, but {none}"))
}

/// The first that answers when it is asked for its version.
fn installed(machine: &impl Machine) -> Option<PathBuf> {
    let answers = |name: &&&str| captured(machine, &Invocation::new(name).arg("--version")).is_ok();
    NAMES.iter().find(answers).map(|it| Path::new(it).to_owned())
}
