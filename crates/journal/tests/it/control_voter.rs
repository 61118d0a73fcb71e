//! The voter: rules Q1 to Q4, with crashes, equivocators and lagging devices.

use aura_journal::control::{
    ChainError, ControlChain, ControlMessage, Entry, FUTURE_PER_AUTHOR_MAX, Lock, Observed,
    PROPOSALS_PER_AUTHOR_MAX, Phase, Slot, Vote, VoteRecord, Voter, VoterOutput,
};
use aura_protocol_core::{Digest, decode, encode};
use proptest::prelude::*;

use crate::{
    control_fixture::{Device, certified, chain_of, decide, devices, founded, value},
    control_votes::{AcceptAll, Net, Picky, Power, denied},
};

fn propose(slot: Slot, value: &Entry) -> ControlMessage {
    ControlMessage::Propose { slot, view: 0, value: Box::new(value.clone()) }
}

fn vote(slot: Slot, phase: Phase, value: &Entry, by: &Device) -> ControlMessage {
    let vote = Vote::sign(slot, phase, 0, value.hash(), &by.vote_key);
    ControlMessage::Vote(Box::new(vote))
}

/// Five devices, four of which decide, and a voter for the first.
fn five() -> (Vec<Device>, ControlChain, Voter) {
    let devices = devices(5);
    let chain = chain_of(&devices);
    (devices, chain, Voter::new(None))
}

fn poll(voter: &mut Voter, chain: &ControlChain, me: &Device) -> Vec<VoterOutput> {
    voter.poll(chain, &AcceptAll, Some(&me.vote_key))
}

/// The phases and values of the votes in `outputs`.
fn votes(outputs: &[VoterOutput]) -> Vec<(Phase, Digest)> {
    let vote = |output: &VoterOutput| match output {
        VoterOutput::Vote { vote, .. } => Some((vote.phase, vote.value)),
        _ => None,
    };
    outputs.iter().filter_map(vote).collect()
}

fn schedule() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0usize..5, 0usize..64), 1..80)
}

