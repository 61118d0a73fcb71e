//! What a device votes for when the account is to trust a repository.

use aura_journal::control::{ChainLink, EntryBody, Install, UpgradePolicy};
use aura_protocol_core::{AppId, Capability, ProtocolCapabilities, limits::NAME_BYTES_MAX};

use crate::{
    account::{Account, install, rights},
    publisher::{Publisher, release, version},
};

/// What an account without apps says to the installation of `counter` 1.0.0, changed.
#[track_caller]
fn check(change: impl FnOnce(&mut Install, &Publisher), expect: &str) {
    let publisher = Publisher::of("1.0.0 1.1.0 2.0.0");
    let mut install = install(&publisher, "1.0.0", "^1");
    change(&mut install, &publisher);
    Account::new().check_body(EntryBody::Install(install.into()), expect);
}

#[test]
fn a_proved_release_inside_its_requirement_is_installed() {
    check(|_, _| {}, "accept");
    check(|it, _| it.policy = UpgradePolicy::Manual, "accept");
    check(|it, publisher| it.release = publisher.prove("1.1.0").1, "accept");
    let later = |it: &mut Install, publisher: &Publisher| {
        it.release = publisher.prove("2.0.0").1;
        it.requirement = ">=1".parse().unwrap();
    };
    check(later, "accept");
}

#[test]
fn an_app_is_what_its_repository_and_protocol_make_it() {
    check(|it, _| it.app = AppId::from_bytes([1; 32]), "AppMismatch");
    // Another repository's app of the same name, and another name in the same repository.
    let other = || Publisher::new(101).chain.account();
    check(|it, _| it.repository = other(), "AppMismatch");
    check(|it, _| it.protocol = "chess".parse().unwrap(), "AppMismatch");
    let consistent = |it: &mut Install, _: &Publisher| {
        it.repository = other();
        it.app = AppId::derive(it.repository, &it.protocol);
    };
    check(consistent, "AppMismatch");
    let renamed = |it: &mut Install, _: &Publisher| {
        it.protocol = "chess".parse().unwrap();
        it.app = AppId::derive(it.repository, &it.protocol);
    };
    check(renamed, "AppMismatch");
}

#[test]
fn a_release_is_proved() {
    check(|it, _| it.release.links.clear(), "ReleaseUnproved");
    check(|it, _| drop(it.release.links.pop()), "ReleaseUnproved");
    let unsigned = |it: &mut Install, _: &Publisher| {
        let Some(ChainLink::Full { certificate, .. }) = it.release.links.last_mut() else {
            panic!("a proof ends with what it proves");
        };
        certificate.votes.clear();
    };
    check(unsigned, "ReleaseUnproved");
    let forged = |it: &mut Install, _: &Publisher| {
        let Some(ChainLink::Full { value, .. }) = it.release.links.last_mut() else {
            panic!("a proof ends with what it proves");
        };
        value.body = EntryBody::Release(Box::new(release("1.1.0")));
    };
    check(forged, "ReleaseUnproved");
    // A sound proof, of something else.
    check(|it, publisher| it.release = publisher.chain.prove(0).unwrap(), "ReleaseUnproved");
}

/// The reason names what is behind the refusal, for people.
#[test]
fn an_unproved_release_is_refused_with_its_cause() {
    let publisher = Publisher::of("1.0.0");
    let mut install = install(&publisher, "1.0.0", "^1");
    let Some(ChainLink::Full { certificate, .. }) = install.release.links.last_mut() else {
        panic!("a proof ends with what it proves");
    };
    certificate.votes.clear();
    let account = Account::new();
    let body = EntryBody::Install(install.into());
    let value = aura_journal::control::Entry { past: Vec::new(), body };
    let aura_journal::control::Verdict::Deny(denied) = account.verdict(&value) else {
        panic!("it was not denied");
    };
    assert_eq!(denied.reason, "certificate is refused: 0 of 1 votes");
}

#[test]
fn a_badly_made_release_is_refused_however_well_proved() {
    let mut publisher = Publisher::new(100);
    let mut other_version = release("1.0.0");
    other_version.descriptor.version = version("1.0.1");
    publisher.publish(other_version);
    let mut large = release("1.1.0");
    large.module.size = u32::MAX;
    publisher.publish(large);
    let check = |text: &str, expect: &str| {
        let body = EntryBody::Install(install(&publisher, text, "^1").into());
        Account::new().check_body(body, expect);
    };
    check("1.0.0", "DescriptorMismatch");
    check("1.1.0", "LimitExceeded");
}

#[test]
fn the_release_is_inside_the_requirement() {
    check(|it, _| it.requirement = "^2".parse().unwrap(), "OutsideRequirement");
    check(|it, _| it.requirement = "=1.1.0".parse().unwrap(), "OutsideRequirement");
    check(|it, publisher| it.release = publisher.prove("2.0.0").1, "OutsideRequirement");
}

#[test]
fn what_is_granted_was_asked_for() {
    check(|it, _| it.capabilities = ProtocolCapabilities::default(), "accept");
    let both = rights(&[Capability::WriteRecords, Capability::Sign]);
    check(|it, _| it.capabilities = both, "CapabilityExcess");
    check(|it, _| it.capabilities = rights(&[Capability::ReadRecords]), "CapabilityExcess");
}

#[test]
fn an_app_and_an_alias_are_installed_once() {
    let publisher = Publisher::of("1.0.0");
    let account = Account::with(&publisher, "1.0.0", "^1");
    let again = install(&publisher, "1.0.0", "^1");
    account.check_body(EntryBody::Install(again.clone().into()), "AlreadyInstalled");
    let renamed = Install { alias: "tally".to_owned(), ..again };
    account.check_body(EntryBody::Install(renamed.into()), "AlreadyInstalled");

    let mut other = Publisher::new(101);
    other.publish(release("1.0.0"));
    let same_alias = install(&other, "1.0.0", "^1");
    account.check_body(EntryBody::Install(same_alias.clone().into()), "AlreadyInstalled");
    // The same name from another repository is another app.
    let beside = Install { alias: "theirs".to_owned(), ..same_alias };
    account.check_body(EntryBody::Install(beside.into()), "accept");
}

#[test]
fn an_alias_is_short_and_can_be_shown() {
    check(|it, _| it.alias = "a".repeat(NAME_BYTES_MAX), "accept");
    check(|it, _| it.alias = "Zähler von Anna".to_owned(), "accept");
    check(|it, _| it.alias = "a".repeat(NAME_BYTES_MAX + 1), "BadAlias");
    check(|it, _| it.alias = String::new(), "BadAlias");
    check(|it, _| it.alias = "counter\u{1b}[2J".to_owned(), "BadAlias");
    check(|it, _| it.alias = "two\nlines".to_owned(), "BadAlias");
}

/// An account that names a distributor counts on its consent; nobody here asks for it.
#[test]
fn a_distributor_is_not_promised_what_is_not_done() {
    let distributor = Publisher::new(101).chain.account();
    check(|it, _| it.distributor = Some(distributor), "UnknownDistributor");
}
