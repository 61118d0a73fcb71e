//! What a device votes for, for every kind of entry but installations and activations.

use std::collections::{BTreeMap, BTreeSet};

use aura_crypto::SecretKey;
use aura_distribution::{
    Change, Consent,
    consent::{OfferedKeys, Origin, WantedGuardians},
};
use aura_journal::{
    Event, Ledger, Outcome, PeerTag,
    control::{
        Announcement, Configuration, ControlMessage, Entry, EntryBody, EntryPolicy as _, Genesis,
        ReAdmit, Recover, RecoveryRole, Revoke, Role, RosterChange, UpgradePolicy, Verdict,
    },
};
use aura_protocol_core::{AppId, DeviceId, Digest, encode};

use crate::{
    account::{Account, NOW, VOTERS, device},
    publisher::{Publisher, migration_to, release, version},
};

#[test]
fn a_chain_begins_once() {
    let account = Account::new();
    let first = account.devices[0].entry.clone();
    let genesis = Genesis { nonce: [1; 32], name: "again".to_owned(), first };
    account.check_body(EntryBody::Genesis(genesis.into()), "SecondGenesis");
}

/// A device does not vote for what closes over a unit that it has not seen.
#[test]
fn what_rests_on_a_missing_unit_waits() {
    let publisher = Publisher::of("1.0.0");
    let mut account = Account::with(&publisher, "1.0.0", "^1");
    let policy = UpgradePolicy::Patch;
    let body = || EntryBody::SetUpgradePolicy { app: publisher.app(), policy };
    let missing = Digest::of(b"nobody wrote this");
    let waits = format!("wait: unit {} has not arrived", missing.short());
    account.check(&Entry { past: vec![missing], body: body() }, &waits);
    let proposal = Digest::of(b"nor this");
    let here = account.write(1, Event::AcknowledgeUpgrade { proposal });
    account.check(&Entry { past: vec![here], body: body() }, "accept");
    let mut past = vec![here, missing];
    past.sort_unstable();
    account.check(&Entry { past, body: body() }, &waits);
    account.check(&Entry { past: Vec::new(), body: body() }, "accept");
}

#[test]
fn a_policy_is_of_an_installed_app() {
    let publisher = Publisher::of("1.0.0");
    let account = Account::with(&publisher, "1.0.0", "^1");
    for policy in [UpgradePolicy::Manual, UpgradePolicy::Patch, UpgradePolicy::Minor] {
        account.check_body(EntryBody::SetUpgradePolicy { app: publisher.app(), policy }, "accept");
        let app = AppId::from_bytes([1; 32]);
        account.check_body(EntryBody::SetUpgradePolicy { app, policy }, "NotInstalled");
    }
}

/// What the account says to a configuration of its devices and the one numbered 50, changed.
#[track_caller]
fn check_reconfigure(change: impl FnOnce(&mut Configuration), expect: &str) {
    let account = Account::new();
    let entries = account.devices.iter().map(|it| it.entry.clone());
    let mut next = Configuration::with_defaults(entries.chain([device(50).entry]));
    change(&mut next);
    account.check_body(EntryBody::Reconfigure(next.into()), expect);
}

#[test]
fn one_device_more_and_nothing_else() {
    check_reconfigure(|_| {}, "accept");
    let denied = "RosterChange";
    let reader = |it: &mut Configuration| {
        let mut entries: Vec<_> = it.roster.values().cloned().collect();
        let added = device(50).id;
        entries.iter_mut().filter(|it| it.device == added).for_each(|it| it.role = Role::Reader);
        *it = Configuration::with_defaults(entries);
    };
    check_reconfigure(reader, "accept");
    let leaves = |it: &mut Configuration, number: u8| {
        it.roster.remove(&device(number).id);
    };
    let comes = |it: &mut Configuration, number: u8| {
        it.roster.insert(device(number).id, device(number).entry);
    };
    check_reconfigure(|it| leaves(it, 50), denied);
    check_reconfigure(|it| comes(it, 51), denied);
    check_reconfigure(|it| leaves(it, 1), denied);
    let swapped = |it: &mut Configuration| {
        leaves(it, 1);
        comes(it, 51);
    };
    check_reconfigure(swapped, denied);
}

