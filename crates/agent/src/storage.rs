//! What seals this device's secrets at rest: a key file, or a passphrase (`04-crypto`, issue of sealing).
//!
//! The key is kept apart from the store, so that a copy of the store's folder, or the stolen folder
//! itself, shows no share of the account's keys (INV-A7).

use std::{
    fmt, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use aura_crypto::{
    DualRng,
    seal::{KeySource, PassphraseCost, StorageError, StorageKey, source_of},
};
use zeroize::Zeroizing;

use crate::{
    error::{AgentError, Whose},
    identity::io_error,
};

/// Largest file that is read as a key file, in bytes. It is far smaller.
const KEY_FILE_READ_MAX: u64 = 4096;

/// Where the key comes from that seals a device's secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum StorageSecret {
    /// A file, made if the device has sealed nothing yet. Whoever can read it and the store has the
    /// device's secrets.
    KeyFile(PathBuf),
    /// A passphrase, through argon2id.
    Passphrase(Zeroizing<String>),
}

impl fmt::Debug for StorageSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyFile(path) => f.debug_tuple("KeyFile").field(path).finish(),
            Self::Passphrase(_) => f.write_str("Passphrase(<redacted>)"),
        }
    }
}

impl StorageSecret {
    /// A passphrase.
    #[must_use]
    pub fn passphrase(text: String) -> Self {
        Self::Passphrase(Zeroizing::new(text))
    }

    /// The key file beside the store's folder: never in it.
    #[must_use]
    pub fn beside(dir: &Path) -> Self {
        let mut name = dir.file_name().unwrap_or_default().to_os_string();
        name.push(".key");
        // A folder that is called by a path without a name, such as `.`, is known by its whole path.
        let named = dir.file_name().map(|_| dir.with_file_name(&name));
        let whole = || {
            dir.canonicalize().ok().and_then(|it| {
                Some(it.with_file_name(it.file_name().map(|last| {
                    let mut last = last.to_os_string();
                    last.push(".key");
                    last
                })?))
            })
        };
        Self::KeyFile(named.or_else(whole).unwrap_or_else(|| PathBuf::from("aura-store.key")))
    }

    /// The key. `sealed` is what the store holds sealed under it, if it holds anything.
    ///
    /// # Errors
    /// `StorageKeyMissing`, `WrongStorageKey`, `Io` or `NoRandomness`.
    pub(crate) fn unlock(&self, sealed: Option<&[u8]>) -> Result<StorageKey, AgentError> {
        let source = sealed.map(source_of).transpose().map_err(|it| storage_error(&it))?;
        match (self, source) {
            (Self::KeyFile(path), None | Some(KeySource::KeyFile)) => {
                read_key_file(path, sealed.is_none())
            }
            (Self::Passphrase(text), None | Some(KeySource::Passphrase(_))) => {
                let cost = match source {
                    Some(KeySource::Passphrase(cost)) => cost,
                    _ => PassphraseCost::recommended(&mut fresh_rng()?),
                };
                let key = StorageKey::from_passphrase(text.as_bytes(), cost);
                key.map_err(|error| storage_error(&error))
            }
            (_, Some(other)) => Err(AgentError::new(
                "WrongStorageKey",
                format!("this device's secrets are sealed under {}", source_name(&other)),
                Whose::Caller,
                match other {
                    KeySource::Passphrase(_) => "give it: AURA_PASSPHRASE",
                    _ => "name the key file: AURA_KEY_FILE, and leave AURA_PASSPHRASE out",
                },
            )),
        }
    }
}

/// What a key is from, for people.
pub(crate) const fn source_name(source: &KeySource) -> &'static str {
    match source {
        KeySource::Keyring => "the system's keyring",
        KeySource::Passphrase(_) => "a passphrase",
        KeySource::KeyFile => "a key file",
    }
}

/// Randomness for one operation, from the system.
pub(crate) fn fresh_rng() -> Result<DualRng, AgentError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice())
        .map_err(|error| AgentError::new("NoRandomness", error, Whose::Machine, "try again"))?;
    Ok(DualRng::from_seed(*seed))
}

