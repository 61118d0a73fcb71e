//! One encoding per value (INV-B1): borsh, with decode, re-encode, compare.
//!
//! Borsh has one encoding of almost everything; comparing the re-encoded bytes makes that a fact
//! for every type, also for those whose decoder is lenient.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

/// Why bytes are not the canonical encoding of a value. Always the sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More bytes than the type may have.
    #[error("{found} bytes exceed the limit of {limit}")]
    TooLong {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The bytes are no encoding of the type at all.
    #[error("malformed encoding")]
    Malformed,
    /// The bytes decode, but another encoding of the same value is the canonical one.
    #[error("non-canonical encoding")]
    NotCanonical,
}

/// The canonical encoding of `value`.
#[must_use]
#[expect(clippy::expect_used, reason = "writing to a Vec does not fail")]
pub fn encode<T: BorshSerialize + ?Sized>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("writing to a Vec does not fail")
}

/// The value that `bytes` canonically encode, when they are at most `limit` long.
///
/// # Errors
/// [`DecodeError`], which names the first rule that the bytes break.
pub fn decode<T: BorshDeserialize + BorshSerialize>(
    bytes: &[u8],
    limit: usize,
) -> Result<T, DecodeError> {
    if limit < bytes.len() {
        return Err(DecodeError::TooLong { found: bytes.len(), limit });
    }
    let value: T = borsh::from_slice(bytes).map_err(|_| DecodeError::Malformed)?;
    if encode(&value) == bytes { Ok(value) } else { Err(DecodeError::NotCanonical) }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    /// INV-B1
    #[test]
    fn only_one_encoding_decodes() {
        let map: BTreeMap<u8, u8> = [(1, 2), (3, 4)].into();
        let bytes = encode(&map);
        assert_eq!(decode::<BTreeMap<u8, u8>>(&bytes, 64), Ok(map));
        let mut trailing = bytes.clone();
        trailing.push(0);
        assert_eq!(decode::<BTreeMap<u8, u8>>(&trailing, 64), Err(DecodeError::Malformed));
        let mut unsorted = bytes.clone();
        unsorted.swap(4, 6);
        assert!(decode::<BTreeMap<u8, u8>>(&unsorted, 64).is_err());
        assert_eq!(
            decode::<BTreeMap<u8, u8>>(&bytes, 7),
            Err(DecodeError::TooLong { found: 8, limit: 7 })
        );
    }
}
