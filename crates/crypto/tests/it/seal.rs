//! Sealing at rest: without the key, a store says nothing.

use aura_crypto::{
    KeyShare, Signing,
    seal::{self, KEY_FILE_BYTES, KeySource, PassphraseCost, StorageError, StorageKey},
};

use super::world::{self, indices, ix, rng};

/// Cheap, for tests alone.
fn cost() -> PassphraseCost {
    PassphraseCost { salt: [1; 16], memory_kib: 64, passes: 1 }
}

/// INV-C14
#[test]
fn a_share_opens_with_its_key_alone() {
    let mut rng = rng(1);
    let group = world::generate::<Signing>(2, &indices([1, 2]), &mut rng);
    let secret = group.shares[&ix(1)].danger_bytes();
    let key = StorageKey::from_keyring([7; 32]);
    let sealed = key.seal(b"signing share", &secret, &mut rng).unwrap();
    assert!(!sealed.windows(8).any(|it| it == &secret[34..42]), "the secret is not in there");
    let opened = key.open(b"signing share", &sealed).unwrap();
    assert_eq!(opened, secret);
    let share = KeyShare::from_bytes(&opened, &group.sharing).unwrap();
    assert_eq!(share.index(), ix(1));
    let wrong = Err(StorageError::WrongKey);
    assert_eq!(key.open(b"other purpose", &sealed), wrong);
    assert_eq!(StorageKey::from_keyring([8; 32]).open(b"signing share", &sealed), wrong);
    for at in [9, 20, sealed.len() - 1] {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(key.open(b"signing share", &changed).is_err(), "byte {at}");
    }
    let malformed = Err(StorageError::Malformed);
    assert_eq!(key.open(b"signing share", &sealed[..20]), malformed);
    assert_eq!(key.open(b"signing share", b"something else"), malformed);
    let again = key.seal(b"signing share", &secret, &mut rng).unwrap();
    assert_ne!(again, sealed, "another nonce");
    let large = vec![0; seal::SEALED_BYTES_MAX + 1];
    let refused = key.seal(b"x", &large, &mut rng);
    assert_eq!(refused, Err(StorageError::TooLarge { found: large.len() }));
}

#[test]
fn passphrases_cost_what_the_store_says() {
    let mut rng = rng(2);
    let key = StorageKey::from_passphrase(b"correct horse", cost()).unwrap();
    let sealed = key.seal(b"share", b"secret", &mut rng).unwrap();
    let KeySource::Passphrase(found) = seal::source_of(&sealed).unwrap() else {
        panic!("the source is a passphrase");
    };
    let again = StorageKey::from_passphrase(b"correct horse", found).unwrap();
    assert_eq!(again.open(b"share", &sealed).unwrap().as_slice(), b"secret");
    let wrong = StorageKey::from_passphrase(b"battery staple", found).unwrap();
    assert_eq!(wrong.open(b"share", &sealed), Err(StorageError::WrongKey));
    let salted = PassphraseCost { salt: [2; 16], ..found };
    let other = StorageKey::from_passphrase(b"correct horse", salted).unwrap();
    assert_eq!(other.open(b"share", &sealed), Err(StorageError::WrongKey));
    // A store may name any cost; it is not paid.
    for (memory_kib, passes) in [(u32::MAX, 1), (64, u32::MAX), (0, 1), (64, 0)] {
        let cost = PassphraseCost { memory_kib, passes, ..cost() };
        let refused = StorageKey::from_passphrase(b"x", cost).map(|_| ());
        assert_eq!(refused, Err(StorageError::Cost { memory_kib, passes }));
    }
    let recommended = PassphraseCost::recommended(&mut rng);
    assert_eq!((recommended.memory_kib, recommended.passes), (65536, 3));
}

#[test]
fn key_files_are_checked() {
    let mut rng = rng(3);
    let content = StorageKey::new_key_file(&mut rng);
    assert_eq!(content.len(), KEY_FILE_BYTES);
    let key = StorageKey::from_key_file(&content).unwrap();
    let sealed = key.seal(b"share", b"secret", &mut rng).unwrap();
    assert_eq!(seal::source_of(&sealed), Ok(KeySource::KeyFile));
    let again = StorageKey::from_key_file(&content).unwrap();
    assert_eq!(again.open(b"share", &sealed).unwrap().as_slice(), b"secret");
    for at in 0..content.len() {
        let mut damaged = content.clone();
        damaged[at] ^= 1;
        assert_eq!(StorageKey::from_key_file(&damaged).map(|_| ()), Err(StorageError::KeyFile));
    }
    let short = &content[..content.len() - 1];
    assert_eq!(StorageKey::from_key_file(short).map(|_| ()), Err(StorageError::KeyFile));
}
