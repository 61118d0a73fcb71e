//! The group signature of an account with one device.
//!
//! FROST needs two signers (trap 7). A single holder has the whole key as its one share and signs an
//! ordinary Ed25519 signature with it. When the account grows, resharing keeps the public key.

use sha2::{Digest as _, Sha512};
use zeroize::Zeroize as _;

use crate::{
    domain::{Context, Label},
    group::{Point as _, Scalar, Signing, Suite},
    hash,
    keys::Signature,
    rng::DualRng,
    sharing::{KeyShare, Sharing, SharingError},
};

/// Signs `body` with the key of a one-device account.
///
/// # Errors
/// [`SharingError`] when the share is of another sharing, or the key is shared among more devices.
pub fn sign(
    share: &KeyShare<Signing>,
    sharing: &Sharing<Signing>,
    context: &Context,
    body: &[u8],
    rng: &mut DualRng,
) -> Result<Signature, SharingError> {
    let secret = share.secret_in(sharing)?.scalar();
    let (threshold, holders) = (sharing.threshold(), sharing.shares().len());
    if threshold != 1 {
        return Err(SharingError::Size { threshold, holders });
    }
    let message = context.frame(body);
    let seed = zeroize::Zeroizing::new(secret.to_bytes());
    let fresh = rng.bytes::<32>();
    let mut nonce =
        hash::to_scalar(Label::SoleNonce, &[seed.as_slice(), fresh.as_slice(), &message]);
    let announcement = <Signing as Suite>::Point::base(&nonce).encode();
    let mut challenge = Sha512::new();
    challenge.update(announcement);
    challenge.update(sharing.key().as_bytes());
    challenge.update(&message);
    let challenge = Scalar::from_bytes_mod_order_wide(&challenge.finalize().into());
    let response = nonce + challenge * secret;
    nonce.zeroize();
    let mut signature = [0; 64];
    let (first, second) = signature.split_at_mut(32);
    first.copy_from_slice(&announcement);
    second.copy_from_slice(response.as_bytes());
    Ok(Signature(signature))
}