#[test]
fn who_is_there_stays_as_it_is() {
    let denied = "RosterChange";
    let of = |it: &mut Configuration, number: u8| it.roster[&device(number).id].clone();
    check_reconfigure(
        |it| {
            let mut entry = of(it, 1);
            entry.role = Role::Reader;
            it.roster.insert(entry.device, entry);
        },
        denied,
    );
    check_reconfigure(
        |it| {
            let mut entry = of(it, VOTERS as u8);
            entry.role = Role::Voter;
            it.roster.insert(entry.device, entry);
        },
        denied,
    );
    check_reconfigure(
        |it| {
            let mut entry = of(it, 2);
            entry.vote_key = device(60).entry.vote_key;
            it.roster.insert(entry.device, entry);
        },
        "UnannouncedKey",
    );
    check_reconfigure(
        |it| {
            let mut entry = of(it, 2);
            entry.transport_key = device(60).entry.transport_key;
            it.roster.insert(entry.device, entry);
        },
        denied,
    );
}

#[test]
fn thresholds_and_recovery_follow_their_rules() {
    let denied = "RosterChange";
    check_reconfigure(|it| it.m -= 1, denied);
    check_reconfigure(|it| it.m += 1, denied);
    check_reconfigure(|it| it.t_sign -= 1, denied);
    check_reconfigure(|it| it.t_dkd += 1, denied);
    check_reconfigure(|it| it.group_key = Some((device(1).key.public(), Digest::ZERO)), denied);
    let recovery = |it: &mut Configuration| {
        let keys = [device(60).key.public()].into();
        it.recovery = RecoveryRole::Keys { keys, threshold: 1, delay_seconds: 0 };
    };
    check_reconfigure(recovery, "NotWanted");
}

/// What an account has set beyond the defaults stays when a device comes.
#[test]
fn a_new_device_does_not_undo_what_was_set() {
    let mut account = Account::new();
    let config = account.ledger.chain().config().clone();
    let keys = [device(60).key.public()].into();
    let recovery = RecoveryRole::Keys { keys, threshold: 1, delay_seconds: 60 };
    let group_key = Some((device(61).key.public(), Digest::of(b"transcript")));
    let set = Configuration { recovery, group_key, ..config };
    account.decide(EntryBody::Reconfigure(set.clone().into()));

    let entries: Vec<_> = set.roster.values().cloned().chain([device(50).entry]).collect();
    let defaults = Configuration::with_defaults(entries);
    account.check_body(EntryBody::Reconfigure(defaults.clone().into()), "NotWanted");
    let kept = Configuration { recovery: set.recovery, group_key: set.group_key, ..defaults };
    let other_shares = Configuration { t_sign: set.t_sign + 1, ..kept.clone() };
    account.check_body(EntryBody::Reconfigure(other_shares.into()), "RosterChange");
    let kept = Configuration { t_sign: set.t_sign, t_dkd: set.t_dkd, ..kept };
    account.check_body(EntryBody::Reconfigure(kept.into()), "accept");
}

/// INV-D5: keys count once every voter holds a share of them, and stay once they are used.
#[test]
fn keys_are_those_that_every_voter_holds_a_share_of() {
    let mut account = Account::new();
    let config = account.ledger.chain().config().clone();
    let key = |number: u8| device(number).key.public();
    let voters: Vec<_> = config.voters().map(|it| it.device).collect();
    let offer = |number: u8, threshold: u16, holders: &[DeviceId]| OfferedKeys {
        key: key(number),
        name: Digest::of(&[number]),
        threshold,
        holders: holders.iter().copied().collect(),
        origin: Origin::Made,
    };
    let with = |number: u8, threshold: u16| Configuration {
        group_key: Some((key(number), Digest::of(&[number]))),
        t_sign: threshold,
        t_dkd: threshold,
        ..config.clone()
    };
    let check = |account: &Account, next: Configuration, expect: &str| {
        account.check_body(EntryBody::Reconfigure(next.into()), expect);
    };
    let none = "wait: this device holds no share of these keys";
    check(&account, with(61, 3), none);
    account.offered_keys = vec![offer(61, 3, &voters), offer(62, 3, &voters[1..])];
    check(&account, with(61, 3), "accept");
    check(&account, with(62, 3), "KeyChange");
    check(&account, with(63, 3), none);
    check(&account, with(61, 2), "KeyChange");
    check(&account, Configuration { t_dkd: 2, ..with(61, 3) }, "KeyChange");
    check(&account, Configuration { m: 4, ..with(61, 3) }, "KeyChange");
    let more =
        Configuration { group_key: with(61, 3).group_key, ..config.with_device(device(50).entry) };
    check(&account, more, "RosterChange");
    account.keys_used = true;
    check(&account, with(61, 3), "KeysInUse");
}

