//! What an account knows of its locks: a fold over the grants and releases that its ledger holds.

use std::collections::{BTreeMap, VecDeque};

use aura_crypto::fence::Grant;
use aura_protocol_core::{AccountId, DeviceId, Digest, Epoch};
use thiserror::Error;

use super::View;

/// The lock of everything that changes who holds the account's keys: resharing, repair, recovery. They
/// conflict with each other, so they share it.
pub const KEYS: &[u8] = b"keys";

/// How many grants back a device counts as having held a lock lately. Whoever waited through as many has
/// grown as old as anybody.
pub const RECENT_GRANTS: usize = 8;

/// Why nobody may ask for a lock now, or an order under it is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody holds it.
    #[error("device {holder} holds the lock until epoch {until}: wait for it")]
    Held {
        /// Who.
        holder: DeviceId,
        /// Until when, unless it is released before.
        until: Epoch,
    },
    /// The grant was released, has expired, or was followed by another one.
    #[error("the grant with number {number} is over: ask for the lock again")]
    Over {
        /// The grant's number.
        number: u64,
    },
}

/// A lock, after all grants so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Lock {
    /// The highest number that was granted.
    number: u64,
    /// Who holds it, until when; none after a release.
    held: Option<(DeviceId, Epoch)>,
    /// The last holders, the newest last.
    recent: VecDeque<DeviceId>,
}

/// All locks of an account. Grants come in verified: by the group's signature over each.
///
/// Invariant INV-LK2: of all grants of one lock at most one is valid at a time, whatever comes in which
/// order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book(BTreeMap<Vec<u8>, Lock>);

impl Book {
    /// Takes a grant in. One with a lower number than another comes too late to be valid.
    pub fn granted(&mut self, grant: &Grant) {
        let lock = self.0.entry(grant.lock.clone()).or_default();
        if lock.number < grant.fence {
            lock.number = grant.fence;
            lock.held = Some((grant.holder, grant.expires));
            lock.recent.push_back(grant.holder);
            while RECENT_GRANTS < lock.recent.len() {
                lock.recent.pop_front();
            }
        }
    }

    /// The holder is through, or its session came to nothing.
    pub fn released(&mut self, lock: &[u8], number: u64) {
        if let Some(lock) = self.0.get_mut(lock).filter(|it| it.number == number) {
            lock.held = None;
        }
    }

    /// Who holds a lock at an epoch of the quorum clock, and until when.
    #[must_use]
    pub fn holder(&self, lock: &[u8], now: Epoch) -> Option<(DeviceId, Epoch)> {
        self.0.get(lock)?.held.filter(|it| now < it.1)
    }

    /// The highest number that was granted; none while a lock was never granted.
    #[must_use]
    pub fn number(&self, lock: &[u8]) -> Option<u64> {
        self.0.get(lock).map(|it| it.number)
    }

    /// Whether an order under a grant is to be taken.
    ///
    /// # Errors
    /// [`LockError::Over`].
    pub fn admit(&self, lock: &[u8], number: u64, now: Epoch) -> Result<(), LockError> {
        let known = self.0.get(lock).filter(|it| it.number == number);
        let is_held = known.and_then(|it| it.held).is_some_and(|it| now < it.1);
        if is_held { Ok(()) } else { Err(LockError::Over { number }) }
    }

    /// What the next grant is drawn from. `seed` is the last certified checkpoint.
    ///
    /// # Errors
    /// [`LockError::Held`] while somebody holds the lock.
    pub fn view(
        &self,
        account: AccountId,
        lock: &[u8],
        seed: Digest,
        now: Epoch,
    ) -> Result<View, LockError> {
        if let Some((holder, until)) = self.holder(lock, now) {
            return Err(LockError::Held { holder, until });
        }
        let mut recent = BTreeMap::new();
        for device in self.0.get(lock).into_iter().flat_map(|it| &it.recent) {
            *recent.entry(*device).or_default() += 1;
        }
        let fence = self.0.get(lock).map_or(1, |it| it.number.saturating_add(1));
        Ok(View { account, seed, fence, recent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: AccountId = AccountId::from_bytes([1; 32]);

    fn device(number: u8) -> DeviceId {
        DeviceId::from_bytes([number; 32])
    }

    fn grant(fence: u64, holder: u8, expires: u64) -> Grant {
        let (lock, expires) = (KEYS.to_vec(), Epoch(expires));
        Grant { lock, fence, holder: device(holder), expires }
    }

    fn view(book: &Book, now: u64) -> Result<View, LockError> {
        book.view(ACCOUNT, KEYS, Digest::ZERO, Epoch(now))
    }

    /// A holder that is gone loses the lock when its time is over, and no earlier.
    #[test]
    fn a_grant_expires() {
        let mut book = Book::default();
        assert_eq!(view(&book, 0).map(|it| it.fence), Ok(1));
        book.granted(&grant(1, 7, 50));
        let held = LockError::Held { holder: device(7), until: Epoch(50) };
        assert_eq!(view(&book, 49), Err(held));
        assert_eq!(book.admit(KEYS, 1, Epoch(49)), Ok(()));
        assert_eq!(book.admit(KEYS, 1, Epoch(50)), Err(LockError::Over { number: 1 }));
        assert_eq!(view(&book, 50).map(|it| it.fence), Ok(2));
    }

    /// A release counts for the grant that it names alone.
    #[test]
    fn a_release_frees_the_lock() {
        let mut book = Book::default();
        book.granted(&grant(1, 7, 50));
        book.granted(&grant(3, 8, 90));
        book.released(KEYS, 1);
        assert_eq!(book.holder(KEYS, Epoch(9)), Some((device(8), Epoch(90))));
        book.released(KEYS, 3);
        assert_eq!(book.holder(KEYS, Epoch(9)), None);
        assert_eq!(view(&book, 9).map(|it| it.fence), Ok(4));
    }

    /// INV-LK2: in whichever order grants come in, one is valid.
    #[test]
    fn the_highest_number_alone_is_valid() {
        let grants = [grant(1, 1, 50), grant(2, 2, 60), grant(5, 3, 40)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
            let mut book = Book::default();
            order
                .into_iter()
                .filter_map(|it: usize| grants.get(it))
                .for_each(|it| book.granted(it));
            let valid: Vec<u64> =
                (0..9).filter(|it| book.admit(KEYS, *it, Epoch(30)).is_ok()).collect();
            assert_eq!(valid, [5], "{order:?}");
        }
    }

    /// Ageing: who held it counts as having done so for as many grants as are looked back on.
    #[test]
    fn what_was_held_long_ago_is_forgotten() {
        let mut book = Book::default();
        book.granted(&grant(1, 1, 1));
        for number in 2..=RECENT_GRANTS as u64 {
            book.granted(&grant(number, 2, 1));
        }
        let recent = view(&book, 1).map(|it| it.recent);
        assert_eq!(recent, Ok([(device(1), 1), (device(2), 7)].into()));
        book.granted(&grant(9, 2, 1));
        assert_eq!(view(&book, 1).map(|it| it.recent), Ok([(device(2), 8)].into()));
    }
}
