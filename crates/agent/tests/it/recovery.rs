//! Coming back from a lost majority and from a frozen chain with the printed code.

use aura_agent::{
    api::{Command, RecoveryStatus, Response, Secret},
    join::JoinRequest,
    node::{Files, Input},
    recovery_code::RecoveryCode,
    ticket::Ticket,
};
use aura_journal::{
    control::{
        CertifiedEntry, Configuration, ControlChain, Entry, EntryBody, Phase, RecoveryRole,
        UpgradePolicy, Vote,
    },
    sync::SyncMessage,
};
use aura_protocol_core::{AppId, UnixTime};

use crate::world::{Crash, World, chain_of, identity};

/// How long the recovery role of these accounts waits, in seconds.
pub const DELAY_SECONDS: u64 = 50;

fn code() -> RecoveryCode {
    RecoveryCode::of_seed([7; 20])
}

/// `body` at the next slot of a chain, with the votes of the first devices.
fn certify(chain: &ControlChain, voters: &[usize], body: EntryBody) -> CertifiedEntry {
    let (slot, value) = (chain.next_slot(), Entry { past: vec![], body });
    let vote = |it: &usize| {
        let vote = Vote::sign(slot, Phase::Commit, 0, value.hash(), &identity(*it).vote);
        (vote.key, vote.signature)
    };
    let votes = voters.iter().map(vote).collect();
    let certificate = aura_journal::control::Certificate { view: 0, votes };
    CertifiedEntry { slot, value, certificate }
}

fn recoverable_chain(count: usize) -> ControlChain {
    let mut chain = chain_of(count);
    let keys = [code().key().public()].into();
    let recovery = RecoveryRole::Keys { keys, threshold: 1, delay_seconds: DELAY_SECONDS };
    let next = Configuration { recovery, ..chain.config().clone() };
    let voters: Vec<usize> = (0..usize::from(chain.config().m)).collect();
    let entry = certify(&chain, &voters, EntryBody::Reconfigure(Box::new(next)));
    chain.append(entry).unwrap();
    chain
}

/// An account with a recovery code.
pub fn recoverable(seed: u64, count: usize, has_keys: bool) -> World {
    let mut world = match has_keys {
        true => World::with_key_stores(seed, 0),
        false => World::new(seed, 0),
    };
    for index in 0..count {
        world.add(identity(index), recoverable_chain(count));
    }
    world.settle(2);
    world
}

pub fn secret() -> Secret {
    Secret(code().to_text().to_string())
}

impl World {
    fn request_recovery(&mut self, index: usize, keep: &[usize]) -> Result<UnixTime, String> {
        let keep = keep.iter().map(|it| self.devices[*it].id().to_string()).collect();
        let command = Command::RequestRecovery { code: secret(), keep };
        match self.ask(index, command, Files::default()) {
            Ok(Response::RecoveryRequested(it)) => Ok(UnixTime(it.ready_at)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.code),
        }
    }

    fn complete_recovery(&mut self, index: usize) -> Result<u64, String> {
        let command = Command::CompleteRecovery { code: secret(), request: None };
        match self.ask(index, command, Files::default()) {
            Ok(Response::RecoveryCompleted(it)) => Ok(it.generation),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.code),
        }
    }

    fn recovery(&self, index: usize) -> RecoveryStatus {
        match self.node(index).read_command(&Command::RecoveryStatus).unwrap() {
            Response::RecoveryStatus(it) => it,
            other => panic!("{other:?}"),
        }
    }

    fn decides(&mut self, index: usize) {
        self.ask(index, Command::Snapshot, Files::default()).unwrap();
    }
}

/// INV-A17: one of three is left. It waits its time, restarts included, and goes on alone; a new device
/// joins it.
#[test]
fn the_last_device_goes_on_with_the_code() {
    for has_keys in [false, true] {
        let mut world = recoverable(1, 3, has_keys);
        world.stop(1);
        world.stop(2);
        assert_eq!(world.complete_recovery(0), Err("NoRecoveryRequest".to_owned()));
        let wrong = RecoveryCode::of_seed([8; 20]).to_text().to_string();
        let wrong = Command::RequestRecovery { code: Secret(wrong), keep: vec![] };
        let refused = world.ask(0, wrong, Files::default()).unwrap_err();
        assert_eq!(refused.code, "WrongRecoveryCode");
        let ready_at = world.request_recovery(0, &[]).unwrap();
        assert_eq!(ready_at, world.now.saturating_add(DELAY_SECONDS));
        world.settle(DELAY_SECONDS / 2);
        assert_eq!(world.complete_recovery(0), Err("TooEarly".to_owned()));
        world.stop(0);
        world.start(0);
        assert_eq!(world.complete_recovery(0), Err("TooEarly".to_owned()));
        world.settle(DELAY_SECONDS / 2 + 1);
        assert!(world.recovery(0).recovery_requests[0].ready);
        assert_eq!(world.complete_recovery(0), Ok(1));
        assert_eq!((world.status(0).devices, world.status(0).m), (1, 1));
        world.decides(0);
        world.stop(0);
        world.start(0);
        assert_eq!(world.recovery(0).generation, 1);

        let invite = Command::Invite { valid_seconds: 60, replaces: None };
        let ticket = match world.ask(0, invite, Files::default()).unwrap() {
            Response::Ticket(issued) => Ticket::from_text(&issued.ticket).unwrap(),
            other => panic!("{other:?}"),
        };
        let newcomer = identity(9);
        let id = world.join(0, JoinRequest::new(&ticket, &newcomer));
        let chain = world.joined(0, id).unwrap();
        let added = world.add(newcomer, chain);
        world.until(60, "the newcomer is there", |world| world.is_connected(0, added));
        world.decides(added);
        // Those that were lost belong to it no more.
        world.start(1);
        world.settle(5);
        assert!(!world.is_connected(0, 1));
        assert_eq!(world.recovery(1).generation, 0);
    }
}

