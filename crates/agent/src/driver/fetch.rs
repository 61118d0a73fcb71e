//! Where a module comes from: devices that are known to have it, its locations, other devices.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use aura_protocol_core::{DeviceId, ModuleRef};
use aura_transport::{
    Culprit, ModuleError, PartialModule, Progress, TransferLimits, TransportError, fetch_module,
};
use bytes::Bytes;
use tokio::time::timeout;

use crate::{
    driver::{ChannelKind, World},
    error::{AgentError, Whose},
    identity::modules_dir,
    node::{AgentEvent, Providers},
};

/// How long a device may be silent before the next one is asked. A device that was switched off looks
/// connected until the connection's own timeout, which is longer.
const PROVIDER_SILENCE_MAX: Duration = Duration::from_secs(3);
/// Parts of modules that are kept. The oldest go: whoever still wants one begins again.
const PARTS_MAX: usize = 16;
/// Listeners are told of progress in steps of this size.
const PROGRESS_STEP_BYTES: u32 = 64 << 10;

/// One module on its way here. What one source brought is not fetched again from the next, nor after a
/// restart.
pub(super) struct Fetch<'a> {
    world: &'a Arc<World>,
    module: ModuleRef,
    partial: PartialModule,
    told_bytes: u32,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(world: &'a Arc<World>, module: &ModuleRef) -> Self {
        let partial = open_part(&world.dir, module).unwrap_or_else(|error| {
            tracing::warn!("module {} is fetched into memory: {error}", module.digest.short());
            PartialModule::new(module)
        });
        Self { world, module: module.clone(), partial, told_bytes: 0 }
    }

    /// The part is not needed any more.
    pub(super) fn end(mut self) {
        self.partial.remove_file();
    }

    /// Asks one source after another.
    pub(super) async fn from_somewhere(
        &mut self,
        providers: Providers,
    ) -> Result<Bytes, AgentError> {
        let Providers { known, others } = providers;
        let mut last = None;
        let devices = |devices: Vec<DeviceId>| devices.into_iter().map(Source::Device);
        let sources = devices(known).chain([Source::Locations]).chain(devices(others));
        for source in sources {
            if !self.offers(source) {
                continue;
            }
            match self.from(source).await {
                Ok(bytes) => {
                    let from = source.to_string();
                    let module = self.module.digest;
                    tracing::info!("module {}: {} bytes from {from}", module.short(), bytes.len());
                    let module = module.to_string();
                    self.tell(AgentEvent::ModuleFetched { module, from });
                    return Ok(bytes);
                }
                Err(error) => {
                    tracing::debug!("no module from {source}: {error}");
                    last = Some(fetch_error(&error));
                }
            }
        }
        Err(last.unwrap_or_else(|| self.unavailable()))
    }

    /// Whether the reference allows it.
    fn offers(&self, source: Source) -> bool {
        match source {
            Source::Device(_) => self.module.peers_ok,
            Source::Locations => !self.module.urls.is_empty(),
        }
    }

    async fn from(&mut self, source: Source) -> Result<Bytes, ModuleError> {
        let device = match source {
            Source::Device(device) => device,
            Source::Locations => return self.from_locations().await,
        };
        match self.from_device(device).await {
            // What a location, or an earlier run, had brought was wrong. Nothing of it is left.
            Err(ModuleError::PartialDamaged { .. }) => self.from_device(device).await,
            other => other,
        }
    }

    async fn from_locations(&mut self) -> Result<Bytes, ModuleError> {
        let Self { world, module, partial, told_bytes } = self;
        let progress = |it: Progress| tell_progress(world, module, told_bytes, it);
        world.locations.fetch(module, partial, progress).await
    }

    async fn from_device(&mut self, device: DeviceId) -> Result<Bytes, ModuleError> {
        let Self { world, module, partial, told_bytes } = self;
        let digest = module.digest;
        let session = world.network.session(device).ok_or(ModuleError::NotOffered { digest })?;
        let opened = async {
            let mut channel = session.open().await?;
            channel.send(ChannelKind::Module.to_frame()).await?;
            Ok::<_, TransportError>(channel)
        };
        let silent = || ModuleError::NotOffered { digest };
        let mut channel = timeout(PROVIDER_SILENCE_MAX, opened).await.map_err(|_| silent())??;
        let limits =
            TransferLimits { idle_timeout: PROVIDER_SILENCE_MAX, ..TransferLimits::default() };
        let progress = |it: Progress| tell_progress(world, module, told_bytes, it);
        fetch_module(channel.as_mut(), module, partial, &limits, progress).await
    }

    fn tell(&self, event: AgentEvent) {
        tell(self.world, event);
    }

    fn unavailable(&self) -> AgentError {
        AgentError::new(
            "ModuleUnavailable",
            format!("no connected device has module {}", self.module.digest.short()),
            Whose::Nobody,
            "wait for a device that has it, or bring its file with --module",
        )
    }
}

/// Where a module may come from.
#[derive(Clone, Copy)]
enum Source {
    Device(DeviceId),
    Locations,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Device(device) => write!(f, "device {}", device.short()),
            Self::Locations => f.write_str("its locations"),
        }
    }
}

fn tell(world: &World, event: AgentEvent) {
    if world.events.send(event).is_err() {
        tracing::trace!("nobody listens for events");
    }
}

fn tell_progress(world: &World, module: &ModuleRef, told: &mut u32, progress: Progress) {
    let Progress { held_bytes, total_bytes } = progress;
    if held_bytes == total_bytes || PROGRESS_STEP_BYTES <= held_bytes.abs_diff(*told) {
        *told = held_bytes;
        let module = module.digest.to_string();
        tell(world, AgentEvent::ModuleProgress { module, held_bytes, total_bytes });
    }
}

/// The part of a module that is in the store's folder, if any.
fn open_part(dir: &Path, module: &ModuleRef) -> io::Result<PartialModule> {
    let dir = modules_dir(dir).join("parts");
    fs::create_dir_all(&dir)?;
    let path = dir.join(format!("{}.part", module.digest));
    drop_old_parts(&dir, &path)?;
    PartialModule::open(module, &path)
}

/// Makes room for one that is about to begin.
fn drop_old_parts(dir: &Path, about_to: &Path) -> io::Result<()> {
    let mut parts: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.path() != about_to {
            parts.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    parts.sort();
    let many = (parts.len() + 1).saturating_sub(PARTS_MAX);
    parts.iter().take(many).try_for_each(|(_, path)| fs::remove_file(path))
}

fn fetch_error(error: &ModuleError) -> AgentError {
    let whose = match error.culprit() {
        Some(Culprit::Peer) => Whose::Peer,
        // A location that is wrong today may be right tomorrow, and devices may have the module.
        Some(Culprit::Publisher) if !matches!(error, ModuleError::LocationsFailed { .. }) => {
            Whose::Publisher
        }
        Some(Culprit::Caller) => Whose::Caller,
        Some(Culprit::Machine) => Whose::Machine,
        _ => Whose::Nobody,
    };
    AgentError::new(error.code(), error, whose, "it is tried again, also from other devices")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_parts_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = |n: usize| dir.path().join(format!("{n}.part"));
        for n in 0..PARTS_MAX + 3 {
            let file = fs::File::create(path(n)).unwrap();
            let age = Duration::from_secs(1000 - n as u64);
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        drop_old_parts(dir.path(), &path(0)).unwrap();
        assert!(path(0).exists(), "the one that is taken up stays");
        assert!((1..4).all(|it| !path(it).exists()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), PARTS_MAX);
    }
}
