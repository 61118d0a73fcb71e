//! The steps of a key generation that need a secret.

use std::collections::BTreeMap;

use aura_choreography::{Dev, DeviceSet};
use aura_crypto::{
    Derivation, DualRng, HpkePublicKey, Message as _, SealedScalar, SessionKey, ShareIndex,
    Signature, Signing, Suite,
    complaint::{Complaint, Dealt, Justification, SubShare, judge},
    dkg::{self as crypto, Broadcast, DkgError, Draft, Gatherer, Member},
};
use aura_protocol_core::{Digest, decode, encode};

use super::{KeyStore, Keys, Refusal, index, unfit::Unfit};
use crate::choreography::{
    Rested,
    dkg::{Delivery, Record, Report, Request, Step},
};

/// Most bytes of what one member shows in answer to complaints, or of one commitment for both keys.
const PART_BYTES_MAX: usize = 64 << 10;

/// This device's part for one key, and what it took from the others' commitments.
struct Half<S: Suite> {
    gatherer: Gatherer<S>,
    dealt: Dealt<S>,
    delivery: crypto::Delivery,
}

/// This device's part for both keys. A function of the session's seed and the commitments: kept, so
/// that it is not computed at every step.
pub(super) struct Dealing {
    of: Digest,
    signing: Half<Signing>,
    derivation: Half<Derivation>,
}

/// One session's terms, places and session key.
struct Hall<'a> {
    request: &'a Request,
    seed: &'a [u8; 32],
    me: ShareIndex,
    terms: crypto::Terms,
    key: SessionKey,
}

/// What a round of checking came to.
enum Checked {
    Fits(Box<(Draft<Signing>, Draft<Derivation>)>),
    Complain(DeviceSet),
}

impl KeyStore {
    pub(super) fn generate(
        &mut self,
        request: &Request,
        rng: &mut DualRng,
    ) -> Result<Vec<u8>, Refusal> {
        self.check_table(&request.table)?;
        let session = request.table.session;
        match request.step {
            Step::Enter => self.draw(session, rng)?,
            Step::End => {
                self.end(session);
                return Ok(encode(&()));
            }
            _ => {}
        }
        let seed = self.step(session, request.step as u8, request)?;
        let key = session_key(&seed);
        if request.step == Step::Enter {
            return Ok(encode(&key.public().0));
        }
        let hall = self.hall(request, &seed, key)?;
        match request.step {
            Step::Commit => hall.commit(),
            Step::Deliver => Ok(encode(&match self.deal(&hall) {
                Ok(dealing) => dealing.sealed(&hall)?,
                Err(Unfit::Guilty(devices)) => Delivery::Accuse(devices),
                Err(Unfit::Differ) => Delivery::Differ,
                Err(Unfit::Refused(refusal)) => return Err(refusal),
            })),
            Step::Check | Step::Recheck => Ok(encode(&match self.check(&hall) {
                Ok(report) => report,
                Err(Unfit::Guilty(devices)) => Report::Accuse(devices),
                Err(Unfit::Differ) => Report::Differ,
                Err(Unfit::Refused(refusal)) => return Err(refusal),
            })),
            Step::Justify => self.justify(&hall),
            Step::Enter | Step::End | Step::Accept => self.accept(&hall),
        }
    }

