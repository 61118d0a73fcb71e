//! Where prepared modules are kept: files of one device, or memory alone.
//!
//! Under the folder: `modules/<digest>.wasm`, the original bytes, which are also what peers are
//! served, and `artifacts/<digest>.bin`, what the engine made of them. A file appears whole or not
//! at all. What is read back is never trusted: originals are hashed, artifacts authenticated.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use aura_protocol_core::Digest;

use crate::{
    error::HostError,
    limits::{ARTIFACT_BYTES_MAX, MODULE_BYTES_MAX},
};

const UNFINISHED: &str = "tmp";

/// The modules of one device.
pub(crate) enum Store {
    Folder(Folder),
    Memory(Mutex<BTreeMap<Digest, Vec<u8>>>),
}

impl Store {
    /// The original bytes, if they are there and undamaged.
    pub(crate) fn module(&self, digest: Digest) -> Result<Option<Vec<u8>>, HostError> {
        match self {
            Self::Folder(folder) => folder.module(digest),
            Self::Memory(modules) => {
                let modules = modules.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(modules.get(&digest).cloned())
            }
        }
    }

    /// Keeps bytes that were checked to have this digest.
    pub(crate) fn keep_module(&self, digest: Digest, bytes: &[u8]) -> Result<(), HostError> {
        match self {
            Self::Folder(folder) => write_whole(&folder.module_path(digest), bytes),
            Self::Memory(modules) => {
                let mut modules = modules.lock().unwrap_or_else(PoisonError::into_inner);
                modules.insert(digest, bytes.to_vec());
                Ok(())
            }
        }
    }

    /// The modules that are kept, and those of which an artifact is.
    pub(crate) fn digests(&self) -> Result<BTreeSet<Digest>, HostError> {
        match self {
            Self::Folder(folder) => folder.digests(),
            Self::Memory(modules) => {
                let modules = modules.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(modules.keys().copied().collect())
            }
        }
    }

    /// Drops a module and what was made of it; how many bytes that gave back.
    pub(crate) fn drop_module(&self, digest: Digest) -> Result<u64, HostError> {
        match self {
            Self::Folder(folder) => {
                let paths = [folder.module_path(digest), folder.artifact_path(digest)];
                let sizes = paths.iter().map(|it| fs::metadata(it).map_or(0, |it| it.len()));
                let bytes = sizes.sum();
                paths.iter().try_for_each(|it| remove(it))?;
                Ok(bytes)
            }
            Self::Memory(modules) => {
                let mut modules = modules.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(modules.remove(&digest).map_or(0, |it| it.len() as u64))
            }
        }
    }
}

/// The modules of one device, as files.
pub(crate) struct Folder {
    modules: PathBuf,
    artifacts: PathBuf,
}

impl Folder {
    /// Opens or makes the folder, and clears what a crash left unfinished.
    pub(crate) fn open(dir: &Path) -> Result<Self, HostError> {
        let folder = Self { modules: dir.join("modules"), artifacts: dir.join("artifacts") };
        for dir in [&folder.modules, &folder.artifacts] {
            fs::create_dir_all(dir).map_err(at(dir))?;
            for entry in fs::read_dir(dir).map_err(at(dir))? {
                let path = entry.map_err(at(dir))?.path();
                if path.extension().is_some_and(|it| it == UNFINISHED) {
                    remove(&path)?;
                }
            }
        }
        Ok(folder)
    }

    fn module(&self, digest: Digest) -> Result<Option<Vec<u8>>, HostError> {
        let path = self.module_path(digest);
        let Some(bytes) = read_bounded(&path, MODULE_BYTES_MAX as u64)? else { return Ok(None) };
        if Digest::of(&bytes) == digest {
            return Ok(Some(bytes));
        }
        tracing::warn!(module = %digest, "dropped a damaged module file");
        remove(&path)?;
        Ok(None)
    }

    fn digests(&self) -> Result<BTreeSet<Digest>, HostError> {
        let mut digests = BTreeSet::new();
        for dir in [&self.modules, &self.artifacts] {
            for entry in fs::read_dir(dir).map_err(at(dir))? {
                let path = entry.map_err(at(dir))?.path();
                // What bears another name is not ours to drop.
                let name = path.file_stem().and_then(|it| it.to_str());
                digests.extend(name.and_then(|it| it.parse::<Digest>().ok()));
            }
        }
        Ok(digests)
    }

    /// The artifact's file as it is, not authenticated yet.
    pub(crate) fn artifact(&self, digest: Digest) -> Result<Option<Vec<u8>>, HostError> {
        read_bounded(&self.artifact_path(digest), ARTIFACT_BYTES_MAX)
    }

    pub(crate) fn keep_artifact(&self, digest: Digest, file: &[u8]) -> Result<(), HostError> {
        write_whole(&self.artifact_path(digest), file)
    }

    pub(crate) fn drop_artifact(&self, digest: Digest) -> Result<(), HostError> {
        remove(&self.artifact_path(digest))
    }

    fn module_path(&self, digest: Digest) -> PathBuf {
        self.modules.join(format!("{digest}.wasm"))
    }

    fn artifact_path(&self, digest: Digest) -> PathBuf {
        self.artifacts.join(format!("{digest}.bin"))
    }
}

/// The file's bytes, or none if there is no file; of a longer file, one byte more than the limit.
fn read_bounded(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, HostError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(at(path))?;
    Ok(Some(bytes))
}

/// Writes beside the file, then renames: a reader sees the old file or the new one.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), HostError> {
    static UNIQUE: AtomicU64 = AtomicU64::new(0);
    let unique = UNIQUE.fetch_add(1, Ordering::Relaxed);
    let unfinished = path.with_extension(format!("{}-{unique}.{UNFINISHED}", std::process::id()));
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    write().map_err(at(path))
}

fn remove(path: &Path) -> Result<(), HostError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> HostError {
    move |source| HostError::Io { path: path.to_path_buf(), source }
}
