//! Everything a step can see: the devices, the publisher, the files, and what was learnt so far.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::aura::Aura;
use super::device::Device;
use super::session::Session;
use super::{Fault, Site};

/// The names of the devices, in the order in which they join.
const NAMES: [&str; 9] = ["anna", "bert", "cleo", "dora", "emil", "fine", "gert", "hana", "ivan"];

/// The modules that the demo ships, as `cargo xtask protocols` left them.
#[derive(Debug, Clone)]
pub struct Modules {
    /// The first version.
    pub v1_0: PathBuf,
    /// Its soft fork.
    pub v1_1: PathBuf,
    /// The hard fork.
    pub v2_0: PathBuf,
    /// What moves records to the hard fork.
    pub migration: PathBuf,
}

impl Modules {
    /// The modules in `dir`.
    pub fn find(dir: &Path) -> Result<Self> {
        let module = |name: &str| {
            let path = dir.join(format!("{name}.wasm"));
            if !path.is_file() {
                bail!("{} was not built; protocols/ has no package {name}", path.display());
            }
            Ok(path)
        };
        Ok(Self {
            v1_0: module("counter-1-0-0")?,
            v1_1: module("counter-1-1-0")?,
            v2_0: module("counter-2-0-0")?,
            migration: module("counter-migration-2-0-0")?,
        })
    }
}

/// What the steps found out, for the summary. Nothing is in it that no device said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// How many devices agreed at the end.
    pub devices: usize,
    /// The version that every device says is active.
    pub active: Option<String>,
    /// The state root that every device has.
    pub state_root: Option<String>,
    /// The codes with which bad modules were refused.
    pub refused: Vec<String>,
    /// The version on which the held session finished.
    pub pinned_session_version: Option<String>,
    /// Whether the device that was away took part in a session of the new version.
    pub late_device_caught_up: bool,
}

/// The account, its publisher and their files.
#[derive(Debug)]
pub struct World {
    dir: PathBuf,
    aura: Aura,
    devices: Vec<Device>,
    /// The account that publishes `counter`.
    pub publisher: Device,
    /// The modules to ship.
    pub modules: Modules,
    /// The session that is held open across the upgrade.
    pub held: Option<Session>,
    /// What was learnt so far.
    pub facts: Facts,
}

impl World {
    /// A world of `count` devices with their stores in `dir`. Nothing is started.
    pub fn new(binary: PathBuf, dir: &Path, modules: Modules, count: usize) -> Self {
        let aura = Aura::new(binary);
        let device = |name: &str| Device::new(aura.clone(), dir, name);
        let devices = NAMES.iter().take(count).map(|name| device(name)).collect();
        let publisher = device("publisher");
        let dir = dir.to_owned();
        Self { dir, aura, devices, publisher, modules, held: None, facts: Facts::default() }
    }

    /// Gives each device a host of its own, in their order.
    pub fn on(mut self, sites: &[Site]) -> Self {
        for (device, site) in self.devices.iter_mut().zip(sites) {
            device.live_on(site);
        }
        self
    }

    /// A store beside the others, for someone who is not of the account.
    pub fn outsider(&self, name: &str) -> Device {
        Device::new(self.aura.clone(), &self.dir, name)
    }

    /// A file of the demo's own.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// One device, by its place in the account.
    pub fn device(&self, index: usize) -> Result<&Device, Fault> {
        self.devices.get(index).ok_or_else(|| Fault::new(format!("there is no device {index}")))
    }

    /// One device, to start or stop it.
    pub fn device_mut(&mut self, index: usize) -> Result<&mut Device, Fault> {
        let gone = || Fault::new(format!("there is no device {index}"));
        self.devices.get_mut(index).ok_or_else(gone)
    }

    /// All devices.
    pub fn devices_mut(&mut self) -> &mut [Device] {
        &mut self.devices
    }

    /// How many devices there are.
    pub fn count(&self) -> usize {
        self.devices.len()
    }

    /// The places of all devices.
    pub fn everyone(&self) -> Vec<usize> {
        (0..self.devices.len()).collect()
    }

    /// The devices that take the soft fork: all but two.
    pub fn upgraded(&self) -> Vec<usize> {
        (0..self.devices.len().saturating_sub(2)).collect()
    }

    /// The device that is away during the hard fork: the last.
    pub fn late(&self) -> usize {
        self.devices.len().saturating_sub(1)
    }

    /// The devices that are there during the hard fork: all but the last.
    pub fn present(&self) -> Vec<usize> {
        (0..self.late()).collect()
    }

    /// Ends every process that still runs and gives what was learnt.
    pub fn end(self) -> Facts {
        self.facts
    }
}

/// Arguments from texts and paths together.
pub fn args<const N: usize>(parts: [&dyn AsRef<std::ffi::OsStr>; N]) -> Vec<OsString> {
    parts.iter().map(|it| it.as_ref().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_was_not_built_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["counter-1-0-0", "counter-1-1-0", "counter-2-0-0"] {
            std::fs::write(dir.path().join(format!("{name}.wasm")), "").unwrap();
        }
        let error = Modules::find(dir.path()).unwrap_err().to_string();
        assert!(error.contains("counter-migration-2-0-0"), "{error}");
        std::fs::write(dir.path().join("counter-migration-2-0-0.wasm"), "").unwrap();
        assert!(Modules::find(dir.path()).is_ok());
    }

    #[test]
    fn the_parts_of_the_main_job_are_as_told() {
        let nothing = PathBuf::new();
        let modules = Modules {
            v1_0: nothing.clone(),
            v1_1: nothing.clone(),
            v2_0: nothing.clone(),
            migration: nothing.clone(),
        };
        let world = World::new(nothing, Path::new("/d"), modules, 5);
        assert_eq!(world.upgraded(), [0, 1, 2]);
        assert_eq!(world.present(), [0, 1, 2, 3]);
        assert_eq!(world.late(), 4);
        assert_eq!(world.device(4).unwrap().store(), Path::new("/d/emil"));
        assert!(world.device(5).is_err());
    }
}
