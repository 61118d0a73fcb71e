//! Derived keys: any t devices evaluate a pseudorandom function together, and nobody holds its key.
//!
//! A threshold RFC 9497 function over the account's root. The initiator blinds the point of the input,
//! so that whoever reads the ledger learns nothing, and proves that what it published is a blinding of
//! *this* input, so that no device evaluates something that it did not agree to. Each device first
//! commits to its evaluation, then reveals it with a proof. Any t reveals that hold lead to the same
//! key, whoever made them, before and after every resharing; one that does not hold is skipped, and
//! whoever made it is known.

use alloc::{collections::BTreeMap, vec::Vec};
use core::fmt;

use aura_protocol_core::{AccountId, Digest, SessionId, encode};
use borsh::{BorshDeserialize, BorshSerialize};
use hkdf::Hkdf;
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::hpke::{HpkePublicKey, OpenError, SealContext, SealError, SealedScalar, SessionKey};
use crate::{
    blame::{Blame, Fault},
    domain::{Context, Domain, Label},
    group::{Derivation, Element, Point as _, Secret},
    hash,
    keys::{PublicKey, SecretKey, Signature, SignatureError},
    message::Message,
    polynomial::{ShareIndex, lagrange},
    proof::{LogProof, Statement},
    rng::DualRng,
    sharing::{KeyShare, Sharing, SharingError},
    voprf::{self, DleqProof, Evaluation},
};

/// Longest name of what a key is for, in bytes.
pub const CONTEXT_BYTES_MAX: usize = 256;

/// Which key is asked for. The same request always leads to the same key.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Request {
    /// The account.
    pub account: AccountId,
    /// What the key is for.
    pub context: Vec<u8>,
    /// Raised to replace a key that became known.
    pub key_version: u32,
}

/// What the initiator publishes.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Initiation {
    /// The session.
    pub session: SessionId,
    /// The sharing that the devices evaluate with. An older share would blame an honest device.
    pub sharing: Digest,
    /// What is asked for.
    pub request: Request,
    blinded: Element<Derivation>,
    proof: LogProof,
}

/// An initiation that holds, for what this device agreed to.
#[derive(Debug, Clone, Copy)]
pub struct Checked<'a> {
    initiation: &'a Initiation,
    sharing: &'a Sharing<Derivation>,
}

/// What keeps the key from whoever reads along. Wiped when dropped, never printed.
pub struct Blind(Secret<Derivation>);

/// What a device publishes in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Reveal {
    /// The device's place.
    pub from: ShareIndex,
    point: Element<Derivation>,
    proof: DleqProof,
    salt: [u8; 32],
}

/// The evaluation of a quorum, still blinded.
#[derive(Debug, Clone)]
pub struct Evaluated<'a> {
    checked: Checked<'a>,
    point: voprf::Point,
    /// Who revealed something else than it should have, and was skipped.
    pub blamed: Vec<Blame>,
}

