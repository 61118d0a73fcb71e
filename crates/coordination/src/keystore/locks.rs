//! What a device knows of locks, and what it signed for them.

use aura_crypto::{Message as _, fence::Grant};
use aura_protocol_core::{Epoch, SessionId, encode};
use borsh::{BorshDeserialize, BorshSerialize};

use super::{KeyStore, Refusal};
use crate::choreography::{
    locking::{Request, Step, View},
    sign,
};

/// Most locks that a store knows of at once.
pub const LOCKS_MAX: usize = 64;
/// How far above the least number a grant's may be: so many tries may come to nothing in a row.
pub const TRIES_MAX: u64 = 16;
/// Longest time from now on, in epochs, that a device signs a grant for: whoever is gone keeps a lock for
/// no longer. As long as a resharing may take, three deliveries included.
pub const GRANT_EPOCHS_MAX: u64 = 400;

/// A lock as this device knows it.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub(super) struct Lock {
    view: View,
    wants: bool,
    /// The signature under way. Another one ends it.
    session: Option<SessionId>,
    /// The last grant that this device signed. It may exist, whether or not this device learnt so.
    signed: Option<Grant>,
}

impl KeyStore {
    /// What the account certified of a lock, and whether this device's owner wants it. Whatever asks this
    /// device to take part in a grant has to fit.
    ///
    /// # Errors
    /// [`Refusal::TooManyPermits`] when as many locks are known as may be.
    pub fn observe_lock(&mut self, lock: &[u8], view: View, wants: bool) -> Result<(), Refusal> {
        if !self.locks.contains_key(lock) && LOCKS_MAX <= self.locks.len() {
            return Err(Refusal::TooManyPermits);
        }
        let known = self.locks.get(lock).map(|it| (it.session, it.signed.clone()));
        let (session, signed) = known.unwrap_or_default();
        self.locks.insert(lock.to_vec(), Lock { view, wants, session, signed });
        Ok(())
    }

    /// The number to ask for next where numbers from `least` on are free: above what this device signed.
    #[must_use]
    pub fn next_number(&self, lock: &[u8], least: u64) -> u64 {
        let signed = self.locks.get(lock).and_then(|it| it.signed.as_ref());
        signed.map_or(least, |it| least.max(it.fence.saturating_add(1)))
    }

    /// The quorum clock stands there. It never goes back: an earlier epoch changes nothing.
    pub fn observe_epoch(&mut self, now: Epoch) {
        self.epoch = self.epoch.max(now);
    }

    pub(super) fn contend(&self, request: &Request) -> Result<Vec<u8>, Refusal> {
        self.check_table(&request.table)?;
        let Step::Contend = request.step;
        let terms = &request.terms;
        let lock = self.locks.get(&terms.lock).ok_or(Refusal::NotPermitted)?;
        if lock.view != terms.view || !lock.may_have(terms.number) {
            return Err(Refusal::NotPermitted);
        }
        Ok(encode(&lock.wants))
    }

    /// Whether this device may sign a grant: for the next number of a lock that it knows, for a while, and
    /// for nobody else while one that it signed may stand (INV-LK1).
    pub(super) fn permits_grant(&self, terms: &sign::Terms) -> bool {
        let Ok(grant) = Grant::from_bytes(&terms.body) else { return false };
        let Some(lock) = self.locks.get(&grant.lock) else { return false };
        let is_short = grant.expires.0 <= self.epoch.0.saturating_add(GRANT_EPOCHS_MAX);
        let is_new = self.granted.clone().note(&grant).is_ok();
        lock.may_have(grant.fence) && lock.is_free_for(&grant, self.epoch) && is_short && is_new
    }

    /// A grant's signature begins: what an earlier one drew for this lock is forgotten.
    pub(super) fn begin_grant(&mut self, terms: &sign::Terms, session: SessionId) {
        let Ok(grant) = Grant::from_bytes(&terms.body) else { return };
        let earlier = self.locks.get_mut(&grant.lock).and_then(|it| it.session.replace(session));
        if let Some(earlier) = earlier.filter(|it| *it != session) {
            self.end(earlier);
        }
    }

    /// Notes that a grant is signed, before it is.
    pub(super) fn note_grant(&mut self, terms: &sign::Terms) -> Result<(), Refusal> {
        let grant = Grant::from_bytes(&terms.body).map_err(|_| Refusal::Malformed)?;
        self.granted.note(&grant).map_err(Refusal::of)?;
        if let Some(lock) = self.locks.get_mut(&grant.lock) {
            lock.signed = Some(grant);
        }
        Ok(())
    }
}

impl Lock {
    const fn may_have(&self, number: u64) -> bool {
        self.view.fence <= number && number - self.view.fence < TRIES_MAX
    }

    /// What this device signed may be a grant by now. It is over when it has expired, or when the account
    /// certified that numbers as high are over; and it hinders nobody whose it is.
    fn is_free_for(&self, grant: &Grant, now: Epoch) -> bool {
        self.signed.as_ref().is_none_or(|it| {
            it.holder == grant.holder || it.fence < self.view.fence || it.expires <= now
        })
    }
}