/// Devices that stay follow, with whatever they were at; at whichever commit one of them is killed.
#[test]
fn devices_that_stay_follow() {
    let run = |crash: Option<usize>| {
        let mut world = recoverable(2, 4, true);
        world.settle(3);
        world.stop(2);
        world.stop(3);
        let id = world.command(1, Command::Snapshot, Files::default());
        world.request_recovery(0, &[1]).unwrap();
        world.settle(DELAY_SECONDS + 1);
        assert!(!world.devices[1].answers.contains_key(&id), "two of four decide nothing");
        let begin = world.devices[1].commits;
        world.devices[1].crash = crash.map(|nth| match nth % 2 {
            0 => Crash::Before(begin + nth / 2),
            _ => Crash::After(begin + nth / 2),
        });
        assert_eq!(world.complete_recovery(0), Ok(1));
        world.settle(3);
        if !world.is_up(1) {
            world.start(1);
        }
        world.devices[1].crash = None;
        world.settle(40);
        let commits = world.devices[1].commits - begin;
        assert_eq!((world.status(1).devices, world.status(1).m), (2, 2), "{crash:?}");
        world.decides(1);
        commits.min(12)
    };
    let commits = run(None);
    for nth in 0..2 * commits {
        run(Some(nth));
    }
}

/// m devices that are there do not let the account be taken from them.
#[test]
fn a_veto_stands_against_the_code() {
    let mut world = recoverable(3, 3, false);
    world.request_recovery(2, &[]).unwrap();
    world.settle(3);
    assert_eq!(world.recovery(0).recovery_requests.len(), 1);
    let veto = || Command::VetoRecovery { request: None };
    let first = world.command(0, veto(), Files::default());
    world.settle(5);
    assert!(!world.devices[0].answers.contains_key(&first), "one of three vetoes nothing");
    match world.ask(1, veto(), Files::default()).unwrap() {
        Response::RecoveryVetoed(_) => {}
        other => panic!("{other:?}"),
    }
    world.settle(DELAY_SECONDS + 1);
    assert!(world.devices[0].answers.contains_key(&first));
    assert_eq!(world.complete_recovery(2), Err("NoRecoveryRequest".to_owned()));
    assert!((0..3).all(|it| world.recovery(it).recovery_requests.is_empty()));
    // It can be asked for again.
    world.request_recovery(2, &[]).unwrap();
    assert_eq!(world.recovery(2).recovery_requests.len(), 1);
}

/// Two certificates for one slot: all stop, nobody is cut off for it, and the code leads out.
#[test]
fn a_frozen_account_is_recovered() {
    let mut world = recoverable(4, 3, false);
    let chain = recoverable_chain(3);
    let policy = |byte: u8| EntryBody::SetUpgradePolicy {
        app: AppId::from_bytes([byte; 32]),
        policy: UpgradePolicy::Minor,
    };
    for (index, voters, byte) in [(0, [0, 1], 1), (2, [1, 2], 2)] {
        let message = SyncMessage::Entries(vec![certify(&chain, &voters, policy(byte))]);
        let from = world.devices[1].id();
        world.input(index, Input::PeerMessage { from, message });
    }
    world.settle(35);
    assert!((0..3).all(|it| world.recovery(it).frozen_at == Some(3)), "all have seen both");
    assert!(world.devices.iter().all(|it| it.cut_off.is_empty()));
    let id = world.command(0, Command::Snapshot, Files::default());
    world.stop(0);
    world.start(0);
    world.settle(40);
    assert_eq!((world.status(0).ledger.entries, world.recovery(0).frozen_at), (4, Some(3)));
    let refused = world.devices[0].answers[&id].as_ref().unwrap_err();
    assert_eq!(refused.code, "ChainFrozen");
    world.request_recovery(0, &[1, 2]).unwrap();
    world.settle(DELAY_SECONDS + 1);
    assert_eq!(world.complete_recovery(0), Ok(1));
    world.settle(40);
    for index in 0..3 {
        let status = world.recovery(index);
        assert_eq!((status.generation, status.frozen_at), (1, None), "device {index}");
    }
    world.decides(2);
    assert!(world.devices.iter().all(|it| it.cut_off.is_empty()));
}
