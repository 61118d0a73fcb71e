//! The steps of a resharing that need a secret.

use std::collections::BTreeMap;

use aura_choreography::{Dev, DeviceSet};
use aura_crypto::{
    Blame, Derivation, DualRng, HpkePublicKey, KeyShare, Message as _, SessionKey, ShareIndex,
    Sharing, Signing, Suite,
    complaint::{Complaint, Dealt, Justification, SubShare, judge},
    reshare::{self as crypto, Ack, Dealing, Inbox, Plan, ReshareError},
};
use aura_protocol_core::{DeviceId, Digest, decode, encode, limits::UNIT_BODY_BYTES_MAX};

use super::{KeyStore, Keys, Refusal, name_of, unfit::Unfit};
use crate::choreography::{
    Report, Rested,
    resharing::{Agreement, Findings, Outcome, Request, Side, Step},
};

/// One session, as every step sees it.
struct Room<'a> {
    request: &'a Request,
    seed: &'a [u8; 32],
    key: SessionKey,
    plan: Plan,
    signing: Sharing<Signing>,
    derivation: Sharing<Derivation>,
}

/// What the dealings for both keys lead to.
struct Both {
    signing: Half<Signing>,
    derivation: Half<Derivation>,
}

/// The same for one key, at a device that receives and at one that does not.
struct Half<S: Suite> {
    outcome: crypto::Outcome<S>,
    share: Option<Result<KeyShare<S>, DeviceSet>>,
}

type Dealings<S> = BTreeMap<ShareIndex, Dealing<S>>;

impl KeyStore {
    pub(super) fn reshare(
        &mut self,
        request: &Request,
        rng: &mut DualRng,
    ) -> Result<Vec<u8>, Refusal> {
        self.check_table(&request.table)?;
        let session = request.table.session;
        match request.step {
            Step::Enter => {
                if !self.permits(&request.terms.digest()) {
                    return Err(Refusal::NotPermitted);
                }
                self.sharings(request)?;
                self.draw(session, rng)?;
            }
            Step::Offer => return self.offer(request).map(|()| encode(&())),
            Step::End => {
                self.end(session);
                return Ok(encode(&()));
            }
            _ => {}
        }
        let seed = self.step(session, request.step as u8, request)?;
        let key = SessionKey::generate(&mut DualRng::for_step(&seed, &[b"session key"]));
        if request.step == Step::Enter {
            return Ok(encode(&key.public().0));
        }
        let room = self.room(request, &seed, key)?;
        match request.step {
            Step::Deal => self.deal_anew(&room),
            Step::Justify => self.justify_anew(&room),
            Step::Check | Step::Recheck => room.findings().map(|it| encode(&it)),
            Step::Enter | Step::Offer | Step::End | Step::Accept => self.accept_anew(&room),
        }
    }

    /// Whether this device holds what is to be reshared, and may deal it.
    fn offer(&self, request: &Request) -> Result<(), Refusal> {
        if !self.permits(&request.terms.digest()) {
            return Err(Refusal::NotPermitted);
        }
        self.sharings(request)?;
        let holds = request.terms.from.devices.contains_key(&self.owner.device);
        if holds && self.current.is_some() { Ok(()) } else { Err(Refusal::NoKeys) }
    }

    /// What is to be reshared. Whoever holds shares of its own reshares nothing else.
    fn sharings(
        &self,
        request: &Request,
    ) -> Result<(Sharing<Signing>, Sharing<Derivation>), Refusal> {
        let (from, sharings) = (&request.terms.from, &request.terms.sharings);
        let signing = Sharing::from_bytes(&sharings.signing).map_err(|_| Refusal::Malformed)?;
        let derivation =
            Sharing::from_bytes(&sharings.derivation).map_err(|_| Refusal::Malformed)?;
        if !(is_of(&signing, from) && is_of(&derivation, from))
            || signing.context() != derivation.context()
            || signing.context().account != self.owner.account
        {
            return Err(Refusal::Malformed);
        }
        let same_holders = |it: &&Keys| it.signing.1.context().holders == from.holders;
        let held = self.current.as_ref().filter(same_holders).map(Keys::name);
        if held.is_some_and(|it| it != name_of(signing.id(), derivation.id())) {
            return Err(Refusal::NotPermitted);
        }
        if held.is_none() && from.devices.contains_key(&self.owner.device) {
            return Err(Refusal::NoKeys);
        }
        Ok((signing, derivation))
    }

