//! What a guardian's key store knows of time, and when it takes part in a recovery.

use std::collections::BTreeMap;

use aura_crypto::{Context, Domain, DualRng, Signature};
use aura_protocol_core::{Digest, SessionId, UnixTime, encode};
use borsh::{BorshDeserialize, BorshSerialize};

use super::{KeyStore, Refusal};
use crate::choreography::recovery::{Request, Step, Terms};

/// How often a wait doubles: after that it stays.
pub const DOUBLINGS_MAX: u32 = 6;

/// A guardian's clock and what it approved. All of it outlives a crash.
#[derive(Clone, Default, BorshSerialize, BorshDeserialize)]
pub(super) struct Guard {
    /// How long it waits, in seconds.
    delay: u64,
    /// Its clock, in Unix seconds. It never goes back.
    now: u64,
    /// How often somebody has objected.
    vetoes: u32,
    /// What it approved, and when its time is over: sessions, and requests that its person agreed to before
    /// there was a session, under ids made of theirs.
    pub(super) approved: BTreeMap<SessionId, u64>,
}

impl KeyStore {
    /// How long this guardian waits between its approval and the resharing, in seconds: agreed on when
    /// it was set up.
    pub const fn set_recovery_delay(&mut self, seconds: u64) {
        self.guard.delay = seconds;
    }

    /// This device's own clock stands there. It never goes back: an earlier time changes nothing.
    pub fn observe_time(&mut self, now: UnixTime) {
        self.guard.now = self.guard.now.max(now.0);
    }

    /// Somebody objected to a recovery of this round, and it counts: nothing comes of that one here, even if
    /// whoever leads it pretends that nobody did, and the next one is harder. The same objection heard
    /// again changes nothing. Its host passes on each `Veto` of a recovery that one objection stops.
    pub fn observe_veto(&mut self, round: u32) {
        self.guard.vetoes = self.guard.vetoes.max(round.saturating_add(1));
    }

    /// How often somebody has objected: the round of the next recovery.
    #[must_use]
    pub const fn recovery_round(&self) -> u32 {
        self.guard.vetoes
    }

    /// When the time of a recovery that this guardian approved is over.
    #[must_use]
    pub fn recovery_ripe_at(&self, session: SessionId) -> Option<UnixTime> {
        self.guard.approved.get(&session).map(|it| UnixTime(*it))
    }

    /// This guardian's person agreed to a request to recover the account: its time begins to run, once. Says
    /// when it is over.
    ///
    /// # Errors
    /// [`Refusal::Recovering`] while it has agreed to another request.
    pub fn agree(&mut self, request: Digest) -> Result<UnixTime, Refusal> {
        let word = word(request);
        let mut others = self.guard.approved.keys().filter(|it| !self.drawn.contains_key(it));
        if others.any(|it| *it != word) {
            return Err(Refusal::Recovering);
        }
        let ripe = self.ripe_after_now();
        Ok(UnixTime(*self.guard.approved.entry(word).or_insert(ripe)))
    }

    /// When the time of a request is over that this guardian's person agreed to.
    #[must_use]
    pub fn agreed(&self, request: Digest) -> Option<UnixTime> {
        self.guard.approved.get(&word(request)).map(|it| UnixTime(*it))
    }

    /// A request that this guardian's person agreed to leads to nothing any more, or has been granted.
    pub fn withdraw(&mut self, request: Digest) {
        self.guard.approved.remove(&word(request));
    }

    /// Whether the time of a request that this guardian's person agreed to is over by its own clock.
    ///
    /// # Errors
    /// [`Refusal::NotYet`], or [`Refusal::NotPermitted`] where nobody agreed to it.
    pub fn check_agreed(&self, request: Digest) -> Result<(), Refusal> {
        self.check_time(word(request))
    }

    /// A session brings the keys back that a granted request is about: the time that ran since this
    /// guardian's person agreed to that counts for the session.
    ///
    /// # Errors
    /// [`Refusal::NotPermitted`] where nobody agreed to it.
    pub fn resume(&mut self, session: SessionId, request: Digest) -> Result<(), Refusal> {
        let ripe = self.guard.approved.get(&word(request)).copied().ok_or(Refusal::NotPermitted)?;
        self.guard.approved.entry(session).or_insert(ripe);
        Ok(())
    }