/// Why no key was derived.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DkdError {
    /// The share is of another sharing: begin a session for the current one.
    #[error("derivation: {0}")]
    Sharing(#[from] SharingError),
    /// The context is too long.
    #[error("derivation: the context has {found} bytes, at most {CONTEXT_BYTES_MAX} are allowed")]
    Context {
        /// Bytes found.
        found: usize,
    },
    /// The initiation is for something else than this device agreed to.
    #[error("derivation: the initiation is for another session, request or sharing than agreed")]
    NotAgreed,
    /// The initiator did not prove that it blinded the input that it names: its fault.
    #[error("derivation: the initiator does not prove what it asks to be evaluated")]
    BadInitiation,
    /// Not enough reveals hold. Wait for more, or begin anew without those that are blamed.
    #[error("derivation: {valid} of {needed} reveals hold, {} do not", .blamed.len())]
    TooFew {
        /// Reveals that hold.
        valid: usize,
        /// Reveals needed.
        needed: u16,
        /// Who is at fault.
        blamed: Vec<Blame>,
    },
    /// The blind is not the one of this session.
    #[error("derivation: the blind is not this session's: ask the initiator again")]
    OtherBlind,
    /// The blind does not open.
    #[error("derivation: {0}")]
    Open(#[from] OpenError),
    /// Nothing can be sealed to a device's key.
    #[error("derivation: {0}")]
    Seal(#[from] SealError),
}

impl Message for Initiation {
    const BYTES_MAX: usize = 32 + 32 + (32 + 4 + CONTEXT_BYTES_MAX + 4) + 32 + 64;
}

impl Message for Reveal {
    const BYTES_MAX: usize = 2 + 32 + 64 + 32;
}

impl Request {
    /// The function's input: neither session nor sharing, so that the key outlives both.
    fn input(&self) -> Vec<u8> {
        let mut input = [1].to_vec();
        input.extend_from_slice(&encode(self));
        input
    }
}

fn proof_message(session: SessionId, sharing: Digest, request: &Request) -> Digest {
    let request = request.input();
    Label::DkdSession.digest(&[session.as_bytes(), sharing.as_bytes(), &request])
}

/// Begins a session: a fresh blind, and what is published.
///
/// # Errors
/// [`DkdError::Context`].
pub fn initiate(
    session: SessionId,
    request: Request,
    sharing: &Sharing<Derivation>,
    rng: &mut DualRng,
) -> Result<(Blind, Initiation), DkdError> {
    if CONTEXT_BYTES_MAX < request.context.len() {
        return Err(DkdError::Context { found: request.context.len() });
    }
    let blind = Secret::random(rng);
    let base = voprf::hash_to_group(&request.input());
    let blinded = Element::new(base * blind.scalar()).ok_or(DkdError::BadInitiation)?;
    let message = proof_message(session, sharing.id(), &request);
    let message = message.as_bytes().as_slice();
    let statement = Statement::<Derivation> {
        label: Label::DkdBlindProof,
        base: &base,
        image: &blinded,
        message,
    };
    let proof = statement.prove(blind.scalar(), rng);
    let initiation = Initiation { session, sharing: sharing.id(), request, blinded, proof };
    Ok((Blind(blind), initiation))
}

impl Initiation {
    /// Checks the initiation against what this device agreed to: `session`, `request` and `sharing`.
    /// Nothing is evaluated without it.
    ///
    /// # Errors
    /// [`DkdError::NotAgreed`], [`DkdError::BadInitiation`].
    pub fn check<'a>(
        &'a self,
        session: SessionId,
        request: &Request,
        sharing: &'a Sharing<Derivation>,
    ) -> Result<Checked<'a>, DkdError> {
        let agreed = self.session == session
            && self.request == *request
            && self.sharing == sharing.id()
            && self.request.context.len() <= CONTEXT_BYTES_MAX
            && self.request.account == sharing.context().account;
        if !agreed {
            return Err(DkdError::NotAgreed);
        }
        let base = voprf::hash_to_group(&self.request.input());
        let message = proof_message(self.session, self.sharing, &self.request);
        let message = message.as_bytes().as_slice();
        let image = &self.blinded;
        let statement =
            Statement::<Derivation> { label: Label::DkdBlindProof, base: &base, image, message };
        if !statement.verify(&self.proof) {
            return Err(DkdError::BadInitiation);
        }
        Ok(Checked { initiation: self, sharing })
    }

    fn blind_aad(&self, to: ShareIndex) -> Vec<u8> {
        encode(&(to, &self.blinded))
    }
}

impl Blind {
    /// Seals the blind for a device that is to know the key, to a key of this session.
    ///
    /// # Errors
    /// [`DkdError::Seal`].
    pub fn seal_for(
        &self,
        initiation: &Initiation,
        (to, key): (ShareIndex, &HpkePublicKey),
        rng: &mut DualRng,
    ) -> Result<SealedScalar, DkdError> {
        let message = proof_message(initiation.session, initiation.sharing, &initiation.request);
        let aad = initiation.blind_aad(to);
        let session: &[&[u8]] = &[message.as_bytes()];
        let context = SealContext { label: Label::DkdBlind, session, aad: &aad };
        Ok(SealedScalar::seal(key, &context, &self.0, rng)?)
    }