/// INV-D6: what a person wants counts once the same keys are among those whom it concerns, and nobody else's
/// wish does. A resharing that only follows the roster needs no person.
#[test]
fn wishes_and_resharings_keep_the_key() {
    let mut account = Account::new();
    let config = account.ledger.chain().config().clone();
    let check = |account: &Account, next: &Configuration, expect: &str| {
        account.check_body(EntryBody::Reconfigure(next.clone().into()), expect);
    };
    let device = config.voters().next().unwrap().device;
    let remove = Change::Remove(device).of(&config).unwrap();
    let votes = Change::Thresholds { votes: config.m + 1, shares: config.t_sign };
    let more_votes = votes.of(&config).unwrap();
    check(&account, &remove, "RosterChange");
    check(&account, &more_votes, "RosterChange");
    account.wanted = [Change::Remove(device), votes].into();
    // There are no keys yet: nothing else has to change.
    check(&account, &remove, "accept");
    check(&account, &more_votes, "accept");
    let key = account.devices[0].key.public();
    let named = |next: &Configuration, name: u8| Configuration {
        group_key: Some((key, Digest::of(&[name]))),
        ..next.clone()
    };
    check(&account, &named(&more_votes, 1), "KeyChange");
    account.decide(EntryBody::Reconfigure(named(&config, 1).into()));
    let config = account.ledger.chain().config().clone();
    let remove = Change::Remove(device).of(&config).unwrap();
    check(&account, &votes.of(&config).unwrap(), "accept");
    let none = "wait: the keys are not known to be among those who stay";
    check(&account, &remove, none);
    let holders: BTreeSet<_> = remove.voters().map(|it| it.device).collect();
    let offer = OfferedKeys {
        key,
        name: Digest::of(&[2]),
        threshold: remove.t_sign,
        holders: holders.clone(),
        origin: Origin::Reshared { follows: false },
    };
    account.offered_keys = vec![offer.clone()];
    account.keys_used = true;
    check(&account, &named(&remove, 2), "accept");
    let everybody: BTreeSet<_> = config.voters().map(|it| it.device).collect();
    let lacking = [
        OfferedKeys { origin: Origin::Made, ..offer.clone() },
        OfferedKeys { threshold: remove.t_sign + 1, ..offer.clone() },
        OfferedKeys { holders: everybody.clone(), ..offer.clone() },
        OfferedKeys { key: account.devices[1].key.public(), ..offer.clone() },
    ];
    for keys in lacking {
        account.offered_keys = vec![keys];
        check(&account, &named(&remove, 2), none);
    }
    // The roster as it is: whoever joined gets a share, and nobody has to want that.
    let threshold = config.t_sign;
    let shared = OfferedKeys { threshold, holders: everybody, ..offer };
    for (follows, expect) in [(true, "accept"), (false, "KeyChange")] {
        account.offered_keys =
            vec![OfferedKeys { origin: Origin::Reshared { follows }, ..shared.clone() }];
        check(&account, &named(&config, 2), expect);
    }
}

