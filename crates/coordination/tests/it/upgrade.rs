//! The upgrade coordinator, by table and by exhaustive exploration.

use std::collections::BTreeSet;

use aura_coordination::choreography::upgrade::{
    Effect, FailureReason, Input, UpgradeCoordinator, UpgradeState,
};
use aura_protocol_core::Digest;

fn coordinator() -> UpgradeCoordinator {
    UpgradeCoordinator::propose(Digest::of(b"proposal"), 3)
}

fn refused() -> Input {
    Input::Refused { code: "DigestMismatch".into(), reason: "another digest".into() }
}

#[track_caller]
fn check(inputs: &[Input], state: &str, effects: &[Effect]) {
    let mut upgrade = coordinator();
    let mut last = Vec::new();
    for input in inputs {
        last = upgrade.handle(input.clone());
    }
    assert_eq!((upgrade.state().to_string().as_str(), last.as_slice()), (state, effects));
}

#[test]
fn the_ordinary_way() {
    use Input::{Accepted, Certified, Migrated, Obtained, Ready, Rehearsed};
    check(&[Accepted], "Acknowledging", &[Effect::Acknowledge, Effect::Obtain]);
    check(&[Accepted, Obtained], "SignallingReady", &[Effect::Rehearse]);
    check(&[Accepted, Obtained, Rehearsed], "AwaitingQuorum", &[Effect::SignalReady]);
    let ready = [Accepted, Obtained, Rehearsed, Ready(2), Ready(3)];
    check(&ready, "AwaitingQuorum", &[Effect::ProposeActivation]);
    let again = [Accepted, Obtained, Rehearsed, Ready(3), Ready(4)];
    check(&again, "AwaitingQuorum", &[]);
    let certified = [Accepted, Obtained, Rehearsed, Ready(3), Certified];
    check(&certified, "Activating", &[Effect::Migrate]);
    check(&[Accepted, Obtained, Rehearsed, Certified, Migrated], "Active", &[]);
}

#[test]
fn a_device_that_comes_late_catches_up() {
    use Input::{Certified, Obtained, Rehearsed};
    check(&[Certified], "Acknowledging", &[Effect::Obtain]);
    check(&[Certified, Obtained], "SignallingReady", &[Effect::Rehearse]);
    let late = [Certified, Obtained, Rehearsed];
    check(&late, "Activating", &[Effect::SignalReady, Effect::Migrate]);
}

#[test]
fn a_device_that_cannot_apply_a_certificate_is_blocked() {
    check(&[Input::Certified, refused()], "Blocked", &[]);
    let decline =
        Effect::Decline { code: "DigestMismatch".into(), reason: "another digest".into() };
    check(&[Input::Accepted, refused()], "Failed", &[decline]);
    check(&[Input::Accepted, refused(), Input::Certified], "Acknowledging", &[Effect::Obtain]);
}

/// INV-U3
#[test]
fn an_expired_or_superseded_upgrade_changes_nothing() {
    for (input, reason) in
        [(Input::Expired, FailureReason::TimedOut), (Input::Superseded, FailureReason::Superseded)]
    {
        let mut upgrade = coordinator();
        upgrade.handle(Input::Accepted);
        assert_eq!(upgrade.handle(input), []);
        assert_eq!(*upgrade.state(), UpgradeState::Failed(reason));
        assert_eq!(upgrade.handle(Input::Obtained), []);
    }
}

#[test]
fn what_ended_first_stays() {
    let mut upgrade = coordinator();
    upgrade.handle(Input::Accepted);
    upgrade.handle(refused());
    for later in [Input::Expired, Input::Superseded, refused()] {
        assert_eq!(upgrade.handle(later), []);
        let UpgradeState::Failed(reason) = upgrade.state() else {
            panic!("it has failed");
        };
        assert_eq!(reason.to_string(), "DigestMismatch: another digest");
    }
}

/// A certificate stands, whatever is said after it, and however often it is shown.
#[test]
fn what_is_certified_stays() {
    use Input::{Accepted, Certified, Expired, Migrated, Obtained, Rehearsed, Superseded};
    let activating = [Accepted, Obtained, Rehearsed, Certified];
    for later in [Certified, Expired, Superseded, Rehearsed] {
        check(&[&activating[..], std::slice::from_ref(&later)].concat(), "Activating", &[]);
        let active = [&activating[..], &[Migrated, later]].concat();
        check(&active, "Active", &[]);
    }
    check(&[&activating[..], &[Migrated, refused()]].concat(), "Active", &[]);
    check(&[&activating[..], &[refused()]].concat(), "Blocked", &[]);
}

/// INV-U1, INV-U2: in every order of inputs up to seven, readiness follows obtaining and rehearsing,
/// an activation is proposed only with a quorum, and records are migrated only after a certificate.
#[test]
fn no_order_of_inputs_skips_a_check() {
    let inputs = [
        Input::Accepted,
        Input::Obtained,
        Input::Rehearsed,
        refused(),
        Input::Ready(2),
        Input::Ready(3),
        Input::Certified,
        Input::Migrated,
        Input::Expired,
    ];
    let mut seen = BTreeSet::new();
    explore(&coordinator(), &mut Vec::new(), &inputs, 7, &mut seen);
    assert_eq!(seen.len(), 8, "every state is reached: {seen:?}");
}

fn explore(
    upgrade: &UpgradeCoordinator,
    path: &mut Vec<(Input, Vec<Effect>)>,
    inputs: &[Input],
    depth: usize,
    seen: &mut BTreeSet<String>,
) {
    seen.insert(upgrade.state().to_string());
    if depth == 0 {
        return;
    }
    for input in inputs {
        let mut next = upgrade.clone();
        let effects = next.handle(input.clone());
        let unchanged = next == *upgrade;
        path.push((input.clone(), effects));
        check_path(path);
        if !unchanged {
            explore(&next, path, inputs, depth - 1, seen);
        }
        path.pop();
    }
}

#[track_caller]
fn check_path(path: &[(Input, Vec<Effect>)]) {
    let heard = |wanted: &Input| path.iter().any(|(input, _)| input == wanted);
    let Some((_, effects)) = path.last() else { return };
    for effect in effects {
        match effect {
            Effect::SignalReady => assert!(
                heard(&Input::Obtained) && heard(&Input::Rehearsed),
                "ready without a rehearsal: {path:?}"
            ),
            Effect::ProposeActivation => {
                assert!(heard(&Input::Ready(3)), "proposed without a quorum: {path:?}");
            }
            Effect::Migrate => {
                assert!(heard(&Input::Certified) && heard(&Input::Rehearsed), "{path:?}");
            }
            _ => {}
        }
    }
}
