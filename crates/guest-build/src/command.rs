//! Other programs: what to run, and who runs it.
//!
//! A task describes an [`Invocation`] and hands it to a [`Runner`]. Tests hand it to a runner that
//! only records, so that what a task decides is tested without a network, a compiler or root.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use thiserror::Error;

/// Where the output of a program goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// Both streams are kept for the caller; the person at the terminal sees nothing.
    Captured,
    /// Standard output is kept for the caller, standard error (progress) is shown.
    StdoutCaptured,
    /// Both are shown on our standard error: the program's words are progress, not our answer.
    ToStderr,
    /// Both are shown where they belong: the program's words are our answer.
    Inherited,
}

/// A program with everything it is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, Option<OsString>)>,
    dir: Option<PathBuf>,
}

impl Invocation {
    /// `program`, without arguments, in our own folder and environment.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { program: program.as_ref().to_owned(), args: Vec::new(), env: Vec::new(), dir: None }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|it| it.as_ref().to_owned()));
        self
    }

    /// Sets one variable of the program's environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Hides one variable of our environment from the program.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), None));
        self
    }

    /// The folder the program starts in.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::null());
        if Path::new(&self.program).file_stem() == Some(OsStr::new("cargo")) {
            for name in env::vars_os().map(|(name, _)| name).filter(|it| tells_the_package(it)) {
                command.env_remove(name);
            }
        }
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }
}

/// `cargo run` tells this program which package it is. A cargo that inherited that would build crates
/// again whose build scripts look (ring's does), at every change of caller. A compiler needs it.
fn tells_the_package(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// As a person would type it, without its environment.
impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.to_string_lossy())?;
        for arg in &self.args {
            write!(f, " {}", arg.to_string_lossy())?;
        }
        Ok(())
    }
}

/// How a program ended and what of its output was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The exit code; `None` when a signal ended the program.
    pub code: Option<i32>,
    /// Standard output, empty unless captured.
    pub stdout: Vec<u8>,
    /// Standard error, empty unless captured.
    pub stderr: Vec<u8>,
}

impl Ran {
    /// Whether the program says that it did what was asked.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// How it ended, for an error: the exit code, and the last line it wrote where that was kept.
    pub fn failure(&self) -> String {
        let end = match self.code {
            Some(code) => format!("exit code {code}"),
            None => "ended by a signal".to_owned(),
        };
        let stderr = String::from_utf8_lossy(&self.stderr);
        match stderr.lines().rfind(|it| !it.trim().is_empty()) {
            Some(line) => format!("{end}: {}", line.trim()),
            None => end,
        }
    }
}

/// Something that can run programs.
pub trait Runner {
    /// Runs `invocation` to its end.
    ///
    /// # Errors
    /// When it cannot be started at all.
    fn run(&self, invocation: &Invocation, streams: Streams) -> io::Result<Ran>;
}

/// The real runner.
#[derive(Debug, Clone, Copy)]
pub struct Shell;

impl Runner for Shell {
    fn run(&self, invocation: &Invocation, streams: Streams) -> io::Result<Ran> {
        let mut command = invocation.command();
        match streams {
            Streams::Captured => command.stdout(Stdio::piped()).stderr(Stdio::piped()),
            Streams::StdoutCaptured => command.stdout(Stdio::piped()).stderr(Stdio::inherit()),
            Streams::ToStderr => command.stdout(io::stderr()).stderr(Stdio::inherit()),
            Streams::Inherited => command.stdout(Stdio::inherit()).stderr(Stdio::inherit()),
        };
        let output = command.spawn()?.wait_with_output()?;
        Ok(Ran { code: output.status.code(), stdout: output.stdout, stderr: output.stderr })
    }
}

/// Why a program did not do what was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// It is not here, or this machine cannot start it.
    #[error("`{command}` could not be started")]
    NotStarted {
        /// As a person would type it.
        command: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It ran, and says that it failed. What it wrote before says why.
    #[error("`{command}` failed ({end})")]
    Failed {
        /// As a person would type it.
        command: String,
        /// How it ended.
        end: String,
    },
}

/// Runs `invocation` and demands success; the error names the command.
///
/// # Errors
/// [`CommandError`], when it cannot be started or fails.
pub fn demand(
    runner: &impl Runner,
    invocation: &Invocation,
    streams: Streams,
) -> Result<Ran, CommandError> {
    let ran = runner
        .run(invocation, streams)
        .map_err(|source| CommandError::NotStarted { command: invocation.to_string(), source })?;
    if !ran.success() {
        let (command, end) = (invocation.to_string(), ran.failure());
        return Err(CommandError::Failed { command, end });
    }
    Ok(ran)
}

