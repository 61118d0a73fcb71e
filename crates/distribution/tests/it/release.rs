//! What a repository may release (INV-D1).

use aura_distribution::{
    ReleaseError, Repository, check_release,
    repository::{check_content, check_version},
};
use aura_journal::control::{EntryBody, Release, UpgradePolicy};
use aura_protocol_core::{
    ProtocolVersion,
    descriptor::{MigrationOffer, ModuleRole},
    limits::{MODULE_BYTES_MAX, MODULE_URLS_MAX, URL_BYTES_MAX},
};

use crate::publisher::{Publisher, migration_to, release, schema, version};

#[track_caller]
fn check_versions(published: &str, next: &str, expect: &str) {
    let published: Vec<ProtocolVersion> = published.split_whitespace().map(version).collect();
    let found = check_version(&published, version(next));
    assert_eq!(found.map_or_else(|it| it.code(), |()| "ok"), expect, "{next}");
}

/// INV-D1: versions follow each other, and none is released twice.
#[test]
fn versions_follow_each_other() {
    check_versions("", "0.0.0", "ZeroRelease");
    check_versions("", "0.0.1", "ok");
    check_versions("", "1.0.0", "ok");
    check_versions("1.0.0", "1.0.0", "VersionExists");
    check_versions("1.0.0 1.1.0 2.0.0", "1.1.0", "VersionExists");
    check_versions("1.0.0 1.1.0", "1.1.1", "ok");
    check_versions("1.0.0 1.1.0", "1.2.0", "ok");
    check_versions("1.0.0 1.1.0", "2.0.0", "ok");
    // What is older is still looked after.
    check_versions("1.0.0 1.1.0", "1.0.1", "ok");
    check_versions("1.0.0 2.0.0", "1.1.0", "ok");
    check_versions("1.0.0", "1.0.2", "VersionNotSequential");
    check_versions("1.0.0", "1.1.1", "VersionNotSequential");
    check_versions("1.0.0", "1.2.0", "VersionNotSequential");
    check_versions("1.0.0", "3.0.0", "VersionNotSequential");
    check_versions("1.0.0", "2.1.0", "VersionNotSequential");
    check_versions("1.1.0", "1.0.0", "VersionNotSequential");
    check_versions("0.65535.65535", "1.0.0", "ok");
}

/// INV-D1: one digest per version for ever, also for the same module.
#[test]
fn a_refusal_names_the_version_and_the_latest() {
    let published = [version("1.0.0"), version("1.1.0"), version("1.0.1")];
    let found = check_version(&published, version("1.1.0")).unwrap_err();
    assert_eq!(found, ReleaseError::VersionExists { version: version("1.1.0") });
    let found = check_version(&published, version("1.3.0")).unwrap_err();
    let (version, latest) = (version("1.3.0"), version("1.1.0"));
    assert_eq!(found, ReleaseError::VersionNotSequential { version, latest });
}

/// What a release is refused for by itself; nothing, or how the error's text begins.
#[track_caller]
fn check_alone(version: &str, change: impl FnOnce(&mut Release), expect: &str) {
    let mut changed = release(version);
    change(&mut changed);
    let found = check_content(&changed).map_or_else(|it| it.to_string(), |()| String::new());
    assert!(found.contains(expect) && found.is_empty() == expect.is_empty(), "{found}");
}

#[test]
fn a_release_agrees_with_its_modules() {
    let fits = |_: &mut Release| {};
    check_alone("1.0.0", fits, "");
    check_alone("2.0.0", fits, "");
    let other_name = |it: &mut Release| it.descriptor.protocol = "chess".parse().unwrap();
    check_alone("1.0.0", other_name, "the module is of another protocol");
    let other_version = |it: &mut Release| it.descriptor.version = version("1.0.1");
    check_alone("1.0.0", other_version, "the module is of another version");
    check_alone("1.0.0", |it| it.descriptor.abi = 2, "the module speaks another ABI");
    let migration = |it: &mut Release| it.descriptor = migration_to(version("2.0.0")).descriptor;
    check_alone("2.0.0", migration, "the module is a migration");
}

