//! A group of devices in one place: every protocol run to its end by honest participants.

use std::collections::{BTreeMap, BTreeSet};

use aura_crypto::{
    Context, Derivation, Domain, DualRng, Holders, HpkePublicKey, KeyShare, SecretKey, SessionKey,
    ShareIndex, Sharing, Signature, Signing, Suite,
    dkd::{self, DerivedKey, Request},
    dkg::{self, Member, Terms},
    reshare::{self, Dealing, Inbox, Outcome, Plan},
    sign::{self, NonceId, SigningTask},
};
use aura_protocol_core::{AccountId, SessionId};

pub fn account() -> AccountId {
    AccountId::from_bytes([3; 32])
}

pub fn session(number: u8) -> SessionId {
    SessionId::from_bytes([number; 32])
}

pub fn context() -> Context {
    Context { domain: Domain::Checkpoint, account: account(), epoch: 7 }
}

pub fn request(name: &str) -> Request {
    Request { account: account(), context: name.into(), key_version: 0 }
}

pub fn ix(number: u16) -> ShareIndex {
    ShareIndex::new(number).unwrap()
}

pub fn indices(numbers: impl IntoIterator<Item = u16>) -> Vec<ShareIndex> {
    numbers.into_iter().map(ix).collect()
}

pub fn rng(seed: u64) -> DualRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    DualRng::from_seed(bytes)
}

/// Every subset of `size` of `all`.
pub fn subsets(all: &[ShareIndex], size: usize) -> Vec<Vec<ShareIndex>> {
    let masks = (0_u32..1 << all.len()).filter(|it| it.count_ones() as usize == size);
    let chosen = |mask: u32| all.iter().enumerate().filter(move |it| mask >> it.0 & 1 == 1);
    masks.map(|mask| chosen(mask).map(|it| *it.1).collect()).collect()
}

/// A key and everybody's share of it.
pub struct Group<S: Suite> {
    pub sharing: Sharing<S>,
    pub shares: BTreeMap<ShareIndex, KeyShare<S>>,
}

impl<S: Suite> Group<S> {
    pub fn holders(&self) -> Vec<ShareIndex> {
        self.shares.keys().copied().collect()
    }

    /// The first t holders.
    pub fn quorum(&self) -> Vec<ShareIndex> {
        self.holders()[..usize::from(self.sharing.threshold())].to_vec()
    }

    /// The last t holders.
    pub fn last_quorum(&self) -> Vec<ShareIndex> {
        let holders = self.holders();
        holders[holders.len() - usize::from(self.sharing.threshold())..].to_vec()
    }
}

/// The members of a key generation and their keys.
pub struct Members {
    pub terms: Terms,
    pub unit: BTreeMap<ShareIndex, SecretKey>,
    pub session: BTreeMap<ShareIndex, SessionKey>,
}

pub fn members(threshold: u16, of: &[ShareIndex], rng: &mut DualRng) -> Members {
    let unit: BTreeMap<_, _> =
        of.iter().map(|it| (*it, SecretKey::from_seed(*rng.bytes()))).collect();
    let sessions: BTreeMap<_, _> = of.iter().map(|it| (*it, SessionKey::generate(rng))).collect();
    let member =
        |it: &ShareIndex| Member { unit: unit[it].public(), session: sessions[it].public() };
    let members = of.iter().map(|it| (*it, member(it))).collect();
    let terms = Terms { account: account(), session: session(1), epoch: 1, threshold, members };
    Members { terms, unit, session: sessions }
}

/// Key generation, or the only device's own key.
pub fn generate<S: Suite>(threshold: u16, of: &[ShareIndex], rng: &mut DualRng) -> Group<S> {
    if let [only] = of {
        let (share, sharing) = KeyShare::sole(account(), *only, rng).unwrap();
        return Group { sharing, shares: [(*only, share)].into() };
    }
    let members = members(threshold, of, rng);
    let terms = &members.terms;
    let (dealers, broadcasts): (Vec<_>, BTreeMap<_, _>) = of
        .iter()
        .map(|me| dkg::begin::<S>(terms, *me, rng).unwrap())
        .map(|(dealer, broadcast)| (dealer, (broadcast.from, broadcast)))
        .unzip();
    let (gatherers, deliveries): (Vec<_>, BTreeMap<_, _>) = dealers
        .into_iter()
        .map(|it| it.deliver(&broadcasts, rng).unwrap())
        .map(|(gatherer, _, delivery)| (gatherer, (delivery.from, delivery)))
        .unzip();
    let none = BTreeMap::new();
    let drafts: BTreeMap<_, _> = of
        .iter()
        .zip(&gatherers)
        .map(|(me, it)| (*me, it.gather(&deliveries, &none, &members.session[me]).unwrap()))
        .collect();
    let transcripts = [drafts[&of[0]].transcript()];
    let word = |(me, key): (&ShareIndex, &SecretKey)| (*me, dkg::confirm(terms, &transcripts, key));
    let words = members.unit.iter().map(word).collect();
    let agreed = dkg::agree(terms, &transcripts, &words).unwrap();
    let sharing = drafts[&of[0]].sharing().clone();
    let shares = drafts.into_iter().map(|(me, it)| (me, it.accept(&agreed).unwrap().0)).collect();
    Group { sharing, shares }
}

