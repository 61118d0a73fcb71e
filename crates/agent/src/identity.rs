//! A device's keys and name, in a file of their own beside the ledger.
//!
//! Keys are never part of the ledger or of a copy of it: a store that is restored without this file
//! has to enrol anew.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use aura_crypto::{HpkeSecretKey, SecretKey};
use aura_journal::control::{Role, RosterEntry};
use aura_protocol_core::{DeviceId, Digest, decode, encode};
use borsh::{BorshDeserialize, BorshSerialize};
use zeroize::Zeroizing;

use crate::error::{AgentError, Whose};

/// The file's name in a store directory.
const FILE: &str = "identity";
/// What it is written as before it takes the place of one.
const NEXT_FILE: &str = "identity.next";
/// What stands in the place of a seed that was erased.
const ERASED: [u8; 32] = [0; 32];
/// What the file begins with, before the two bytes of its format's version.
const MAGIC: &[u8; 13] = b"aura-identity";
/// The version of the file's format.
const FORMAT: u16 = 1;
/// Longest device name, in bytes: it is shown in tables.
pub const NAME_BYTES_MAX: usize = 64;
/// Largest file: five seeds and a name.
const FILE_BYTES_MAX: usize = 1024;

/// The keys of one device. Four for the roster, one for the artifact cache of this machine.
pub struct Identity {
    /// What people call the device.
    pub name: String,
    /// Signs its units.
    pub unit: SecretKey,
    /// Signs its votes until the store holds a key for that. Once it is erased from the file it is one that
    /// nobody knows, and that is in no roster.
    pub vote: SecretKey,
    /// Opens what is sealed to it.
    pub hpke: HpkeSecretKey,
    /// Authenticates its connections.
    pub transport_seed: Zeroizing<[u8; 32]>,
    /// Authenticates compiled modules on this machine's disk.
    pub cache_key: Zeroizing<[u8; 32]>,
}

#[derive(BorshSerialize, BorshDeserialize)]
struct Stored {
    name: String,
    seeds: [[u8; 32]; 5],
}

impl Identity {
    /// A new device of this name.
    ///
    /// # Errors
    /// `BadName`, or `NoRandomness` when the system has none to give.
    pub fn generate(name: &str) -> Result<Self, AgentError> {
        check_name(name)?;
        let mut seeds = [[0; 32]; 5];
        for seed in &mut seeds {
            getrandom::fill(seed).map_err(|error| {
                AgentError::new("NoRandomness", error, Whose::Machine, "try again")
            })?;
        }
        Ok(Self::from_seeds(name.to_string(), seeds))
    }

    /// Overwrites the vote key in the file, which the store has taken over.
    ///
    /// # Errors
    /// As [`Self::load`], and `Io`.
    pub fn erase_vote_key(dir: &Path) -> Result<(), AgentError> {
        let mut stored = Self::read(dir)?;
        let [_, vote, ..] = &mut stored.seeds;
        if *vote == ERASED {
            return Ok(());
        }
        *vote = ERASED;
        let (path, next) = (dir.join(FILE), dir.join(NEXT_FILE));
        let write = || {
            if next.exists() {
                fs::remove_file(&next)?;
            }
            write_file(&next, &stored)?;
            fs::rename(&next, &path)?;
            fs::File::open(dir)?.sync_all()
        };
        write().map_err(|error| io_error(&path, &error))
    }

    fn from_seeds(name: String, seeds: [[u8; 32]; 5]) -> Self {
        let [unit, vote, hpke, transport, cache] = seeds;
        Self {
            name,
            unit: SecretKey::from_seed(unit),
            vote: SecretKey::from_seed(vote),
            hpke: HpkeSecretKey::from_seed(hpke),
            transport_seed: Zeroizing::new(transport),
            cache_key: Zeroizing::new(cache),
        }
    }

