//! The steps of a group signature that need a secret.

use std::collections::BTreeMap;

use aura_choreography::{Dev, DeviceSet};
use aura_crypto::{
    Context, DualRng, Message as _, Signature,
    sign::{self as crypto, AggregateError, NonceCommitment, Nonces, SignatureShare, SigningTask},
};
use aura_protocol_core::encode;

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
            let (share, sharing) = &self.current.as_ref().ok_or(Refusal::NoKeys)?.signing;
            let (nonces, commitment) = crypto::commit(share, sharing, rng).map_err(Refusal::of)?;
            let signing =
                Signing { nonces: Some(nonces), commitment: commitment.to_bytes(), share: None };
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
        self.step(session, request.step as u8, request)?;
        let context = self.context(request);
        let signing = self.signings.get_mut(&session).ok_or(Refusal::NoNonces)?;
        if let Some(share) = &signing.share {
            return Ok(share.clone());
        }
        let nonces = signing.nonces.take().ok_or(Refusal::NoNonces)?;
        if request.terms.purpose == Purpose::LockGrant {
            self.note_grant(&request.terms)?;
        }
        let keys = self.current.as_ref().ok_or(Refusal::NoKeys)?;
        self.used = true;
        let (share, sharing) = &keys.signing;
        let task = task(request, &context, keys)?;
        let spent = &mut self.drawn.get_mut(&session).ok_or(Refusal::NoSession)?.spent;
        let made = nonces.sign(&task, &context, share, sharing, spent).map_err(Refusal::of)?;
        let (on, bytes) = (request.record.before_shares(), made.to_bytes());
        let share = encode(&Rested { on, bytes });
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
        let context = self.context(request);
        let keys = self.current.as_ref().ok_or(Refusal::NoKeys)?;
        let task = task(request, &context, keys)?;
        let (mut shares, mut guilty) = (BTreeMap::new(), DeviceSet::EMPTY);
        for (dev, said) in &request.record.shares {
            match SignatureShare::from_bytes(&said.bytes) {
                Ok(share) => _ = shares.insert(keys.index(&request.table, *dev)?, share),
                Err(_) => guilty = guilty.with(*dev),
            }
        }
        if !guilty.is_empty() {
            return Ok(Made::Guilty(guilty));
        }
        match crypto::aggregate(&task, &context, &keys.signing.1, &shares) {
            Ok(signature) => Ok(Made::Signature(signature.0)),
            Err(AggregateError::Blame(blamed)) => {
                let place = |it: &aura_crypto::Blame| keys.place(&request.table, it.who);
                Ok(Made::Guilty(blamed.iter().filter_map(place).collect()))
            }
            Err(error) => Err(Refusal::of(error)),
        }
    }

    fn verify(&self, request: &Request) -> Result<(), Refusal> {
        let keys = self.current.as_ref().ok_or(Refusal::NoKeys)?;
        let key = keys.signing.1.public_key().map_err(Refusal::of)?;
        let signature = request.record.signature.as_slice().try_into();
        let signature = Signature(signature.map_err(|_| Refusal::Malformed)?);
        let body = &request.terms.body;
        crypto::verify(&key, &self.context(request), body, &signature).map_err(Refusal::of)
    }
}

/// What is signed and by whom, as this device heard it.
fn task(request: &Request, context: &Context, keys: &Keys) -> Result<SigningTask, Refusal> {
    let mut commitments = Vec::new();
    for (dev, bytes) in &request.record.nonces {
        let commitment = NonceCommitment::from_bytes(bytes).map_err(|_| Refusal::Malformed)?;
        if commitment.from != keys.index(&request.table, *dev)? {
            return Err(Refusal::Malformed);
        }
        commitments.push(commitment);
    }
    let body = request.terms.body.clone();
    SigningTask::new(context, body, &keys.signing.1, commitments).map_err(Refusal::of)
}

impl Keys {
    /// The share index of whoever sits at a place.
    pub(super) fn index(
        &self,
        table: &Table,
        dev: Dev,
    ) -> Result<aura_crypto::ShareIndex, Refusal> {
        let device = table.devices.get(usize::from(dev.0)).ok_or(Refusal::Malformed)?;
        self.holders.get(device).copied().ok_or(Refusal::Stranger(*device))
    }

    /// The place of whoever holds a share.
    pub(super) fn place(&self, table: &Table, index: aura_crypto::ShareIndex) -> Option<Dev> {
        let device = self.holders.iter().find(|it| *it.1 == index)?.0;
        let place = table.devices.iter().position(|it| it == device)?;
        u8::try_from(place).ok().map(Dev)
    }
}
