//! What a device votes for when a version is to be activated: its terms, and that they lead where
//! this device's own rehearsal led (INV-D2).

use aura_journal::{
    Event,
    control::{ActivateVersion, Entry, EntryBody},
    event::ProposeUpgrade,
};
use aura_protocol_core::{
    AppId, Capability, Digest, ProtocolCapabilities, UnixTime,
    descriptor::{MigrationOffer, ModuleRole},
};

use crate::{
    account::{Account, NOW, QUORUM, install, rights},
    publisher::{Publisher, migration_to, release, schema, version},
};

/// An account at 1.0.0, in which 2.0.0 is proposed with this change, rehearsed and ready.
fn proposed(change: impl FnOnce(&mut ProposeUpgrade)) -> (Account, Digest) {
    let publisher = Publisher::of("1.0.0 1.1.0 2.0.0 2.1.0 3.0.0");
    let mut account = Account::with(&publisher, "1.0.0", ">=1");
    let proposal = account.propose(&publisher, "2.0.0", change);
    account.rehearse(proposal);
    account.ready(proposal, 0..QUORUM);
    (account, proposal)
}

#[track_caller]
fn check_terms(change: impl FnOnce(&mut ProposeUpgrade), expect: &str) {
    let (account, proposal) = proposed(change);
    account.check(&account.activation(proposal), expect);
}

/// INV-D2: what is rehearsed alike and ready is voted for, by whoever it is proposed.
#[test]
fn a_rehearsed_proposal_is_activated() {
    check_terms(|_| {}, "accept");
    check_terms(|it| it.grace_seconds = 60, "accept");
    check_terms(|it| it.capabilities = ProtocolCapabilities::default(), "accept");
}

#[test]
fn a_proposal_has_its_time() {
    check_terms(|it| it.expires = UnixTime(NOW.0 - 1), "Expired");
    check_terms(|it| it.expires = NOW, "accept");
    check_terms(|it| it.not_before = Some(NOW), "accept");
    let waits = "wait: the proposal's time has not come";
    check_terms(|it| it.not_before = Some(UnixTime(NOW.0 + 1)), waits);
    let never = |it: &mut ProposeUpgrade| {
        it.not_before = Some(UnixTime(NOW.0 + 1));
        it.expires = UnixTime(NOW.0 - 1);
    };
    check_terms(never, "Expired");
}

/// A device that is not sure of the time votes for nothing that depends on it, and for all else.
#[test]
fn who_is_not_sure_of_the_time_does_not_vote_by_it() {
    let (mut account, proposal) = proposed(|_| {});
    let value = account.activation(proposal);
    account.clock_is_sure = false;
    account.check(&value, "wait: this device is not sure of the time");
    account.now = UnixTime(u64::MAX);
    account.check(&value, "wait: this device is not sure of the time");
    account.now = NOW;
    account.clock_is_sure = true;
    account.check(&value, "accept");
}

/// The same proposal, as time goes by.
#[test]
fn a_verdict_changes_with_the_time() {
    let (mut account, proposal) = proposed(|it| {
        it.not_before = Some(UnixTime(2_000));
        it.expires = UnixTime(3_000);
    });
    let value = account.activation(proposal);
    for (now, expect) in [
        (1_999, "wait: the proposal's time has not come"),
        (2_000, "accept"),
        (3_000, "accept"),
        (3_001, "Expired"),
    ] {
        account.now = UnixTime(now);
        account.check(&value, expect);
    }
}

#[test]
fn a_proposal_says_what_its_release_says() {
    check_terms(|it| it.plan = Some(it.release.clone()), "PlanMismatch");
    check_terms(|it| it.steps.clear(), "PlanMismatch");
    check_terms(|it| it.steps.push(Digest::ZERO), "PlanMismatch");
    check_terms(|it| it.steps = vec![it.digest], "PlanMismatch");
    let sign = || rights(&[Capability::WriteRecords, Capability::Sign]);
    check_terms(|it| it.capabilities = sign(), "CapabilityExcess");
}