    fn hall<'a>(
        &self,
        request: &'a Request,
        seed: &'a [u8; 32],
        key: SessionKey,
    ) -> Result<Hall<'a>, Refusal> {
        let Request { table, terms, record, .. } = request;
        if record.keys.get(&table.me) != Some(&key.public().0) {
            return Err(Refusal::NotMine);
        }
        let mut members = BTreeMap::new();
        for (place, device) in table.devices.iter().enumerate() {
            let dev = Dev(place as u8);
            let session = record.keys.get(&dev).ok_or(Refusal::Malformed)?;
            let unit = *self.owner.roster.get(device).ok_or(Refusal::Stranger(*device))?;
            let member = Member { unit, session: HpkePublicKey(*session) };
            members.insert(index(&terms.indices, dev)?, member);
        }
        let account = self.owner.account;
        let (epoch, threshold) = (terms.epoch, terms.threshold);
        let terms = crypto::Terms { account, session: table.session, epoch, threshold, members };
        let me = index(&request.terms.indices, table.me)?;
        Ok(Hall { request, seed, me, terms, key })
    }

    /// This device's part, computed unless it is there.
    fn deal(&mut self, hall: &Hall<'_>) -> Result<&mut Dealing, Unfit> {
        let record = &hall.request.record;
        let session = hall.request.table.session;
        let of = Digest::of(&encode(&(&record.keys, &record.commits)));
        if self.dealings.get(&session).is_none_or(|it| it.of != of) {
            let (signing, derivation) = hall.halves(&of)?;
            self.dealings.insert(session, Dealing { of, signing, derivation });
        }
        self.dealings.get_mut(&session).ok_or(Unfit::Refused(Refusal::NoSession))
    }

    fn check(&mut self, hall: &Hall<'_>) -> Result<Report, Unfit> {
        match self.gather(hall)? {
            Checked::Complain(about) => Ok(Report::Complain(about)),
            Checked::Fits(drafts) => {
                let transcripts = [drafts.0.transcript(), drafts.1.transcript()];
                let word = crypto::confirm(&hall.terms, &transcripts, &self.owner.unit);
                Ok(Report::Confirm(word.0.to_vec()))
            }
        }
    }

    /// Opens what was sealed for this device; what was complained about is read from the answers.
    fn gather(&mut self, hall: &Hall<'_>) -> Result<Checked, Unfit> {
        let dealing = self.deal(hall)?;
        let on = hall.request.record.before_answers();
        if hall.request.record.answers.values().any(|it| it.on != on) {
            return Err(Unfit::Differ);
        }
        let answers = hall.answers();
        let (justified, mut guilty) = hall.judge(&dealing.signing.gatherer, &answers);
        let (other, more) = hall.judge(&dealing.derivation.gatherer, &answers);
        guilty = guilty.union(more);
        if !guilty.is_empty() {
            return Err(Unfit::Guilty(guilty));
        }
        let (first, second) = hall.deliveries();
        let signing = hall.open(&dealing.signing.gatherer, &first, &justified)?;
        let derivation = hall.open(&dealing.derivation.gatherer, &second, &other)?;
        Ok(match (signing, derivation) {
            (Ok(one), Ok(two)) => Checked::Fits(Box::new((one, two))),
            (one, two) => {
                let about = |it: Option<DeviceSet>| it.unwrap_or_default();
                Checked::Complain(about(one.err()).union(about(two.err())))
            }
        })
    }

    fn justify(&mut self, hall: &Hall<'_>) -> Result<Vec<u8>, Refusal> {
        let dealing = self.deal(hall).map_err(Unfit::refusal)?;
        let me = hall.request.table.me;
        let mut answers: Vec<Justification> = Vec::new();
        for (by, about) in &hall.request.record.complaints {
            if about.contains(me) && *by != me {
                let [one, other] = hall.complaints(me, *by)?;
                answers.push(dealing.signing.dealt.justify(one).map_err(Refusal::of)?);
                answers.push(dealing.derivation.dealt.justify(other).map_err(Refusal::of)?);
            }
        }
        let (on, bytes) = (hall.request.record.before_answers(), encode(&answers));
        Ok(encode(&Rested { on, bytes }))
    }

    /// Everybody signed what this device signed: the shares are its own from now on.
    fn accept(&mut self, hall: &Hall<'_>) -> Result<Vec<u8>, Refusal> {
        let drafts = match self.gather(hall).map_err(Unfit::refusal)? {
            Checked::Fits(drafts) => *drafts,
            Checked::Complain(_) => return Err(Refusal::Failed("shares do not fit".to_owned())),
        };
        let mut signatures = BTreeMap::new();
        for (dev, word) in &hall.request.record.words {
            let word = word.as_slice().try_into().map_err(|_| Refusal::Malformed)?;
            signatures.insert(hall.index(*dev)?, Signature(word));
        }
        let transcripts = [drafts.0.transcript(), drafts.1.transcript()];
        // Who signed something else may be who was told something else: nobody is blamed for it.
        let agreed = crypto::agree(&hall.terms, &transcripts, &signatures);
        let agreed = agreed.map_err(|_| Refusal::Differ)?;
        let table = &hall.request.table;
        let place =
            |it: (usize, &aura_protocol_core::DeviceId)| Ok((*it.1, hall.index(Dev(it.0 as u8))?));
        let keys = Keys {
            signing: drafts.0.accept(&agreed).map_err(Refusal::of)?,
            derivation: drafts.1.accept(&agreed).map_err(Refusal::of)?,
            holders: table.devices.iter().enumerate().map(place).collect::<Result<_, Refusal>>()?,
        };
        let name = keys.name();
        self.pending.insert(table.session, keys);
        Ok(encode(&name))
    }
}

