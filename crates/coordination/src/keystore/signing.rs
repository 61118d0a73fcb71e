//! The steps of a group signature that need a secret.

use std::collections::BTreeMap;

use aura_choreography::{Dev, DeviceSet};
use aura_crypto::{
    Context, DualRng, KeyShare, Message as _, ShareIndex, Sharing, Signature, Signing as Ed25519,
    sign::{self as crypto, AggregateError, NonceCommitment, Nonces, SignatureShare, SigningTask},
    sole,
};
use aura_protocol_core::{DeviceId, SessionId, encode};

use super::{KeyStore, Keys, Refusal};
use crate::choreography::{
    Rested, Table,
    sign::{Made, Purpose, Request, Step},
};

/// The nonces of a session, until they are spent; and what this life of the device answered. Never saved.
pub(super) struct Signing {
    nonces: Option<Nonces>,
    commitment: Vec<u8>,
    share: Option<Vec<u8>>,
}

impl KeyStore {
    pub(super) fn sign(
        &mut self,
        request: &Request,
        rng: &mut DualRng,
    ) -> Result<Vec<u8>, Refusal> {
        self.check_table(&request.table)?;
        let session = request.table.session;
        match request.step {
            Step::Nonces => self.nonces(request, rng),
            Step::Sign => self.sign_once(request),
            Step::Aggregate => self.aggregate(request).map(|it| encode(&it)),
            Step::Verify => self.verify(request).map(|()| encode(&())),
            Step::End => {
                self.end(session);
                Ok(encode(&()))
            }
        }
    }

    fn context(&self, request: &Request) -> Context {
        let (domain, epoch) = (request.terms.purpose.domain(), request.terms.epoch);
        Context { domain, account: self.owner.account, epoch }
    }

    /// Fresh nonces, unless this life of the device has drawn some for the session.
    fn nonces(&mut self, request: &Request, rng: &mut DualRng) -> Result<Vec<u8>, Refusal> {
        let session = request.table.session;
        let is_grant = request.terms.purpose == Purpose::LockGrant;
        let permitted = match is_grant {
            true => self.permits_grant(&request.terms),
            false => self.permits(&request.terms.digest()),
        };
        if !permitted {
            return Err(Refusal::NotPermitted);
        }
        if is_grant {
            self.begin_grant(&request.terms, session);
        }
        self.draw(session, rng)?;
        if !self.signings.contains_key(&session) {
            let party = self.party(request)?;
            let share = held(self.current.as_ref(), &self.pending, &party.sharing)?;
            let signing = if party.is_sole() {
                Signing { nonces: None, commitment: Vec::new(), share: None }
            } else {
                let (nonces, commitment) =
                    crypto::commit(share, &party.sharing, rng).map_err(Refusal::of)?;
                Signing { nonces: Some(nonces), commitment: commitment.to_bytes(), share: None }
            };
            self.signings.insert(session, signing);
        }
        let signing = self.signings.get(&session).ok_or(Refusal::NoSession)?;
        Ok(encode(&signing.commitment))
    }

    /// Spends the nonces, and signs. Its host makes the store durable before the share leaves.
    fn sign_once(&mut self, request: &Request) -> Result<Vec<u8>, Refusal> {
        let session = request.table.session;
        if request.record.nonces.is_empty() {
            return Err(Refusal::NotChosen);
        }
        let seed = self.step(session, request.step as u8, request)?;
        let (context, party) = (self.context(request), self.party(request)?);
        let signing = self.signings.get_mut(&session).ok_or(Refusal::NoNonces)?;
        if let Some(share) = &signing.share {
            return Ok(share.clone());
        }
        let nonces = signing.nonces.take();
        if request.terms.purpose == Purpose::LockGrant {
            self.note_grant(&request.terms)?;
        }
        let share = held(self.current.as_ref(), &self.pending, &party.sharing)?;
        self.used = true;
        let bytes = if party.is_sole() {
            let body = &request.terms.body;
            let mut rng = DualRng::for_step(&seed, &[b"sole signature", body]);
            let made = sole::sign(share, &party.sharing, &context, body, &mut rng);
            made.map_err(Refusal::of)?.0.to_vec()
        } else {
            let (task, nonces) = (party.task(request, &context)?, nonces.ok_or(Refusal::NoNonces)?);
            let spent = &mut self.drawn.get_mut(&session).ok_or(Refusal::NoSession)?.spent;
            let made = nonces.sign(&task, &context, share, &party.sharing, spent);
            made.map_err(Refusal::of)?.to_bytes()
        };
        let share = encode(&Rested { on: request.record.before_shares(), bytes });
        if let Some(signing) = self.signings.get_mut(&session) {
            signing.share = Some(share.clone());
        }
        Ok(share)
    }

    /// Puts the shares together. Needs no secret, only the sharing.
    fn aggregate(&self, request: &Request) -> Result<Made, Refusal> {
        let on = request.record.before_shares();
        if request.record.shares.values().any(|it| it.on != on) {
            return Ok(Made::Differ);
        }
        let (context, party) = (self.context(request), self.party(request)?);
        if party.is_sole() {
            return party.aggregate_sole(request, &context);
        }
        let task = party.task(request, &context)?;
        let (mut shares, mut guilty) = (BTreeMap::new(), DeviceSet::EMPTY);
        for (dev, said) in &request.record.shares {
            match SignatureShare::from_bytes(&said.bytes) {
                Ok(share) => _ = shares.insert(party.index(&request.table, *dev)?, share),
                Err(_) => guilty = guilty.with(*dev),
            }
        }
        if !guilty.is_empty() {
            return Ok(Made::Guilty(guilty));
        }
        match crypto::aggregate(&task, &context, &party.sharing, &shares) {
            Ok(signature) => Ok(Made::Signature(signature.0)),
            Err(AggregateError::Blame(blamed)) => {
                let place = |it: &aura_crypto::Blame| party.place(&request.table, it.who);
                Ok(Made::Guilty(blamed.iter().filter_map(place).collect()))
            }
            Err(error) => Err(Refusal::of(error)),
        }
    }

