//! INV-C3: no secret is printed, by a value or by an error.

use std::collections::BTreeMap;

use aura_crypto::{Derivation, Holders, SessionKey, Signing, dkd, seal::StorageKey, sign};

use super::world::{self, deal, indices, request, rng, session};

/// Whether `text` shows eight bytes of `secret`, in hexadecimal or as a list of numbers.
fn shows(text: &str, secret: &[u8]) -> bool {
    let part = &secret[..8];
    let hex: String = part.iter().map(|it| format!("{it:02x}")).collect();
    let list: Vec<String> = part.iter().map(u8::to_string).collect();
    text.to_lowercase().contains(&hex) || text.contains(&list.join(", "))
}

#[test]
fn what_is_printed_is_redacted() {
    let mut rng = rng(1);
    let holders = indices([1, 2, 3]);
    let group = world::generate::<Signing>(2, &holders, &mut rng);
    let root = world::generate::<Derivation>(2, &holders, &mut rng);
    let share = &group.shares[&holders[0]];
    let (nonces, _) = sign::commit(share, &group.sharing, &mut rng).unwrap();
    let reshared = deal(&group, &group.quorum(), (Holders::Devices, 2), &holders, &mut rng);
    let (blind, _) = dkd::initiate(session(4), request("chat"), &root.sharing, &mut rng).unwrap();
    let key = world::derive(&root, &root.quorum(), &request("chat"), &mut rng);
    let file = StorageKey::new_key_file(&mut rng);
    let storage = StorageKey::from_key_file(&file).unwrap();
    let session_key = SessionKey::generate(&mut rng);
    let text = format!(
        "{share:?} {nonces:?} {:?} {blind:?} {key:?} {storage:?} {session_key:?} {rng:?}",
        reshared.dealt
    );
    for secret in [&share.danger_bytes()[34..], &key.danger_secret()[..], &file[8..40]] {
        assert!(!shows(&text, secret), "{text}");
    }
    assert_eq!(text.matches("<redacted>").count(), 9, "{text}");
}

/// A share that is refused says why, and not what it is.
#[test]
fn errors_say_nothing_secret() {
    let mut rng = rng(2);
    let holders = indices([1, 2]);
    let group = world::generate::<Signing>(2, &holders, &mut rng);
    let other = world::generate::<Signing>(2, &holders, &mut rng);
    let bytes = group.shares[&holders[0]].danger_bytes();
    let mut mismatched = bytes.clone();
    mismatched[35] ^= 1;
    let mut errors = BTreeMap::new();
    for (name, bytes, sharing) in [
        ("other", &bytes[..], &other.sharing),
        ("mismatch", &mismatched[..], &group.sharing),
        ("short", &bytes[..40], &group.sharing),
    ] {
        let error = aura_crypto::KeyShare::from_bytes(bytes, sharing).unwrap_err();
        errors.insert(name, format!("{error} {error:?}"));
    }
    for (name, text) in errors {
        assert!(!shows(&text, &bytes[34..]), "{name}: {text}");
        assert!(!text.is_empty());
    }
}
