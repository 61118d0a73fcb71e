//! Guardians, on whole accounts: they bring an account back with the same keys, and too few of them, or too
//! soon, or against somebody's word, do nothing.

use aura_agent::{
    AgentError,
    api::{Command, Guardians, RecoveryStatus, Response, SecretHex},
    join::JoinRequest,
    node::Files,
    ticket::Ticket,
};

use crate::{
    recovery,
    world::{Crash, World, identity},
};

/// How long the guardians of these accounts wait, in seconds.
const DELAY_SECONDS: u64 = 40;

impl World {
    #[track_caller]
    fn tell(&mut self, index: usize, command: Command) -> Response {
        self.ask(index, command, Files::default()).unwrap()
    }

    fn refused(&mut self, index: usize, command: Command) -> String {
        let refused: AgentError = self.ask(index, command, Files::default()).unwrap_err();
        refused.code
    }

    #[track_caller]
    fn ticket(&mut self, index: usize, command: Command) -> Ticket {
        match self.tell(index, command) {
            Response::Ticket(issued) => Ticket::from_text(&issued.ticket).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Somebody joins as a guardian, by an invitation of device 0.
    fn add_guardian(&mut self) -> usize {
        let guardian = identity(self.devices.len());
        let ticket = self.ticket(0, Command::AddGuardian { valid_seconds: 60 });
        let id = self.join(0, JoinRequest::new(&ticket, &guardian));
        let chain = self.joined(0, id).unwrap();
        let added = self.add(guardian, chain);
        self.until(60, "the guardian is connected", |it| it.is_connected(0, added));
        added
    }

    fn guardian_list(&self, index: usize) -> Guardians {
        match self.node(index).read_command(&Command::Guardians).unwrap() {
            Response::Guardians(it) => it,
            other => panic!("{other:?}"),
        }
    }

    fn recovers(&self, index: usize) -> RecoveryStatus {
        match self.node(index).read_command(&Command::RecoveryStatus).unwrap() {
            Response::RecoveryStatus(it) => it,
            other => panic!("{other:?}"),
        }
    }

    /// A new device asks a guardian to be let in. Says under which identity it asks.
    fn ask_in(&mut self, guardian: usize) -> (usize, JoinRequest) {
        let new = self.devices.len();
        let ticket = self.ticket(guardian, Command::InviteRecovered { valid_seconds: 10_000 });
        let request = JoinRequest::new(&ticket, &identity(new));
        let id = self.join(guardian, request.clone());
        assert_eq!(self.joined(guardian, id).unwrap_err(), "RecoveryWaits");
        (new, request)
    }

    fn ask_guardians(&mut self, guardian: usize, keep: &[usize]) {
        let keep = keep.iter().map(|it| self.devices[*it].id().to_string()).collect();
        match self.tell(guardian, Command::AskGuardians { keep, new: vec![] }) {
            Response::RecoveryRequested(_) => self.settle(2),
            other => panic!("{other:?}"),
        }
    }

    fn approve(&mut self, guardian: usize) {
        match self.tell(guardian, Command::ApproveRecovery { request: None }) {
            Response::RecoveryApproved(_) => self.settle(1),
            other => panic!("{other:?}"),
        }
    }

    /// The new device hears that it is in, and starts.
    fn let_in(&mut self, guardian: usize, request: &JoinRequest) -> usize {
        let id = self.join(guardian, request.clone());
        let chain = self.joined(guardian, id).unwrap();
        self.add(identity(self.devices.len()), chain)
    }

    #[track_caller]
    fn until_back(&mut self, devices: &[usize]) {
        let is_back = |world: &Self| {
            devices.iter().all(|it| {
                world.recovers(*it).keys_are_back && world.status(*it).keys.share == Some(true)
            })
        };
        for _ in 0..300 {
            if is_back(self) {
                return;
            }
            self.settle(1);
        }
        panic!("the keys are not back: {}", self.logs());
    }

    fn logs(&self) -> String {
        let logs: Vec<String> = self.devices.iter().map(|it| it.log.join("\n")).collect();
        logs.join("\n\n")
    }
}

/// An account of these many devices that has used its keys, with as many guardians of which it takes `needed`.
/// Gives the derived key.
fn guarded(seed: u64, devices: usize, guardians: usize, needed: u16) -> (World, SecretHex) {
    let mut world = World::with_key_stores(seed, devices);
    if 1 < devices {
        world.until_keys();
    }
    let key = world.derive(0, "photos").unwrap().key;
    for _ in 0..guardians {
        world.add_guardian();
    }
    world.settle(3);
    let setup = || Command::SetUpRecovery { needed: Some(needed), delay_seconds: DELAY_SECONDS };
    let voters = usize::from(world.status(0).m);
    for index in 0..voters {
        match world.tell(index, setup()) {
            Response::RecoverySetUp(it) => assert_eq!(usize::from(it.votes_needed), voters),
            other => panic!("{other:?}"),
        }
    }
    world.until(300, "the guardians recover the account", |world| {
        world.guardian_list(devices).guardians.iter().filter(|it| it.recovers).count() == guardians
    });
    world.settle(3);
    assert_eq!(world.guardian_list(0).needed, needed);
    assert_eq!(world.derive(0, "photos").unwrap().key, key, "shares stay where they are");
    (world, key)
}

/// INV-A18, INV-A19: two of three devices are lost. A new one comes in, two of three guardians approve and wait
/// their time, and the account goes on with the same keys; what the lost devices held is worth nothing.
#[test]
fn guardians_bring_an_account_back() {
    for seed in 0..2 {
        let (mut world, key) = guarded(seed, 3, 3, 2);
        let group_key = world.status(0).keys.group_key;
        world.stop(1);
        world.stop(2);
        let (new, request) = world.ask_in(3);
        world.ask_guardians(3, &[0]);
        assert_eq!(world.recovers(0).recovery_requests.len(), 1, "the others see it");
        world.approve(3);
        let complete = || Command::CompleteByGuardians { request: None };
        assert_eq!(world.refused(3, complete()), "TooFewApprovals");
        world.settle(DELAY_SECONDS + 2);
        assert_eq!(world.recovers(0).generation, 0, "one of three guardians does nothing");
        world.approve(4);
        assert_eq!(world.refused(4, complete()), "TooEarly");
        world.settle(DELAY_SECONDS - 5);
        assert_eq!(world.recovers(0).generation, 0, "each waits its own time");
        world.until(60, "the account goes on", |it| it.recovers(0).generation == 1);
        world.settle(3);
        assert!(matches!(world.tell(4, complete()), Response::RecoveryCompleted(_)));
        assert_eq!(world.let_in(3, &request), new);
        world.until_back(&[0, new]);
        world.settle(3);
        for index in [0, new] {
            assert_eq!(world.derive(index, "photos").unwrap().key, key, "{seed} {index}");
            assert_eq!(world.status(index).keys.group_key, group_key);
        }
        assert_eq!((world.status(0).m, world.status(0).keys.needed), (2, 2));
        assert_eq!(world.guardian_list(0).needed, 2, "they guard it still");
        // Those that were lost are in it no more.
        world.start(1);
        world.settle(5);
        assert!(!world.is_connected(0, 1) && !world.is_connected(1, 3));
    }
}

/// All devices are lost: guardians alone bring the account back to a new one, whichever of all is killed at
/// whichever step.
#[test]
fn a_crash_at_any_commit_delays_a_recovery() {
    let run = |crash: Option<(usize, usize)>| {
        let (mut world, key) = guarded(3, 1, 2, 2);
        world.stop(0);
        let (new, request) = world.ask_in(1);
        world.ask_guardians(1, &[]);
        world.approve(1);
        world.approve(2);
        world.until(120, "the account goes on", |it| it.recovers(2).generation == 1);
        world.settle(3);
        assert_eq!(world.let_in(1, &request), new);
        let begin: Vec<usize> = world.devices.iter().map(|it| it.commits).collect();
        if let Some((victim, nth)) = crash {
            let at = begin[victim] + nth;
            world.devices[victim].crash =
                Some(if nth % 2 == 0 { Crash::Before(at) } else { Crash::After(at) });
        }
        for _ in 0..40 {
            world.settle(10);
            for index in [1, 2, new] {
                if !world.is_up(index) {
                    world.devices[index].crash = None;
                    world.start(index);
                }
            }
            if world.is_up(new) && world.recovers(new).keys_are_back {
                break;
            }
        }
        let what = format!("{crash:?}: {}", world.devices[1].log.join("\n"));
        assert!(world.recovers(new).keys_are_back, "{what}");
        // One that has not come yet would hit what follows.
        world.devices.iter_mut().for_each(|it| it.crash = None);
        world.settle(5);
        assert_eq!(world.derive(new, "photos").unwrap().key, key, "{what}");
        world.devices.iter().zip(begin).map(|(it, begin)| it.commits - begin).collect::<Vec<_>>()
    };
    let commits = run(None);
    for victim in [1, 3] {
        assert!(10 < commits[victim], "{commits:?}");
        for nth in (victim..commits[victim]).step_by(7) {
            run(Some((victim, nth)));
        }
    }
}

/// The first objection ends a request. After it the wait doubles, one guardian more has to approve, and one
/// device's word ends nothing.
#[test]
fn an_objection_ends_a_recovery_once() {
    let (mut world, key) = guarded(4, 2, 3, 2);
    world.stop(1);
    let veto = || Command::VetoRecovery { request: None };
    world.ask_guardians(2, &[0]);
    world.approve(2);
    world.approve(3);
    assert!(matches!(world.tell(0, veto()), Response::RecoveryVetoed(_)));
    world.settle(2 * DELAY_SECONDS);
    for index in [0, 2, 3, 4] {
        let status = world.recovers(index);
        assert_eq!((status.generation, status.recovery_requests.len()), (0, 0), "{index}");
        assert_eq!(status.objections_before, 1);
    }
    world.ask_guardians(2, &[0]);
    world.approve(2);
    world.approve(3);
    assert!(matches!(world.tell(0, veto()), Response::RecoveryVetoed(_)));
    world.settle(2 * DELAY_SECONDS + 5);
    assert_eq!(world.recovers(0).generation, 0, "one guardian more has to approve");
    world.approve(4);
    world.settle(DELAY_SECONDS);
    assert_eq!(world.recovers(4).recovery_requests[0].signed.len(), 2, "it waits twice as long");
    world.until(2 * DELAY_SECONDS, "the account goes on", |it| it.recovers(0).generation == 1);
    world.until_back(&[0]);
    assert_eq!(world.derive(0, "photos").unwrap().key, key);
    assert_eq!(world.recovers(2).objections_before, 0);
}

/// Whoever asked takes it back; a guardian whose person said nothing takes part in nothing; as many devices as
/// decide end any request.
#[test]
fn what_is_taken_back_or_refused_comes_to_nothing() {
    let (mut world, _) = guarded(5, 3, 2, 2);
    let cancel = || Command::CancelRecovery { request: None };
    let veto = || Command::VetoRecovery { request: None };
    world.ask_guardians(3, &[0]);
    world.approve(3);
    assert_eq!(world.refused(4, cancel()), "NotYours");
    assert_eq!(world.refused(0, Command::ApproveRecovery { request: None }), "NotAGuardian");
    match world.tell(0, Command::NudgeGuardians { request: None }) {
        Response::RecoveryNudged(it) => assert_eq!(it.nudged, ["device-4"]),
        other => panic!("{other:?}"),
    }
    world.settle(2);
    assert!(world.devices[4].log.iter().any(|it| it.contains("an answer is waited for")));
    assert!(matches!(world.tell(3, cancel()), Response::RecoveryCancelled(_)));
    world.settle(2);
    assert_eq!(world.refused(4, Command::ApproveRecovery { request: None }), "NoRecoveryRequest");
    assert_eq!(world.recovers(0).objections_before, 0, "nobody objected");

    world.ask_guardians(3, &[0]);
    world.approve(3);
    world.settle(2 * DELAY_SECONDS);
    let status = world.recovers(3);
    assert_eq!((status.generation, status.recovery_requests[0].signed.len()), (0, 0));
    assert!(matches!(world.tell(4, veto()), Response::RecoveryVetoed(_)));
    world.settle(2);
    world.ask_guardians(3, &[0]);
    world.approve(3);
    world.approve(4);
    world.settle(2);
    for index in [0, 1] {
        assert!(matches!(world.tell(index, veto()), Response::RecoveryVetoed(_)));
    }
    world.settle(2 * DELAY_SECONDS + 5);
    assert_eq!(world.recovers(0).generation, 0, "m devices want none of it");
}

/// INV-A18: guardians come in, get their shares and take the place of whoever recovered the account before by the
/// words of m persons; guardians decide nothing.
#[test]
fn guardians_have_no_other_part() {
    let mut world = World::with_key_stores(6, 2);
    world.until_keys();
    let (one, other) = (world.add_guardian(), world.add_guardian());
    let setup = |needed| Command::SetUpRecovery { needed, delay_seconds: DELAY_SECONDS };
    assert_eq!(world.refused(0, setup(Some(3))), "BadThreshold");
    assert_eq!(world.refused(0, setup(Some(1))), "BadThreshold");
    assert_eq!(world.refused(one, setup(None)), "GuardianOnly");
    assert_eq!(world.refused(one, Command::DeriveKey { context: "photos".into() }), "GuardianOnly");
    let invite = Command::Invite { valid_seconds: 60, replaces: None };
    assert_eq!(world.refused(one, invite), "GuardianOnly");
    world.tell(0, setup(None));
    world.settle(100);
    assert_eq!(world.guardian_list(0).needed, 0, "one person decides nothing");
    world.tell(1, setup(None));
    world.until(300, "they recover the account", |it| it.guardian_list(one).needed == 2);
    world.settle(3);
    assert_eq!(world.status(one).keys.share, Some(true));
    let remove = Command::Remove { device: world.devices[other].id().to_string() };
    assert_eq!(world.refused(0, remove), "TooFewGuardians");
    // They vote on nothing, and nothing waits for them.
    assert_eq!((world.status(0).m, world.status(0).devices), (2, 4));
    world.stop(one);
    world.stop(other);
    assert!(matches!(world.tell(0, Command::Snapshot), Response::SnapshotTaken(_)));
}

/// INV-A18: guardians take the printed code's place after its delay, restarts included, and then it does nothing.
#[test]
fn guardians_take_the_codes_place_after_its_delay() {
    let mut world = recovery::recoverable(7, 2, true);
    world.until_keys();
    let begin = world.now;
    let (one, other) = (world.add_guardian(), world.add_guardian());
    world.settle(3);
    for index in [0, 1] {
        world.tell(index, Command::SetUpRecovery { needed: None, delay_seconds: 1 });
    }
    world.settle(recovery::DELAY_SECONDS / 2);
    for index in [0, 1, one, other] {
        world.stop(index);
        world.start(index);
    }
    world.settle(5);
    let list = world.guardian_list(0);
    assert_eq!((list.needed, list.delay_seconds), (0, recovery::DELAY_SECONDS));
    assert!(begin.0 + recovery::DELAY_SECONDS <= list.wanted_not_before.unwrap());
    world.settle(120);
    assert_eq!(world.guardian_list(one).needed, 2, "{}", world.logs());
    assert!(begin.0 + recovery::DELAY_SECONDS <= world.now.0);
    world.settle(3);
    assert_eq!(
        (world.guardian_list(0).delay_seconds, world.guardian_list(0).wanted_not_before),
        (1, None)
    );
    let code = Command::RequestRecovery { code: recovery::secret(), keep: vec![] };
    assert_eq!(world.refused(0, code), "GuardedAccount");
}
