//! What a device's secrets do for scripts: the other end of `Use`.
//!
//! A [`KeyStore`] is one device's: its shares, and what it drew for the sessions that run. A script
//! asks ([`Request`]) and gets public bytes; no secret ever reaches it. The store is pure: randomness is
//! handed in, and [`KeyStore::save`] is what its host makes durable, sealed, *before* an answer leaves.
//!
//! **Invariants**
//! - INV-KS1: a step of a session is done once. The same question again, as after a crash, gets the
//!   same answer; another one is refused.
//! - INV-KS2: a store restored from [`KeyStore::save`] answers as the one that wrote it, but that
//!   signing nonces are gone.
//! - INV-KS3: what a session drew is forgotten when it ends; a share counts only once it is adopted.

mod derivation;
mod generation;
mod guard;
mod locks;
mod resharing;
mod saved;
mod signing;
mod unfit;

use std::collections::{BTreeMap, BTreeSet};

use aura_choreography::Dev;
use aura_crypto::{
    Derivation, DualRng, KeyShare, PublicKey, SecretKey, ShareIndex, Sharing, Signing,
    dkd::DerivedKey, fence::Signed, sign::NonceId,
};
use aura_protocol_core::{
    AccountId, DeviceId, Digest, Epoch, SessionId, UnixTime, decode, encode,
    limits::UNIT_BODY_BYTES_MAX,
};
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;
use zeroize::Zeroizing;

pub use guard::DOUBLINGS_MAX;
pub use locks::{GRANT_EPOCHS_MAX, LOCKS_MAX, TRIES_MAX};

use crate::choreography::{Table, dkd, dkg, locking, recovery, resharing as reshare, sign};

/// Most sessions that a store has drawn something for. Each costs a seed and a name for each step.
pub const SESSIONS_MAX: usize = 64;

/// Most things that are permitted at once.
pub const PERMITS_MAX: usize = 256;

/// What a script asks of its device's key store.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Request {
    /// A step of a key generation.
    Generate(dkg::Request),
    /// A step of a group signature.
    Sign(sign::Request),
    /// A step of a key derivation.
    Derive(dkd::Request),
    /// Whether this device wants a lock.
    Lock(locking::Request),
    /// A step of a resharing.
    Reshare(reshare::Request),
    /// A step of a recovery.
    Recover(recovery::Request),
}

/// Why a store does not answer. The script's device cannot take its step then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The question is none.
    #[error("the key store does not understand the question")]
    Malformed,
    /// This step was done for another question.
    #[error("this step of the session was done already, for another question")]
    Done,
    /// The session did not begin here, or it ended.
    #[error("the key store has nothing of this session: begin another one")]
    NoSession,
    /// Too many sessions at once.
    #[error("{SESSIONS_MAX} sessions have drawn something already: let some end")]
    TooManySessions,
    /// Too many permissions at once.
    #[error("{PERMITS_MAX} things are permitted already: forbid some")]
    TooManyPermits,
    /// A participant whose keys this device does not know, or a place that is not this device's.
    #[error("device {0} does not sit at this table as the session says")]
    Stranger(DeviceId),
    /// What was heard does not contain what this device said itself.
    #[error("what was heard of this device is not what it said")]
    NotMine,
    /// Nobody permitted this device to do this.
    #[error("this device was not permitted to do this: ask its owner")]
    NotPermitted,
    /// There are no shares.
    #[error("this device holds no share of the account's keys")]
    NoKeys,
    /// The session goes on without this device.
    #[error("the session goes on without this device")]
    NotChosen,
    /// The nonces were lost in a restart, or are spent.
    #[error("the nonces of this session are gone: sign anew, in another session")]
    NoNonces,
    /// A guardian's time is not over. Its host asks again then.
    #[error("this guardian waits until {0}: ask again then")]
    NotYet(UnixTime),
    /// This guardian approved another recovery, which is not over.
    #[error("this guardian approved another recovery: discard that one first")]
    Recovering,
    /// Members rest on different things.
    #[error("members heard different things: somebody told two devices two things, begin anew")]
    Differ,
    /// The construction says no.
    #[error("{0}")]
    Failed(String),
}