#[cfg(any(test, feature = "fake"))]
pub mod fake {
    //! A runner that records what it is asked and answers from a script.

    use super::*;
    use std::cell::RefCell;

    type Answer = Box<dyn Fn(&str) -> Option<io::Result<Ran>>>;

    /// Answers each command with the first rule that knows it; a command nobody knows is not found.
    #[derive(Default)]
    pub struct FakeRunner {
        rules: Vec<Answer>,
        asked: RefCell<Vec<Invocation>>,
    }

    impl FakeRunner {
        /// Commands whose text starts with `prefix` end with `code` and print `stdout`.
        pub fn on(mut self, prefix: &'static str, code: i32, stdout: &'static str) -> Self {
            self.rules.push(Box::new(move |command| {
                command.starts_with(prefix).then(|| {
                    Ok(Ran { code: Some(code), stdout: stdout.into(), stderr: Vec::new() })
                })
            }));
            self
        }

        /// Every command asked for so far, as typed.
        pub fn commands(&self) -> Vec<String> {
            self.asked.borrow().iter().map(ToString::to_string).collect()
        }

        /// The last value that the command starting with `prefix` was given for `name`.
        pub fn env_of(&self, prefix: &str, name: &str) -> Option<OsString> {
            let asked = self.asked.borrow();
            let invocation = asked.iter().find(|it| it.to_string().starts_with(prefix))?;
            invocation.env.iter().rfind(|(key, _)| key == name)?.1.clone()
        }
    }

    impl Runner for FakeRunner {
        fn run(&self, invocation: &Invocation, _streams: Streams) -> io::Result<Ran> {
            self.asked.borrow_mut().push(invocation.clone());
            let text = invocation.to_string();
            self.rules
                .iter()
                .find_map(|rule| rule(&text))
                .unwrap_or_else(|| Err(io::Error::new(io::ErrorKind::NotFound, "no such program")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_captured_reaches_the_caller() {
        let invocation = Invocation::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]);
        let ran = Shell.run(&invocation, Streams::Captured).unwrap();
        assert_eq!((ran.code, ran.stdout.as_slice()), (Some(3), b"out\n".as_slice()));
        assert_eq!(ran.failure(), "exit code 3: err");
    }

    /// A nested cargo must not learn which package we are; a compiler cannot do without.
    #[test]
    fn only_cargo_is_not_told_the_package() {
        let hidden = |program: &str| {
            let command = Invocation::new(program).command();
            let mut changed = command.get_envs().filter(|(_, value)| value.is_none());
            changed.any(|(name, _)| name == "CARGO_PKG_VERSION_PATCH")
        };
        // Tests run under cargo, which sets the variable.
        assert!(env::var_os("CARGO_PKG_VERSION_PATCH").is_some());
        assert!(hidden("cargo") && hidden("/usr/bin/cargo"));
        assert!(!hidden("rustc") && !hidden("/usr/bin/rustc"));
    }

    #[test]
    fn a_variable_can_be_hidden_and_set() {
        let print = Invocation::new("sh").args(["-c", "echo ${PATH:-none} $AURA_WORD"]);
        let ran = Shell
            .run(&print.env("AURA_WORD", "word"), Streams::Captured)
            .map(|it| String::from_utf8(it.stdout).unwrap())
            .unwrap();
        assert!(ran.ends_with(" word\n") && !ran.starts_with("none"), "{ran}");

        let hidden =
            Invocation::new("/bin/sh").args(["-c", "echo ${HOME:-none}"]).env_remove("HOME");
        assert_eq!(Shell.run(&hidden, Streams::Captured).unwrap().stdout, b"none\n");
    }

    #[test]
    fn a_failure_names_the_command() {
        let error =
            demand(&Shell, &Invocation::new("sh").args(["-c", "exit 9"]), Streams::Captured)
                .unwrap_err();
        assert_eq!(error.to_string(), "`sh -c exit 9` failed (exit code 9)");
        let error = demand(&Shell, &Invocation::new("aura-no-such-program"), Streams::Captured)
            .unwrap_err();
        assert_eq!(error.to_string(), "`aura-no-such-program` could not be started");
    }
}
