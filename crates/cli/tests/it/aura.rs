//! The binary, run on stores that are deleted with the test.

use std::{
    fmt,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything: a machine that compiles at the same time is slow.
pub const DEADLINE: Duration = Duration::from_secs(90);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// A directory with a place for a store in it. There is none yet.
pub struct Store {
    base: TempDir,
}

/// What a command came to.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A running device. It is killed when dropped.
pub struct Device {
    child: Child,
    pub ready: Value,
}

impl Store {
    pub fn new() -> Self {
        Self { base: TempDir::new().unwrap() }
    }

    /// A store with a fresh account, whose device has this name.
    pub fn with_account(name: &str) -> Self {
        let store = Self::new();
        store.json(&["account", "create", "--name", name]);
        store
    }

    /// The store directory.
    pub fn path(&self) -> PathBuf {
        self.base.path().join("store")
    }

    /// A path beside the store.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    /// `aura --store STORE ARGS`.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, &[])
    }

    /// The same in an environment of one's own.
    pub fn run_with(&self, args: &[&str], environment: &[(&str, &str)]) -> Ran {
        run(Some(&self.path()), args, environment)
    }

    /// `aura --store STORE --json ARGS`, which succeeds.
    pub fn json(&self, args: &[&str]) -> Value {
        let ran = self.run(&[&["--json"], args].concat());
        assert_eq!(ran.code, 0, "{args:?}: {ran}");
        ran.object()
    }

    /// `aura --store STORE --json ARGS`, which fails with this code and exit code.
    #[track_caller]
    pub fn fails(&self, args: &[&str], code: &str, exit: i32) -> Value {
        let ran = self.run(&[&["--json"], args].concat());
        let error = ran.object()["error"].take();
        assert_eq!((error["code"].as_str(), ran.code), (Some(code), exit), "{args:?}: {ran}");
        // INV-E1: the same on standard error, for people, in one line.
        assert_eq!(ran.stderr.lines().count(), 1, "{args:?}: {ran}");
        assert!(ran.stderr.starts_with("error: "), "{args:?}: {ran}");
        for field in ["message", "whose", "next"] {
            assert!(error[field].as_str().is_some_and(|it| !it.is_empty()), "{args:?}: {ran}");
        }
        error
    }

    /// Starts `aura run` and waits until it is ready.
    pub fn start(&self) -> Device {
        self.start_with(&[])
    }

    /// The same in an environment of one's own.
    pub fn start_with(&self, environment: &[(&str, &str)]) -> Device {
        let mut command = command(Some(&self.path()), &["--json", "run"]);
        let mut child = command.envs(environment.iter().copied()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = aside(child.stderr.take().unwrap());
        let (send, line) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            send.send(line).unwrap();
        });
        let line = line.recv_timeout(DEADLINE).unwrap();
        let mut device = Device { child, ready: Value::Null };
        if line.is_empty() {
            device.ended();
            panic!("not ready: {}", stderr.join().unwrap());
        }
        device.ready = serde_json::from_str(&line).unwrap();
        device
    }

    /// Asks for the status until `holds`.
    #[track_caller]
    pub fn await_status(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.await_object(&["status"], what, holds)
    }

    /// Asks until the answer `holds`.
    #[track_caller]
    pub fn await_object(&self, args: &[&str], what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let object = self.json(args);
            if holds(&object) {
                return object;
            }
            assert!(begun.elapsed() < DEADLINE, "still not {what}: {object}");
            thread::sleep(PAUSE);
        }
    }
}

impl Ran {
    /// The last line of standard output.
    pub fn object(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_else(|| panic!("no answer: {self}"));
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {}\n{}\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Device {
    /// Asks the device to stop, and gives how it ended.
    pub fn stop(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
        self.ended()
    }

    fn ended(&mut self) -> ExitStatus {
        wait(&mut self.child, "the device")
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

/// Runs the binary to its end.
pub fn run(store: Option<&Path>, args: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut child = command(store, args).envs(environment.iter().copied()).spawn().unwrap();
    let stdout = aside(child.stdout.take().unwrap());
    let stderr = aside(child.stderr.take().unwrap());
    let status = wait(&mut child, &args.join(" "));
    Ran {
        code: status.code().unwrap(),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

fn command(store: Option<&Path>, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aura"));
    for variable in ["AURA_STORE", "AURA_LOG", "AURA_KEY_FILE", "AURA_PASSPHRASE"] {
        command.env_remove(variable);
    }
    if let Some(store) = store {
        command.arg("--store").arg(store);
    }
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn wait(child: &mut Child, what: &str) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if DEADLINE < begun.elapsed() {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{what} did not end");
        }
        thread::sleep(PAUSE);
    }
}

fn aside(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    })
}
