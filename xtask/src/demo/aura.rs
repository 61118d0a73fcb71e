//! The `aura` command, asked as a person would ask it, answered in JSON.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{Site, deadline, leash};

/// How long one command may take. The longest fetches, compiles and rehearses nothing itself; it
/// waits for a quorum, and is given its own shorter `--wait`.
const CALL_LIMIT: Duration = Duration::from_secs(180);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// The command said no, with a code that stays what it is.
    Refused {
        /// The code.
        code: String,
        /// The sentence that goes with it.
        message: String,
    },
    /// The command did not do its part: it could not be run, or answered with something else.
    Broken(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, message } => write!(f, "{code}: {message}"),
            Self::Broken(reason) => write!(f, "{reason}"),
        }
    }
}

/// The program.
#[derive(Debug, Clone)]
pub struct Aura {
    binary: PathBuf,
    site: Option<Site>,
}

impl Aura {
    /// The program at `binary`.
    pub fn new(binary: PathBuf) -> Self {
        Self { binary, site: None }
    }

    /// The same on a host of its own.
    pub fn on(self, site: Site) -> Self {
        Self { site: Some(site), ..self }
    }

    /// Its host, if it has one of its own.
    pub fn site(&self) -> Option<&Site> {
        self.site.as_ref()
    }

    /// `--bind` and where to listen, if that is not what `aura` chooses.
    pub fn bind(&self) -> Vec<OsString> {
        let bind = |it: &Site| vec!["--bind".into(), format!("{}:0", it.address).into()];
        self.site.as_ref().map(bind).unwrap_or_default()
    }

    /// What runs the program on its host, on a leash.
    pub fn leashed(&self) -> io::Result<Command> {
        let mut program = leash::command(self.site.as_ref().map(|it| &*it.namespace))?;
        program.arg(&self.binary);
        Ok(program)
    }

    /// What runs the program on its host.
    fn program(&self) -> io::Result<Command> {
        if self.site.is_some() { self.leashed() } else { Ok(Command::new(&self.binary)) }
    }

    /// `aura --store STORE --json`, ready for a command, started through `program` (the binary
    /// itself, or something that runs it).
    pub fn prepared(&self, program: Command, store: &Path) -> Command {
        let mut command = program;
        for (name, _) in env::vars_os() {
            // What a person set for their own stores is not meant for these.
            if name.as_encoded_bytes().starts_with(b"AURA_") {
                command.env_remove(name);
            }
        }
        command.arg("--store").arg(store).arg("--json").stdin(Stdio::null());
        command
    }

    /// Runs one command on the store to its end.
    pub fn call(&self, store: &Path, args: &[&OsStr]) -> Result<Value, NoAnswer> {
        let shown: Vec<_> = args.iter().map(|it| it.to_string_lossy()).collect();
        let name = format!("`aura {}`", shortened(&shown.join(" ")));
        let broken = |reason: String| NoAnswer::Broken(format!("{name} {reason}"));

        let unstarted = |error: io::Error| broken(format!("could not be started ({error})"));
        let mut command = self.prepared(self.program().map_err(unstarted)?, store);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(unstarted)?;
        let stdout = child.stdout.take().map(deadline::read_aside);
        let stderr = child.stderr.take().map(deadline::read_aside);
        let ended = deadline::wait(&mut child, CALL_LIMIT);
        if !matches!(ended, Ok(Some(_))) {
            child.kill().and_then(|()| child.wait()).map_err(|it| broken(it.to_string()))?;
            return Err(broken(format!("had no answer after {} s", CALL_LIMIT.as_secs())));
        }
        let success = matches!(ended, Ok(Some(status)) if status.success());
        let text = |reader: Option<std::thread::JoinHandle<std::io::Result<Vec<u8>>>>| {
            let bytes = reader.and_then(|it| it.join().ok()?.ok()).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        answer(success, &text(stdout), &text(stderr)).map_err(|it| match it {
            NoAnswer::Broken(reason) => broken(reason),
            refused => refused,
        })
    }
}

/// What a command's output means: the last line of standard output is the answer.
fn answer(success: bool, stdout: &str, stderr: &str) -> Result<Value, NoAnswer> {
    let last = |text: &str| text.lines().rfind(|it| !it.trim().is_empty()).map(str::to_owned);
    let line = last(stdout).unwrap_or_default();
    let value: Option<Value> = serde_json::from_str(&line).ok();
    if let Some(error) = value.as_ref().and_then(|it| it.get("error")) {
        let field = |name: &str| error[name].as_str().unwrap_or("(not said)").to_owned();
        return Err(NoAnswer::Refused { code: field("code"), message: field("message") });
    }
    match value {
        Some(value) if success => Ok(value),
        Some(_) => Err(NoAnswer::Broken("failed, but printed an answer".to_owned())),
        None => {
            let word = if success { "printed no JSON" } else { "failed" };
            let said = last(stderr).unwrap_or(line);
            Err(NoAnswer::Broken(format!("{word}: {said}")))
        }
    }
}

/// A command for an error message: tickets are long.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 120;
    if text.chars().count() <= CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(CHARS_MAX).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_answer() {
        let value = answer(true, "{\"a\":1}\n{\"b\":2}\n\n", "log").unwrap();
        assert_eq!(value, serde_json::json!({"b": 2}));
    }

    #[test]
    fn a_refusal_keeps_its_code() {
        let stdout = r#"{"error":{"code":"DigestMismatch","message":"module differs"}}"#;
        let refused = answer(false, stdout, "").unwrap_err();
        assert_eq!(refused.to_string(), "DigestMismatch: module differs");
        assert!(matches!(refused, NoAnswer::Refused { code, .. } if code == "DigestMismatch"));
    }

    #[test]
    fn what_is_no_answer_says_why() {
        let reason = |success, stdout, stderr| answer(success, stdout, stderr).unwrap_err();
        assert_eq!(reason(false, "", "a\nstore in use\n").to_string(), "failed: store in use");
        assert_eq!(reason(true, "hello", "").to_string(), "printed no JSON: hello");
        assert_eq!(reason(false, "{}", "").to_string(), "failed, but printed an answer");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let aura = Aura::new("/nonexistent/aura".into());
        let error = aura.call(Path::new("/tmp"), &[OsStr::new("status")]).unwrap_err();
        assert!(error.to_string().starts_with("`aura status` could not be started"), "{error}");
    }

    #[test]
    fn a_long_command_is_shortened() {
        assert_eq!(shortened("device join x"), "device join x");
        assert_eq!(shortened(&"t".repeat(500)).chars().count(), 121);
    }
}