/// What an account with `installed` under `requirement` says to the activation of `target`.
#[track_caller]
fn check_step(installed: &str, requirement: &str, target: &str, expect: &str) {
    let publisher = Publisher::of("1.0.0 1.1.0 2.0.0 2.1.0 3.0.0");
    let mut account = Account::with(&publisher, installed, requirement);
    let proposal = account.propose(&publisher, target, |_| {});
    account.rehearse(proposal);
    account.ready(proposal, 0..QUORUM);
    account.check(&account.activation(proposal), expect);
}

#[test]
fn only_the_next_major_is_activated_by_decision() {
    check_step("1.0.0", ">=1", "2.0.0", "accept");
    check_step("1.1.0", ">=1", "2.0.0", "accept");
    check_step("2.1.0", ">=1", "3.0.0", "accept");
    // Not the same, none in between, none left out, and none back.
    check_step("1.0.0", ">=1", "1.0.0", "NotAMajor");
    check_step("1.0.0", ">=1", "1.1.0", "NotAMajor");
    check_step("1.0.0", ">=1", "2.1.0", "NotAMajor");
    check_step("1.0.0", ">=1", "3.0.0", "NotAMajor");
    check_step("2.0.0", ">=1", "1.1.0", "NotAMajor");
    check_step("3.0.0", ">=1", "2.0.0", "NotAMajor");
}

#[test]
fn there_is_no_major_after_the_last() {
    let mut publisher = Publisher::new(100);
    publisher.publish(release("65535.1.0"));
    publisher.publish(release("65535.0.0"));
    let mut account = Account::with(&publisher, "65535.1.0", ">=1");
    let proposal = account.propose(&publisher, "65535.0.0", |_| {});
    account.rehearse(proposal);
    account.ready(proposal, 0..QUORUM);
    account.check(&account.activation(proposal), "NotAMajor");
}

#[test]
fn the_target_is_inside_the_requirement() {
    check_step("1.0.0", "^1", "2.0.0", "OutsideRequirement");
    check_step("1.0.0", ">=1, <2", "2.0.0", "OutsideRequirement");
    check_step("1.0.0", ">=1, <3", "2.0.0", "accept");
}

#[test]
fn a_proposal_starts_from_what_is_active() {
    check_terms(|it| it.from = version("1.1.0"), "Superseded");
    check_terms(|it| it.from = version("2.0.0"), "Superseded");
    // Activated, it is over.
    let (mut account, proposal) = proposed(|_| {});
    let value = account.activation(proposal);
    account.check(&value, "accept");
    account.decide_over(value.past.clone(), value.body.clone());
    account.check(&value, "Superseded");
}

/// Records that a migration does not read would all be set aside.
#[test]
fn a_migration_reads_what_is_active() {
    let check = |from: &str, from_schema, expect: &str| {
        let mut publisher = Publisher::of("1.0.0");
        let mut release = release("2.0.0");
        let offer = MigrationOffer { from: from.parse().unwrap(), from_schema, reversible: true };
        let mut migration = migration_to(version("2.0.0"));
        migration.descriptor.role = ModuleRole::Migration(offer);
        release.migration = Some(migration);
        publisher.publish(release);
        let mut account = Account::with(&publisher, "1.0.0", ">=1");
        let proposal = account.propose(&publisher, "2.0.0", |_| {});
        account.rehearse(proposal);
        account.ready(proposal, 0..QUORUM);
        account.check(&account.activation(proposal), expect);
    };
    check("^1", schema(1), "accept");
    check("=1.1.0", schema(1), "MigrationMismatch");
    check("^1", schema(7), "MigrationMismatch");
    check("^1", schema(2), "DescriptorMismatch");
}

/// What is well proved on a careless repository's chain is still looked at.
#[test]
fn a_badly_made_release_is_not_activated() {
    let check = |change: fn(&mut aura_journal::control::Release), expect: &str| {
        let mut publisher = Publisher::of("1.0.0");
        let mut release = release("2.0.0");
        change(&mut release);
        publisher.publish(release);
        let mut account = Account::with(&publisher, "1.0.0", ">=1");
        let proposal = account.propose(&publisher, "2.0.0", |_| {});
        account.rehearse(proposal);
        account.ready(proposal, 0..QUORUM);
        account.check(&account.activation(proposal), expect);
    };
    check(|it| it.descriptor.version = version("2.0.1"), "DescriptorMismatch");
    check(|it| it.module.size = 0, "LimitExceeded");
    check(|it| it.migration.as_mut().unwrap().module.size = 0, "LimitExceeded");
    check(|it| it.migration = None, "NotAMajor");
}