fn session_key(seed: &[u8; 32]) -> SessionKey {
    SessionKey::generate(&mut DualRng::for_step(seed, &[b"session key"]))
}

/// A member's commitments for both keys, from its bytes.
fn commitments(bytes: &[u8]) -> Option<(Broadcast<Signing>, Broadcast<Derivation>)> {
    let (one, other) = decode::<(Vec<u8>, Vec<u8>)>(bytes, PART_BYTES_MAX).ok()?;
    Some((Broadcast::from_bytes(&one).ok()?, Broadcast::from_bytes(&other).ok()?))
}

impl Hall<'_> {
    fn index(&self, dev: Dev) -> Result<ShareIndex, Refusal> {
        index(&self.request.terms.indices, dev)
    }

    fn place(&self, index: ShareIndex) -> Option<Dev> {
        let place = self.request.terms.indices.iter().position(|it| *it == index.get())?;
        Some(Dev(place as u8))
    }

    fn places(&self, indices: &[ShareIndex]) -> DeviceSet {
        indices.iter().filter_map(|it| self.place(*it)).collect()
    }

    /// This device's polynomial for one key: the same however often it is asked for.
    fn begin<S: Suite>(&self) -> Result<(crypto::Dealer<S>, Broadcast<S>), Refusal> {
        let of = encode(&(S::KEY, self.terms.digest()));
        let mut rng = DualRng::for_step(self.seed, &[b"polynomial", &of]);
        crypto::begin(&self.terms, self.me, &mut rng).map_err(Refusal::of)
    }

    fn commit(&self) -> Result<Vec<u8>, Refusal> {
        let (_, one) = self.begin::<Signing>()?;
        let (_, other) = self.begin::<Derivation>()?;
        let (on, bytes) =
            (self.request.record.before_commits(), encode(&(one.to_bytes(), other.to_bytes())));
        Ok(encode(&Rested { on, bytes }))
    }

    fn halves(&self, of: &Digest) -> Result<(Half<Signing>, Half<Derivation>), Unfit> {
        let mut both = (BTreeMap::new(), BTreeMap::new());
        let mut guilty = DeviceSet::EMPTY;
        let record = &self.request.record;
        let on = record.before_commits();
        if record.commits.values().any(|it| it.on != on) {
            return Err(Unfit::Differ);
        }
        for (dev, said) in &record.commits {
            match commitments(&said.bytes) {
                Some((one, other)) => {
                    let index = self.index(*dev)?;
                    both.0.insert(index, one);
                    both.1.insert(index, other);
                }
                None => guilty = guilty.with(*dev),
            }
        }
        if !guilty.is_empty() {
            return Err(Unfit::Guilty(guilty));
        }
        Ok((self.half(&both.0, of)?, self.half(&both.1, of)?))
    }

    fn half<S: Suite>(
        &self,
        broadcasts: &BTreeMap<ShareIndex, Broadcast<S>>,
        of: &Digest,
    ) -> Result<Half<S>, Unfit> {
        let (dealer, own) = self.begin::<S>()?;
        if broadcasts.get(&self.me) != Some(&own) {
            return Err(Refusal::NotMine.into());
        }
        let mut rng = DualRng::for_step(self.seed, &[b"shares", &[S::KEY as u8], of.as_bytes()]);
        match dealer.deliver(broadcasts, &mut rng) {
            Ok((gatherer, dealt, delivery)) => Ok(Half { gatherer, dealt, delivery }),
            Err(error) => Err(self.unfit(&error)),
        }
    }

    fn unfit(&self, error: &DkgError) -> Unfit {
        match error {
            DkgError::Blame(blame) => Unfit::Guilty(self.places(&[blame.who])),
            other => Unfit::Refused(Refusal::of(other)),
        }
    }

    /// What the others sealed for this device, for each key. What is no such thing is not there.
    fn deliveries(&self) -> (Deliveries, Deliveries) {
        let mut both = (Deliveries::new(), Deliveries::new());
        for (dev, bytes) in &self.request.record.sealed {
            let Ok(from) = self.index(*dev) else { continue };
            let sealed = decode::<(SealedScalar, SealedScalar)>(bytes, PART_BYTES_MAX).ok();
            let one = |it: Option<SealedScalar>| {
                let sealed = it.map(|it| (self.me, it)).into_iter().collect();
                crypto::Delivery { from, sealed }
            };
            both.0.insert(from, one(sealed.as_ref().map(|it| it.0.clone())));
            both.1.insert(from, one(sealed.map(|it| it.1)));
        }
        both
    }

    /// The draft, or about whom to complain.
    fn open<S: Suite>(
        &self,
        gatherer: &Gatherer<S>,
        deliveries: &Deliveries,
        justified: &BTreeMap<ShareIndex, SubShare<S>>,
    ) -> Result<Result<Draft<S>, DeviceSet>, Unfit> {
        match gatherer.gather(deliveries, justified, &self.key) {
            Ok(draft) => Ok(Ok(draft)),
            Err(DkgError::Complain(about)) => Ok(Err(self.places(&about))),
            Err(error) => Err(self.unfit(&error)),
        }
    }

    fn complaints(&self, accused: Dev, by: Dev) -> Result<[Complaint; 2], Refusal> {
        let (session, accused, by) =
            (self.request.table.session, self.index(accused)?, self.index(by)?);
        let about = |key| Complaint { session, key, accused, by };
        Ok([about(Signing::KEY), about(Derivation::KEY)])
    }

    /// All that was shown, by whoever showed it.
    fn answers(&self) -> BTreeMap<ShareIndex, Vec<Justification>> {
        let read = |(dev, said): (&Dev, &Rested)| {
            let answers = decode::<Vec<Justification>>(&said.bytes, PART_BYTES_MAX).ok()?;
            Some((self.index(*dev).ok()?, answers))
        };
        self.request.record.answers.iter().filter_map(read).collect()
    }

    /// The shares that were shown to this device, and who could not show one that fits to anybody. Before
    /// there are answers nobody is guilty.
    fn judge<S: Suite>(
        &self,
        gatherer: &Gatherer<S>,
        answers: &BTreeMap<ShareIndex, Vec<Justification>>,
    ) -> (BTreeMap<ShareIndex, SubShare<S>>, DeviceSet) {
        let (mut shown, mut guilty) = (BTreeMap::new(), DeviceSet::EMPTY);
        let Record { complaints, answers: said, .. } = &self.request.record;
        let complaints = complaints.iter().filter(|_| !said.is_empty());
        let pairs = complaints.flat_map(|(by, about)| about.iter().map(|it| (*by, it)));
        for (by, accused) in pairs.filter(|(by, accused)| by != accused) {
            let Ok(both) = self.complaints(accused, by) else { continue };
            let Some(complaint) = both.iter().find(|it| it.key == S::KEY) else { continue };
            let answer = answers.get(&complaint.accused).into_iter().flatten();
            let answer = answer.into_iter().find(|it| it.complaint == *complaint);
            let commitment = gatherer.commitment(complaint.accused);
            let judged = commitment.zip(answer).map(|(to, it)| judge(to, complaint, it));
            match judged {
                Some(Ok(share)) if complaint.by == self.me => {
                    shown.insert(complaint.accused, share);
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => guilty = guilty.with(accused),
            }
        }
        (shown, guilty)
    }
}

type Deliveries = BTreeMap<ShareIndex, crypto::Delivery>;

impl Dealing {
    /// What is sealed for each other member: for both keys together.
    fn sealed(&self, hall: &Hall<'_>) -> Result<Delivery, Refusal> {
        let mut sealed = BTreeMap::new();
        for (to, one) in &self.signing.delivery.sealed {
            let other = self.derivation.delivery.sealed.get(to).ok_or(Refusal::NoSession)?;
            let dev = hall.place(*to).ok_or(Refusal::NoSession)?;
            sealed.insert(dev, encode(&(one, other)));
        }
        Ok(Delivery::Sealed(sealed))
    }
}
