//! Sealing at rest: a share in a stolen store says nothing without the key.
//!
//! XChaCha20-Poly1305 with a random nonce, under a key that comes from the system's keyring, from a
//! passphrase (argon2id), or from a key file. What is sealed says which, so that a device can tell its
//! owner. Fetching the key is the caller's work; everything here is a function of its inputs.

use alloc::{vec, vec::Vec};
use core::fmt;

use aura_protocol_core::{decode, encode};
use borsh::{BorshDeserialize, BorshSerialize};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{domain::Label, message::Message, rng::DualRng};

/// Largest sealed secret, in bytes.
pub const SEALED_BYTES_MAX: usize = 64 << 10;
/// Most memory that opening may take, in KiB: what a store names is not trusted with more.
pub const PASSPHRASE_MEMORY_KIB_MAX: u32 = 1 << 20;
/// Most passes over that memory.
pub const PASSPHRASE_PASSES_MAX: u32 = 16;
/// What the format begins with.
const MAGIC: [u8; 8] = *b"aurasea1";
/// What a key file begins with.
const KEY_FILE_MAGIC: [u8; 8] = *b"aurakey1";
/// Bytes of a key file: magic, key, checksum.
pub const KEY_FILE_BYTES: usize = 8 + 32 + 32;

/// Where the key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum KeySource {
    /// The system's keyring.
    Keyring,
    /// A passphrase, through argon2id.
    Passphrase(PassphraseCost),
    /// A file that whoever can read it can open everything with.
    KeyFile,
}

/// How a passphrase becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PassphraseCost {
    /// Random, one for each store.
    pub salt: [u8; 16],
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl PassphraseCost {
    /// The default: 64 MiB and three passes, as RFC 9106 recommends where memory is short.
    #[must_use]
    pub fn recommended(rng: &mut DualRng) -> Self {
        Self { salt: *rng.bytes(), memory_kib: 64 << 10, passes: 3 }
    }
}

/// The key that secrets are sealed under. Wiped when dropped, never printed (INV-C3).
pub struct StorageKey {
    key: Zeroizing<[u8; 32]>,
    source: KeySource,
}

/// Why something is not sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The bytes are nothing that was sealed here.
    #[error("the sealed bytes are damaged, or of another format")]
    Malformed,
    /// Another key, another purpose, or changed bytes.
    #[error("the key does not open this: another passphrase, keyring or key file sealed it")]
    WrongKey,
    /// The cost is out of bounds.
    #[error(
        "passphrase cost: {memory_kib} KiB and {passes} passes; allowed are 8 to \
         {PASSPHRASE_MEMORY_KIB_MAX} KiB and 1 to {PASSPHRASE_PASSES_MAX} passes"
    )]
    Cost {
        /// Memory asked for, in KiB.
        memory_kib: u32,
        /// Passes asked for.
        passes: u32,
    },
    /// The file is no key file, or damaged.
    #[error("the file is no key file, or damaged: restore it from a copy")]
    KeyFile,
    /// The secret is too large.
    #[error("{found} bytes exceed the limit of {SEALED_BYTES_MAX}")]
    TooLarge {
        /// Bytes found.
        found: usize,
    },
}

#[derive(BorshSerialize, BorshDeserialize)]
struct Stored {
    magic: [u8; 8],
    source: KeySource,
    nonce: [u8; 24],
    ciphertext: Vec<u8>,
}

impl Message for Stored {
    const BYTES_MAX: usize = 8 + 25 + 24 + 4 + SEALED_BYTES_MAX + 16;
}

impl StorageKey {
    /// The key that a keyring holds.
    #[must_use]
    pub fn from_keyring(bytes: [u8; 32]) -> Self {
        Self { key: Zeroizing::new(bytes), source: KeySource::Keyring }
    }

