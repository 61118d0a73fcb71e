//! Proofs that somebody knows a discrete logarithm, bound to a purpose and a message.
//!
//! Schnorr proofs, made non-interactive over a labelled transcript. With the generator as the base
//! such a proof is also a signature over the message by that share.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    domain::Label,
    group::{Element, Point, PublicScalar, Scalar, Suite},
    hash,
    rng::DualRng,
};

/// A proof of knowledge of x in X = x·P.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LogProof {
    challenge: PublicScalar,
    response: PublicScalar,
}

/// What is proven: that the maker knows the logarithm of `image` to `base`.
#[derive(Clone, Copy)]
pub struct Statement<'a, S: Suite> {
    /// What the proof is for.
    pub label: Label,
    /// P.
    pub base: &'a S::Point,
    /// X.
    pub image: &'a Element<S>,
    /// What else the proof is bound to.
    pub message: &'a [u8],
}

impl<S: Suite> Statement<'_, S> {
    fn challenge(&self, announcement: &S::Point) -> Scalar {
        hash::to_scalar(
            self.label,
            &[
                &[S::KEY as u8],
                &self.base.encode(),
                self.image.as_bytes(),
                &announcement.encode(),
                self.message,
            ],
        )
    }

    /// Proves it with the logarithm.
    pub fn prove(&self, secret: &Scalar, rng: &mut DualRng) -> LogProof {
        let statement = [self.image.as_bytes().as_slice(), self.message];
        let mut nonce = hash::hedged_nonce::<S>(&rng.bytes(), secret, &statement);
        let challenge = self.challenge(&(*self.base * &nonce));
        let response = nonce - challenge * secret;
        zeroize::Zeroize::zeroize(&mut nonce);
        LogProof { challenge: PublicScalar(challenge), response: PublicScalar(response) }
    }

    /// Whether the proof is one of this statement.
    pub fn verify(&self, proof: &LogProof) -> bool {
        let announcement = S::Point::vartime_sum(
            &[proof.response.0, proof.challenge.0],
            &[*self.base, *self.image.point()],
        );
        self.challenge(&announcement) == proof.challenge.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::{Derivation, Secret, Signing};

    fn check<S: Suite>() {
        let mut rng = DualRng::from_seed([1; 32]);
        let secret = Secret::<S>::random(&mut rng);
        let image = secret.public().unwrap();
        let statement = Statement {
            label: Label::ReshareAck,
            base: &S::Point::BASE,
            image: &image,
            message: b"m",
        };
        let proof = statement.prove(secret.scalar(), &mut rng);
        assert!(statement.verify(&proof));
        let other = Secret::<S>::random(&mut rng);
        let base = S::Point::base(other.scalar());
        for wrong in [
            Statement { label: Label::DkdBlindProof, ..statement },
            Statement { message: b"n", ..statement },
            Statement { image: &other.public().unwrap(), ..statement },
            Statement { base: &base, ..statement },
        ] {
            assert!(!wrong.verify(&proof));
        }
        assert!(!statement.verify(&statement.prove(other.scalar(), &mut rng)));
    }

    #[test]
    fn a_proof_holds_for_its_statement_alone() {
        check::<Signing>();
        check::<Derivation>();
    }
}
