//! Device certificates: the keys of one device, each proven to be held, admitted by somebody.

use alloc::collections::BTreeSet;

use aura_protocol_core::{AccountId, DeviceId, encode};
use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::hpke::HpkePublicKey;
use crate::{
    domain::{Context, Domain},
    keys::{PublicKey, SecretKey, Signature, SignatureError},
    message::Message,
};

/// The keys of one device: four for four purposes, so that none stands in for another. Ed25519 keys
/// are torsion-free by their type (INV-C2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EnrolmentKeys {
    /// Signs its units.
    pub unit: PublicKey,
    /// Signs its votes.
    pub vote: PublicKey,
    /// Opens what is sealed to it.
    pub hpke: HpkePublicKey,
    /// Authenticates its connections.
    pub transport: PublicKey,
}

/// The secret halves that sign an enrolment.
#[derive(Clone, Copy)]
pub struct EnrolmentSecrets<'a> {
    /// Of the unit key.
    pub unit: &'a SecretKey,
    /// Of the vote key.
    pub vote: &'a SecretKey,
    /// Of the transport key.
    pub transport: &'a SecretKey,
}

/// Keys with a proof for each signing key that the device holds it: nobody enrols another's key.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Enrolment {
    /// The keys.
    pub keys: EnrolmentKeys,
    unit: Signature,
    vote: Signature,
    transport: Signature,
}

/// An enrolment that somebody admitted to an account.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DeviceCertificate {
    /// The device.
    pub enrolment: Enrolment,
    signature: Signature,
}

/// Why an enrolment or a certificate is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// One key stands for two purposes.
    #[error("one key stands for two purposes: a device enrols four different ones")]
    SharedKey,
    /// A proof of possession does not hold.
    #[error("the device does not prove that it holds its keys for this account")]
    Possession,
    /// Whoever should have admitted the device did not.
    #[error("the certificate is not signed by who admits devices to this account")]
    Issuer,
}

impl Message for Enrolment {
    const BYTES_MAX: usize = 4 * 32 + 3 * 64;
}

impl Message for DeviceCertificate {
    const BYTES_MAX: usize = Enrolment::BYTES_MAX + 64;
}

impl Enrolment {
    /// The enrolment of a device in `account` from configuration `epoch` on.
    #[must_use]
    pub fn new(
        secrets: EnrolmentSecrets<'_>,
        hpke: HpkePublicKey,
        account: AccountId,
        epoch: u64,
    ) -> Self {
        let EnrolmentSecrets { unit, vote, transport } = secrets;
        let keys = EnrolmentKeys {
            unit: unit.public(),
            vote: vote.public(),
            hpke,
            transport: transport.public(),
        };
        let context = Context { domain: Domain::Enrolment, account, epoch };
        let body = encode(&keys);
        let [unit, vote, transport] = [unit, vote, transport].map(|it| it.sign(&context, &body));
        Self { keys, unit, vote, transport }
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        DeviceId::derive(self.keys.unit.as_bytes())
    }

    /// Checks that the keys differ and the device holds them (INV-C7).
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn verify(&self, account: AccountId, epoch: u64) -> Result<(), CertificateError> {
        let EnrolmentKeys { unit, vote, hpke, transport } = &self.keys;
        let distinct: BTreeSet<&[u8; 32]> =
            [unit.as_bytes(), vote.as_bytes(), &hpke.0, transport.as_bytes()].into();
        if distinct.len() != 4 {
            return Err(CertificateError::SharedKey);
        }
        let context = Context { domain: Domain::Enrolment, account, epoch };
        let body = encode(&self.keys);
        [(unit, &self.unit), (vote, &self.vote), (transport, &self.transport)]
            .into_iter()
            .try_for_each(|(key, proof)| key.verify(&context, &body, proof))
            .map_err(|SignatureError| CertificateError::Possession)
    }
}

impl DeviceCertificate {
    /// Admits a device.
    ///
    /// # Errors
    /// [`CertificateError`] when the enrolment does not verify.
    pub fn issue(
        enrolment: Enrolment,
        issuer: &SecretKey,
        account: AccountId,
        epoch: u64,
    ) -> Result<Self, CertificateError> {
        enrolment.verify(account, epoch)?;
        let context = Context { domain: Domain::DeviceCertificate, account, epoch };
        Ok(Self { signature: issuer.sign(&context, &encode(&enrolment)), enrolment })
    }

    /// The certificate of an enrolment that the group key admitted: `signature` is over
    /// [`Self::body`] under [`Domain::DeviceCertificate`].
    #[must_use]
    pub const fn from_parts(enrolment: Enrolment, signature: Signature) -> Self {
        Self { enrolment, signature }
    }

    /// The bytes that an issuer signs.
    #[must_use]
    pub fn body(enrolment: &Enrolment) -> alloc::vec::Vec<u8> {
        encode(enrolment)
    }

    /// The keys of the device, when it holds them and `issuer` admitted it (INV-C7).
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn verify(
        &self,
        issuer: &PublicKey,
        account: AccountId,
        epoch: u64,
    ) -> Result<&EnrolmentKeys, CertificateError> {
        self.enrolment.verify(account, epoch)?;
        let context = Context { domain: Domain::DeviceCertificate, account, epoch };
        issuer
            .verify(&context, &encode(&self.enrolment), &self.signature)
            .map_err(|SignatureError| CertificateError::Issuer)?;
        Ok(&self.enrolment.keys)
    }
}