/// What the store says of its secrets, as a person meets it.
pub(crate) fn storage_error(error: &StorageError) -> AgentError {
    let (code, next) = match error {
        StorageError::WrongKey => {
            ("WrongStorageKey", "give the key file or the passphrase that this device began with")
        }
        StorageError::KeyFile => ("WrongStorageKey", "restore the key file from a copy"),
        _ => ("StoreDamaged", "restore the store from a copy, or join again as a new device"),
    };
    let whose = if code == "WrongStorageKey" { Whose::Caller } else { Whose::Machine };
    AgentError::new(code, error, whose, next)
}

fn read_key_file(path: &Path, may_make: bool) -> Result<StorageKey, AgentError> {
    let found = fs::metadata(path).map(|it| it.len());
    match found {
        Ok(length) if length <= KEY_FILE_READ_MAX => {
            let content = Zeroizing::new(fs::read(path).map_err(|it| io_error(path, &it))?);
            StorageKey::from_key_file(&content).map_err(|error| {
                let mut error = storage_error(&error);
                error.message = format!("{}: {}", path.display(), error.message);
                error
            })
        }
        Ok(_) => Err(storage_error(&StorageError::KeyFile)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_make => {
            let content = StorageKey::new_key_file(&mut fresh_rng()?);
            write_key_file(path, &content).map_err(|it| io_error(path, &it))?;
            StorageKey::from_key_file(&content).map_err(|error| storage_error(&error))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(AgentError::new(
            "StorageKeyMissing",
            format!(
                "the key file {} is not there, and this device's secrets are sealed under it",
                path.display()
            ),
            Whose::Caller,
            "name it with AURA_KEY_FILE, or put it back; without it, join again as a new device",
        )),
        Err(error) => Err(io_error(path, &error)),
    }
}

/// For its owner's eyes alone, and durable before anything is sealed under it.
fn write_key_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    fs::File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_file_is_beside_the_store() {
        let of = |dir: &str| match StorageSecret::beside(Path::new(dir)) {
            StorageSecret::KeyFile(path) => path,
            StorageSecret::Passphrase(_) => PathBuf::new(),
        };
        assert_eq!(of("/home/anna/phone"), Path::new("/home/anna/phone.key"));
        assert_eq!(of("./aura-store/"), Path::new("./aura-store.key"));
        let here = std::env::current_dir().unwrap();
        assert_eq!(of(".").parent(), here.parent());
    }

    #[test]
    fn a_key_file_is_made_once_and_missed_when_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let secret = StorageSecret::KeyFile(folder.path().join("key"));
        let mut rng = fresh_rng().unwrap();
        let sealed = secret.unlock(None).unwrap().seal(b"test", b"share", &mut rng).unwrap();
        let again = secret.unlock(Some(&sealed)).unwrap();
        assert_eq!(**again.open(b"test", &sealed).unwrap(), *b"share");
        fs::remove_file(folder.path().join("key")).unwrap();
        assert_eq!(secret.unlock(Some(&sealed)).unwrap_err().code, "StorageKeyMissing");
        let other = StorageSecret::Passphrase(Zeroizing::new("open".to_owned()));
        assert_eq!(other.unlock(Some(&sealed)).unwrap_err().code, "WrongStorageKey");
        assert!(!format!("{other:?}").contains("open"));
        fs::write(folder.path().join("key"), b"no key").unwrap();
        assert_eq!(secret.unlock(Some(&sealed)).unwrap_err().code, "WrongStorageKey");
    }

    #[test]
    fn a_passphrase_opens_what_it_sealed() {
        let secret = |it: &str| StorageSecret::Passphrase(Zeroizing::new(it.to_owned()));
        let mut rng = fresh_rng().unwrap();
        let cost = PassphraseCost { salt: [7; 16], memory_kib: 64, passes: 1 };
        let key = StorageKey::from_passphrase(b"right", cost).unwrap();
        let sealed = key.seal(b"test", b"share", &mut rng).unwrap();
        assert!(secret("right").unlock(Some(&sealed)).unwrap().open(b"test", &sealed).is_ok());
        assert!(secret("wrong").unlock(Some(&sealed)).unwrap().open(b"test", &sealed).is_err());
    }
}
