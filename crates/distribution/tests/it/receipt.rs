//! Receipts are personal.

use std::collections::{BTreeMap, BTreeSet};

use aura_distribution::{Rehearsal, challenge, receipt::personal};
use aura_journal::event::Receipt;
use aura_protocol_core::{DeviceId, Digest};
use proptest::prelude::*;

fn of(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn signer(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 32])
}

/// INV-D3: each part that a receipt is made of shows in it.
#[test]
fn a_receipt_differs_in_every_part() {
    let parts = [
        personal(of("proposal"), signer(1), of("bytes"), of("trace")),
        personal(of("another"), signer(1), of("bytes"), of("trace")),
        personal(of("proposal"), signer(2), of("bytes"), of("trace")),
        personal(of("proposal"), signer(1), of("others"), of("trace")),
        personal(of("proposal"), signer(1), of("bytes"), of("course")),
        // Neither do two parts stand in for each other.
        personal(of("proposal"), signer(1), of("trace"), of("bytes")),
    ];
    assert_eq!(BTreeSet::from(parts).len(), parts.len());
    let seeds = [
        challenge(of("proposal"), signer(1)),
        challenge(of("another"), signer(1)),
        challenge(of("proposal"), signer(2)),
        challenge(Digest::from_bytes([1; 32]), DeviceId::from_bytes(*of("proposal").as_bytes())),
    ];
    assert_eq!(BTreeSet::from(seeds).len(), seeds.len());
    // A seed that everybody knows is no receipt.
    assert!(parts.iter().all(|it| !seeds.contains(it)));
    assert_eq!(parts[0], personal(of("proposal"), signer(1), of("bytes"), of("trace")));
}

fn rehearsal(signers: u8) -> Rehearsal {
    let receipt = |number| {
        let signer = signer(number);
        (signer, personal(of("proposal"), signer, of("bytes"), challenge(of("trace"), signer)))
    };
    let personal: BTreeMap<DeviceId, Digest> = (0..signers).map(receipt).collect();
    Rehearsal { pre_root: of("before"), post_root: of("after"), personal }
}

proptest! {
    /// INV-D3: a receipt is confirmed for the one who is to sign it, and for nobody else.
    #[test]
    fn a_receipt_is_bound_to_its_signer(owner in 0u8..6, claimant in 0u8..8) {
        let rehearsal = rehearsal(6);
        let receipt = rehearsal.receipt(signer(owner)).unwrap();
        let confirmed = rehearsal.confirms(signer(claimant), &receipt);
        prop_assert_eq!(confirmed, owner == claimant);
        let elsewhere = Receipt { post_root: of("elsewhere"), ..receipt };
        prop_assert!(!rehearsal.confirms(signer(owner), &elsewhere));
    }
}

#[test]
fn nobody_else_has_a_receipt() {
    assert_eq!(rehearsal(3).receipt(signer(3)), None);
}