fn power() -> impl Strategy<Value = Power> {
    prop_oneof![6 => Just(Power::Stays), 1 => (0usize..3).prop_map(Power::FailsAfter)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// INV-J15: whatever the order of messages, all decide the one proposed value, also while one
    /// of the five never answers.
    #[test]
    fn five_decide_in_any_order(choices in schedule(), silent in any::<bool>()) {
        let mut net = Net::new(if silent { 4 } else { 5 }, usize::from(silent));
        net.propose(3, &value(1));
        net.run(&choices, &AcceptAll);
        for node in &net.nodes {
            prop_assert_eq!(node.chain.height(), 2);
            prop_assert_eq!(&node.chain.entries()[2].value, &value(1));
            prop_assert_eq!(node.chain.next_slot(), net.nodes[0].chain.next_slot());
        }
        prop_assert!(!net.voted_twice());
    }

    /// INV-J8, INV-J9, INV-J10: two proposals, two of five equivocate (2m − N = 3), devices crash
    /// between any two outputs and start again from what is on disk.
    #[test]
    fn two_values_are_never_both_certified(
        steps in prop::collection::vec((0usize..3, 0usize..64, power()), 1..160),
        repeats in any::<bool>(),
    ) {
        let mut net = Net::new(3, 2);
        net.propose(0, &value(1));
        net.propose(1, &value(2));
        net.equivocate(&[value(1), value(2)]);
        if repeats {
            net.equivocate(&[value(2), value(1)]);
        }
        for (at, which, power) in steps {
            net.deliver(at, which, &AcceptAll, power);
            prop_assert!(!net.voted_twice());
            prop_assert!(net.decided().len() <= 1);
        }
        net.run(&[(0, 1), (2, 5), (1, 3)], &AcceptAll);
        prop_assert!(net.decided().len() <= 1);
        for vote in &net.votes {
            prop_assert!(vote.phase == Phase::Prepare || is_prepared(&net, vote.value));
        }
    }

    /// INV-J8, INV-J9, INV-J10 across views: devices time out whenever they like, two of five sign
    /// whatever is asked in every view, power fails at any output, and nothing ever conflicts.
    #[test]
    fn views_never_certify_two_values(
        steps in prop::collection::vec((0usize..3, 0usize..64, power(), 0u8..8), 1..240),
    ) {
        let mut net = Net::new(3, 2);
        net.propose(0, &value(1));
        net.propose(1, &value(2));
        for view in 0..4 {
            net.equivocate_in(view, &[value(1), value(2)]);
            net.equivocate_in(view, &[value(2), value(1)]);
        }
        for (at, which, power, clock) in steps {
            if clock == 0 {
                net.time_out(at, &AcceptAll, power);
            } else {
                net.deliver(at, which, &AcceptAll, power);
            }
            prop_assert!(!net.voted_twice());
            prop_assert!(net.decided().len() <= 1);
        }
        net.run(&[(0, 1), (2, 5), (1, 3)], &AcceptAll);
        prop_assert!(net.decided().len() <= 1);
    }

    /// INV-J16: however the votes were split, a few views later all have decided one value, also with
    /// one device silent.
    #[test]
    fn a_split_vote_is_healed(
        honest in 2usize..6, silent in any::<bool>(), choices in schedule(),
    ) {
        let silent = usize::from(silent && 3 < honest);
        let mut net = Net::new(honest - silent, silent);
        for by in 0..net.nodes.len() {
            let own = value(u8::try_from(by).unwrap() + 1);
            net.propose(by, &own);
            // Each hears its own proposal first, and prepares it.
            let waiting = net.inboxes[by].len();
            net.deliver(by, waiting - 1, &AcceptAll, Power::Stays);
        }
        net.run(&choices, &AcceptAll);
        for _view in 0..4 {
            for at in 0..net.nodes.len() {
                net.time_out(at, &AcceptAll, Power::Stays);
            }
            net.run(&choices, &AcceptAll);
        }
        prop_assert_eq!(net.decided().len(), 1);
        for node in &net.nodes {
            prop_assert_eq!(node.chain.height(), 2);
        }
        prop_assert!(!net.voted_twice());
    }

    /// INV-J8: one device, both values before it, any message first, power failing at any output:
    /// what has left it names one value, even when its own units are lost with the memory.
    #[test]
    fn a_crash_never_makes_two_votes(
        steps in prop::collection::vec((0usize..64, power(), any::<bool>()), 1..40),
    ) {
        let mut net = Net::new(1, 4);
        net.equivocate(&[value(1), value(2)]);
        for (which, power, loses_units) in steps {
            net.deliver(0, which, &AcceptAll, power);
            if loses_units {
                let node = &mut net.nodes[0];
                node.durable_units.retain(|(author, _)| *author != node.device.id());
                node.restart();
            }
            prop_assert!(!net.voted_twice());
        }
    }
}

/// Whether a quorum stands behind `value`, as far as honest votes and willing equivocators go.
fn is_prepared(net: &Net, value: Digest) -> bool {
    let honest = net.votes.iter().filter(|it| it.phase == Phase::Prepare && it.value == value);
    let keys: std::collections::BTreeSet<_> = honest.map(|it| it.key).collect();
    4 <= keys.len() + net.equivocators.len()
}

/// INV-J10 is sharp: with 2m − N = 3 equivocators two values are certified, and the chain says so.
#[test]
fn too_many_equivocators_break_the_quorum_and_are_noticed() {
    let mut net = Net::new(2, 3);
    net.equivocate(&[value(1), value(2)]);
    for (at, wanted) in [(0, value(1)), (1, value(2))] {
        let is_for = |message: &ControlMessage| match message {
            ControlMessage::Propose { value, .. } => **value == wanted,
            ControlMessage::Vote(vote) => vote.value == wanted.hash(),
            other => panic!("unknown message {other:?}"),
        };
        net.inboxes[at].retain(|(_, message)| is_for(message));
        while !net.inboxes[at].is_empty() {
            net.deliver(at, 0, &AcceptAll, Power::Stays);
        }
    }
    assert_eq!(net.decided().len(), 2);
    let second = net.nodes[1].chain.entries()[2].clone();
    assert_eq!(net.nodes[0].chain.append(second), Err(ChainError::Conflict { k: 2 }));
}

/// One device alone goes through both phases and decides in one poll.
#[test]
fn one_voter_decides_alone() {
    let devices = devices(1);
    let mut chain = founded(&devices[0]);
    let mut voter = Voter::new(None);
    let message = propose(chain.next_slot(), &value(1));
    assert_eq!(voter.observe(&chain, devices[0].id(), &message), Observed::Counted);
    let outputs = poll(&mut voter, &chain, &devices[0]);
    let hash = value(1).hash();
    assert_eq!(votes(&outputs), [(Phase::Prepare, hash), (Phase::Commit, hash)]);
    let Some(VoterOutput::Decided(entry)) = outputs.last() else { panic!("{outputs:?}") };
    assert!(chain.append(entry.clone()).is_ok());
    assert_eq!(poll(&mut voter, &chain, &devices[0]), []);
    assert_eq!(voter.proposals().count(), 0);
}

/// INV-J8: after each output the record that came with it binds a device that starts again.
#[test]
fn a_restored_record_binds() {
    let (devices, chain, mut voter) = five();
    let (slot, me) = (chain.next_slot(), &devices[0]);
    let _first = voter.observe(&chain, me.id(), &propose(slot, &value(1)));
    let outputs = poll(&mut voter, &chain, me);
    let [VoterOutput::Vote { record, .. }] = outputs.as_slice() else { panic!("{outputs:?}") };
    let bytes = encode(record);
    let record: VoteRecord = decode(&bytes, bytes.len()).unwrap();

    // Only the other value is to be seen after the crash, and others have prepared it.
    let mut restored = Voter::new(Some(record));
    restored.observe(&chain, devices[1].id(), &propose(slot, &value(2)));
    for other in &devices[1..4] {
        restored.observe(&chain, other.id(), &vote(slot, Phase::Prepare, &value(2), other));
    }
    assert_eq!(poll(&mut restored, &chain, me), []);

    // A fourth prepares it: a quorum that a commit may join, which locks this device for good.
    restored.observe(&chain, devices[4].id(), &vote(slot, Phase::Prepare, &value(2), &devices[4]));
    let outputs = poll(&mut restored, &chain, me);
    let [VoterOutput::Vote { record, vote }] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert_eq!((vote.phase, vote.value), (Phase::Commit, value(2).hash()));
    assert_eq!(record.lock, Some(Lock { view: 0, value: value(2).hash() }));
    assert_eq!(record.prepared, Some(value(1).hash()));
    let mut locked = Voter::new(Some(*record));
    locked.observe(&chain, me.id(), &propose(slot, &value(1)));
    assert_eq!(poll(&mut locked, &chain, me), []);
}

/// INV-J8: a commit without a prepare spends the prepare too.
#[test]
fn nothing_is_prepared_after_a_commit() {
    let (devices, chain, mut voter) = five();
    let (slot, me) = (chain.next_slot(), &devices[0]);
    voter.observe(&chain, me.id(), &propose(slot, &value(1)));
    for other in &devices[1..] {
        voter.observe(&chain, other.id(), &vote(slot, Phase::Prepare, &value(1), other));
    }
    let denies = Picky { denies: [value(1).hash()].into(), ..Picky::default() };
    let outputs = voter.poll(&chain, &denies, Some(&me.vote_key));
    assert_eq!(votes(&outputs), [(Phase::Commit, value(1).hash())]);
    voter.observe(&chain, me.id(), &propose(slot, &value(2)));
    assert_eq!(votes(&poll(&mut voter, &chain, me)), []);
}

/// Q1: a device whose store was set back, or whose chain went another way, abstains.
#[test]
fn a_record_ahead_of_the_chain_forbids_to_vote() {
    let (devices, chain, _) = five();
    let (slot, me) = (chain.next_slot(), &devices[0]);
    let beside = Slot { parent: Digest::ZERO, ..slot };
    let above = Slot { k: slot.k + 1, ..slot };
    for slot_voted in [beside, above] {
        let record = VoteRecord { slot: slot_voted, view: 0, prepared: None, lock: None };
        let mut voter = Voter::new(Some(record));
        voter.observe(&chain, me.id(), &propose(slot, &value(1)));
        let outputs = poll(&mut voter, &chain, me);
        assert!(matches!(outputs.as_slice(), [VoterOutput::Waiting { .. }]), "{outputs:?}");
    }
    let below = Slot { k: slot.k - 1, ..slot };
    let record = VoteRecord { slot: below, view: 0, prepared: Some(Digest::ZERO), lock: None };
    let mut voter = Voter::new(Some(record));
    voter.observe(&chain, me.id(), &propose(slot, &value(1)));
    assert_eq!(votes(&poll(&mut voter, &chain, me)), [(Phase::Prepare, value(1).hash())]);
}

/// INV-J10: a device that is locked votes in later views for what it is locked on, unless a quorum
/// prepared something else after its lock.
#[test]
fn a_lock_gives_way_only_to_a_later_quorum() {
    let (devices, chain, _) = five();
    let (slot, me) = (chain.next_slot(), &devices[0]);
    let lock = Some(Lock { view: 0, value: value(1).hash() });
    let locked = VoteRecord { slot, view: 2, prepared: None, lock };
    let mut voter = Voter::new(Some(locked));
    voter.observe(&chain, devices[1].id(), &propose(slot, &value(2)));
    assert_eq!(votes(&poll(&mut voter, &chain, me)), [], "locked on something else");
    for by in &devices[1..] {
        let vote = Vote::sign(slot, Phase::Prepare, 1, value(2).hash(), &by.vote_key);
        voter.observe(&chain, by.id(), &ControlMessage::Vote(Box::new(vote)));
    }
    assert_eq!(votes(&poll(&mut voter, &chain, me)), [(Phase::Prepare, value(2).hash())]);

    // What it is locked on it prepares again, even if its policy has turned against it.
    let mut voter = Voter::new(Some(locked));
    voter.observe(&chain, devices[1].id(), &propose(slot, &value(1)));
    let denies = Picky { denies: [value(1).hash()].into(), ..Picky::default() };
    let outputs = voter.poll(&chain, &denies, Some(&me.vote_key));
    assert_eq!(votes(&outputs), [(Phase::Prepare, value(1).hash())]);
}

/// One value that waits for votes waits as long as it takes; two are contended.
#[test]
fn only_a_contended_slot_times_out() {
    let (devices, chain, mut voter) = five();
    let (slot, me) = (chain.next_slot(), &devices[0]);
    voter.observe(&chain, me.id(), &propose(slot, &value(1)));
    assert_eq!(votes(&poll(&mut voter, &chain, me)).len(), 1);
    voter.time_out();
    assert_eq!((voter.contended(), votes(&poll(&mut voter, &chain, me))), (None, vec![]));
    voter.observe(&chain, devices[1].id(), &propose(slot, &value(2)));
    assert_eq!(voter.contended(), Some((slot, 0)));
    voter.time_out();
    let phases: Vec<Phase> =
        votes(&poll(&mut voter, &chain, me)).into_iter().map(|(phase, _)| phase).collect();
    assert_eq!(phases, [Phase::NewView, Phase::Prepare]);
    assert_eq!(voter.contended(), Some((slot, 1)));
    // A quorum that is further ahead takes it along without any timeout.
    for by in &devices[1..] {
        let vote = Vote::sign(slot, Phase::NewView, 5, Digest::ZERO, &by.vote_key);
        voter.observe(&chain, by.id(), &ControlMessage::Vote(Box::new(vote)));
    }
    poll(&mut voter, &chain, me);
    assert_eq!(voter.contended(), Some((slot, 5)));
}

#[test]
fn a_policy_that_waits_votes_later_and_one_that_denies_never() {
    let (devices, chain, mut voter) = five();
    let (slot, me, hash) = (chain.next_slot(), &devices[0], value(1).hash());
    voter.observe(&chain, devices[1].id(), &propose(slot, &value(1)));
    let denies = Picky { denies: [hash].into(), ..Picky::default() };
    let outputs = voter.poll(&chain, &denies, Some(&me.vote_key));
    assert_eq!(outputs, [VoterOutput::Denied { value: hash, denied: denied() }]);
    let waits = Picky { waits: [hash].into(), ..Picky::default() };
    for _ in 0..2 {
        let outputs = voter.poll(&chain, &waits, Some(&me.vote_key));
        assert_eq!(outputs, [VoterOutput::Waiting { value: hash, reason: "later".to_owned() }]);
    }
    assert_eq!(voter.record(), None);
    assert_eq!(votes(&poll(&mut voter, &chain, me)), [(Phase::Prepare, hash)]);
    assert_eq!(poll(&mut voter, &chain, me), []);
}

/// It joins the value that more have prepared; among equals the least hash, whoever proposed it.
#[test]
fn a_voter_does_not_prefer_its_own_value() {
    let (devices, chain, mut voter) = five();
    let (slot, me) = (chain.next_slot(), &devices[0]);
    let mut values = [value(1), value(2), value(3)];
    values.sort_by_key(Entry::hash);
    let [least, _, greatest] = &values;
    voter.observe(&chain, me.id(), &propose(slot, greatest));
    voter.observe(&chain, devices[1].id(), &propose(slot, &values[1]));
    voter.observe(&chain, devices[2].id(), &propose(slot, least));
    let mut joining = voter.clone();
    assert_eq!(votes(&poll(&mut voter, &chain, me)), [(Phase::Prepare, least.hash())]);
    joining.observe(&chain, me.id(), &vote(slot, Phase::Prepare, &values[1], &devices[3]));
    assert_eq!(votes(&poll(&mut joining, &chain, me)), [(Phase::Prepare, values[1].hash())]);
}

#[test]
fn without_a_vote_key_decisions_are_still_learnt() {
    let (devices, chain, mut voter) = five();
    let slot = chain.next_slot();
    voter.observe(&chain, devices[1].id(), &propose(slot, &value(1)));
    for by in &devices[1..] {
        voter.observe(&chain, by.id(), &vote(slot, Phase::Commit, &value(1), by));
    }
    let outputs = voter.poll(&chain, &AcceptAll, None);
    let [VoterOutput::Decided(entry)] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert_eq!(entry.certificate.votes.len(), 4);
    // A key that is no voter's of this configuration is no key.
    let stranger = devices[0].unit_key.public();
    assert!(chain.config().voter_with_key(&stranger).is_none());
    assert_eq!(voter.poll(&chain, &AcceptAll, Some(&devices[0].unit_key)), outputs);
}

/// INV-J14: what does not count, does not count here either.
#[test]
fn bad_messages_are_told_apart() {
    let (devices, chain, mut voter) = five();
    let slot = chain.next_slot();
    let author = devices[1].id();
    let mut observe = |message: &ControlMessage| voter.observe(&chain, author, message);
    let stranger = crate::control_fixture::device("stranger");
    let message = vote(slot, Phase::Prepare, &value(1), &stranger);
    assert_eq!(observe(&message), Observed::NotAVoter);
    let mut forged = Vote::sign(slot, Phase::Prepare, 0, value(1).hash(), &devices[1].vote_key);
    forged.value = value(2).hash();
    assert_eq!(observe(&ControlMessage::Vote(Box::new(forged))), Observed::BadSignature);
    let message = vote(slot, Phase::Prepare, &value(1), &devices[2]);
    assert_eq!(observe(&message), Observed::Counted);
    assert_eq!(observe(&message), Observed::Known);
    let beside = Slot { parent: Digest::ZERO, ..slot };
    assert_eq!(observe(&propose(beside, &value(1))), Observed::Elsewhere);
    let below = chain.entries()[1].slot;
    assert_eq!(observe(&propose(below, &value(1))), Observed::Elsewhere);
    let later_view = ControlMessage::Propose { slot, view: 99, value: Box::new(value(1)) };
    assert_eq!(observe(&later_view), Observed::Elsewhere);
    let genesis = chain.entries()[0].value.clone();
    assert_eq!(observe(&propose(slot, &genesis)), Observed::Invalid(ChainError::SecondGenesis));
    assert_eq!(observe(&propose(slot, &value(1))), Observed::Counted);
    assert_eq!(observe(&propose(slot, &value(1))), Observed::Known);
}

/// A device that is behind keeps what it hears of the open slot, and uses it once it is there.
#[test]
fn messages_of_future_slots_are_used_after_the_advance() {
    let (devices, chain, mut voter) = five();
    let mut ahead = chain.clone();
    let decision = certified(&chain, value(1), &devices[1..]);
    assert!(ahead.append(decision.clone()).is_ok());
    let slot = ahead.next_slot();
    for by in &devices[1..] {
        let message = vote(slot, Phase::Commit, &value(2), by);
        assert_eq!(voter.observe(&chain, by.id(), &message), Observed::Kept);
    }
    let proposal = propose(slot, &value(2));
    assert_eq!(voter.observe(&chain, devices[1].id(), &proposal), Observed::Kept);
    assert_eq!(voter.observe(&chain, devices[1].id(), &proposal), Observed::Known);
    assert_eq!(poll(&mut voter, &chain, &devices[0]), []);
    let mut chain = chain;
    assert!(chain.append(decision).is_ok());
    voter.advance(&chain);
    assert_eq!(voter.proposals().count(), 1);
    let outputs = voter.poll(&chain, &AcceptAll, None);
    assert!(matches!(outputs.as_slice(), [VoterOutput::Decided(_)]), "{outputs:?}");
}

/// INV-J11
#[test]
fn one_sender_cannot_use_up_the_room_of_others() {
    let (devices, chain, mut voter) = five();
    let slot = chain.next_slot();
    let (flooder, other) = (devices[1].id(), devices[2].id());
    for number in 0..100 {
        let observed = voter.observe(&chain, flooder, &propose(slot, &value(number)));
        let has_room = usize::from(number) < PROPOSALS_PER_AUTHOR_MAX;
        assert_eq!(observed == Observed::Counted, has_room, "{observed:?}");
    }
    assert_eq!(voter.observe(&chain, other, &propose(slot, &value(200))), Observed::Counted);
    assert_eq!(voter.proposals().count(), PROPOSALS_PER_AUTHOR_MAX + 1);
    // Its votes run out as well, for itself.
    let of_flooder = |number| vote(slot, Phase::Prepare, &value(number), &devices[1]);
    let counted = (0..100).map(|it| voter.observe(&chain, flooder, &of_flooder(it)));
    assert!(counted.filter(|it| *it == Observed::Counted).count() <= PROPOSALS_PER_AUTHOR_MAX);

    // Of the future the newest stay: those for the slot that the account is at.
    let mut ahead = chain.clone();
    decide(&mut ahead, value(1), &devices[1..]);
    let open = ahead.next_slot();
    assert_eq!(voter.observe(&chain, other, &propose(open, &value(201))), Observed::Kept);
    for number in 0..100 {
        let message = propose(Slot { k: u64::MAX, ..open }, &value(number));
        assert_eq!(voter.observe(&chain, flooder, &message), Observed::Kept);
    }
    for number in 0..FUTURE_PER_AUTHOR_MAX as u8 {
        let message = propose(open, &value(number));
        assert_eq!(voter.observe(&chain, devices[3].id(), &message), Observed::Kept);
    }
    voter.advance(&ahead);
    assert_eq!(voter.proposals().count(), 1 + PROPOSALS_PER_AUTHOR_MAX);
    assert!(voter.proposals().any(|(_, it)| *it == value(201)));
}