    fn room<'a>(
        &self,
        request: &'a Request,
        seed: &'a [u8; 32],
        key: SessionKey,
    ) -> Result<Room<'a>, Refusal> {
        let Request { table, terms, record, .. } = request;
        let receives = terms.to.devices.contains_key(&self.owner.device);
        if receives && record.keys.get(&table.me) != Some(&key.public().0) {
            return Err(Refusal::NotMine);
        }
        let (signing, derivation) = self.sharings(request)?;
        let index = |side: &Side, dev: Dev| index_of(request, side, dev);
        let mut receivers = BTreeMap::new();
        for (dev, key) in &record.keys {
            receivers.insert(index(&terms.to, *dev)?, HpkePublicKey(*key));
        }
        if receivers.len() != terms.to.devices.len() {
            return Err(Refusal::Malformed);
        }
        let dealers = record.dealers.iter().map(|it| index(&terms.from, it));
        let plan = Plan {
            account: self.owner.account,
            session: table.session,
            from: terms.from.holders,
            from_epoch: terms.from.epoch,
            dealers: dealers.collect::<Result<_, Refusal>>()?,
            to: terms.to.holders,
            to_epoch: terms.to.epoch,
            threshold: terms.to.threshold,
            receivers,
        };
        plan.check(&signing).map_err(Refusal::of)?;
        plan.check(&derivation).map_err(Refusal::of)?;
        Ok(Room { request, seed, key, plan, signing, derivation })
    }

    /// Deals both shares anew.
    fn deal_anew(&self, room: &Room<'_>) -> Result<Vec<u8>, Refusal> {
        let keys = self.dealing_keys(room)?;
        let one = room.deal(&keys.signing.0, &room.signing)?.1.to_bytes();
        let other = room.deal(&keys.derivation.0, &room.derivation)?.1.to_bytes();
        let (on, bytes) = (room.request.record.before_dealings(), encode(&(one, other)));
        Ok(encode(&Rested { on, bytes }))
    }

    /// Shows the sub-shares that others complained about.
    fn justify_anew(&self, room: &Room<'_>) -> Result<Vec<u8>, Refusal> {
        let keys = self.dealing_keys(room)?;
        let mut signing = room.deal(&keys.signing.0, &room.signing)?.0;
        let mut derivation = room.deal(&keys.derivation.0, &room.derivation)?.0;
        let me = room.request.table.me;
        let mut answers: Vec<Justification> = Vec::new();
        for (by, _) in room.request.record.pairs().filter(|it| it.1 == me) {
            let [one, other] = room.complaints(me, by)?;
            answers.push(signing.justify(one).map_err(Refusal::of)?);
            answers.push(derivation.justify(other).map_err(Refusal::of)?);
        }
        let (on, bytes) = (room.request.record.before_answers(), encode(&answers));
        Ok(encode(&Rested { on, bytes }))
    }

    fn dealing_keys(&self, room: &Room<'_>) -> Result<&Keys, Refusal> {
        if !room.request.record.dealers.contains(room.request.table.me) {
            return Err(Refusal::NotChosen);
        }
        self.current.as_ref().ok_or(Refusal::NoKeys)
    }

    /// Everybody has its share and found the same: this device keeps its own, and signs that.
    fn accept_anew(&mut self, room: &Room<'_>) -> Result<Vec<u8>, Refusal> {
        let both = room.both().map_err(Unfit::refusal)?;
        let agreed = both.agreement();
        if room.request.record.agreed != Some(agreed) {
            return Err(Refusal::Differ);
        }
        room.check_words(&both)?;
        let session = room.request.table.session;
        let Half { outcome: one, share: first } = both.signing;
        let Half { outcome: other, share: second } = both.derivation;
        if let (Some(first), Some(second)) = (first, second) {
            let unfit = |_| Refusal::Failed("shares do not fit".to_owned());
            let holder = |(device, number): (&DeviceId, &u16)| {
                Ok((*device, ShareIndex::new(*number).ok_or(Refusal::Malformed)?))
            };
            let devices = room.request.terms.to.devices.iter();
            let keys = Keys {
                signing: (first.map_err(unfit)?, one.sharing().clone()),
                derivation: (second.map_err(unfit)?, other.sharing().clone()),
                holders: devices.map(holder).collect::<Result<_, Refusal>>()?,
            };
            self.pending.insert(session, keys);
        }
        let terms = &room.request.terms;
        let drawn = self.drawn.get_mut(&session).ok_or(Refusal::NoSession)?;
        drawn.signs.insert(terms.proof(session, &agreed).digest());
        drawn.signs.insert(terms.authority(session, &agreed).digest());
        Ok(encode(&()))
    }
}

/// Whether a sharing is the one that these terms say.
fn is_of<S: Suite>(sharing: &Sharing<S>, side: &Side) -> bool {
    let context = sharing.context();
    let mut indices: Vec<u16> = side.devices.values().copied().collect();
    indices.sort_unstable();
    (context.holders, context.epoch) == (side.holders, side.epoch)
        && sharing.threshold() == side.threshold
        && sharing.shares().keys().map(|it| it.get()).eq(indices)
}

