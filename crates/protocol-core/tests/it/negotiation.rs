//! Negotiation, by table and by property.

use std::collections::BTreeSet;

use aura_protocol_core::{
    AppId, DeviceId, Digest, Manifest, NegotiationPolicy, NoAgreement, ProtocolVersion,
    manifest::transcript, negotiate,
};
use proptest::prelude::*;

fn app() -> AppId {
    Digest::of(b"app").into()
}

fn manifest(index: u8, versions: &str) -> Manifest {
    let mut manifest = Manifest::empty(DeviceId::from_bytes([index; 32]));
    for text in versions.split_whitespace() {
        manifest.announce(app(), text.parse().unwrap(), Digest::of(text.as_bytes()));
    }
    manifest
}

#[track_caller]
fn check(participants: &[&str], floor: Option<&str>, major_max: Option<u16>, expect: &str) {
    let manifests: Vec<Manifest> =
        participants.iter().enumerate().map(|(i, it)| manifest(i as u8, it)).collect();
    let policy = NegotiationPolicy { floor: floor.map(|it| it.parse().unwrap()), major_max };
    let found = match negotiate(app(), &manifests, &policy) {
        Ok(agreement) => {
            let runs: Vec<String> =
                agreement.runs.values().map(|(version, _)| version.to_string()).collect();
            format!("{} ({})", agreement.spoken, runs.join(" "))
        }
        Err(NoAgreement::Lacking(_)) => "wait".to_string(),
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expect);
}

#[test]
fn highest_common_major() {
    check(&["1.4.0 2.0.0", "1.2.0 2.1.0"], None, None, "2.0.0 (2.0.0 2.1.0)");
}

#[test]
fn soft_fork_speaks_lower() {
    check(&["1.0.0 1.1.0", "1.0.0"], None, None, "1.0.0 (1.0.0 1.0.0)");
    check(&["1.1.0", "1.0.0"], None, None, "1.0.0 (1.1.0 1.0.0)");
}

#[test]
fn each_runs_its_own_highest_patch() {
    check(&["1.0.0 1.0.2", "1.0.1"], None, None, "1.0.1 (1.0.2 1.0.1)");
}

#[test]
fn hard_fork_waits() {
    check(&["2.0.0", "1.9.9"], None, None, "wait");
    check(&["1.0.0", ""], None, None, "wait");
    check(&[], None, None, "no participants");
}

#[test]
fn floors_and_unactivated_majors_bind() {
    check(&["1.0.0 2.0.0", "1.0.0 2.0.0"], Some("2.0.0"), None, "2.0.0 (2.0.0 2.0.0)");
    check(&["1.0.0 2.0.0", "1.0.0"], Some("2.0.0"), None, "wait");
    check(&["1.0.0 2.0.0", "1.0.0 2.0.0"], None, Some(1), "1.0.0 (1.0.0 1.0.0)");
}

#[test]
fn the_refusal_says_who_lacks_what() {
    let error = negotiate(
        app(),
        &[manifest(1, "2.0.0"), manifest(2, "1.4.2")],
        &NegotiationPolicy::default(),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no common version: device 01010101 runs up to 2.0.0; device 02020202 runs up to 1.4.2"
    );
}

/// INV-M1: two binaries of one label stay two things: in what is agreed on, and in the transcript
/// that the session's first event names.
#[test]
fn one_label_of_two_binaries_is_not_one_thing() {
    let version: ProtocolVersion = "2.0.0".parse().unwrap();
    let with = |index: u8, binary: &[u8]| {
        let mut manifest = Manifest::empty(DeviceId::from_bytes([index; 32]));
        assert!(manifest.announce(app(), version, Digest::of(binary)));
        manifest
    };
    let (alike, apart) = ([with(1, b"one"), with(2, b"one")], [with(1, b"one"), with(2, b"other")]);
    let runs = |manifests: &[Manifest]| -> BTreeSet<Digest> {
        let agreement = negotiate(app(), manifests, &NegotiationPolicy::default()).unwrap();
        agreement.runs.values().map(|(_, digest)| *digest).collect()
    };
    assert_eq!(runs(&alike).len(), 1);
    assert_eq!(runs(&apart), [Digest::of(b"one"), Digest::of(b"other")].into());
    assert_ne!(transcript(&alike), transcript(&apart));
    let mut replaced = with(1, b"one");
    assert!(!replaced.announce(app(), version, Digest::of(b"one")));
    assert!(replaced.announce(app(), version, Digest::of(b"other")), "the same label is news");
}

fn arb_manifests() -> impl Strategy<Value = Vec<Manifest>> {
    let versions = prop::collection::vec((0u16..3, 0u16..3, 0u16..3), 0..6);
    prop::collection::vec(versions, 1..6).prop_map(|devices| {
        devices
            .into_iter()
            .enumerate()
            .map(|(index, versions)| {
                let mut manifest = Manifest::empty(DeviceId::from_bytes([index as u8; 32]));
                for (major, minor, patch) in versions {
                    let version = ProtocolVersion::new(major, minor, patch);
                    manifest.announce(app(), version, Digest::of(version.to_string().as_bytes()));
                }
                manifest
            })
            .collect()
    })
}

proptest! {
    /// INV-V1: the order of participants does not matter.
    #[test]
    fn symmetric(
        (manifests, shuffled) in arb_manifests()
            .prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle()))
    ) {
        let policy = NegotiationPolicy::default();
        prop_assert_eq!(negotiate(app(), &manifests, &policy), negotiate(app(), &shuffled, &policy));
    }

    /// INV-V2: what is spoken is run by somebody, and everybody runs its major.
    #[test]
    fn never_names_what_nobody_runs(manifests in arb_manifests()) {
        if let Ok(agreement) = negotiate(app(), &manifests, &NegotiationPolicy::default()) {
            prop_assert!(agreement.runs.values().any(|(version, _)| *version == agreement.spoken));
            for manifest in &manifests {
                let (version, digest) = agreement.runs[&manifest.device];
                prop_assert!(manifest.versions(app()).any(|it| it == (version, digest)));
                prop_assert_eq!(version.major, agreement.spoken.major);
                prop_assert!(agreement.spoken.minor <= version.minor);
            }
        }
    }

    /// INV-M1: everybody runs the digest that it announced under the label.
    #[test]
    fn digests_are_what_is_agreed_on(manifests in arb_manifests()) {
        if let Ok(agreement) = negotiate(app(), &manifests, &NegotiationPolicy::default()) {
            for (version, digest) in agreement.runs.values() {
                prop_assert_eq!(*digest, Digest::of(version.to_string().as_bytes()));
            }
        }
    }
}
