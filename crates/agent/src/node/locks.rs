//! The account's locks: who holds which, by the grants that its ledger holds.
//!
//! A grant counts by the group's signature over it, whoever wrote it down; so all who have the same ledger see
//! the same holder. It is over when its session is, or when the quorum clock says so.

use std::collections::{BTreeMap, BTreeSet};

use aura_coordination::choreography::locking::{Book, KEYS, LockError, View};
use aura_crypto::{Context, Domain, Signature, fence::Grant, sign::verify};
use aura_journal::Event;
use aura_protocol_core::{DeviceId, Digest, Epoch, SessionId, encode};

use crate::{
    api::{Lock, Locks},
    node::Node,
};

/// Under which label a resharing writes its grant down.
const GRANTED: &str = "lock/grant/Signed";
/// Under which label its coordinator gives the lock back.
const RELEASED: &str = "Release";
/// What the labels of a resharing begin with where it is a part of a recovery.
const RECOVERED: &str = "reshare/";
/// By how much the numbers of grants rise with each sharing at least: then they rise also where the sessions
/// of earlier ones are not in the ledger any more.
const NUMBERS_BITS: u32 = 16;

/// The grants that were seen, verified, by their session.
pub(super) type Grants = BTreeMap<SessionId, Grant>;

impl Node {
    /// Remembers a grant that a message of a resharing holds.
    pub(super) fn note_grant(&mut self, session: SessionId, unit: &Digest) {
        if !self.is_resharing(session) || self.resharing.grants.contains_key(&session) {
            return;
        }
        if let Some(grant) = self.granted_in(session, unit) {
            self.resharing.grants.insert(session, grant);
        }
    }

    fn granted_in(&self, session: SessionId, unit: &Digest) -> Option<Grant> {
        let Event::SessionMessage(said) = &self.ledger.unit(unit)?.body.event else { return None };
        if plain(&said.label) != GRANTED {
            return None;
        }
        let signature = Signature(said.payload.as_slice().try_into().ok()?);
        let (key, _) = self.ledger.chain().config().group_key?;
        let lock = &self.resharing.known.get(&session)?.terms.lock;
        let (account, epoch) = (self.ledger.account(), lock.epoch);
        let context = Context { domain: Domain::LockGrant, account, epoch };
        let state = self.ledger.state().sessions.get(&session)?;
        let grants = state.open.agreement.runs.keys().map(|holder| Grant {
            lock: lock.lock.clone(),
            fence: lock.number,
            holder: *holder,
            expires: lock.expires,
        });
        let mut signed =
            grants.filter(|it| verify(&key, &context, &encode(it), &signature).is_ok());
        signed.next()
    }

    /// Whether the operation that a grant was for is over by what the ledger says.
    fn is_released(&self, session: SessionId) -> bool {
        // A session that is not there any more has ended before a snapshot.
        let Some(state) = self.ledger.state().sessions.get(&session) else { return true };
        let by_coordinator = |it: &Digest| {
            let Some(unit) = self.ledger.unit(it) else { return false };
            let says = matches!(&unit.body.event, Event::SessionMessage(it) if plain(&it.label) == RELEASED);
            says && unit.body.author == state.opener
        };
        // Whoever is not in the account any more holds nothing of it.
        let is_gone = !self.ledger.chain().config().roster.contains_key(&state.opener);
        is_gone || state.outcome.is_some() || state.messages.iter().any(by_coordinator)
    }

    fn lock_book(&self) -> Book {
        let mut grants: Vec<(&SessionId, &Grant)> = self.resharing.grants.iter().collect();
        grants.sort_by_key(|it| (it.1.fence, it.0));
        let mut book = Book::default();
        for (session, grant) in grants {
            book.granted(grant);
            if self.is_released(*session) {
                book.released(KEYS, grant.fence);
            }
        }
        book
    }

    /// What the next grant is drawn from: the same at all who have the same ledger.
    ///
    /// # Errors
    /// [`LockError::Held`].
    pub(super) fn lock_view(&self) -> Result<View, LockError> {
        let chain = self.ledger.chain();
        let account = chain.account();
        let checkpoint = chain.snapshots().last().and_then(|it| chain.entry(it.k));
        let seed = checkpoint
            .map_or_else(|| Digest::from_bytes(*account.as_bytes()), |it| it.value.hash());
        let mut view = self.lock_book().view(account, KEYS, seed, self.ledger.epoch())?;
        let sharing = self.keys().map_or(0, |it| it.signing.1.context().epoch);
        view.fence = view.fence.max((sharing << NUMBERS_BITS).saturating_add(1));
        Ok(view)
    }

    /// Whether somebody holds the lock of the account's keys: then the clock goes on until it is free.
    pub(super) fn lock_is_held(&self) -> bool {
        let grants = &self.resharing.grants;
        !grants.is_empty() && self.lock_book().holder(KEYS, self.ledger.epoch()).is_some()
    }

    /// The locks, for people.
    pub(super) fn locks(&self) -> Locks {
        let (epoch, book) = (self.ledger.epoch(), self.lock_book());
        let held = book.holder(KEYS, epoch);
        let waiting = self.waiting_for_lock(held);
        let lock = Lock {
            lock: String::from_utf8_lossy(KEYS).into_owned(),
            holder: held.map(|it| self.device_name(it.0)),
            number: book.number(KEYS).unwrap_or_default(),
            until: held.map(|it| it.1.0),
            epoch: epoch.0,
            waiting: waiting.into_iter().map(|it| self.device_name(it)).collect(),
        };
        Locks { locks: vec![lock] }
    }

    /// Who has opened a session that the lock was not granted for, and whoever waits to open one.
    fn waiting_for_lock(&self, held: Option<(DeviceId, Epoch)>) -> BTreeSet<DeviceId> {
        let open = self
            .resharing
            .known
            .keys()
            .filter(|it| !self.resharing.grants.contains_key(it) && !self.is_released(**it));
        let sessions = &self.ledger.state().sessions;
        let mut waiting: BTreeSet<DeviceId> =
            open.filter_map(|it| sessions.get(it)).map(|it| it.opener).collect();
        if held.is_some_and(|it| it.0 != self.me) && !self.wanted.is_empty() {
            waiting.insert(self.me);
        }
        waiting
    }
}

/// A label as a resharing has it, also where that is a part of a recovery.
fn plain(label: &str) -> &str {
    label.strip_prefix(RECOVERED).unwrap_or(label)
}