/// A group signature by these signers.
pub fn sign(
    group: &Group<Signing>,
    signers: &[ShareIndex],
    context: &Context,
    body: &[u8],
    rng: &mut DualRng,
) -> Signature {
    if group.sharing.threshold() == 1 {
        let share = &group.shares[&signers[0]];
        return aura_crypto::sole::sign(share, &group.sharing, context, body, rng).unwrap();
    }
    let (nonces, commitments): (Vec<_>, Vec<_>) = signers
        .iter()
        .map(|it| sign::commit(&group.shares[it], &group.sharing, rng).unwrap())
        .unzip();
    let task = SigningTask::new(context, body.to_vec(), &group.sharing, commitments).unwrap();
    let mut spent: BTreeSet<NonceId> = BTreeSet::new();
    let shares = nonces.into_iter().zip(signers).map(|(nonces, it)| {
        let share = &group.shares[it];
        (*it, nonces.sign(&task, context, share, &group.sharing, &mut spent).unwrap())
    });
    sign::aggregate(&task, context, &group.sharing, &shares.collect()).unwrap()
}

/// A key derived by these devices.
pub fn derive(
    group: &Group<Derivation>,
    devices: &[ShareIndex],
    request: &Request,
    rng: &mut DualRng,
) -> DerivedKey {
    let id = SessionId::from_bytes(*rng.bytes());
    let (blind, initiation) = dkd::initiate(id, request.clone(), &group.sharing, rng).unwrap();
    let checked = initiation.check(id, request, &group.sharing).unwrap();
    let (mut commitments, mut reveals) = (BTreeMap::new(), BTreeMap::new());
    for it in devices {
        let (commitment, reveal) = checked.evaluate(&group.shares[it], rng).unwrap();
        commitments.insert(*it, commitment);
        reveals.insert(*it, reveal);
    }
    let evaluated = checked.aggregate(&commitments, &reveals).unwrap();
    assert_eq!(evaluated.blamed, [], "nobody lied");
    evaluated.finalize(&blind).unwrap()
}

/// A resharing as far as the public part.
pub struct Reshared<S: Suite> {
    pub plan: Plan,
    pub keys: BTreeMap<ShareIndex, SessionKey>,
    pub dealt: BTreeMap<ShareIndex, aura_crypto::complaint::Dealt<S>>,
    pub dealings: BTreeMap<ShareIndex, Dealing<S>>,
}

pub fn plan<S: Suite>(
    old: &Sharing<S>,
    dealers: &[ShareIndex],
    (to, threshold): (Holders, u16),
    receivers: &BTreeMap<ShareIndex, HpkePublicKey>,
) -> Plan {
    let from = old.context();
    Plan {
        account: account(),
        session: session(2),
        from: from.holders,
        from_epoch: from.epoch,
        dealers: dealers.iter().copied().collect(),
        to,
        to_epoch: from.epoch + 1,
        threshold,
        receivers: receivers.clone(),
    }
}

pub fn deal<S: Suite>(
    group: &Group<S>,
    dealers: &[ShareIndex],
    (to, threshold): (Holders, u16),
    receivers: &[ShareIndex],
    rng: &mut DualRng,
) -> Reshared<S> {
    let keys: BTreeMap<_, _> =
        receivers.iter().map(|it| (*it, SessionKey::generate(rng))).collect();
    let publics = keys.iter().map(|it| (*it.0, it.1.public())).collect();
    let plan = plan(&group.sharing, dealers, (to, threshold), &publics);
    let (mut dealt, mut dealings) = (BTreeMap::new(), BTreeMap::new());
    for it in dealers {
        let (kept, sent) = reshare::deal(&plan, &group.shares[it], &group.sharing, rng).unwrap();
        dealt.insert(*it, kept);
        dealings.insert(*it, sent);
    }
    Reshared { plan, keys, dealt, dealings }
}

impl<S: Suite> Reshared<S> {
    pub fn outcome(&self, old: &Sharing<S>) -> Outcome<S> {
        reshare::combine(&self.plan, old, &self.dealings).unwrap()
    }

    pub fn receive(
        &self,
        outcome: &Outcome<S>,
        me: ShareIndex,
    ) -> Result<KeyShare<S>, reshare::ReshareError> {
        let (none, no) = (BTreeMap::new(), BTreeMap::new());
        let inbox = Inbox { me, key: &self.keys[&me], redelivered: &none, justified: &no };
        reshare::receive(&self.plan, outcome, &self.dealings, &inbox)
    }
}

/// A whole resharing.
pub fn reshare<S: Suite>(
    group: &Group<S>,
    dealers: &[ShareIndex],
    to: (Holders, u16),
    receivers: &[ShareIndex],
    rng: &mut DualRng,
) -> Group<S> {
    let reshared = deal(group, dealers, to, receivers, rng);
    let outcome = reshared.outcome(&group.sharing);
    let shares: BTreeMap<_, _> =
        receivers.iter().map(|me| (*me, reshared.receive(&outcome, *me).unwrap())).collect();
    for share in shares.values() {
        let ack = outcome.acknowledge(share, rng).unwrap();
        assert!(outcome.is_acknowledged_by(&ack));
    }
    Group { sharing: outcome.sharing().clone(), shares }
}