/// INV-D1: a publisher's devices vote by the rules of its own chain.
#[test]
fn a_release_follows_those_on_its_own_chain() {
    let publisher = Publisher::of("1.0.0 1.1.0");
    let ledger = Ledger::new(publisher.chain.clone());
    let rehearsals = BTreeMap::new();
    let (leaving, unwanted_recoveries) = (BTreeSet::new(), BTreeSet::new());
    let consent = Consent {
        ledger: &ledger,
        rehearsals: &rehearsals,
        leaving: &leaving,
        wanted: &BTreeSet::new(),
        guardians: None,
        unwanted_recoveries: &unwanted_recoveries,
        unwanted_activations: &BTreeSet::new(),
        offered_keys: &[],
        keys_used: false,
        now: NOW,
        clock_is_sure: true,
    };
    let check = |release, expect: &str| {
        let body = EntryBody::Release(Box::new(release));
        let value = Entry { past: Vec::new(), body };
        match consent.check(&publisher.chain.next_slot(), &value) {
            Verdict::Accept => assert_eq!(expect, "accept"),
            Verdict::Deny(denied) => assert_eq!(denied.code, expect),
            Verdict::Wait(reason) => panic!("{reason}"),
        }
    };
    check(release("1.1.1"), "accept");
    check(release("2.0.0"), "accept");
    check(release("1.1.0"), "VersionExists");
    check(release("1.3.0"), "VersionNotSequential");
    check(release("0.0.0"), "ZeroRelease");
    let mut bare = release("2.0.0");
    bare.migration = None;
    check(bare, "MigrationRequired");
    let mut loaded = release("1.2.0");
    loaded.migration = Some(migration_to(version("2.0.0")));
    loaded.migration.as_mut().unwrap().descriptor.version = version("1.2.0");
    loaded.migration.as_mut().unwrap().descriptor.schema = loaded.descriptor.schema;
    loaded.descriptor.abi = 2;
    check(loaded, "DescriptorMismatch");
    let mut large = release("1.2.0");
    large.module.size = u32::MAX;
    check(large, "LimitExceeded");
    // Another protocol of the same publisher counts for itself.
    let mut chess = release("1.0.0");
    chess.protocol = "chess".parse().unwrap();
    chess.descriptor.protocol = "chess".parse().unwrap();
    check(chess, "accept");
}

/// Only a device that has proved by its own signatures that it cannot be trusted is sent away.
#[test]
fn only_a_forked_device_loses_its_seat() {
    let mut account = Account::new();
    let acknowledge = |proposal| Event::AcknowledgeUpgrade { proposal };
    let unit = account.write(1, acknowledge(Digest::ZERO));
    let (device_1, entry) = (account.devices[1].id, device(50).entry);
    let last_seq = account.ledger.next_seq(device_1) - 1;
    let cut = Revoke { device: device_1, last_seq, last_hash: unit };
    let revoke = || EntryBody::Revoke(cut);
    let readmit = |role| {
        let mut entry = entry.clone();
        entry.role = role;
        EntryBody::ReAdmit(Box::new(ReAdmit { device: device_1, entry }))
    };
    account.check_body(revoke(), "NotWanted");
    account.check_body(readmit(Role::Voter), "NotWanted");
    // Or one that a person wants to go, who says so here.
    account.leaving.insert(device_1);
    account.check_body(revoke(), "accept");
    account.check_body(readmit(Role::Voter), "accept");
    account.leaving.clear();
    account.check_body(revoke(), "NotWanted");
    let mut body = account.ledger.unit(&unit).unwrap().body.clone();
    body.event = acknowledge(Digest::of(b"another"));
    let twin = encode(&body.sign(&account.devices[1].key));
    let outcome = account.ledger.import(PeerTag([9; 32]), &twin);
    assert!(matches!(outcome, Ok(Outcome::Fork { .. })));
    account.check_body(revoke(), "accept");
    account.check_body(readmit(Role::Voter), "accept");
    account.check_body(readmit(Role::Reader), "RosterChange");
    account.check_body(EntryBody::Revoke(Revoke { last_seq: last_seq + 1, ..cut }), "BadCut");
    let last_hash = Digest::of(b"nobody wrote this");
    let waits = format!("wait: unit {} has not arrived", last_hash.short());
    account.check_body(EntryBody::Revoke(Revoke { last_hash, ..cut }), &waits);
}