#[test]
fn a_migration_leads_to_its_release() {
    let of = |it: &mut Release, change: fn(&mut aura_protocol_core::Descriptor)| {
        change(&mut it.migration.as_mut().unwrap().descriptor);
    };
    let elsewhere = "the migration module leads elsewhere";
    check_alone("2.0.0", |it| of(it, |it| it.protocol = "chess".parse().unwrap()), elsewhere);
    check_alone("2.0.0", |it| of(it, |it| it.version = version("2.0.1")), elsewhere);
    check_alone("2.0.0", |it| of(it, |it| it.schema = schema(3)), elsewhere);
    let abi = "the migration module speaks another ABI";
    check_alone("2.0.0", |it| of(it, |it| it.abi = 2), abi);
    let role = "the migration module is a protocol";
    check_alone("2.0.0", |it| of(it, |it| it.role = ModuleRole::Protocol), role);
    let reads_own = |it: &mut Release| {
        of(it, |it| {
            let (from, from_schema) = ("^1".parse().unwrap(), schema(2));
            let offer = MigrationOffer { from, from_schema, reversible: false };
            it.role = ModuleRole::Migration(offer);
        });
    };
    check_alone("2.0.0", reads_own, "the migration module reads what it writes");
}

#[test]
fn modules_are_limited() {
    let (max, over) = (MODULE_BYTES_MAX as u32, MODULE_BYTES_MAX as u32 + 1);
    check_alone("1.0.0", |it| it.module.size = max, "");
    check_alone("1.0.0", |it| it.module.size = over, "the module is empty, or exceeds");
    check_alone("1.0.0", |it| it.module.size = 0, "the module is empty, or exceeds");
    let urls = |count: usize, bytes: usize| vec!["u".repeat(bytes); count];
    check_alone("1.0.0", |it| it.module.urls = urls(MODULE_URLS_MAX, URL_BYTES_MAX), "");
    check_alone("1.0.0", |it| it.module.urls = urls(MODULE_URLS_MAX + 1, 1), "exceeds");
    check_alone("1.0.0", |it| it.module.urls = urls(1, URL_BYTES_MAX + 1), "exceeds");
    let migration = |it: &mut Release| it.migration.as_mut().unwrap().module.size = 0;
    check_alone("2.0.0", migration, "the migration module is empty, or exceeds");
    let mut large = release("1.0.0");
    large.module.size = over;
    assert_eq!(check_content(&large).unwrap_err().code(), "LimitExceeded");
}

/// What a repository of these versions says to a release.
#[track_caller]
fn check_next(published: &str, release: &Release, expect: &str) {
    let publisher = Publisher::of(published);
    let repository = Repository::of(&publisher.chain, &release.protocol);
    let found = check_release(&repository, release);
    assert_eq!(found.map_or_else(|it| it.code(), |()| "ok"), expect, "{}", release.version);
}

fn without_migration(version: &str) -> Release {
    Release { migration: None, ..release(version) }
}

fn with_migration(text: &str) -> Release {
    Release { migration: Some(migration_to(version(text))), ..release(text) }
}

/// INV-D1: records follow into a major version, and change nowhere else.
#[test]
fn majors_and_only_they_come_with_a_migration() {
    check_next("", &release("1.0.0"), "ok");
    check_next("1.0.0 1.1.0", &release("2.0.0"), "ok");
    check_next("1.0.0", &without_migration("2.0.0"), "MigrationRequired");
    check_next("0.1.0", &without_migration("1.0.0"), "MigrationRequired");
    check_next("0.1.0", &with_migration("1.0.0"), "ok");
    // A first release has no records before it, whatever its number.
    check_next("", &with_migration("2.0.0"), "MigrationNotAllowed");
    check_next("", &without_migration("2.0.0"), "ok");
    check_next("2.0.0", &with_migration("2.0.1"), "MigrationNotAllowed");
    check_next("2.0.0", &with_migration("2.1.0"), "MigrationNotAllowed");
    check_next("2.0.0", &release("2.1.0"), "ok");
    // The older major goes on without.
    check_next("1.0.0 2.0.0", &release("1.1.0"), "ok");
    check_next("1.0.0 2.0.0", &release("3.0.0"), "ok");
}

