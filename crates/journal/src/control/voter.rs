//! One device's part in deciding the next slot: rules Q1 to Q4 of `02-ledger`, section 5.
//!
//! Pure: it sees messages, asks a policy, and says what to sign, keep and send. A value is prepared
//! by those who want it, and committed by all who saw a quorum prepare it: a commit says "I am locked
//! on this", not "I wanted this", so that one that changed its mind cannot leave a slot half decided.
//!
//! Two values that are proposed at once can split the voters so that neither reaches a quorum. Then
//! devices go to the next view, each after a time of its own that its caller measures, or after m
//! others; there all vote anew, in an order of the values that depends on the view, but a locked one
//! only for what it is locked on or for what a quorum prepared after its lock. Votes are units of the
//! ledger, so a quorum that justifies a value need not be attached to it: it is there.
//!
//! Invariants:
//! - INV-J8: a device prepares at most one value per slot and view, across any number of crashes, and
//!   none after it committed there.
//! - INV-J9: it commits only what a quorum prepared.
//! - INV-J10: with fewer than 2m − N equivocators no slot certifies two values.
//! - INV-J16: a contended slot is decided once m honest devices hear each other and time passes.
//! - INV-J11: memory is bounded whatever is sent, and no sender uses up another's share.
//! - INV-J15: one proposed value that m voters want is decided, in whatever order messages come.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aura_crypto::SecretKey;
use aura_protocol_core::{DeviceId, Digest, encode};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::control::{
    CertifiedEntry, ChainError, ControlChain, ControlMessage, Entry, Phase, Slot, Vote,
    ballots::Ballots,
};

/// Most values that one device may propose for one slot. An honest one proposes a few, when what it
/// proposed waits and the world moves on.
pub const PROPOSALS_PER_AUTHOR_MAX: usize = 8;
/// Most messages kept per author for slots that are not open yet, newest last: all of an author's
/// proposals and both its votes for the slot that the others work on, and as many again.
pub const FUTURE_PER_AUTHOR_MAX: usize = 2 * (PROPOSALS_PER_AUTHOR_MAX + 2);
/// How far above this device's own view a message may be. Honest devices go up one by one; a liar
/// could otherwise fill the memory with views.
const VIEWS_AHEAD_MAX: u64 = 16;

/// Q1: what a device has voted at one slot. Durable before a vote leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VoteRecord {
    /// The slot.
    pub slot: Slot,
    /// The newest view that it took part in.
    pub view: u64,
    /// The value that it prepared in that view.
    pub prepared: Option<Digest>,
    /// The value that it committed last, and the view in which it did.
    pub lock: Option<Lock>,
}

/// A device's word that it saw a quorum prepare a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Lock {
    /// The view of the quorum.
    pub view: u64,
    /// The value.
    pub value: Digest,
}

/// Whether this device wants a value for a slot. Structure is checked before.
pub trait EntryPolicy {
    /// The verdict. It may change with time and state; it is asked again at every poll.
    fn check(&self, slot: &Slot, value: &Entry) -> Verdict;
}

/// What a policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Vote for it.
    Accept,
    /// Not yet, because of this.
    Wait(String),
    /// No.
    Deny(Denied),
}

/// Why a device does not vote for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The stable name of the reason.
    pub code: String,
    /// The reason, for people.
    pub reason: String,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Observed {
    /// It was new and counts for the next slot.
    Counted,
    /// The same proposal or vote was there.
    Known,
    /// Its slot is not open yet; it is kept until then.
    Kept,
    /// It concerns no slot, or one that is decided, or stands on another decision, in another account or
    /// another view.
    Elsewhere,
    /// It is a vote by no voter of the configuration.
    NotAVoter,
    /// Its signature does not verify.
    BadSignature,
    /// It proposes a value that breaks a rule of the chain.
    Invalid(ChainError),
    /// Its sender has used up its share of this slot.
    OverLimit,
}

/// What the caller must do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VoterOutput {
    /// Commit `record` and the unit that carries `vote` in one transaction, then send the unit.
    Vote {
        /// What binds this device from here on.
        record: VoteRecord,
        /// The vote.
        vote: Box<Vote>,
    },
    /// The slot is decided: append this to the chain.
    Decided(CertifiedEntry),
    /// This device does not vote for a value yet.
    Waiting {
        /// The hash of the value.
        value: Digest,
        /// What it waits for, for people.
        reason: String,
    },
    /// This device does not vote for a value.
    Denied {
        /// The hash of the value.
        value: Digest,
        /// Why.
        denied: Denied,
    },
}