/// An entry that begins a configuration names the vote keys that its past announces: no more and no fewer.
#[test]
fn vote_keys_are_those_that_are_announced() {
    let mut account = Account::new();
    let key = SecretKey::from_seed([77; 32]);
    let said = Announcement::new(account.ledger.account(), account.devices[1].id, &key);
    let unit = account.write(1, Event::Control(ControlMessage::Announce(said)));
    let keys = account.ledger.announced(&account.ledger.heads()).unwrap();
    assert_eq!(keys, [(account.devices[1].id, key.public())].into());

    let next = account.ledger.chain().config().with_device(device(50).entry);
    let reconfigure = |next: &Configuration| EntryBody::Reconfigure(Box::new(next.clone()));
    account.check_body(reconfigure(&next), "UnannouncedKey");
    let other = [(account.devices[2].id, key.public())].into();
    account.check_body(reconfigure(&next.with_vote_keys(&other)), "UnannouncedKey");
    account.check_body(reconfigure(&next.with_vote_keys(&keys)), "accept");

    let leaves = account.devices[1].id;
    account.leaving.insert(leaves);
    let last_seq = account.ledger.next_seq(leaves) - 1;
    let revoke =
        |device, last_seq, last_hash| RosterChange::Revoke(Revoke { device, last_seq, last_hash });
    account.check_body(revoke(leaves, last_seq, unit).with_keys(other), "UnannouncedKey");
    account.check_body(revoke(leaves, last_seq, unit).with_keys(keys.clone()), "accept");
    let unit = account.write(2, Event::AcknowledgeUpgrade { proposal: Digest::ZERO });
    let leaves = account.devices[2].id;
    account.leaving.insert(leaves);
    let last_seq = account.ledger.next_seq(leaves) - 1;
    let change = revoke(leaves, last_seq, unit);
    account.check_body(change.clone().with_keys(BTreeMap::new()), "UnannouncedKey");
    account.check_body(change.with_keys(keys), "accept");

    let mut snapshot = account.ledger.snapshot(&account.ledger.heads()).unwrap();
    account.check_body(EntryBody::Snapshot(snapshot.clone()), "accept");
    snapshot.keys.clear();
    account.check_body(EntryBody::Snapshot(snapshot), "UnannouncedKey");
}

/// Whether the account is recovered is for people, and votes certify no recovery.
#[test]
fn a_recovery_is_vetoed_by_people() {
    let mut account = Account::new();
    let request = Digest::of(b"request");
    account.check_body(EntryBody::VetoRecovery { request }, "NotWanted");
    account.unwanted_recoveries.insert(request);
    account.check_body(EntryBody::VetoRecovery { request }, "accept");
    let config = account.ledger.chain().config().clone();
    let recover = Recover { generation: 1, config, request };
    account.check_body(EntryBody::Recover(Box::new(recover)), "NotByVotes");
}

/// INV-D9: other guardians recover the account when the person here wants exactly these, they have their shares, and
/// whoever recovers it now had their time; and nothing else changes with it.
#[test]
fn who_recovers_the_account_changes_by_persons_after_its_delay() {
    let mut account = Account::new();
    let mut guardian = device(50).entry;
    guardian.role = Role::Guardian;
    let grown = account.ledger.chain().config().with_device(guardian.clone());
    account.check_body(EntryBody::Reconfigure(grown.clone().into()), "accept");
    account.decide(EntryBody::Reconfigure(grown.into()));
    let config = account.ledger.chain().config().clone();
    let sharing = Digest::of(b"sharing");
    let role = |key, threshold, delay_seconds| RecoveryRole::Guardians {
        keys: [key].into(),
        threshold,
        delay_seconds,
        sharing,
    };
    let by = |recovery| Configuration { recovery, ..config.clone() };
    let check = |account: &Account, next: &Configuration, expect: &str| {
        account.check_body(EntryBody::Reconfigure(next.clone().into()), expect);
    };
    let next = by(role(guardian.vote_key, 1, 60));
    check(&account, &next, "NotWanted");
    let wanted = WantedGuardians {
        threshold: 1,
        delay_seconds: 60,
        is_due: true,
        shared: [(sharing, [guardian.device].into())].into(),
    };
    account.guardians = Some(wanted.clone());
    check(&account, &next, "accept");
    check(&account, &by(role(guardian.vote_key, 1, 59)), "NotWanted");
    check(&account, &by(role(config.voters().next().unwrap().vote_key, 1, 60)), "RoleChange");
    check(&account, &Configuration { m: config.m + 1, ..next.clone() }, "RoleChange");
    let code =
        RecoveryRole::Keys { keys: [guardian.vote_key].into(), threshold: 1, delay_seconds: 60 };
    check(&account, &by(code), "NotWanted");
    account.guardians = Some(WantedGuardians { shared: BTreeMap::new(), ..wanted.clone() });
    check(&account, &next, "wait: the guardians are not known to have their shares");
    account.guardians = Some(WantedGuardians { is_due: false, ..wanted.clone() });
    check(&account, &next, "wait: whoever recovers the account now still may object");
    account.guardians = Some(wanted);
    account.clock_is_sure = false;
    check(&account, &next, "wait: this device is not sure of the time");
}
