//! Hashing to a uniform string, a scalar and a group (RFC 9380, `expand_message_xmd` over SHA-512).

use sha2::{Digest as _, Sha512};

use crate::{
    domain::Label,
    group::{Scalar, Suite},
};

/// 64 uniform bytes from the concatenation of `message`, under the concatenation of `dst`.
///
/// Only one output block is ever needed here, so the length is fixed. A `dst` of more than 255 bytes
/// is hashed as if it were its first 255; all are constants far shorter.
pub fn expand(message: &[&[u8]], dst: &[&[u8]]) -> [u8; 64] {
    let length = dst.iter().map(|it| it.len()).sum::<usize>();
    let length = u8::try_from(length).unwrap_or(u8::MAX);
    let finish = |mut hash: Sha512| -> [u8; 64] {
        for part in dst {
            hash.update(part);
        }
        hash.update([length]);
        hash.finalize().into()
    };
    let mut hash = Sha512::new();
    hash.update([0; 128]);
    for part in message {
        hash.update(part);
    }
    hash.update(64_u16.to_be_bytes());
    hash.update([0]);
    let first = finish(hash);
    let mut hash = Sha512::new();
    hash.update(first);
    hash.update([1]);
    finish(hash)
}

/// A scalar from `parts`, each with its length before it, under a label of the registry.
pub fn to_scalar(label: Label, parts: &[&[u8]]) -> Scalar {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest: [u8; 64] = hash.finalize().into();
    Scalar::from_bytes_mod_order_wide(&expand(&[&digest], &[label.text().as_bytes()]))
}

/// A nonce that stays unpredictable if the randomness is bad, and differs if the statement does.
pub fn hedged_nonce<S: Suite>(fresh: &[u8; 32], secret: &Scalar, statement: &[&[u8]]) -> Scalar {
    let secret = zeroize::Zeroizing::new(secret.to_bytes());
    let kind = [S::KEY as u8];
    let mut parts = alloc::vec![fresh.as_slice(), secret.as_slice(), &kind];
    parts.extend_from_slice(statement);
    to_scalar(Label::ProofNonce, &parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9380, K.3: the expander with SHA-512, 128 bytes would need a second block; the 64-byte
    /// output is covered by RFC 9497 through hash-to-group and hash-to-scalar in `voprf`.
    #[test]
    fn parts_do_not_run_together() {
        let one = to_scalar(Label::Lottery, &[b"ab", b"c"]);
        assert_ne!(one, to_scalar(Label::Lottery, &[b"a", b"bc"]));
        assert_ne!(one, to_scalar(Label::Grant, &[b"ab", b"c"]));
        assert_eq!(one, to_scalar(Label::Lottery, &[b"ab", b"c"]));
    }
}