    /// The device's id.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        DeviceId::derive(self.unit.public().as_bytes())
    }

    /// The device as a voter of a roster.
    #[must_use]
    pub fn roster_entry(&self) -> RosterEntry {
        RosterEntry {
            device: self.device(),
            role: Role::Voter,
            unit_key: self.unit.public(),
            vote_key: self.vote.public(),
            hpke_key: self.hpke.public(),
            transport_key: SecretKey::from_seed(*self.transport_seed).public(),
        }
    }

    /// Writes the file, readable by its owner alone. Refuses to replace one.
    ///
    /// # Errors
    /// `Io`, naming the file.
    pub fn save(&self, dir: &Path) -> Result<(), AgentError> {
        let seeds = [
            *self.unit.danger_seed(),
            *self.vote.danger_seed(),
            *self.hpke.danger_seed(),
            *self.transport_seed,
            *self.cache_key,
        ];
        let stored = Stored { name: self.name.clone(), seeds };
        let path = dir.join(FILE);
        write_file(&path, &stored).map_err(|error| io_error(&path, &error))
    }

    /// Reads the file.
    ///
    /// # Errors
    /// `StoreNotFound`, `IdentityDamaged`, `StoreNewerFormat` or `Io`, naming the file.
    pub fn load(dir: &Path) -> Result<Self, AgentError> {
        let Stored { name, mut seeds } = Self::read(dir)?;
        let [_, vote, ..] = &mut seeds;
        if *vote == ERASED {
            getrandom::fill(vote).map_err(|error| {
                AgentError::new("NoRandomness", error, Whose::Machine, "try again")
            })?;
        }
        Ok(Self::from_seeds(name, seeds))
    }

    fn read(dir: &Path) -> Result<Stored, AgentError> {
        let path = dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(AgentError::new(
                    "StoreNotFound",
                    format!("there is no device in {}", dir.display()),
                    Whose::Caller,
                    "create one with `aura account create` or `aura device join`, or name another \
                     folder with --store",
                ));
            }
            Err(error) => return Err(io_error(&path, &error)),
        };
        let damaged = |what: &dyn std::fmt::Display| {
            AgentError::new(
                "IdentityDamaged",
                format!("{} is damaged: {what}", path.display()),
                Whose::Machine,
                "restore the file from a backup, or join the account again as a new device",
            )
        };
        let (format, body) = open(&bytes).ok_or_else(|| damaged(&"its checksum differs"))?;
        if FORMAT < format {
            return Err(AgentError::new(
                "StoreNewerFormat",
                format!("{} was written by a newer version of aura", path.display()),
                Whose::Machine,
                "use that version, or a newer one",
            ));
        }
        decode(body, FILE_BYTES_MAX).map_err(|error| damaged(&error))
    }
}

/// Writes a file that is not there yet, for its owner's eyes alone.
fn write_file(path: &Path, stored: &Stored) -> std::io::Result<()> {
    let bytes = Zeroizing::new(seal(&Zeroizing::new(encode(stored))));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(&bytes)?;
    file.sync_all()
}

/// Magic, version, body, and a checksum over all of it: a flipped bit in a seed would be another key.
fn seal(body: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(body);
    let sum = checksum(&bytes);
    bytes.extend(sum.as_bytes());
    bytes
}

/// Version and body of a file whose checksum holds.
fn open(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (content, sum) = bytes.split_last_chunk::<32>()?;
    if checksum(content).as_bytes() != sum {
        return None;
    }
    let (version, body) = content.strip_prefix(MAGIC)?.split_first_chunk::<2>()?;
    Some((u16::from_le_bytes(*version), body))
}

fn checksum(content: &[u8]) -> Digest {
    Digest::tagged("aura identity file v1", &[content])
}

fn check_name(name: &str) -> Result<(), AgentError> {
    let plain = |it: char| it.is_alphanumeric() || "-_. ".contains(it);
    if !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(plain) {
        return Ok(());
    }
    Err(AgentError::new(
        "BadName",
        format!("`{}` is not a device name", name.escape_debug()),
        Whose::Caller,
        format!("use 1 to {NAME_BYTES_MAX} bytes of letters, digits, spaces, `-`, `_` and `.`"),
    ))
}

/// An I/O error, naming the file.
pub(crate) fn io_error(path: &Path, error: &std::io::Error) -> AgentError {
    AgentError::new(
        "Io",
        format!("{}: {error}", path.display()),
        Whose::Machine,
        "see that the folder exists, can be written and has room",
    )
}

/// The folder of the module cache in a store directory.
#[must_use]
pub fn modules_dir(dir: &Path) -> PathBuf {
    dir.join("modules")
}