/// A device's view of the vote on the next slot.
#[derive(Debug, Clone)]
pub struct Voter {
    record: Option<VoteRecord>,
    slot: Option<Slot>,
    proposals: BTreeMap<Digest, Entry>,
    proposed_by: BTreeMap<DeviceId, BTreeSet<Digest>>,
    ballots: Ballots,
    timed_out: bool,
    future: BTreeMap<DeviceId, VecDeque<ControlMessage>>,
}

impl Voter {
    /// A voter bound by the record that was last made durable, if any.
    #[must_use]
    pub fn new(record: Option<VoteRecord>) -> Self {
        Self {
            record,
            slot: None,
            proposals: BTreeMap::new(),
            proposed_by: BTreeMap::new(),
            ballots: Ballots::default(),
            timed_out: false,
            future: BTreeMap::new(),
        }
    }

    /// What binds this device at the slot that it last voted on.
    #[must_use]
    pub const fn record(&self) -> Option<&VoteRecord> {
        self.record.as_ref()
    }

    /// The slot and the view in which more than one value is proposed and none is decided. As long as
    /// that lasts, the caller measures the view's time, and calls [`Voter::time_out`] when it is over.
    #[must_use]
    pub fn contended(&self) -> Option<(Slot, u64)> {
        let slot = self.slot.filter(|_| 1 < self.proposals.len())?;
        Some((slot, self.view(slot)))
    }

    /// The time of the current view is over: the next poll leaves it. Only a slot that is contended is
    /// left: one value that waits for votes waits as long as it takes.
    pub fn time_out(&mut self) {
        self.timed_out = self.contended().is_some();
    }

    fn view(&self, slot: Slot) -> u64 {
        self.record.filter(|it| it.slot == slot).map_or(0, |it| it.view)
    }

    /// The values proposed for the next slot.
    pub fn proposals(&self) -> impl Iterator<Item = (&Digest, &Entry)> {
        self.proposals.iter()
    }

    /// Takes a message that `author`, a device of the account, wrote into a unit. After a restart
    /// all messages of the ledger are shown again, this device's own included.
    pub fn observe(
        &mut self,
        chain: &ControlChain,
        author: DeviceId,
        message: &ControlMessage,
    ) -> Observed {
        self.advance(chain);
        let next = chain.next_slot();
        let (slot, view) = match message {
            ControlMessage::Propose { slot, view, .. } => (slot, *view),
            ControlMessage::Vote(vote) => (&vote.slot, vote.view),
            ControlMessage::Announce(_)
            | ControlMessage::RequestRecovery(_)
            | ControlMessage::Recovery(_) => return Observed::Elsewhere,
        };
        if slot.account != next.account {
            return Observed::Elsewhere;
        }
        if place(&next) < place(slot) {
            return self.keep(author, message);
        }
        if *slot != next || self.view(next).saturating_add(VIEWS_AHEAD_MAX) < view {
            return Observed::Elsewhere;
        }
        match message {
            // Whoever only guards the account proposes nothing.
            ControlMessage::Propose { .. } if chain.config().is_guardian(&author) => {
                Observed::NotAVoter
            }
            ControlMessage::Propose { value, .. } => self.observe_proposal(chain, author, value),
            ControlMessage::Vote(vote) => self.observe_vote(chain, vote),
            ControlMessage::Announce(_)
            | ControlMessage::RequestRecovery(_)
            | ControlMessage::Recovery(_) => Observed::Elsewhere,
        }
    }

    /// A device that is behind sees votes before the entries under them. Of each author the newest
    /// messages stay: those for the slot that the others are at.
    fn keep(&mut self, author: DeviceId, message: &ControlMessage) -> Observed {
        let kept = self.future.entry(author).or_default();
        if kept.contains(message) {
            return Observed::Known;
        }
        if FUTURE_PER_AUTHOR_MAX <= kept.len() {
            kept.pop_front();
        }
        kept.push_back(message.clone());
        Observed::Kept
    }

