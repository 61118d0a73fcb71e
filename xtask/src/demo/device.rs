//! A device of the account (or a publisher): a store, and sometimes a process that serves it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::aura::{Aura, NoAnswer};
use super::deadline;
use super::process::Process;
use super::{Fault, Site};

/// One store with the command that drives it.
#[derive(Debug)]
pub struct Device {
    name: String,
    store: PathBuf,
    log: PathBuf,
    aura: Aura,
    process: Option<Process>,
}

impl Device {
    /// The device `name`, whose store will be in `dir`. Nothing is made yet.
    pub fn new(aura: Aura, dir: &Path, name: &str) -> Self {
        let log = dir.join(format!("{name}.log"));
        Self { name: name.to_owned(), store: dir.join(name), log, aura, process: None }
    }

    /// Has the device run on a host of its own from now on.
    pub fn live_on(&mut self, site: &Site) {
        self.aura = self.aura.clone().on(site.clone());
    }

    /// Whether it runs on a host of its own.
    pub fn is_elsewhere(&self) -> bool {
        self.aura.site().is_some()
    }

    /// `--bind` and where the device listens, if that is not what `aura` chooses.
    pub fn bind(&self) -> Vec<OsString> {
        self.aura.bind()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its store.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// A fault of this device's.
    pub fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault::on(&self.name, reason)
    }

    /// Asks the device something; a refusal is an answer that the caller may want.
    pub fn ask<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Value, NoAnswer> {
        let args: Vec<&OsStr> = args.iter().map(AsRef::as_ref).collect();
        self.aura.call(&self.store, &args)
    }

    /// Tells the device to do something; a refusal is a fault.
    pub fn tell<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Value, Fault> {
        self.ask(args).map_err(|it| self.fault(it.to_string()))
    }

    /// The text at `field` of an answer.
    pub fn text(&self, answer: &Value, field: &str) -> Result<String, Fault> {
        let text = answer.pointer(field).and_then(Value::as_str);
        text.map(str::to_owned)
            .ok_or_else(|| self.fault(format!("the answer has no text at {field}: {answer}")))
    }

    /// Starts `aura run` on the store.
    pub fn start(&mut self) -> Result<(), Fault> {
        let started = Process::start(&self.aura, &self.store, &self.log);
        self.process = Some(started.map_err(|it| self.fault(it))?);
        Ok(())
    }

    /// Ends the process without warning.
    pub fn kill(&mut self) -> Result<(), Fault> {
        let process = self.process.take().ok_or_else(|| self.fault("it is not running"))?;
        process.kill().map_err(|it| self.fault(it))
    }

    /// Asks the process to stop, and waits for it.
    pub fn stop(&mut self) -> Result<(), Fault> {
        let process = self.process.take().ok_or_else(|| self.fault("it is not running"))?;
        process.stop().map_err(|it| self.fault(it))
    }

    /// Asks `status` until `holds` says what it was waited for, or names what is still missing.
    pub fn await_status<T>(
        &mut self,
        limit: Duration,
        mut holds: impl FnMut(&Value) -> Result<T, String>,
    ) -> Result<T, Fault> {
        let mut missing = "nothing was asked".to_owned();
        let found = deadline::until(limit, || {
            if let Some(end) = self.process.as_mut().and_then(Process::ended) {
                return Some(Err(self.fault(format!("{end}; its log is {}", self.log.display()))));
            }
            match self.ask(&["status"]).map_err(|it| it.to_string()).and_then(|it| holds(&it)) {
                Ok(found) => Some(Ok(found)),
                Err(reason) => {
                    missing = reason;
                    None
                }
            }
        });
        let waited = limit.as_secs();
        found.unwrap_or_else(|| Err(self.fault(format!("still not after {waited} s: {missing}"))))
    }
}