/// The share index of whoever sits at a place, on one side.
fn index_of(request: &Request, side: &Side, dev: Dev) -> Result<ShareIndex, Refusal> {
    let device = request.table.devices.get(usize::from(dev.0)).ok_or(Refusal::Malformed)?;
    let number = side.devices.get(device).ok_or(Refusal::Stranger(*device))?;
    ShareIndex::new(*number).ok_or(Refusal::Malformed)
}

/// A dealer's part for both keys, from its bytes.
fn dealings(bytes: &[u8]) -> Option<(Dealing<Signing>, Dealing<Derivation>)> {
    let (one, other) = decode::<(Vec<u8>, Vec<u8>)>(bytes, UNIT_BODY_BYTES_MAX).ok()?;
    Some((Dealing::from_bytes(&one).ok()?, Dealing::from_bytes(&other).ok()?))
}

impl Room<'_> {
    fn me(&self) -> Dev {
        self.request.table.me
    }

    /// This device's place among the receivers; none where it receives nothing.
    fn receiver(&self) -> Option<ShareIndex> {
        index_of(self.request, &self.request.terms.to, self.me()).ok()
    }

    /// The places of dealers.
    fn places(&self, indices: impl IntoIterator<Item = ShareIndex>) -> DeviceSet {
        let from = &self.request.terms.from.devices;
        let place = |index: ShareIndex| {
            let device = from.iter().find(|it| *it.1 == index.get())?.0;
            let place = self.request.table.devices.iter().position(|it| it == device)?;
            u8::try_from(place).ok().map(Dev)
        };
        indices.into_iter().filter_map(place).collect()
    }

    /// This device's polynomial for one key: the same however often it is asked for.
    fn deal<S: Suite>(
        &self,
        share: &KeyShare<S>,
        old: &Sharing<S>,
    ) -> Result<(Dealt<S>, Dealing<S>), Refusal> {
        let plan = self.plan.digest();
        let mut rng = DualRng::for_step(self.seed, &[b"deal", &[S::KEY as u8], plan.as_bytes()]);
        crypto::deal(&self.plan, share, old, &mut rng).map_err(Refusal::of)
    }

    fn complaints(&self, accused: Dev, by: Dev) -> Result<[Complaint; 2], Refusal> {
        let terms = &self.request.terms;
        let accused = index_of(self.request, &terms.from, accused)?;
        let by = index_of(self.request, &terms.to, by)?;
        let session = self.request.table.session;
        let about = |key| Complaint { session, key, accused, by };
        Ok([about(Signing::KEY), about(Derivation::KEY)])
    }

    /// What all dealings lead to.
    fn both(&self) -> Result<Both, Unfit> {
        let record = &self.request.record;
        let (dealt, answered) = (record.before_dealings(), record.before_answers());
        if record.dealings.values().any(|it| it.on != dealt)
            || record.answers.values().any(|it| it.on != answered)
        {
            return Err(Unfit::Differ);
        }
        let (mut one, mut other) = (Dealings::new(), Dealings::new());
        let mut guilty = DeviceSet::EMPTY;
        for (dev, said) in &record.dealings {
            match dealings(&said.bytes) {
                Some((signing, derivation)) => {
                    let index = index_of(self.request, &self.request.terms.from, *dev)?;
                    one.insert(index, signing);
                    other.insert(index, derivation);
                }
                None => guilty = guilty.with(*dev),
            }
        }
        if !guilty.is_empty() {
            return Err(Unfit::Guilty(guilty));
        }
        Ok(Both {
            signing: self.half(&self.signing, &one)?,
            derivation: self.half(&self.derivation, &other)?,
        })
    }

    fn half<S: Suite>(&self, old: &Sharing<S>, dealings: &Dealings<S>) -> Result<Half<S>, Unfit> {
        let outcome = crypto::combine(&self.plan, old, dealings).map_err(|it| self.unfit(it))?;
        let (justified, guilty) = self.judge(dealings);
        if !guilty.is_empty() {
            return Err(Unfit::Guilty(guilty));
        }
        let Some(me) = self.receiver() else { return Ok(Half { outcome, share: None }) };
        let redelivered = &BTreeMap::new();
        let inbox = Inbox { me, key: &self.key, redelivered, justified: &justified };
        let share = match crypto::receive(&self.plan, &outcome, dealings, &inbox) {
            Ok(share) => Ok(share),
            Err(ReshareError::Complain(about)) => Err(self.places(about)),
            Err(error) => return Err(self.unfit(error)),
        };
        Ok(Half { outcome, share: Some(share) })
    }

    fn unfit(&self, error: ReshareError) -> Unfit {
        match error {
            ReshareError::Blame(blamed) => {
                Unfit::Guilty(self.places(blamed.iter().map(|it: &Blame| it.who)))
            }
            other => Unfit::Refused(Refusal::of(other)),
        }
    }

    /// The sub-shares that were shown to this device, and who could not show one that fits to anybody.
    /// Before there are answers nobody is guilty.
    fn judge<S: Suite>(
        &self,
        dealings: &Dealings<S>,
    ) -> (BTreeMap<ShareIndex, SubShare<S>>, DeviceSet) {
        let (mut shown, mut guilty) = (BTreeMap::new(), DeviceSet::EMPTY);
        let record = &self.request.record;
        for (by, accused) in record.pairs().filter(|_| !record.answers.is_empty()) {
            // Whoever complains about somebody who dealt nothing complains about nothing.
            let Ok(both) = self.complaints(accused, by) else { continue };
            let Some(complaint) = both.iter().find(|it| it.key == S::KEY) else { continue };
            let Some(dealing) = dealings.get(&complaint.accused) else { continue };
            let said = record.answers.get(&accused);
            let answers: Vec<Justification> =
                said.and_then(|it| decode(&it.bytes, UNIT_BODY_BYTES_MAX).ok()).unwrap_or_default();
            let answer = answers.iter().find(|it| it.complaint == *complaint);
            match answer.map(|it| judge(&dealing.commitment, complaint, it)) {
                Some(Ok(share)) if self.receiver() == Some(complaint.by) => {
                    shown.insert(complaint.accused, share);
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => guilty = guilty.with(accused),
            }
        }
        (shown, guilty)
    }

    /// What this device says of the dealings, and what they lead to.
    fn findings(&self) -> Result<Findings, Refusal> {
        let both = match self.both() {
            Ok(both) => both,
            Err(Unfit::Guilty(devices)) => return Ok(Report::Accuse(devices).into()),
            Err(Unfit::Differ) => return Ok(Report::Differ.into()),
            Err(Unfit::Refused(refusal)) => return Err(refusal),
        };
        let signing = both.signing.outcome.sharing().to_bytes();
        let outcome = Some(Outcome { agreement: both.agreement(), signing });
        let report = match (both.signing.share.as_ref(), both.derivation.share.as_ref()) {
            (Some(Ok(one)), Some(Ok(other))) => {
                let first = self.acknowledge(&both.signing.outcome, one)?;
                let second = self.acknowledge(&both.derivation.outcome, other)?;
                Report::Confirm(encode(&(first, second)))
            }
            // Whoever receives nothing has nothing to confirm.
            (None, _) | (_, None) => Report::Confirm(Vec::new()),
            (Some(one), Some(other)) => {
                let about = |it: Option<&DeviceSet>| it.copied().unwrap_or_default();
                let (one, other) = (one.as_ref().err(), other.as_ref().err());
                Report::Complain(about(one).union(about(other)))
            }
        };
        Ok(Findings { report, outcome })
    }

    fn acknowledge<S: Suite>(
        &self,
        outcome: &crypto::Outcome<S>,
        share: &KeyShare<S>,
    ) -> Result<Ack, Refusal> {
        let transcript = outcome.transcript();
        let step: [&[u8]; 3] = [b"acknowledge", &[S::KEY as u8], transcript.as_bytes()];
        let mut rng = DualRng::for_step(self.seed, &step);
        outcome.acknowledge(share, &mut rng).map_err(Refusal::of)
    }

    /// Whether every receiver proved that it has both its shares.
    fn check_words(&self, both: &Both) -> Result<(), Refusal> {
        for dev in self.request.record.keys.keys() {
            let index = index_of(self.request, &self.request.terms.to, *dev)?;
            let word = self.request.record.words.get(dev).ok_or(Refusal::Differ)?;
            let (one, other) =
                decode::<(Ack, Ack)>(word, 2 * Ack::BYTES_MAX).map_err(|_| Refusal::Differ)?;
            let has = both.signing.outcome.is_acknowledged_by(&one)
                && both.derivation.outcome.is_acknowledged_by(&other);
            // A proof of something else may rest on something else that its author heard.
            if !has || (one.from, other.from) != (index, index) {
                return Err(Refusal::Differ);
            }
        }
        Ok(())
    }
}

impl Both {
    fn agreement(&self) -> Agreement {
        let (one, other) = (&self.signing.outcome, &self.derivation.outcome);
        let name = name_of(one.sharing().id(), other.sharing().id());
        let transcripts = encode(&(one.transcript(), other.transcript()));
        let transcript = Digest::tagged("aura account resharing v1", &[&transcripts]);
        Agreement { name, transcript }
    }
}
