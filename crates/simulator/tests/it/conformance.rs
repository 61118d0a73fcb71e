//! INV-K3 for every choreography that is explored here: what it asks is a path of its type.

use aura_choreography::{Dev, HostCall, Script};
use aura_coordination::choreography::{
    dkd::script::dkd as script_of_dkd,
    dkg::script::dkg as script_of_dkg,
    locking::script::locking as script_of_locking,
    recovery::script::recovery as script_of_recovery,
    resharing::script::resharing as script_of_resharing,
    sign::script::sign as script_of_sign,
    upgrade::script::{Prepared, Terms, Upgrade, upgrade},
};
use aura_protocol_core::{Digest, encode, lifecycle::EffectReply, quorum::default_threshold};
use aura_simulator::level::device_id;
use aura_simulator::protocols::{
    Protocol, derive,
    dkd::{Dkd, derivation},
    dkd_certified::{DkdCertified, certified},
    dkg, grant,
    locking::{Locking, lock},
    recover, reshare, sign,
    tour::{Tour, handover},
};
use aura_testkit::{
    Paths, Subject,
    conformance::{Home, choreography, choreography_at},
    seed::Seeded,
};

const RUNS: u64 = 150;

/// A type's text.
macro_rules! text {
    ($global:path) => {{
        const TEXT: [u8; $global.text_len()] = $global.text();
        std::str::from_utf8(&TEXT).unwrap()
    }};
}

/// Runs it among several numbers of devices, `fewest` at least. Everything that can be said was.
#[track_caller]
fn check(
    script: &'static dyn Script,
    text: &str,
    fewest: u8,
    params: fn(u8) -> Vec<u8>,
    says: Says,
) {
    let mut all = Paths::default();
    for devices in fewest..fewest + 4 {
        let subject = Subject { script, text, devices, params: params(devices), says };
        let paths = choreography(&subject, RUNS).unwrap_or_else(|it| panic!("{devices}: {it}"));
        assert!(paths.unsaid.is_empty(), "{devices} devices: {paths:?}");
        all.finished += paths.finished;
        all.stopped += paths.stopped;
        all.left += paths.left;
    }
    assert!(200 < all.finished && 200 < all.stopped && 20 < all.left, "{all:?}");
}

type Says = fn(Dev, &mut Seeded) -> Vec<u8>;

fn quorum(devices: u8) -> Vec<u8> {
    vec![default_threshold(usize::from(devices)) as u8]
}

/// A number, or nothing.
fn number(_: Dev, random: &mut Seeded) -> Vec<u8> {
    random.bytes(1)
}

#[test]
fn dkd() {
    check(&Dkd, text!(derivation::GLOBAL), 2, quorum, number);
}

#[test]
fn dkd_certified() {
    check(&DkdCertified, text!(certified::GLOBAL), 2, quorum, number);
}

#[test]
fn locking() {
    check(&Locking, text!(lock::GLOBAL), 2, quorum, number);
}

#[test]
fn tour() {
    check(&Tour, text!(handover::GLOBAL), 3, quorum, number);
}

/// A shipped choreography with its key store in symbols. What only a liar, or a person who
/// objects, can bring about stays unsaid.
#[track_caller]
fn check_hosted(
    protocol: &Protocol,
    host: fn(&HostCall) -> EffectReply,
    text: &str,
    unsaid: &[&str],
) {
    let home = Home { host, device: device_id };
    let mut all = Paths::default();
    for devices in 2..5 {
        let params = (protocol.params)(devices, default_threshold(usize::from(devices)) as u8);
        let subject = Subject { script: protocol.script, text, devices, params, says: number };
        let paths = choreography_at(&home, &subject, RUNS).unwrap_or_else(|it| panic!("{it}"));
        all.unsaid = match devices {
            2 => paths.unsaid,
            _ => &all.unsaid & &paths.unsaid,
        };
        all.finished += paths.finished;
        all.stopped += paths.stopped;
        all.left += paths.left;
    }
    assert!(all.unsaid.iter().eq(unsaid), "{all:?}");
    assert!(50 < all.finished && 100 < all.stopped && 20 < all.left, "{all:?}");
}

#[test]
fn key_generation() {
    // Nobody complains of honest devices.
    let disputes = ["Disputed", "Justified", "Justify", "Recheck", "Settled"];
    check_hosted(&dkg::PROTOCOL, dkg::answer, text!(script_of_dkg::GLOBAL), &disputes);
}

#[test]
fn locks() {
    check_hosted(&grant::PROTOCOL, grant::answer, text!(script_of_locking::GLOBAL), &[]);
}

#[test]
fn resharing() {
    let disputes = ["Disputed", "Justified", "Justify", "Recheck", "Settled"];
    check_hosted(
        &reshare::PROTOCOL,
        reshare::answer,
        text!(script_of_resharing::GLOBAL),
        &disputes,
    );
}

#[test]
fn recovery() {
    let unsaid = [
        "Again",
        "Reopen",
        "Veto",
        "reshare/Disputed",
        "reshare/Justified",
        "reshare/Justify",
        "reshare/Recheck",
        "reshare/Settled",
    ];
    check_hosted(&recover::PROTOCOL, recover::answer, text!(script_of_recovery::GLOBAL), &unsaid);
}

#[test]
fn signing() {
    check_hosted(&sign::PROTOCOL, sign::answer, text!(script_of_sign::GLOBAL), &[]);
}

#[test]
fn key_derivation() {
    check_hosted(&derive::PROTOCOL, derive::answer, text!(script_of_dkd::GLOBAL), &[]);
}

/// The last participant is the control chain. Of what a rehearsal reports, some is a failure and some
/// is nonsense.
#[test]
fn upgrade_of_an_account() {
    let terms = |devices: u8| encode(&Terms { proposal: Digest::ZERO, quorum: devices / 2 });
    let says: Says = |_, random| match random.below(8) {
        0 => random.bytes(9),
        1 => {
            let (code, reason) = ("DigestMismatch".to_owned(), "another digest".to_owned());
            encode(&Prepared::Refused { code, reason })
        }
        _ => encode(&Prepared::Rehearsed),
    };
    check(&Upgrade, text!(upgrade::GLOBAL), 3, terms, says);
}
