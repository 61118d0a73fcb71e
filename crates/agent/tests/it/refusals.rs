//! Modules that must never run, offered by the person at the device or by a member who lies (INV-A3).

use aura_agent::{Whose, api::Command, node::Files};
use aura_journal::control::Release;
use aura_journal::event::{Event, ProposeUpgrade, Receipt};
use aura_protocol_core::{AppId, Digest, UnixTime};
use aura_testkit::hostile;

use crate::{
    acts::{install_request, propose_request},
    publisher::{Publisher, guest, reference},
    world::{BEGIN, World},
};

/// A publisher whose 2.0.0 is hostile, behind a release in which all is well.
fn hostile_publisher() -> Publisher {
    let mut publisher = Publisher::new(2);
    publisher.release(&guest("counter-1-0-0"), None);
    let hostile = hostile::unknown_import("counter", "2.0.0");
    let module = reference(&hostile);
    publisher.modules.insert(module.digest, hostile);
    let lens = guest("counter-migration-2-0-0");
    publisher.modules.insert(Digest::of(&lens), lens);
    publisher.certify(Release { module, ..Publisher::of_counter().release_of("2.0.0") });
    publisher
}

/// The proposal of a release, as a member writes it whose own node checks nothing.
pub fn proposal_of(publisher: &Publisher, k: u64) -> ProposeUpgrade {
    let proof = publisher.chain.prove(k).unwrap();
    let proved = proof.verify().unwrap();
    let aura_journal::control::EntryBody::Release(release) = proved.entry.body else {
        panic!("entry {k} is no release");
    };
    ProposeUpgrade {
        app: AppId::derive(proved.account, &release.protocol),
        from: "1.0.0".parse().unwrap(),
        release: proof,
        digest: release.module.digest,
        plan: None,
        steps: release.migration.iter().map(|it| it.module.digest).collect(),
        capabilities: release.descriptor.capabilities.iter().copied().collect(),
        not_before: None,
        grace_seconds: 60,
        expires: BEGIN.saturating_add(600),
    }
}

/// INV-A3: a flipped byte is noticed by whoever is to offer the module to the others.
#[test]
fn a_tampered_module_is_refused_where_it_is_offered() {
    let publisher = Publisher::of_counter();
    let mut world = World::new(1, 3);
    world.install(0, &publisher);
    let whole = publisher.module("2.0.0");
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut tampered = whole.clone();
        tampered[at] ^= 1;
        let files = Files {
            chain: Some(publisher.chain.clone()),
            module: Some(tampered),
            migration: Some(publisher.migration("2.0.0")),
        };
        let error = world.ask(1, Command::Propose(propose_request("2.0.0")), files).unwrap_err();
        assert_eq!((error.code.as_str(), error.whose), ("DigestMismatch", Whose::Caller));
    }
    // The right bytes are taken all the same.
    world.propose(1, &publisher, "2.0.0").unwrap();
    world.assert_agreed("2.0.0");
}

/// INV-A3: the gate stands before the proposal.
#[test]
fn a_hostile_module_is_refused_where_it_is_offered() {
    let publisher = hostile_publisher();
    let mut world = World::new(1, 3);
    world.install(0, &publisher);
    let error = world.propose(1, &publisher, "2.0.0").unwrap_err();
    assert_eq!((error.code.as_str(), error.whose), ("ImportNotAllowed", Whose::Publisher));
    world.settle(5);
    assert!(world.all(|it| it.active() == Some("1.0.0")));
}

/// INV-A3: a member whose own node checks nothing proposes a hostile module, says that it is ready,
/// and serves the bytes. Everybody else declines, and nothing changes.
#[test]
fn a_lying_proposer_convinces_nobody() {
    for seed in 0..20 {
        let publisher = hostile_publisher();
        let mut world = World::new(seed, 4);
        world.install(0, &publisher);
        world.settle(2);
        world.make_puppet(3);
        world.settle(2);
        let hostile = publisher.module("2.0.0");
        world.devices[3].modules.insert(Digest::of(&hostile), hostile);
        let lens = publisher.migration("2.0.0");
        world.devices[3].modules.insert(Digest::of(&lens), lens);
        let proposal =
            world.write(3, None, Event::ProposeUpgrade(Box::new(proposal_of(&publisher, 2))));
        let receipt = Receipt { post_root: Digest::ZERO, personal: Digest::ZERO };
        world.write(3, None, Event::SignalReady { proposal, receipt });
        world.settle(30);
        for index in 0..3 {
            let view = world.proposal(index, &proposal.to_string()).unwrap();
            assert_eq!(view.state, "Failed", "{view:?}");
            assert_eq!(view.declined.len(), 3, "{view:?}");
            assert!(view.declined.values().all(|it| it.starts_with("ImportNotAllowed: ")));
            assert_eq!(world.status(index).active["counter"], "1.0.0");
        }
        world.run_session(0, &[0, 1, 2]);
    }
}

