//! BLAKE3-256 digests: the names of everything that is agreed on.

use alloc::string::String;
use core::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize, io};
use thiserror::Error;

/// A BLAKE3-256 digest, shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct Digest([u8; 32]);

impl BorshDeserialize for Digest {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        read_32(reader).map(Self)
    }
}

/// 32 bytes at once, and in one place: borsh's arrays are read where they stand, with room for members
/// that are dropped.
#[inline(never)]
pub(crate) fn read_32<R: io::Read>(reader: &mut R) -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected 64 hexadecimal digits, found {found_chars} characters or another alphabet")]
pub struct ParseHexError {
    /// How many characters were found.
    pub found_chars: usize,
}

impl Digest {
    /// The all-zero value, used where a chain has no predecessor.
    pub const ZERO: Self = Self([0; 32]);

    /// Wraps 32 bytes that are already a digest.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The plain BLAKE3 hash of `bytes`: a module's identity.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The hash of `parts` under `domain`, with the length of each part hashed before it, so that
    /// neither two domains nor two splits of the same bytes collide.
    #[must_use]
    pub fn tagged(domain: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(domain);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight hexadecimal digits, for people; never for comparison.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = alloc::format!("{self}");
        text.truncate(8);
        text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl FromStr for Digest {
    type Err = ParseHexError;

    fn from_str(text: &str) -> Result<Self, ParseHexError> {
        parse_hex(text).map(Self)
    }
}

pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

pub(crate) fn parse_hex(text: &str) -> Result<[u8; 32], ParseHexError> {
    let error = ParseHexError { found_chars: text.chars().count() };
    if text.len() != 64 || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
        return Err(error);
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = core::str::from_utf8(pair).map_err(|_| error)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| error)?;
    }
    Ok(bytes)
}