    fn verify(&self, request: &Request) -> Result<(), Refusal> {
        let signature = request.record.signature.as_slice().try_into();
        let signature = Signature(signature.map_err(|_| Refusal::Malformed)?);
        self.party(request)?.verify(request, &self.context(request), &signature)
    }

    /// Whose signature is asked for.
    fn party(&self, request: &Request) -> Result<Party, Refusal> {
        let Some(group) = &request.group else {
            let keys = self.current.as_ref().ok_or(Refusal::NoKeys)?;
            return Ok(Party { sharing: keys.signing.1.clone(), holders: keys.holders.clone() });
        };
        let sharing = Sharing::from_bytes(&group.sharing).map_err(|_| Refusal::Malformed)?;
        if sharing.context().account != self.owner.account {
            return Err(Refusal::NotPermitted);
        }
        let index = |(device, number): (&DeviceId, &u16)| {
            Ok((*device, ShareIndex::new(*number).ok_or(Refusal::Malformed)?))
        };
        Ok(Party { sharing, holders: group.holders.iter().map(index).collect::<Result<_, _>>()? })
    }
}

/// This device's share of a sharing: the current one, or one that waits to be adopted.
fn held<'a>(
    current: Option<&'a Keys>,
    pending: &'a BTreeMap<SessionId, Keys>,
    sharing: &Sharing<Ed25519>,
) -> Result<&'a KeyShare<Ed25519>, Refusal> {
    let mut all = current.into_iter().chain(pending.values()).map(|it| &it.signing.0);
    all.find(|it| it.sharing() == sharing.id()).ok_or(Refusal::NoKeys)
}

/// Whose signature it is.
struct Party {
    sharing: Sharing<Ed25519>,
    holders: BTreeMap<DeviceId, ShareIndex>,
}

impl Party {
    fn is_sole(&self) -> bool {
        self.sharing.threshold() == 1
    }

    fn index(&self, table: &Table, dev: Dev) -> Result<ShareIndex, Refusal> {
        index_in(&self.holders, table, dev)
    }

    fn place(&self, table: &Table, index: ShareIndex) -> Option<Dev> {
        place_in(&self.holders, table, index)
    }

    /// What is signed and by whom, as this device heard it.
    fn task(&self, request: &Request, context: &Context) -> Result<SigningTask, Refusal> {
        let mut commitments = Vec::new();
        for (dev, bytes) in &request.record.nonces {
            let commitment = NonceCommitment::from_bytes(bytes).map_err(|_| Refusal::Malformed)?;
            if commitment.from != self.index(&request.table, *dev)? {
                return Err(Refusal::Malformed);
            }
            commitments.push(commitment);
        }
        let body = request.terms.body.clone();
        SigningTask::new(context, body, &self.sharing, commitments).map_err(Refusal::of)
    }

    /// The signature of a group of one is what its device said.
    fn aggregate_sole(&self, request: &Request, context: &Context) -> Result<Made, Refusal> {
        let mut guilty = DeviceSet::EMPTY;
        for (dev, said) in &request.record.shares {
            self.index(&request.table, *dev)?;
            match said.bytes.as_slice().try_into().map(Signature) {
                Ok(it) if self.verify(request, context, &it).is_ok() => {
                    return Ok(Made::Signature(it.0));
                }
                _ => guilty = guilty.with(*dev),
            }
        }
        Ok(Made::Guilty(guilty))
    }

    fn verify(
        &self,
        request: &Request,
        context: &Context,
        signature: &Signature,
    ) -> Result<(), Refusal> {
        let key = self.sharing.public_key().map_err(Refusal::of)?;
        crypto::verify(&key, context, &request.terms.body, signature).map_err(Refusal::of)
    }
}

/// The share index of whoever sits at a place.
fn index_in(
    holders: &BTreeMap<DeviceId, ShareIndex>,
    table: &Table,
    dev: Dev,
) -> Result<ShareIndex, Refusal> {
    let device = table.devices.get(usize::from(dev.0)).ok_or(Refusal::Malformed)?;
    holders.get(device).copied().ok_or(Refusal::Stranger(*device))
}

/// The place of whoever holds a share.
fn place_in(
    holders: &BTreeMap<DeviceId, ShareIndex>,
    table: &Table,
    index: ShareIndex,
) -> Option<Dev> {
    let device = holders.iter().find(|it| *it.1 == index)?.0;
    let place = table.devices.iter().position(|it| it == device)?;
    u8::try_from(place).ok().map(Dev)
}

impl Keys {
    /// The share index of whoever sits at a place.
    pub(super) fn index(&self, table: &Table, dev: Dev) -> Result<ShareIndex, Refusal> {
        index_in(&self.holders, table, dev)
    }

    /// The place of whoever holds a share.
    pub(super) fn place(&self, table: &Table, index: ShareIndex) -> Option<Dev> {
        place_in(&self.holders, table, index)
    }
}
