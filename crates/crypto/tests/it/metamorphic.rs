//! What stays the same whatever happens to a key, over many seeded lives of it.
//!
//! A life is a random chain of resharings, now to devices and now to guardians. `AURA_SOAK` sets how
//! many lives run; a few run always.

use aura_crypto::{Derivation, DualRng, Holders, ShareIndex, Signing};

use super::world::{self, Group, context, indices, request, rng};

/// Lives in an ordinary run.
const LIVES: u64 = 12;

fn lives() -> u64 {
    std::env::var("AURA_SOAK").ok().and_then(|it| it.parse().ok()).unwrap_or(LIVES)
}

fn below(limit: u16, rng: &mut DualRng) -> u16 {
    u16::from_le_bytes(*rng.bytes()) % limit
}

/// A random size, and distinct random indices.
fn holders(rng: &mut DualRng) -> (u16, Vec<ShareIndex>) {
    let count = 1 + below(6, rng);
    let threshold = if count == 1 { 1 } else { 2 + below(count - 1, rng) };
    let mut numbers = std::collections::BTreeSet::new();
    while numbers.len() < usize::from(count) {
        numbers.insert(1 + below(400, rng));
    }
    (threshold, indices(numbers))
}

/// Some t of the holders.
fn quorum<S: aura_crypto::Suite>(group: &Group<S>, rng: &mut DualRng) -> Vec<ShareIndex> {
    let mut holders = group.holders();
    while usize::from(group.sharing.threshold()) < holders.len() {
        let out = usize::from(below(u16::try_from(holders.len()).unwrap(), rng));
        holders.remove(out);
    }
    holders
}

/// INV-C10, INV-C11: any chain of resharings keeps the public key and still signs; any quorum, before
/// and after, derives the same key; no honest participant is ever blamed (every protocol here fails the
/// test when it blames).
#[test]
fn keys_outlive_every_chain_of_resharings() {
    for life in 0..lives() {
        let rng = &mut rng(1_000_000 + life);
        let (threshold, first) = holders(rng);
        let mut signing = world::generate::<Signing>(threshold, &first, rng);
        let mut root = world::generate::<Derivation>(threshold, &first, rng);
        let key = signing.sharing.public_key().unwrap();
        let derived = {
            let quorum = quorum(&root, rng);
            world::derive(&root, &quorum, &request("life"), rng).claim()
        };
        for _ in 0..=below(3, rng) {
            let (threshold, receivers) = holders(rng);
            let to = if below(2, rng) == 0 { Holders::Devices } else { Holders::Guardians };
            let dealers = quorum(&signing, rng);
            signing = world::reshare(&signing, &dealers, (to, threshold), &receivers, rng);
            root = world::reshare(&root, &dealers, (to, threshold), &receivers, rng);
        }
        assert_eq!(signing.sharing.public_key().unwrap(), key, "life {life}");
        let (signers, devices) = (quorum(&signing, rng), quorum(&root, rng));
        let signature = world::sign(&signing, &signers, &context(), b"life", rng);
        assert_eq!(key.verify(&context(), b"life", &signature), Ok(()), "life {life}");
        let again = world::derive(&root, &devices, &request("life"), rng).claim();
        assert_eq!(again, derived, "life {life}");
    }
}
