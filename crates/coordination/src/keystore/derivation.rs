//! The steps of a key derivation that need a secret.

use std::collections::BTreeMap;

use aura_choreography::DeviceSet;
use aura_crypto::{
    DualRng, HpkePublicKey, Message as _, SealedScalar, SessionKey,
    dkd::{self as crypto, Blind, DerivedKey, DkdError, Initiation, Reveal},
};
use aura_protocol_core::{decode, encode};

use super::{KeyStore, Keys, Refusal};
use crate::choreography::dkd::{Commitment, Derived, Made, Record, Request, Step};

/// Most bytes of a sealed blind.
const SEALED_BYTES_MAX: usize = 80;

/// One session, as every step sees it.
struct Room<'a> {
    request: &'a Request,
    wanted: crypto::Request,
    seed: &'a [u8; 32],
    keys: &'a Keys,
    key: SessionKey,
}

impl KeyStore {
    pub(super) fn derive(
        &mut self,
        request: &Request,
        rng: &mut DualRng,
    ) -> Result<Vec<u8>, Refusal> {
        self.check_table(&request.table)?;
        let session = request.table.session;
        match request.step {
            Step::Initiate => self.draw(session, rng)?,
            Step::Commit if !self.permits(&request.terms.digest()) => {
                return Err(Refusal::NotPermitted);
            }
            Step::End => {
                self.end(session);
                return Ok(encode(&()));
            }
            _ => {}
        }
        let seed = self.step(session, request.step as u8, request)?;
        let keys = self.current.as_ref().ok_or(Refusal::NoKeys)?;
        let key = SessionKey::generate(&mut DualRng::for_step(&seed, &[b"session key"]));
        let (context, key_version) = (request.terms.context.clone(), request.terms.key_version);
        let wanted = crypto::Request { account: self.owner.account, context, key_version };
        let room = Room { request, wanted, seed: &seed, keys, key };
        self.used |= request.step == Step::Commit;
        match request.step {
            Step::Initiate => room.initiate().map(|it| encode(&it.1.to_bytes())),
            Step::Commit => room.evaluate().map(|it| encode(&it.0)),
            Step::Reveal => room.evaluate().map(|it| encode(&it.1.to_bytes())),
            Step::Derive => room.made().map(|it| encode(&it)),
            Step::Open | Step::End => {
                if let Some(derived) = &request.record.derived {
                    let key = room.open(derived)?;
                    self.derived.insert(session, key);
                }
                Ok(encode(&()))
            }
        }
    }

    /// The key that a session derived, for this device's owner. Given once, never saved.
    pub fn take_derived(&mut self, session: aura_protocol_core::SessionId) -> Option<DerivedKey> {
        self.derived.remove(&session)
    }
}

impl Room<'_> {
    /// What this device would ask to be evaluated, were it the opener: the same each time.
    fn initiate(&self) -> Result<(Blind, Initiation), Refusal> {
        let mut rng = DualRng::for_step(self.seed, &[b"blind", &encode(&self.wanted)]);
        let (session, sharing) = (self.request.table.session, &self.keys.derivation.1);
        crypto::initiate(session, self.wanted.clone(), sharing, &mut rng).map_err(Refusal::of)
    }

    fn initiation(&self) -> Result<Initiation, Refusal> {
        Initiation::from_bytes(&self.request.record.initiation).map_err(|_| Refusal::Malformed)
    }

    /// This device's evaluation: of what it agreed to, and nothing else.
    fn evaluate(&self) -> Result<(Commitment, Reveal), Refusal> {
        let initiation = self.initiation()?;
        let (share, sharing) = &self.keys.derivation;
        let session = self.request.table.session;
        let checked = initiation.check(session, &self.wanted, sharing).map_err(Refusal::of)?;
        let of = &self.request.record.initiation;
        let mut rng = DualRng::for_step(self.seed, &[b"evaluation", of]);
        let (digest, reveal) = checked.evaluate(share, &mut rng).map_err(Refusal::of)?;
        Ok((Commitment { key: self.key.public().0, digest }, reveal))
    }

    /// At the opener: the key's public part, and its blind for whoever helped.
    fn made(&self) -> Result<Made, Refusal> {
        let (blind, own) = self.initiate()?;
        let initiation = self.initiation()?;
        if own != initiation {
            return Err(Refusal::NotMine);
        }
        let derived = match self.key_with(&initiation, &blind)? {
            Ok(derived) => derived,
            Err(guilty) => return Ok(Made::Guilty(guilty)),
        };
        let mut blinds = BTreeMap::new();
        for (dev, commit) in &self.request.record.commits {
            let index = self.keys.index(&self.request.table, *dev)?;
            let to = (index, &HpkePublicKey(commit.key));
            let step = [b"seal".as_slice(), &[dev.0], &encode(&self.request.record)];
            let mut rng = DualRng::for_step(self.seed, &step);
            // Whoever announced a key that nothing can be sealed to gets no key.
            if let Ok(sealed) = blind.seal_for(&initiation, to, &mut rng) {
                blinds.insert(*dev, encode(&sealed));
            }
        }
        Ok(Made::Derived(Derived { blinds, claim: derived.claim().to_bytes() }))
    }

    /// The key, or who is guilty of that there is none.
    fn key_with(
        &self,
        initiation: &Initiation,
        blind: &Blind,
    ) -> Result<Result<DerivedKey, DeviceSet>, Refusal> {
        let Record { commits, reveals, .. } = &self.request.record;
        let (table, sharing) = (&self.request.table, &self.keys.derivation.1);
        let checked =
            initiation.check(table.session, &self.wanted, sharing).map_err(Refusal::of)?;
        let (mut digests, mut read, mut guilty) =
            (BTreeMap::new(), BTreeMap::new(), DeviceSet::EMPTY);
        for (dev, commit) in commits {
            digests.insert(self.keys.index(table, *dev)?, commit.digest);
        }
        for (dev, bytes) in reveals {
            match Reveal::from_bytes(bytes) {
                Ok(reveal) => _ = read.insert(self.keys.index(table, *dev)?, reveal),
                Err(_) => guilty = guilty.with(*dev),
            }
        }
        match checked.aggregate(&digests, &read) {
            Ok(evaluated) => evaluated.finalize(blind).map(Ok).map_err(Refusal::of),
            Err(DkdError::TooFew { blamed, .. }) => {
                let places = blamed.iter().filter_map(|it| self.keys.place(table, it.who));
                Ok(Err(places.fold(guilty, DeviceSet::with)))
            }
            Err(error) => Err(Refusal::of(error)),
        }
    }

    /// The key, if it is the one that was announced.
    fn open(&self, derived: &Derived) -> Result<DerivedKey, Refusal> {
        let me = self.request.table.me;
        let sealed = derived.blinds.get(&me).ok_or(Refusal::NotChosen)?;
        let sealed: SealedScalar =
            decode(sealed, SEALED_BYTES_MAX).map_err(|_| Refusal::Malformed)?;
        let initiation = self.initiation()?;
        let index = self.keys.index(&self.request.table, me)?;
        let blind = Blind::open(&initiation, index, &self.key, &sealed).map_err(Refusal::of)?;
        let key = self.key_with(&initiation, &blind)?.map_err(|_| Refusal::Differ)?;
        if key.claim().to_bytes() == derived.claim { Ok(key) } else { Err(Refusal::Differ) }
    }
}
