//! One running device. It ends when this value does.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::aura::Aura;
use super::deadline;

/// How long a device may take to open its store and bind its port on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long a device may take to finish what it is writing and close its store.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A running `aura run`.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a device on the leash and waits until it says that it is ready; its log goes to `log`.
    pub fn start(aura: &Aura, store: &Path, log: &Path) -> Result<Self, String> {
        let program = aura.leashed().map_err(|it| it.to_string())?;
        Self::start_through(program, aura, store, log)
    }

    fn start_through(
        program: Command,
        aura: &Aura,
        store: &Path,
        log: &Path,
    ) -> Result<Self, String> {
        let said = |what: &str| format!("{what}; its log is {}", log.display());
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|error| format!("{} cannot be written ({error})", log.display()))?;
        let mut command = aura.prepared(program, store);
        command.arg("run").args(aura.bind()).stdout(Stdio::piped()).stderr(stderr);
        let child =
            command.spawn().map_err(|error| format!("it could not be started ({error})"))?;
        let mut process = Self { child };
        let line = process.first_line().map_err(|it| said(&it))?;
        let ready: Option<Value> = serde_json::from_str(&line).ok();
        if ready.and_then(|it| it.get("ready")?.as_bool()) != Some(true) {
            return Err(said(&format!("it said {:?} instead of being ready", line.trim())));
        }
        Ok(process)
    }

    /// The first line on standard output. What follows is read too, so that a device which prints
    /// more never waits for a reader.
    fn first_line(&mut self) -> Result<String, String> {
        let stdout = self.child.stdout.take().ok_or("its output was not captured")?;
        let (send, lines) = mpsc::sync_channel(1);
        thread::spawn(move || {
            let mut send = Some(send);
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Only the first is wanted; if nobody waits for it any more, nor is that one.
                if let Some(send) = send.take()
                    && send.send(line).is_err()
                {
                    continue;
                }
            }
        });
        lines.recv_timeout(READY_LIMIT).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                format!("it was not ready after {} s", READY_LIMIT.as_secs())
            }
            RecvTimeoutError::Disconnected => "it ended before it was ready".to_owned(),
        })
    }

    /// Ends the device without warning, as a power failure would.
    pub fn kill(mut self) -> Result<(), String> {
        self.end().map_err(|error| format!("it could not be killed ({error})"))
    }

    /// Asks the device to stop and waits until it has.
    pub fn stop(mut self) -> Result<(), String> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or("it has no process id")?;
        if !matches!(self.child.try_wait(), Ok(None)) {
            return Err("it was no longer running when it was to be stopped".to_owned());
        }
        kill_process(pid, Signal::TERM).map_err(|error| format!("it took no signal ({error})"))?;
        match deadline::wait(&mut self.child, STOP_LIMIT) {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(status)) => Err(format!("it stopped with {status}")),
            Ok(None) => Err(format!("it was still running {} s later", STOP_LIMIT.as_secs())),
            Err(error) => Err(format!("it could not be waited for ({error})")),
        }
    }

    /// How the device ended, if it did so by itself.
    pub fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(format!("it ended by itself with {status}")),
            Err(error) => Some(format!("it cannot be looked at ({error})")),
        }
    }

    fn end(&mut self) -> std::io::Result<()> {
        if self.child.try_wait()?.is_none() {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("demo: process {} could not be ended ({error})", self.child.id());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::test_kill_process;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// Starts a shell script in place of a device.
    fn start(dir: &Path, script: &str) -> Result<Process, String> {
        let binary = dir.join("aura");
        fs::write(&binary, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o700)).unwrap();
        let mut program = Command::new("/bin/sh");
        program.arg(&binary);
        Process::start_through(program, &Aura::new(binary), dir, &dir.join("log"))
    }

    const READY: &str = "echo '{\"ready\":true}'";

    #[test]
    fn a_device_is_started_with_its_store_and_stops_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let script = format!(
            "echo \"$*\" >&2; trap 'echo stopped >&2; exit 0' TERM; {READY}; while :; do :; done"
        );
        start(dir.path(), &script).unwrap().stop().unwrap();
        let log = fs::read_to_string(dir.path().join("log")).unwrap();
        assert_eq!(log, format!("--store {} --json run\nstopped\n", dir.path().display()));
    }

    #[test]
    fn a_device_that_is_not_ready_is_an_error_with_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let error = start(dir.path(), "echo '{\"error\":{}}'; exec cat /dev/zero").unwrap_err();
        assert!(error.contains("instead of being ready; its log is"), "{error}");
        let error = start(dir.path(), "exit 3").unwrap_err();
        assert!(error.starts_with("it ended before it was ready"), "{error}");
    }

    #[test]
    fn a_device_that_ends_by_itself_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = start(dir.path(), &format!("{READY}; exit 4")).unwrap();
        let ended = deadline::until(STOP_LIMIT, || process.ended());
        assert_eq!(ended.as_deref(), Some("it ended by itself with exit status: 4"));
        assert!(process.stop().unwrap_err().contains("no longer running"));
    }

    #[test]
    fn a_device_ends_with_its_value() {
        let dir = tempfile::tempdir().unwrap();
        let process = start(dir.path(), &format!("{READY}; while :; do :; done")).unwrap();
        let pid = Pid::from_raw(i32::try_from(process.child.id()).unwrap()).unwrap();
        assert!(test_kill_process(pid).is_ok());
        drop(process);
        assert!(test_kill_process(pid).is_err());
    }
}
