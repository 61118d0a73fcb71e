//! What a device knows of locks, and what it signed for them.

use aura_crypto::{Message as _, fence::Grant};
use aura_protocol_core::{SessionId, encode};
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

/// A lock as this device knows it.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub(super) struct Lock {
    view: View,
    wants: bool,
    /// The signature under way. Another one ends it.
    session: Option<SessionId>,
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
        let session = self.locks.get(lock).and_then(|it| it.session);
        self.locks.insert(lock.to_vec(), Lock { view, wants, session });
        Ok(())
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

    /// Whether this device may sign a grant: for the next number of a lock that it knows, and no other
    /// holder under a number that it signed already.
    pub(super) fn permits_grant(&self, terms: &sign::Terms) -> bool {
        let Ok(grant) = Grant::from_bytes(&terms.body) else { return false };
        let lock = self.locks.get(&grant.lock);
        lock.is_some_and(|it| it.may_have(grant.fence)) && self.granted.clone().note(&grant).is_ok()
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
        self.granted.note(&grant).map_err(Refusal::of)
    }
}

impl Lock {
    const fn may_have(&self, number: u64) -> bool {
        self.view.fence <= number && number - self.view.fence < TRIES_MAX
    }
}