/// INV-D2: a device votes only for the result that it got itself.
#[test]
fn another_result_is_refused() {
    let check = |change: fn(&mut ActivateVersion), expect: &str| {
        let (account, proposal) = proposed(|_| {});
        let mut value = account.activation(proposal);
        let EntryBody::ActivateVersion(activate) = &mut value.body else {
            panic!("an activation activates");
        };
        change(activate);
        account.check(&value, expect);
    };
    let mismatch = "ResultMismatch";
    check(|it| it.post_root = Digest::ZERO, mismatch);
    check(|it| it.pre_root = Digest::ZERO, mismatch);
    check(|it| it.digest = Digest::ZERO, mismatch);
    check(|it| it.version = version("2.0.1"), mismatch);
    check(|it| it.steps.clear(), mismatch);
    check(|it| it.prestate.clear(), mismatch);
    check(|it| it.capabilities = ProtocolCapabilities::default(), mismatch);
    check(|it| it.plan = Some(Digest::ZERO), mismatch);
    check(|it| it.intent = Some(Digest::ZERO), mismatch);
    check(|it| it.repository_head = Digest::ZERO, mismatch);
    check(|it| it.distributor_head = Some(Digest::ZERO), mismatch);
    check(|it| it.app = AppId::from_bytes([1; 32]), "NotInstalled");
    check(|it| it.proposal = Digest::ZERO, "NoProposal");
}

/// INV-D2: a proposal's result on one app is no reason to change another.
#[test]
fn a_proposal_is_of_its_app() {
    let (mut account, proposal) = proposed(|_| {});
    let mut other = Publisher::new(101);
    other.publish(release("1.0.0"));
    let mut beside = install(&other, "1.0.0", ">=1");
    beside.alias = "theirs".to_owned();
    account.decide(EntryBody::Install(beside.into()));
    let mut value = account.activation(proposal);
    let EntryBody::ActivateVersion(activate) = &mut value.body else {
        panic!("an activation activates");
    };
    activate.app = other.app();
    account.check(&value, "ResultMismatch");
}

/// The prestate is the proposal's causal past, and nothing else.
#[test]
fn another_past_is_refused() {
    let (mut account, proposal) = proposed(|_| {});
    let other = account.write(1, Event::AcknowledgeUpgrade { proposal });
    let mut both = vec![proposal, other];
    both.sort_unstable();
    for past in [Vec::new(), vec![other], both, account.ledger.heads()] {
        let value = Entry { past, ..account.activation(proposal) };
        account.check(&value, "PrestateMismatch");
    }
    let missing = Digest::of(b"missing");
    let value = Entry { past: vec![missing], ..account.activation(proposal) };
    account.check(&value, &format!("wait: unit {} has not arrived", missing.short()));
}

/// INV-D2: others' receipts do not stand in for a rehearsal of one's own.
#[test]
fn a_device_rehearses_before_it_votes() {
    let (mut account, proposal) = proposed(|_| {});
    let value = account.activation(proposal);
    account.rehearsals.clear();
    account.check(&value, "wait: this device has not rehearsed the proposal");
}

/// What proves nothing is no proposal, whoever is ready for it.
#[test]
fn an_unproved_proposal_is_none() {
    let (account, proposal) = proposed(|_| {});
    let sound = account.activation(proposal);
    let unproved: [fn(&mut ProposeUpgrade); 3] = [
        |it| it.release.links.clear(),
        |it| it.digest = Digest::ZERO,
        |it| it.app = AppId::from_bytes([1; 32]),
    ];
    for change in unproved {
        let (account, proposal) = proposed(change);
        let EntryBody::ActivateVersion(mut activate) = sound.body.clone() else {
            panic!("an activation activates");
        };
        activate.proposal = proposal;
        activate.prestate = vec![proposal];
        let body = EntryBody::ActivateVersion(activate);
        account.check(&Entry { past: vec![proposal], body }, "NoProposal");
    }
}