/// INV-A3: a module that is refused is not compiled again and again for each who proposes it.
#[test]
fn a_refused_module_is_fetched_once() {
    let publisher = hostile_publisher();
    let mut world = World::new(5, 4);
    world.install(0, &publisher);
    world.settle(2);
    world.make_puppet(3);
    world.settle(2);
    let hostile = publisher.module("2.0.0");
    let name = Digest::of(&hostile);
    world.devices[3].modules.insert(name, hostile);
    for seconds in 0..10 {
        let expires = BEGIN.saturating_add(700 + seconds);
        let proposal = ProposeUpgrade { expires, ..proposal_of(&publisher, 2) };
        world.write(3, None, Event::ProposeUpgrade(Box::new(proposal)));
        world.settle(3);
    }
    let tried = world.devices[0]
        .log
        .iter()
        .filter(|it| it.starts_with(&format!("module {}: the module is refused", name.short())));
    assert_eq!(tried.count(), 1);
}

/// INV-A3: what a release says of a module has to be what the module says of itself.
#[test]
fn a_release_that_lies_about_its_module_is_not_run() {
    let mut publisher = Publisher::new(3);
    let mut release = Publisher::of_counter().clone().release_of("1.0.0");
    release.descriptor.schema = aura_protocol_core::SchemaId::of("something else");
    publisher.certify(release);
    let module = guest("counter-1-0-0");

    let mut world = World::new(1, 2);
    let files =
        Files { chain: Some(publisher.chain.clone()), module: Some(module), migration: None };
    let asked = world.ask(0, Command::Install(install_request("1.0.0")), files);
    assert_eq!(asked.unwrap_err().code, "DescriptorMismatch");
    assert!(world.status(0).active.is_empty());
}

/// A grant that the release does not ask for, steps that are not its own, times that cannot be: refused
/// by their terms, before anything is fetched.
#[test]
fn terms_are_judged_before_anything_is_fetched() {
    let publisher = Publisher::of_counter();
    let honest = proposal_of(&publisher, 3);
    let excess = [aura_protocol_core::Capability::ReadRecords].into_iter().collect();
    let cases = [
        ("CapabilityExcess", ProposeUpgrade { capabilities: excess, ..honest.clone() }),
        ("PlanMismatch", ProposeUpgrade { steps: vec![], ..honest.clone() }),
        ("PlanMismatch", ProposeUpgrade { plan: Some(honest.release.clone()), ..honest.clone() }),
        ("Superseded", ProposeUpgrade { from: "0.9.0".parse().unwrap(), ..honest.clone() }),
    ];
    for (code, proposal) in cases {
        let mut world = World::new(1, 4);
        world.install(0, &publisher);
        world.settle(2);
        world.make_puppet(3);
        world.settle(2);
        let proposal = world.write(3, None, Event::ProposeUpgrade(Box::new(proposal)));
        world.settle(5);
        let view = world.proposal(0, &proposal.to_string()).unwrap();
        assert_eq!((view.state.as_str(), view.ready.len()), ("Failed", 0), "{code}: {view:?}");
        let wanted = publisher.release_of("2.0.0").module.digest;
        assert!(!world.devices[0].modules.contains_key(&wanted), "{code}");
    }
    // Long over when it arrives: nobody's fault.
    let mut world = World::new(1, 4);
    world.install(0, &publisher);
    world.settle(2);
    world.make_puppet(3);
    world.settle(2);
    let over = ProposeUpgrade { expires: UnixTime(1), ..honest };
    let proposal = world.write(3, None, Event::ProposeUpgrade(Box::new(over)));
    world.settle(5);
    let view = world.proposal(0, &proposal.to_string()).unwrap();
    assert_eq!(view.reason, "it expired before a quorum was ready");
    assert!(view.declined.is_empty());
}

/// Two publishers may release the same bytes; they are two apps all the same.
#[test]
fn two_apps_may_share_a_module() {
    let first = Publisher::of_counter();
    let mut second = Publisher::new(3);
    second.release(&guest("counter-1-0-0"), None);
    let mut world = World::new(1, 3);
    world.install(0, &first);
    let mut request = install_request("1.0.0");
    request.alias = "other".to_owned();
    let files = Files {
        chain: Some(second.chain.clone()),
        module: Some(second.module("1.0.0")),
        migration: None,
    };
    world.ask(1, Command::Install(request), files).unwrap();
    world.until(30, "all run both", |world| world.all(|it| it.0.manifest.len() == 2));
    world.stop(2);
    world.start(2);
    world.run_session(0, &[0, 1, 2]);
}