    /// The key of a passphrase. It takes as long, and as much memory, as `cost` says.
    ///
    /// # Errors
    /// [`StorageError::Cost`].
    pub fn from_passphrase(passphrase: &[u8], cost: PassphraseCost) -> Result<Self, StorageError> {
        let PassphraseCost { salt, memory_kib, passes } = cost;
        let refused = StorageError::Cost { memory_kib, passes };
        if PASSPHRASE_MEMORY_KIB_MAX < memory_kib || PASSPHRASE_PASSES_MAX < passes {
            return Err(refused);
        }
        let params = argon2::Params::new(memory_kib, passes, 1, Some(32)).map_err(|_| refused)?;
        let mut memory = vec![argon2::Block::default(); params.block_count()];
        let argon =
            argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let mut key = Zeroizing::new([0; 32]);
        let hashed = argon.hash_password_into_with_memory(
            passphrase,
            &salt,
            key.as_mut_slice(),
            memory.as_mut_slice(),
        );
        memory.iter_mut().for_each(argon2::Block::zeroize);
        hashed.map_err(|_| refused)?;
        Ok(Self { key, source: KeySource::Passphrase(cost) })
    }

    /// The key of a key file's content.
    ///
    /// # Errors
    /// [`StorageError::KeyFile`].
    pub fn from_key_file(content: &[u8]) -> Result<Self, StorageError> {
        let (rest, sum) = content.split_last_chunk::<32>().ok_or(StorageError::KeyFile)?;
        let key = rest.strip_prefix(&KEY_FILE_MAGIC).ok_or(StorageError::KeyFile)?;
        let key: [u8; 32] = key.try_into().map_err(|_| StorageError::KeyFile)?;
        let key = Zeroizing::new(key);
        if Label::KeyFile.digest(&[key.as_slice()]).as_bytes() != sum {
            return Err(StorageError::KeyFile);
        }
        Ok(Self { key, source: KeySource::KeyFile })
    }

    /// The content of a new key file.
    #[must_use]
    pub fn new_key_file(rng: &mut DualRng) -> Zeroizing<Vec<u8>> {
        let key = rng.bytes::<32>();
        let mut content = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES));
        content.extend_from_slice(&KEY_FILE_MAGIC);
        content.extend_from_slice(key.as_slice());
        content.extend_from_slice(Label::KeyFile.digest(&[key.as_slice()]).as_bytes());
        content
    }

    /// Where it came from.
    #[must_use]
    pub const fn source(&self) -> KeySource {
        self.source
    }

    /// Seals a secret for the purpose `what`: it opens for that purpose alone (INV-C14).
    ///
    /// # Errors
    /// [`StorageError::TooLarge`].
    pub fn seal(
        &self,
        what: &[u8],
        secret: &[u8],
        rng: &mut DualRng,
    ) -> Result<Vec<u8>, StorageError> {
        let too_large = StorageError::TooLarge { found: secret.len() };
        if SEALED_BYTES_MAX < secret.len() {
            return Err(too_large);
        }
        let nonce = *rng.bytes::<24>();
        let aad = aad(what, &self.source);
        let cipher = XChaCha20Poly1305::new(&(*self.key).into());
        let ciphertext = cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: secret, aad: &aad })
            .map_err(|_| too_large)?;
        Ok(encode(&Stored { magic: MAGIC, source: self.source, nonce, ciphertext }))
    }

    /// Opens what was sealed for the purpose `what`.
    ///
    /// # Errors
    /// [`StorageError::Malformed`], [`StorageError::WrongKey`].
    pub fn open(&self, what: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StorageError> {
        let Stored { source, nonce, ciphertext, .. } = parse(sealed)?;
        let aad = aad(what, &source);
        let cipher = XChaCha20Poly1305::new(&(*self.key).into());
        cipher
            .decrypt(&XNonce::from(nonce), Payload { msg: &ciphertext, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| StorageError::WrongKey)
    }
}

/// Which kind of key opens `sealed`, and what a passphrase costs. Anybody can read it.
///
/// # Errors
/// [`StorageError::Malformed`].
pub fn source_of(sealed: &[u8]) -> Result<KeySource, StorageError> {
    parse(sealed).map(|it| it.source)
}

fn parse(sealed: &[u8]) -> Result<Stored, StorageError> {
    let stored: Stored = decode(sealed, Stored::BYTES_MAX).map_err(|_| StorageError::Malformed)?;
    if stored.magic != MAGIC {
        return Err(StorageError::Malformed);
    }
    Ok(stored)
}

fn aad(what: &[u8], source: &KeySource) -> Vec<u8> {
    encode(&(Label::Storage.text(), what, source))
}

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "StorageKey({}, <redacted>)",
            match self.source {
                KeySource::Keyring => "keyring",
                KeySource::Passphrase(_) => "passphrase",
                KeySource::KeyFile => "key file",
            }
        )
    }
}