    /// The account was recovered: who objected before says nothing of the next time.
    pub const fn recovered(&mut self) {
        self.guard.vetoes = 0;
    }

    const fn ripe_after_now(&self) -> u64 {
        let Guard { delay, now, vetoes, .. } = self.guard;
        let doublings = if vetoes < DOUBLINGS_MAX { vetoes } else { DOUBLINGS_MAX };
        now.saturating_add(delay.saturating_mul(1 << doublings))
    }

    pub(super) fn recover(
        &mut self,
        request: &Request,
        rng: &mut DualRng,
    ) -> Result<Vec<u8>, Refusal> {
        self.check_table(&request.table)?;
        let session = request.table.session;
        match request.step {
            Step::Approve => {
                self.check_recovery(&request.terms)?;
                self.approve(request, rng)
            }
            // Whoever guards nothing waits for nothing, and holds nothing back.
            Step::Ripe | Step::Release if !self.guards(&request.terms) => Ok(encode(&())),
            Step::Ripe => self.check_time(session).map(|()| encode(&())),
            Step::Release => self.release(request).map(|()| encode(&())),
            Step::End => {
                self.end(session);
                self.guard.approved.remove(&session);
                Ok(encode(&()))
            }
        }
    }

    fn guards(&self, terms: &Terms) -> bool {
        terms.reshare.from.devices.contains_key(&self.owner.device)
    }

    /// Whether this device guards, its person permitted it, and it is of the round that it is.
    fn check_recovery(&self, terms: &Terms) -> Result<(), Refusal> {
        let is_due = terms.round == self.guard.vetoes;
        if self.guards(terms) && is_due && self.permits(&terms.digest()) {
            return Ok(());
        }
        Err(Refusal::NotPermitted)
    }

    fn approve(&mut self, request: &Request, rng: &mut DualRng) -> Result<Vec<u8>, Refusal> {
        let session = request.table.session;
        let mut others = self.guard.approved.keys().filter(|it| self.drawn.contains_key(it));
        if others.any(|it| *it != session) {
            return Err(Refusal::Recovering);
        }
        self.draw(session, rng)?;
        self.step(session, request.step as u8, request)?;
        let ripe = self.ripe_after_now();
        self.guard.approved.entry(session).or_insert(ripe);
        let context = self.approval_context(&request.terms);
        let signature = self.owner.unit.sign(&context, &request.terms.approval(session));
        Ok(encode(&signature.0.to_vec()))
    }

    const fn approval_context(&self, terms: &Terms) -> Context {
        let (account, epoch) = (self.owner.account, terms.reshare.lock.epoch);
        Context { domain: Domain::RecoveryApproval, account, epoch }
    }

    fn check_time(&self, session: SessionId) -> Result<(), Refusal> {
        let at = self.guard.approved.get(&session).ok_or(Refusal::NotPermitted)?;
        if self.guard.now < *at { Err(Refusal::NotYet(UnixTime(*at))) } else { Ok(()) }
    }

    /// INV-RC1: everything is looked at once more, whatever the session came to.
    fn release(&mut self, request: &Request) -> Result<(), Refusal> {
        let session = request.table.session;
        let terms = &request.terms;
        self.check_recovery(terms)?;
        self.check_time(session)?;
        let (context, body) = (self.approval_context(terms), terms.approval(session));
        let approves = |(dev, bytes): (&aura_choreography::Dev, &Vec<u8>)| {
            let device = request.table.devices.get(usize::from(dev.0))?;
            let guards = terms.reshare.from.devices.contains_key(device);
            let unit = self.owner.roster.get(device).filter(|_| guards)?;
            let signature = Signature(bytes.as_slice().try_into().ok()?);
            unit.verify(&context, &body, &signature).ok()
        };
        let approvals = request.record.approvals.iter().filter_map(approves).count();
        if approvals < usize::from(terms.approvals()) {
            return Err(Refusal::NotPermitted);
        }
        self.step(session, request.step as u8, request)?;
        let drawn = self.drawn.get_mut(&session).ok_or(Refusal::NoSession)?;
        drawn.signs.insert(terms.reshare.digest());
        Ok(())
    }
}

/// Under which id a request is kept that a guardian's person agreed to: no session's.
fn word(request: Digest) -> SessionId {
    let id = Digest::tagged("aura recovery word v1", &[request.as_bytes()]);
    SessionId::from_bytes(*id.as_bytes())
}
