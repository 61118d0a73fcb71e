//! One device's part in deciding the next slot: rules Q1 to Q4 of `02-ledger`, section 5.
//!
//! Pure: it sees messages, asks a policy, and says what to sign, keep and send. A value is prepared
//! by those who want it, and committed by all who saw a quorum prepare it: a commit says "I am locked
//! on this", not "I wanted this", so that one that changed its mind cannot leave a slot half decided.
//! No message moves the view yet, so every vote is of view 0; two values that split the voters so
//! that neither reaches a quorum stay split until there is one.
//!
//! Invariants:
//! - INV-J8: a device prepares at most one value per slot and view, across any number of crashes, and
//!   none after it committed there.
//! - INV-J9: it commits only what a quorum prepared.
//! - INV-J10: with fewer than 2m − N equivocators no slot certifies two values.
//! - INV-J11: memory is bounded whatever is sent, and no sender uses up another's share.
//! - INV-J15: one proposed value that m voters want is decided, in whatever order messages come.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aura_crypto::SecretKey;
use aura_protocol_core::{DeviceId, Digest};
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
/// The view in which all voting happens while no message moves it.
const VIEW: u64 = 0;

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
    /// Its slot is decided, or stands on another decision, in another account or another view.
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
            future: BTreeMap::new(),
        }
    }

    /// What binds this device at the slot that it last voted on.
    #[must_use]
    pub const fn record(&self) -> Option<&VoteRecord> {
        self.record.as_ref()
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
        };
        if slot.account != next.account || view != VIEW {
            return Observed::Elsewhere;
        }
        if next.k < slot.k {
            return self.keep(author, message);
        }
        if *slot != next {
            return Observed::Elsewhere;
        }
        match message {
            ControlMessage::Propose { value, .. } => self.observe_proposal(chain, author, value),
            ControlMessage::Vote(vote) => self.observe_vote(chain, vote),
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
        if self.ballots.is_spent(vote.phase, &vote.key) {
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
        if let Some(value) = self.to_prepare(&record, policy, out) {
            let record = VoteRecord { prepared: Some(value), ..record };
            self.cast(record, Phase::Prepare, value, key, out);
        }
        let record = self.record.filter(|it| it.slot == slot).unwrap_or(record);
        if let Some(value) = self.to_commit(&record, chain) {
            let record = VoteRecord { lock: Some(Lock { view: VIEW, value }), ..record };
            self.cast(record, Phase::Commit, value, key, out);
        }
    }

    /// What binds this device at `slot`; none when it must not vote there at all. Its record is ahead
    /// of the chain after the store was set back, and at another slot of this height after the chain
    /// forked: in both it may have voted where it now would vote again.
    fn standing(&self, slot: Slot) -> Option<VoteRecord> {
        match self.record {
            Some(record) if record.slot == slot => Some(record),
            Some(record) if slot.k <= record.slot.k => None,
            Some(_) | None => Some(VoteRecord { slot, view: VIEW, prepared: None, lock: None }),
        }
    }

    /// Q2: at most one value per view, none after a commit, none beside a lock. Among those that the
    /// policy accepts, the one that most have prepared, then the least hash: it joins the others
    /// where it can, and does not prefer its own.
    fn to_prepare(
        &self,
        record: &VoteRecord,
        policy: &dyn EntryPolicy,
        out: &mut Vec<VoterOutput>,
    ) -> Option<Digest> {
        if record.prepared.is_some() || record.lock.is_some() {
            return None;
        }
        let mut best: Option<(usize, Digest)> = None;
        for (hash, value) in &self.proposals {
            let value = match policy.check(&record.slot, value) {
                Verdict::Accept => {
                    let prepared = self.ballots.count(Phase::Prepare, *hash);
                    if best.is_none_or(|(most, _)| most < prepared) {
                        best = Some((prepared, *hash));
                    }
                    continue;
                }
                Verdict::Wait(reason) => VoterOutput::Waiting { value: *hash, reason },
                Verdict::Deny(denied) => VoterOutput::Denied { value: *hash, denied },
            };
            out.push(value);
        }
        best.map(|(_, hash)| hash)
    }

    /// Q3: only what a quorum prepared, once per view. The value must be here, so that the decision
    /// can be read wherever it is made.
    fn to_commit(&self, record: &VoteRecord, chain: &ControlChain) -> Option<Digest> {
        if record.lock.is_some() {
            return None;
        }
        let prepared = self.ballots.quorums(Phase::Prepare, usize::from(chain.config().m));
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
        let vote = Box::new(Vote::sign(record.slot, phase, VIEW, value, key));
        self.record = Some(record);
        self.ballots.add(&vote);
        out.push(VoterOutput::Vote { record, vote });
    }

    /// Q4: m distinct canonical keys committed one value.
    fn decided(&self, chain: &ControlChain) -> Option<CertifiedEntry> {
        let m = usize::from(chain.config().m);
        self.proposals.iter().find_map(|(hash, value)| {
            let certificate = self.ballots.certificate(VIEW, *hash, m)?;
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
        for (author, messages) in std::mem::take(&mut self.future) {
            for message in messages {
                self.observe(chain, author, &message);
            }
        }
    }
}