    /// Opens the blind that was sealed for this device, and checks that it is the session's.
    ///
    /// # Errors
    /// [`DkdError::Open`], [`DkdError::OtherBlind`].
    pub fn open(
        initiation: &Initiation,
        me: ShareIndex,
        key: &SessionKey,
        sealed: &SealedScalar,
    ) -> Result<Self, DkdError> {
        let message = proof_message(initiation.session, initiation.sharing, &initiation.request);
        let aad = initiation.blind_aad(me);
        let session: &[&[u8]] = &[message.as_bytes()];
        let blind: Secret<Derivation> =
            key.open(&SealContext { label: Label::DkdBlind, session, aad: &aad }, sealed)?;
        let base = voprf::hash_to_group(&initiation.request.input());
        if (base * blind.scalar()).encode() != *initiation.blinded.as_bytes() {
            return Err(DkdError::OtherBlind);
        }
        Ok(Self(blind))
    }
}

impl Checked<'_> {
    /// A device's evaluation: the commitment goes out first, the reveal when t commitments are there.
    ///
    /// # Errors
    /// [`DkdError::Sharing`] for a share of another sharing than the session's.
    pub fn evaluate(
        &self,
        share: &KeyShare<Derivation>,
        rng: &mut DualRng,
    ) -> Result<(Digest, Reveal), DkdError> {
        let secret = share.secret_in(self.sharing)?.scalar();
        let from = share.index();
        let public = self.sharing.share(from)?;
        let blinded = &self.initiation.blinded;
        let point = Element::new(*blinded.point() * secret).ok_or(SharingError::Mismatch(from))?;
        let statement = Evaluation { public, blinded, evaluated: &point };
        let bound = [self.initiation.session.as_bytes().as_slice(), point.as_bytes()];
        let mut nonce = hash::hedged_nonce::<Derivation>(&rng.bytes(), secret, &bound);
        let proof = statement.prove(secret, &nonce);
        zeroize::Zeroize::zeroize(&mut nonce);
        let reveal = Reveal { from, point, proof, salt: *rng.bytes() };
        Ok((self.commitment(&reveal), reveal))
    }

    /// The commitment to a reveal in this session.
    #[must_use]
    pub fn commitment(&self, reveal: &Reveal) -> Digest {
        let Initiation { session, sharing, .. } = self.initiation;
        Label::DkdCommit.digest(&[session.as_bytes(), sharing.as_bytes(), &encode(reveal)])
    }

    /// Whether a reveal holds: it was committed to, and it is the evaluation with that device's share.
    ///
    /// # Errors
    /// [`Blame`] on the device `from`, under which the reveal arrived.
    pub fn verify(
        &self,
        from: ShareIndex,
        commitment: Option<&Digest>,
        reveal: &Reveal,
    ) -> Result<(), Blame> {
        let public = self.sharing.shares().get(&from);
        let (Some(public), true) = (public, reveal.from == from) else {
            return Err(Fault::WrongIndex.of(from));
        };
        let commitment = commitment.ok_or(Fault::NoCommitment.of(from))?;
        if self.commitment(reveal) != *commitment {
            return Err(Fault::CommitMismatch.of(from));
        }
        let statement =
            Evaluation { public, blinded: &self.initiation.blinded, evaluated: &reveal.point };
        if !statement.verify(&reveal.proof) {
            return Err(Fault::BadProof.of(from));
        }
        Ok(())
    }
}