    fn observe_proposal(
        &mut self,
        chain: &ControlChain,
        author: DeviceId,
        value: &Entry,
    ) -> Observed {
        let hash = value.hash();
        if self.proposals.contains_key(&hash) {
            return Observed::Known;
        }
        let proposed = self.proposed_by.entry(author).or_default();
        if PROPOSALS_PER_AUTHOR_MAX <= proposed.len() {
            return Observed::OverLimit;
        }
        if let Err(error) = chain.check_next(value) {
            return Observed::Invalid(error);
        }
        proposed.insert(hash);
        self.proposals.insert(hash, value.clone());
        Observed::Counted
    }

    /// A vote counts by its own signature, whoever's unit carried it.
    fn observe_vote(&mut self, chain: &ControlChain, vote: &Vote) -> Observed {
        if chain.config().voter_with_key(&vote.key).is_none() {
            return Observed::NotAVoter;
        }
        if self.ballots.contains(vote) {
            return Observed::Known;
        }
        if self.ballots.is_spent(vote) {
            return Observed::OverLimit;
        }
        if vote.verify().is_err() {
            return Observed::BadSignature;
        }
        self.ballots.add(vote);
        Observed::Counted
    }

    /// What this device does next about the next slot. `vote_key` is its key of the current
    /// configuration; without one it votes on nothing but still learns of decisions.
    ///
    /// The voter is bound by a vote from here on, whatever becomes of it: if the record cannot be made
    /// durable, the vote must not leave.
    pub fn poll(
        &mut self,
        chain: &ControlChain,
        policy: &dyn EntryPolicy,
        vote_key: Option<&SecretKey>,
    ) -> Vec<VoterOutput> {
        self.advance(chain);
        let mut out = Vec::new();
        if chain.frozen().is_some() {
            return out;
        }
        let may_vote = |key: &&SecretKey| chain.config().voter_with_key(&key.public()).is_some();
        if let Some(key) = vote_key.filter(may_vote) {
            self.vote(chain, policy, key, &mut out);
        }
        out.extend(self.decided(chain).map(VoterOutput::Decided));
        out
    }

    fn vote(
        &mut self,
        chain: &ControlChain,
        policy: &dyn EntryPolicy,
        key: &SecretKey,
        out: &mut Vec<VoterOutput>,
    ) {
        let slot = chain.next_slot();
        let Some(record) = self.standing(slot) else {
            let reason = "this device has already voted at this height or above it";
            let waiting =
                |value: &Digest| VoterOutput::Waiting { value: *value, reason: reason.into() };
            out.extend(self.proposals.keys().map(waiting));
            return;
        };
        let m = usize::from(chain.config().m);
        let mut record = record;
        if let Some(view) = self.next_view(&record, m, chain.config().voters().count()) {
            record = VoteRecord { view, prepared: None, ..record };
            let locked = record.lock.map_or(Digest::ZERO, |it| it.value);
            self.cast(record, Phase::NewView, locked, key, out);
        }
        if let Some(value) = self.to_prepare(&record, policy, m, out) {
            record = VoteRecord { prepared: Some(value), ..record };
            self.cast(record, Phase::Prepare, value, key, out);
        }
        if let Some(value) = self.to_commit(&record, m) {
            record = VoteRecord { lock: Some(Lock { view: record.view, value }), ..record };
            self.cast(record, Phase::Commit, value, key, out);
        }
    }

    /// The view to go to: one that m voters have entered; after a timeout also the next one, or the
    /// highest that at least one honest voter must have entered, so that devices that slept meet the
    /// others.
    fn next_view(&mut self, record: &VoteRecord, m: usize, voters: usize) -> Option<u64> {
        let timed_out = std::mem::take(&mut self.timed_out);
        let by_quorum = self.ballots.entered_by(m);
        let by_time = timed_out.then(|| {
            let honest = self.ballots.entered_by(voters.saturating_sub(m).saturating_add(1));
            honest.unwrap_or_default().max(record.view.saturating_add(1))
        });
        by_quorum.max(by_time).filter(|view| record.view < *view)
    }

    /// What binds this device at `slot`; none when it must not vote there at all. Its record is ahead
    /// of the chain after the store was set back, and at another slot of this height after the chain
    /// forked: in both it may have voted where it now would vote again.
    fn standing(&self, slot: Slot) -> Option<VoteRecord> {
        match self.record {
            Some(record) if record.slot == slot => Some(record),
            Some(record) if place(&slot) <= place(&record.slot) => None,
            Some(_) | None => Some(VoteRecord { slot, view: 0, prepared: None, lock: None }),
        }
    }