impl Refusal {
    pub(super) fn of(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Whose store it is.
pub struct Owner {
    /// The account.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
    /// Its unit key.
    pub unit: SecretKey,
    /// The unit keys of the account's devices, this one included.
    pub roster: BTreeMap<DeviceId, PublicKey>,
}

/// A device's shares of the account's two keys, and who else holds some.
#[derive(Debug)]
pub struct Keys {
    /// Signs for the account.
    pub signing: (KeyShare<Signing>, Sharing<Signing>),
    /// Derives keys for it.
    pub derivation: (KeyShare<Derivation>, Sharing<Derivation>),
    /// Who holds which share.
    pub holders: BTreeMap<DeviceId, ShareIndex>,
}

impl Keys {
    /// The name of the keys: of both sharings.
    #[must_use]
    pub fn name(&self) -> Digest {
        name_of(self.signing.1.id(), self.derivation.1.id())
    }
}

/// The name of an account's keys, by those of their sharings.
pub(crate) fn name_of(signing: Digest, derivation: Digest) -> Digest {
    Digest::tagged("aura account keys v1", &[&encode(&(signing, derivation))])
}

/// What one session drew, and which steps were done for which question.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
struct Drawn {
    seed: [u8; 32],
    done: BTreeMap<u8, Digest>,
    /// Nonces that were used. With the session they are gone for good, and so may be this.
    spent: BTreeSet<NonceId>,
    /// What its parts do, since this device found it right itself.
    signs: BTreeSet<Digest>,
}

impl Drop for Drawn {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.seed);
    }
}

/// One device's secrets.
pub struct KeyStore {
    owner: Owner,
    /// Everything durable.
    current: Option<Keys>,
    /// Whether the shares that count were used.
    used: bool,
    pending: BTreeMap<SessionId, Keys>,
    drawn: BTreeMap<SessionId, Drawn>,
    /// What may be signed or derived, by the names of the terms.
    permitted: BTreeSet<Digest>,
    locks: BTreeMap<Vec<u8>, locks::Lock>,
    /// The grants that this device signed.
    granted: Signed,
    /// The quorum clock, as far as this device saw it.
    epoch: Epoch,
    /// Of the recoveries that this device guards.
    guard: guard::Guard,
    /// What can be computed again.
    dealings: BTreeMap<SessionId, generation::Dealing>,
    /// What a restart loses, and has to.
    signings: BTreeMap<SessionId, signing::Signing>,
    derived: BTreeMap<SessionId, DerivedKey>,
}

impl KeyStore {
    /// A store without shares.
    #[must_use]
    pub fn new(owner: Owner) -> Self {
        Self {
            owner,
            current: None,
            used: false,
            pending: BTreeMap::new(),
            drawn: BTreeMap::new(),
            permitted: BTreeSet::new(),
            locks: BTreeMap::new(),
            granted: Signed::default(),
            epoch: Epoch(0),
            guard: guard::Guard::default(),
            dealings: BTreeMap::new(),
            signings: BTreeMap::new(),
            derived: BTreeMap::new(),
        }
    }

    /// The shares that count.
    #[must_use]
    pub const fn keys(&self) -> Option<&Keys> {
        self.current.as_ref()
    }

    /// The shares that a session led to and nobody adopted yet.
    #[must_use]
    pub fn pending(&self, session: SessionId) -> Option<&Keys> {
        self.pending.get(&session)
    }

    /// Whether this device used the keys that count: nobody may make others in their place then.
    #[must_use]
    pub const fn is_used(&self) -> bool {
        self.used
    }

    /// The shares that wait to be adopted, by the session that led to them.
    pub fn all_pending(&self) -> impl Iterator<Item = (SessionId, &Keys)> {
        self.pending.iter().map(|(session, keys)| (*session, keys))
    }

    /// The sessions that something is kept for: what they drew, or what they led to.
    #[must_use]
    pub fn sessions(&self) -> BTreeSet<SessionId> {
        let drawn = self.drawn.keys().chain(self.signings.keys());
        drawn.chain(self.pending.keys()).chain(self.derived.keys()).copied().collect()
    }

    /// The account's devices are these from now on.
    pub fn set_roster(&mut self, roster: BTreeMap<DeviceId, PublicKey>) {
        self.owner.roster = roster;
    }

    /// The keys of an account that has this device alone. They wait under `session` to be adopted, and
    /// are made once.
    ///
    /// # Errors
    /// None in practice: one of one is a sharing.
    pub fn make_sole(&mut self, session: SessionId, rng: &mut DualRng) -> Result<(), Refusal> {
        if self.pending.contains_key(&session) {
            return Ok(());
        }
        let (account, first) = (self.owner.account, index(&[1], Dev(0))?);
        let keys = Keys {
            signing: KeyShare::sole(account, first, rng).map_err(Refusal::of)?,
            derivation: KeyShare::sole(account, first, rng).map_err(Refusal::of)?,
            holders: [(self.owner.device, first)].into(),
        };
        self.pending.insert(session, keys);
        Ok(())
    }