/// INV-D1: nothing stands between two versions of one major that could migrate records.
#[test]
fn the_layout_stays_inside_a_major() {
    let mut changed = release("1.1.0");
    changed.descriptor.schema = schema(7);
    check_next("1.0.0", &changed, "DescriptorMismatch");
    let mut changed = release("1.0.1");
    changed.descriptor.schema = schema(2);
    check_next("1.0.0 2.0.0", &changed, "DescriptorMismatch");
    check_next("1.0.0 2.0.0", &release("2.0.1"), "ok");
}

/// INV-D1: an account at any version of the major before can follow.
#[test]
fn a_migration_reads_all_of_the_major_before() {
    let reading = |from: &str, from_schema| {
        let mut release = release("2.0.0");
        let offer = MigrationOffer { from: from.parse().unwrap(), from_schema, reversible: true };
        release.migration.as_mut().unwrap().descriptor.role = ModuleRole::Migration(offer);
        release
    };
    check_next("1.0.0 1.1.0", &reading("^1", schema(1)), "ok");
    check_next("1.0.0 1.1.0", &reading("=1.1.0", schema(1)), "DescriptorMismatch");
    check_next("1.0.0 1.1.0", &reading("^1", schema(7)), "DescriptorMismatch");
    check_next("0.1.0 1.0.0", &with_migration("2.0.0"), "ok");
}

/// INV-D1: the rules of content come with those of the chain.
#[test]
fn a_chain_refuses_what_is_refused_alone() {
    let mut release = release("1.1.0");
    release.module.size = 0;
    check_next("1.0.0", &release, "LimitExceeded");
    check_next("1.0.0", &crate::publisher::release("1.0.0"), "VersionExists");
    check_next("1.0.0", &crate::publisher::release("1.2.0"), "VersionNotSequential");
    check_next("", &crate::publisher::release("0.0.0"), "ZeroRelease");
}

#[test]
fn a_repository_finds_its_releases() {
    let mut publisher = Publisher::of("1.0.0 1.1.0 2.0.0 1.0.1");
    let mut chess = release("1.0.0");
    chess.protocol = "chess".parse().unwrap();
    publisher.publish(chess);
    let (app, policy) = (publisher.app(), UpgradePolicy::Manual);
    publisher.decide(EntryBody::SetUpgradePolicy { app, policy });

    let repository = Repository::of(&publisher.chain, &"counter".parse().unwrap());
    let versions: Vec<String> =
        repository.releases().iter().map(|it| it.version.to_string()).collect();
    assert_eq!(versions, ["1.0.0", "1.1.0", "2.0.0", "1.0.1"]);
    let found = |it: Option<&Release>| it.map(|it| it.version.to_string());
    assert_eq!(found(repository.latest()).as_deref(), Some("2.0.0"));
    let resolve = |text: &str| found(repository.resolve(&text.parse().unwrap()));
    assert_eq!(resolve("^1").as_deref(), Some("1.1.0"));
    assert_eq!(resolve("~1.0").as_deref(), Some("1.0.1"));
    assert_eq!(resolve("^3"), None);
    assert_eq!(repository.release(version("1.0.1")), Some(&release("1.0.1")));
    assert_eq!(repository.release(version("1.0.2")), None);
    let go = Repository::of(&publisher.chain, &"go".parse().unwrap());
    assert!(go.latest().is_none() && go.releases().is_empty());
}