    /// Q2: at most one value per view, none after a commit in it, and beside a lock only what a quorum
    /// prepared after it. What a quorum prepared in an earlier view comes first. Among the rest that
    /// the policy accepts, the one that most have prepared, then the least in the view's order: it
    /// joins the others where it can, and does not prefer its own.
    fn to_prepare(
        &self,
        record: &VoteRecord,
        policy: &dyn EntryPolicy,
        m: usize,
        out: &mut Vec<VoterOutput>,
    ) -> Option<Digest> {
        if record.prepared.is_some() || record.lock.is_some_and(|it| it.view == record.view) {
            return None;
        }
        let earlier = self.ballots.last_prepared(None, record.view, m).map(|(_, value)| value);
        let mut best: Option<(bool, usize, std::cmp::Reverse<Digest>, Digest)> = None;
        for (hash, value) in &self.proposals {
            let locked = record.lock.is_some_and(|it| it.value == *hash);
            if !locked && !self.may_prepare(record, *hash, m) {
                continue;
            }
            // What it committed once it wants still, whatever its policy says by now.
            let verdict = if locked { Verdict::Accept } else { policy.check(&record.slot, value) };
            match verdict {
                Verdict::Accept => {
                    let prepared = self.ballots.count(record.view, Phase::Prepare, *hash);
                    let order = std::cmp::Reverse(order_in(record, *hash));
                    best = best.max(Some((earlier == Some(*hash), prepared, order, *hash)));
                }
                Verdict::Wait(reason) => out.push(VoterOutput::Waiting { value: *hash, reason }),
                Verdict::Deny(denied) => out.push(VoterOutput::Denied { value: *hash, denied }),
            }
        }
        best.map(|(_, _, _, hash)| hash)
    }

    /// Whether the lock, if there is one, lets this device prepare another value in the view.
    fn may_prepare(&self, record: &VoteRecord, value: Digest, m: usize) -> bool {
        record.lock.is_none_or(|lock| self.ballots.was_prepared(value, lock.view, record.view, m))
    }

    /// Q3: only what a quorum prepared in this view, once per view. The value must be here, so that
    /// the decision can be read wherever it is made.
    fn to_commit(&self, record: &VoteRecord, m: usize) -> Option<Digest> {
        if record.lock.is_some_and(|it| it.view == record.view) {
            return None;
        }
        let prepared = self.ballots.quorums(record.view, Phase::Prepare, m);
        prepared.into_iter().find(|value| self.proposals.contains_key(value))
    }

    fn cast(
        &mut self,
        record: VoteRecord,
        phase: Phase,
        value: Digest,
        key: &SecretKey,
        out: &mut Vec<VoterOutput>,
    ) {
        let vote = Box::new(Vote::sign(record.slot, phase, record.view, value, key));
        self.record = Some(record);
        self.ballots.add(&vote);
        out.push(VoterOutput::Vote { record, vote });
    }

    /// Q4: m distinct canonical keys committed one value.
    fn decided(&self, chain: &ControlChain) -> Option<CertifiedEntry> {
        let m = usize::from(chain.config().m);
        self.proposals.iter().find_map(|(hash, value)| {
            let certificate = self.ballots.certificate(*hash, m)?;
            Some(CertifiedEntry { slot: chain.next_slot(), value: value.clone(), certificate })
        })
    }

    /// Turns to the chain's next slot, if that has changed: forgets what was decided, and takes what
    /// was kept for the new one.
    pub fn advance(&mut self, chain: &ControlChain) {
        let next = chain.next_slot();
        if self.slot == Some(next) {
            return;
        }
        self.slot = Some(next);
        self.proposals.clear();
        self.proposed_by.clear();
        self.ballots = Ballots::default();
        self.timed_out = false;
        for (author, messages) in std::mem::take(&mut self.future) {
            for message in messages {
                self.observe(chain, author, &message);
            }
        }
    }
}

/// Where a slot stands: a generation begins below heights of the one before, and what was voted there binds
/// nobody in it.
const fn place(slot: &Slot) -> (u64, u64) {
    (slot.generation, slot.k)
}

/// The order in which a view's voters prefer values: by hash in the first, by one that nobody can
/// choose a value for in the later ones.
fn order_in(record: &VoteRecord, value: Digest) -> Digest {
    if record.view == 0 {
        return value;
    }
    let view = record.view.to_le_bytes();
    Digest::tagged("aura view order v1", &[&encode(&record.slot), &view, value.as_bytes()])
}
