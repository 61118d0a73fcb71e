//! The registry of everything that is ever signed, hashed, derived or sealed, and the frame that
//! keeps signatures apart.
//!
//! Signed bytes are `DST ‖ tag:u16 ‖ account ‖ epoch:u64 ‖ len:u64 ‖ body`, all integers
//! little-endian (`04-crypto`, section 6). The prefix is the domain separation, since neither
//! Ed25519 nor FROST has a context argument. [`Label`] names every hash, derivation, proof and sealed
//! message. Nothing else in the project may make up a domain of its own for a key or a secret.

use alloc::vec::Vec;

use aura_protocol_core::{AccountId, Digest};

/// What begins every signed message of this project.
const DST: &[u8] = b"aura-signed-v1";

/// What a signature is for. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
#[non_exhaustive]
pub enum Domain {
    /// A unit of the ledger, by a unit key.
    Unit = 1,
    /// A vote for a control entry, by a vote key.
    Vote = 2,
    /// A request to join an account, by the joiner's unit key.
    JoinRequest = 3,
    /// A device's key set, by each of its signing keys: it holds what it enrols.
    Enrolment = 16,
    /// A device's key set, by whoever admits it.
    DeviceCertificate = 17,
    /// The transcript of a key generation, by every member's unit key.
    KeyGeneration = 18,
    /// A resharing is authorised, by the group key under the old sharing.
    ResharingAuthority = 19,
    /// A resharing worked, by the group key under the new sharing.
    ResharingProof = 20,
    /// A complaint about a dealer, by a receiver's unit key.
    Complaint = 21,
    /// The answer to a complaint, by the dealer's unit key.
    Justification = 22,
    /// A derived public key, by the derived key itself: it holds what it claims.
    DerivedKey = 23,
    /// A derived public key, by the group key: a quorum derived the same one.
    DerivedKeyGroup = 24,
    /// A lock grant with its fencing number, by the group key.
    LockGrant = 25,
    /// A change of the group key, by the old and by the new one.
    KeyRotation = 26,
    /// A certified checkpoint, by the group key.
    Checkpoint = 27,
    /// A guardian's approval of a recovery, by its unit key.
    RecoveryApproval = 28,
    /// A veto against a recovery, by a device's unit key.
    RecoveryVeto = 29,
    /// A signature that changes nothing: a device shows that it takes part again.
    Redemption = 30,
    /// What a program says in its session, by the unit key of the device that runs it.
    Program = 31,
    /// A device's next vote key, by that key itself: it holds what it announces.
    VoteKey = 32,
    /// A control chain goes on from an entry under another roster, by a recovery key.
    Recovery = 33,
    /// A request to recover an account, by a recovery key.
    RecoveryRequest = 34,
}

/// For what, for whom and in which configuration a signature is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// What is signed.
    pub domain: Domain,
    /// The account that it concerns.
    pub account: AccountId,
    /// The index of the configuration that it is valid in.
    pub epoch: u64,
}

impl Context {
    /// The bytes that are signed for `body`.
    #[must_use]
    pub fn frame(&self, body: &[u8]) -> Vec<u8> {
        let mut message = Vec::with_capacity(DST.len() + 2 + 32 + 8 + 8 + body.len());
        message.extend_from_slice(DST);
        message.extend_from_slice(&(self.domain as u16).to_le_bytes());
        message.extend_from_slice(self.account.as_bytes());
        message.extend_from_slice(&self.epoch.to_le_bytes());
        message.extend_from_slice(&(body.len() as u64).to_le_bytes());
        message.extend_from_slice(body);
        message
    }
}

/// Declares the labels once, so that none is missing from the list of all.
macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What a hash, a proof, a derivation or a sealed message is for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Label {
            $($(#[$doc])* $name,)*
        }

        impl Label {
            /// Every label there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The text that stands for it in every computation.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

labels! {
    /// The key that a printed recovery code is the seed of.
    RecoveryCode = "aura recovery code v1",
    /// The checksum of a printed recovery code.
    RecoveryCodeSum = "aura recovery code sum v1",
    /// The name of a sharing: the hash of its public part.
    Sharing = "aura sharing v1",
    /// The terms of a key generation.
    DkgTerms = "aura dkg terms v1",
    /// A member knows the constant term that it commits to.
    DkgProof = "aura dkg proof v1",
    /// The transcript of a key generation.
    DkgTranscript = "aura dkg transcript v1",
    /// Sealing a share during key generation.
    DkgShare = "aura hpke dkg share v1",
    /// The plan of a resharing.
    ResharePlan = "aura reshare plan v1",
    /// A dealer's commitment, as the sealed sub-shares name it.
    Commitment = "aura dealer commitment v1",
    /// The transcript of a resharing.
    ReshareTranscript = "aura reshare transcript v1",
    /// Sealing a sub-share during a resharing.
    ReshareSubShare = "aura hpke reshare sub-share v1",
    /// A receiver's acknowledgement, by its new share.
    ReshareAck = "aura reshare ack v1",
    /// Sealing one helper's part for another during a repair.
    RepairDelta = "aura hpke repair delta v1",
    /// Sealing a helper's sum for the repaired device.
    RepairSigma = "aura hpke repair sigma v1",
    /// The terms of a repair.
    RepairPlan = "aura repair plan v1",
    /// The terms of a derivation session.
    DkdSession = "aura dkd session v1",
    /// The initiator knows the blind of what it asks to be evaluated.
    DkdBlindProof = "aura dkd blind proof v1",
    /// Sealing the blind for a device.
    DkdBlind = "aura hpke dkd blind v1",
    /// A commitment to a reveal.
    DkdCommit = "aura dkd commit v1",
    /// The derived key from the function's output.
    DkdKey = "aura dkd kdf v1",
    /// The nonce of a proof, from fresh randomness, the secret and the statement.
    ProofNonce = "aura proof nonce v1",
    /// The nonce of a one-device account's signature.
    SoleNonce = "aura sole nonce v1",
    /// The name of a pair of signing nonces.
    NonceId = "aura nonce id v1",
    /// A ticket of the lock lottery.
    Lottery = "aura lock lottery v1",
    /// The name of a request for a lock.
    LockRequest = "aura lock request v1",
    /// A lock grant's name.
    Grant = "aura lock grant v1",
    /// Sealing what programs say to each other.
    Payload = "aura hpke payload v1",
    /// Sealing at rest.
    Storage = "aura storage v1",
    /// What one step of a session draws, from the session's secret seed.
    SessionStep = "aura session step v1",
    /// The checksum of a key file.
    KeyFile = "aura key file v1",
}

impl Label {
    /// The hash of `parts` under this label.
    #[must_use]
    pub fn digest(self, parts: &[&[u8]]) -> Digest {
        Digest::tagged(self.text(), parts)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    /// INV-C4: no two purposes share a label, and none is the beginning of another.
    #[test]
    fn labels_are_distinct_and_prefix_free() {
        let texts: BTreeSet<&str> = Label::ALL.iter().map(|it| it.text()).collect();
        assert_eq!(texts.len(), Label::ALL.len());
        for (a, b) in texts.iter().zip(texts.iter().skip(1)) {
            assert!(!b.starts_with(a), "{a} begins {b}");
        }
    }
}
