//! What is sent: a type with one encoding and a bound on its length.

use alloc::vec::Vec;

use aura_protocol_core::{DecodeError, decode, encode};
use borsh::{BorshDeserialize, BorshSerialize};

/// A message of some protocol here.
pub trait Message: BorshSerialize + BorshDeserialize {
    /// Its longest encoding, in bytes. Longer ones are refused before they are read.
    const BYTES_MAX: usize;

    /// The bytes that are sent.
    #[must_use]
    fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// The message in `bytes`, when they are its one encoding (INV-C5).
    ///
    /// # Errors
    /// [`DecodeError`]; always the sender's fault.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes, Self::BYTES_MAX)
    }
}
