//! What makes a lock exclusive: a grant that a quorum signs, with a number that only rises.
//!
//! A device signs at most one grant for each number of a lock ([`Signed`]), so two grants with one
//! number need an honest device in both quorums: [`tolerated`] says when there is one. Whatever the
//! lock protects takes orders only under the highest number it has seen ([`Gate`]): a holder that
//! slept through its expiry changes nothing any more.

use alloc::{collections::BTreeMap, vec::Vec};

use aura_protocol_core::{DeviceId, Digest, Epoch, encode};
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::{domain::Label, message::Message};

/// Longest name of a lock, in bytes.
pub const LOCK_BYTES_MAX: usize = 64;

/// A lock is given to a device: signed by the group key under [`crate::Domain::LockGrant`].
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Grant {
    /// The lock's name.
    pub lock: Vec<u8>,
    /// Higher than that of every grant before.
    pub fence: u64,
    /// Who holds it.
    pub holder: DeviceId,
    /// Until when, by the quorum clock.
    pub expires: Epoch,
}

impl Message for Grant {
    const BYTES_MAX: usize = 4 + LOCK_BYTES_MAX + 8 + 32 + 8;
}

impl Grant {
    /// Its name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Label::Grant.digest(&[&encode(self)])
    }
}

/// Why a grant is not signed, or an order not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FenceError {
    /// A grant with this number or a higher one was signed for another value.
    #[error("a grant with number {signed} was signed already; {asked} is not above it")]
    NotAbove {
        /// The highest number signed.
        signed: u64,
        /// The number asked for.
        asked: u64,
    },
    /// The order comes from a holder that has been replaced.
    #[error("the order is under number {found}; number {current} holds the lock now")]
    Stale {
        /// The highest number seen.
        current: u64,
        /// The order's number.
        found: u64,
    },
}

/// What one device has signed: written down before a signature share leaves it.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Signed(BTreeMap<Vec<u8>, (u64, Digest)>);

impl Signed {
    /// Notes that this device signs `grant`; the same one may be signed again (INV-C13).
    ///
    /// # Errors
    /// [`FenceError::NotAbove`].
    pub fn note(&mut self, grant: &Grant) -> Result<(), FenceError> {
        let own = (grant.fence, grant.digest());
        if let Some(&last) = self.0.get(&grant.lock)
            && last != own
            && own.0 <= last.0
        {
            return Err(FenceError::NotAbove { signed: last.0, asked: own.0 });
        }
        self.0.insert(grant.lock.clone(), own);
        Ok(())
    }
}

/// What a lock protects: it takes orders under the highest number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Gate(u64);

impl Gate {
    /// Lets an order under number `fence` pass, and no lower one after it (INV-C13).
    ///
    /// # Errors
    /// [`FenceError::Stale`].
    pub const fn admit(&mut self, fence: u64) -> Result<(), FenceError> {
        if fence < self.0 {
            return Err(FenceError::Stale { current: self.0, found: fence });
        }
        self.0 = fence;
        Ok(())
    }
}

/// How many dishonest devices leave an honest one in common to every two quorums of `threshold` among
/// `devices`; none when two quorums may have nobody in common.
#[must_use]
pub const fn tolerated(threshold: usize, devices: usize) -> Option<usize> {
    (2 * threshold).checked_sub(devices + 1)
}