impl<'a> Checked<'a> {
    /// Puts the first t reveals that hold together, in the order of their places (INV-C11). Do not
    /// wait for all who committed: t that hold are enough.
    ///
    /// # Errors
    /// [`DkdError::TooFew`].
    pub fn aggregate(
        &self,
        commitments: &BTreeMap<ShareIndex, Digest>,
        reveals: &BTreeMap<ShareIndex, Reveal>,
    ) -> Result<Evaluated<'a>, DkdError> {
        let needed = self.sharing.threshold();
        let mut valid: BTreeMap<ShareIndex, voprf::Point> = BTreeMap::new();
        let mut blamed = Vec::new();
        for (from, reveal) in reveals {
            if valid.len() == usize::from(needed) {
                break;
            }
            match self.verify(*from, commitments.get(from), reveal) {
                Ok(()) => _ = valid.insert(*from, *reveal.point.point()),
                Err(blame) => blamed.push(blame),
            }
        }
        if valid.len() < usize::from(needed) {
            return Err(DkdError::TooFew { valid: valid.len(), needed, blamed });
        }
        let weights = lagrange(valid.keys().copied(), None);
        let points: Vec<voprf::Point> = valid.values().copied().collect();
        let point = voprf::Point::vartime_sum(&weights, &points);
        Ok(Evaluated { checked: *self, point, blamed })
    }
}

impl Evaluated<'_> {
    /// The key, for whoever knows the blind.
    ///
    /// # Errors
    /// [`DkdError::OtherBlind`].
    pub fn finalize(&self, blind: &Blind) -> Result<DerivedKey, DkdError> {
        let Initiation { request, blinded, .. } = self.checked.initiation;
        let input = request.input();
        if (voprf::hash_to_group(&input) * blind.0.scalar()).encode() != *blinded.as_bytes() {
            return Err(DkdError::OtherBlind);
        }
        let output = voprf::finalize(&input, &(self.point * blind.0.scalar().invert()));
        let expand = |part: u8| {
            let mut bytes = Zeroizing::new([0; 32]);
            let info = encode(&(Label::DkdKey.text(), part, request));
            // A length of 32 is always allowed.
            Hkdf::<Sha256>::new(None, output.as_slice())
                .expand(&info, bytes.as_mut_slice())
                .map_err(|_| DkdError::BadInitiation)?;
            Ok::<_, DkdError>(bytes)
        };
        Ok(DerivedKey { request: request.clone(), secret: expand(0)?, seed: expand(1)? })
    }
}

/// A derived key: 32 secret bytes and a key pair. Wiped when dropped, never printed (INV-C3).
pub struct DerivedKey {
    request: Request,
    secret: Zeroizing<[u8; 32]>,
    seed: Zeroizing<[u8; 32]>,
}

/// A derived public key, with a proof that whoever claims it holds it. The group signs
/// [`Self::to_bytes`] under [`Domain::DerivedKeyGroup`]: then t devices derived the same one.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Claim {
    /// What it was derived for.
    pub request: Request,
    /// The public half of the key pair.
    pub public: PublicKey,
    possession: Signature,
}

impl Message for Claim {
    const BYTES_MAX: usize = 32 + 4 + CONTEXT_BYTES_MAX + 4 + 32 + 64;
}

impl DerivedKey {
    /// The secret bytes, for encryption.
    #[must_use]
    pub fn danger_secret(&self) -> &Zeroizing<[u8; 32]> {
        &self.secret
    }

    /// The key pair, for signatures.
    #[must_use]
    pub fn key_pair(&self) -> SecretKey {
        SecretKey::from_seed(*self.seed)
    }

    /// The public key with a proof of possession. It is the same on every device.
    #[must_use]
    pub fn claim(&self) -> Claim {
        let key = self.key_pair();
        let (request, public) = (self.request.clone(), key.public());
        let possession = key.sign(&claim_context(&request), &encode(&(&request, &public)));
        Claim { request, public, possession }
    }
}

fn claim_context(request: &Request) -> Context {
    let epoch = u64::from(request.key_version);
    Context { domain: Domain::DerivedKey, account: request.account, epoch }
}

impl Claim {
    /// Whether the claimant holds the key.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self) -> Result<(), SignatureError> {
        let Self { request, public, possession } = self;
        public.verify(&claim_context(request), &encode(&(request, public)), possession)
    }
}

impl fmt::Debug for Blind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blind(<redacted>)")
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKey(<redacted>)")
    }
}
