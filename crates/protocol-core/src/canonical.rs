//! One encoding per value (INV-B1): borsh, with decode, re-encode, compare.
//!
//! Borsh has one encoding of almost everything; comparing the re-encoded bytes makes that a fact
//! for every type, also for those whose decoder is lenient.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use borsh::{BorshDeserialize, BorshSerialize, io};
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
pub fn encode<T: BorshSerialize + ?Sized>(value: &T) -> Vec<u8> {
    match borsh::to_vec(value) {
        Ok(bytes) => bytes,
        // Not `expect`, which would print the error and link 8 KB of formatting into each guest.
        Err(_) => unreachable!("writing to a Vec does not fail"),
    }
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
    let value: T = read(bytes)?;
    if is_encoding(&value, bytes) { Ok(value) } else { Err(DecodeError::NotCanonical) }
}

/// Whether `bytes` are what [`encode`] makes of `value`; without making it, since every message that
/// comes in is asked this. But a guest makes it: a second writer is code, and there size counts.
fn is_encoding<T: BorshSerialize + ?Sized>(value: &T, bytes: &[u8]) -> bool {
    if cfg!(target_family = "wasm") {
        return encode(value) == bytes;
    }
    let mut expected = Expected(bytes);
    value.serialize(&mut expected).is_ok() && expected.0.is_empty()
}

/// Takes only these bytes.
struct Expected<'a>(&'a [u8]);

impl io::Write for Expected<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    // Inlined, the length is known: most fields are compared without a call.
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Of all errors the one that needs no text.
        self.0 = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The value that `bytes` encode, canonically or not: for what this program's own side wrote, or what
/// is compared afterwards. Everybody else uses [`decode`].
///
/// # Errors
/// [`DecodeError::Malformed`].
pub fn read<T: BorshDeserialize>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut unread = Unread(bytes);
    match T::deserialize_reader(&mut unread) {
        Ok(value) if unread.0.is_empty() => Ok(value),
        _ => Err(DecodeError::Malformed),
    }
}

/// What is still to be read. That it ends early is one word: the text that borsh's own reader of
/// slices makes of it, at each of its calls, was a third of a guest's code.
struct Unread<'a>(&'a [u8]);

impl io::Read for Unread<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (head, rest) = self.0.split_at(into.len().min(self.0.len()));
        into.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
        self.0 = rest;
        Ok(head.len())
    }

    #[inline]
    fn read_exact(&mut self, into: &mut [u8]) -> io::Result<()> {
        let Some((head, rest)) = self.0.split_at_checked(into.len()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        into.copy_from_slice(head);
        self.0 = rest;
        Ok(())
    }
}

/// Reads a set one member after the other, for fields that a guest decodes.
///
/// It reads what borsh's own reader does; that one collects and sorts, which makes up a third of a
/// small guest's code.
///
/// # Errors
/// When the bytes end early, or a member is not greater than the one before it.
pub fn read_set<T: BorshDeserialize + Ord, R: io::Read>(reader: &mut R) -> io::Result<BTreeSet<T>> {
    let mut set = BTreeSet::new();
    for _ in 0..u32::deserialize_reader(reader)? {
        let member = T::deserialize_reader(reader)?;
        if set.last().is_some_and(|last| member <= *last) {
            return Err(does_not_ascend());
        }
        set.insert(member);
    }
    Ok(set)
}

/// Reads a map one entry after the other, as [`read_set`] reads a set.
///
/// # Errors
/// When the bytes end early, or a key is not greater than the one before it.
pub fn read_map<K: BorshDeserialize + Ord, V: BorshDeserialize, R: io::Read>(
    reader: &mut R,
) -> io::Result<BTreeMap<K, V>> {
    let mut map = BTreeMap::new();
    for _ in 0..u32::deserialize_reader(reader)? {
        let key = K::deserialize_reader(reader)?;
        if map.last_key_value().is_some_and(|(last, _)| key <= *last) {
            return Err(does_not_ascend());
        }
        map.insert(key, V::deserialize_reader(reader)?);
    }
    Ok(map)
}

fn does_not_ascend() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "keys do not ascend")
}

#[cfg(test)]
mod tests {
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
    /// INV-B1
    #[test]
    fn sets_and_maps_read_as_borsh_reads_them() {
        let set: BTreeSet<u16> = [1, 2, 700].into();
        let bytes = encode(&set);
        assert_eq!(read_set::<u16, _>(&mut bytes.as_slice()).unwrap(), set);
        for bad in [&[2, 0, 0, 0, 2, 0, 1, 0][..], &[2, 0, 0, 0, 1, 0, 1, 0], &[1, 0, 0, 0]] {
            assert!(read_set::<u16, _>(&mut &*bad).is_err());
            assert!(borsh::from_slice::<BTreeSet<u16>>(bad).is_err());
        }
        let map: BTreeMap<u8, u8> = [(1, 2), (3, 4)].into();
        let bytes = encode(&map);
        assert_eq!(read_map::<u8, u8, _>(&mut bytes.as_slice()).unwrap(), map);
        assert!(read_map::<u8, u8, _>(&mut &[2, 0, 0, 0, 3, 4, 1, 2][..]).is_err());
    }
}