    /// The account goes by other keys, of which this device has no share: its old ones are gone.
    pub fn retire(&mut self) {
        self.current = None;
        self.used = false;
    }

    /// This device may sign, or derive, what has this name: its owner says so, or its rules.
    ///
    /// # Errors
    /// [`Refusal::TooManyPermits`] when as many things are permitted as may be.
    pub fn permit(&mut self, terms: Digest) -> Result<(), Refusal> {
        if PERMITS_MAX <= self.permitted.len() {
            return Err(Refusal::TooManyPermits);
        }
        self.permitted.insert(terms);
        Ok(())
    }

    /// Takes a permission back.
    pub fn forbid(&mut self, terms: &Digest) {
        self.permitted.remove(terms);
    }

    fn permits(&self, terms: &Digest) -> bool {
        self.permitted.contains(terms) || self.drawn.values().any(|it| it.signs.contains(terms))
    }

    /// Answers a script. The store has to be durable before the answer leaves.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn answer(&mut self, question: &[u8], rng: &mut DualRng) -> Result<Vec<u8>, Refusal> {
        let request = decode(question, UNIT_BODY_BYTES_MAX).map_err(|_| Refusal::Malformed)?;
        match request {
            Request::Generate(request) => self.generate(&request, rng),
            Request::Sign(request) => self.sign(&request, rng),
            Request::Derive(request) => self.derive(&request, rng),
            Request::Lock(request) => self.contend(&request),
            Request::Reshare(request) => self.reshare(&request, rng),
            Request::Recover(request) => self.recover(&request, rng),
        }
    }

    /// The shares that a session led to count from now on: the account's control chain says so. The
    /// old ones are gone (INV-KS3).
    ///
    /// # Errors
    /// [`Refusal::NoSession`] when there are none.
    pub fn adopt(&mut self, session: SessionId) -> Result<(), Refusal> {
        let keys = self.pending.remove(&session).ok_or(Refusal::NoSession)?;
        let same = |it: &Keys| it.signing.1.key() == keys.signing.1.key();
        self.used = self.used && self.current.as_ref().is_some_and(same);
        self.current = Some(keys);
        self.end(session);
        Ok(())
    }

    /// A session came to nothing: its shares are gone too.
    pub fn discard(&mut self, session: SessionId) {
        self.pending.remove(&session);
        self.derived.remove(&session);
        self.guard.approved.remove(&session);
        self.end(session);
    }

    /// Forgets what a session drew.
    fn end(&mut self, session: SessionId) {
        self.drawn.remove(&session);
        self.dealings.remove(&session);
        self.signings.remove(&session);
    }

    /// Whether this device and all others sit where the session says.
    fn check_table(&self, table: &Table) -> Result<(), Refusal> {
        let me = table.devices.get(usize::from(table.me.0)).copied();
        if me != Some(self.owner.device) {
            return Err(Refusal::Stranger(self.owner.device));
        }
        let stranger = table.devices.iter().find(|it| !self.owner.roster.contains_key(it));
        stranger.map_or(Ok(()), |it| Err(Refusal::Stranger(*it)))
    }

    /// The seed of a session whose first step this is, or was.
    fn draw(&mut self, session: SessionId, rng: &mut DualRng) -> Result<(), Refusal> {
        if self.drawn.contains_key(&session) {
            return Ok(());
        }
        if SESSIONS_MAX <= self.drawn.len() {
            return Err(Refusal::TooManySessions);
        }
        self.drawn.insert(
            session,
            Drawn {
                seed: *rng.bytes(),
                done: BTreeMap::new(),
                spent: BTreeSet::new(),
                signs: BTreeSet::new(),
            },
        );
        Ok(())
    }

    /// Notes that a step is done for a question, and gives the session's seed (INV-KS1).
    fn step(
        &mut self,
        session: SessionId,
        step: u8,
        question: &impl BorshSerialize,
    ) -> Result<Zeroizing<[u8; 32]>, Refusal> {
        let drawn = self.drawn.get_mut(&session).ok_or(Refusal::NoSession)?;
        let question = Digest::of(&encode(question));
        if *drawn.done.entry(step).or_insert(question) != question {
            return Err(Refusal::Done);
        }
        Ok(Zeroizing::new(drawn.seed))
    }
}

impl std::fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyStore(of {}, <redacted>)", self.owner.device)
    }
}

/// The share index of a place.
fn index(indices: &[u16], dev: Dev) -> Result<ShareIndex, Refusal> {
    let number = indices.get(usize::from(dev.0)).copied();
    number.and_then(ShareIndex::new).ok_or(Refusal::Malformed)
}
