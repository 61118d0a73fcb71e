//! The model of the control chain's rule: what it must find, and that it is the voter's own.

use aura_journal::control::{
    ControlMessage, Denied, Entry, EntryPolicy, Phase, Slot, Verdict, Vote, VoteRecord, Voter,
    VoterOutput,
};
use aura_protocol_core::{DeviceId, Digest};
use aura_simulator::{
    certificates::{
        Board, Finding, Fleet, Local, Memory, Must, Rule, SlotModel, VIEWS, Value,
        certificate_suite,
    },
    draw::mix,
};

fn explore((devices, m, equivocators): (u8, u8, u8), rule: Rule) -> Finding {
    let fleet = Fleet { devices, m, equivocators };
    SlotModel { fleet, rule, every_state: false }.explore().unwrap().1
}

/// INV-M7: 2m − N equivocators are enough, and each rule is needed. The sizes that take longer are
/// explored by the suite of models.
#[test]
fn what_is_broken_is_found() {
    for (fleet, rule) in [
        ((3, 2, 1), Rule::Kept),
        ((3, 2, 0), Rule::NoLock),
        ((3, 2, 0), Rule::SendsFirst),
        ((3, 2, 0), Rule::RestoredVote),
    ] {
        let found = explore(fleet, rule);
        let Finding::Conflict(steps) = &found else { panic!("{fleet:?} {rule:?}: {found}") };
        assert!(steps.iter().any(|it| it.contains("commits a")), "{steps:#?}");
        assert!(steps.iter().any(|it| it.contains("commits b")), "{steps:#?}");
    }
}

/// INV-M8: a height has one slot as long as its parent is a decision.
#[test]
fn a_parent_is_a_decision() {
    let cases = certificate_suite();
    let parents: Vec<_> = cases.iter().filter(|it| it.name.contains("parent")).collect();
    assert_eq!(
        parents.iter().map(|it| it.must).collect::<Vec<_>>(),
        [Must::Hold, Must::Hold, Must::Part, Must::Conflict]
    );
    for case in parents {
        let (_, finding, fits) = case.run().unwrap();
        assert!(fits, "{}: {finding}", case.name);
    }
}

/// A device of a real run.
struct Device {
    voter: Voter,
    record: Option<VoteRecord>,
    seen: Vec<usize>,
}

struct Wants(Vec<Digest>);

impl EntryPolicy for Wants {
    fn check(&self, _: &Slot, value: &Entry) -> Verdict {
        if self.0.contains(&value.hash()) {
            return Verdict::Accept;
        }
        Verdict::Deny(Denied { code: "NotWanted".to_owned(), reason: "no".to_owned() })
    }
}

/// Draws from a seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = mix(self.0);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

fn memory(local: &Local, record: Option<VoteRecord>) -> Memory {
    let hash = |it: Digest| {
        Value::BOTH.into_iter().find(|value| local.entry(*value).hash() == it).unwrap()
    };
    record.map_or_else(Memory::default, |it| Memory {
        view: u8::try_from(it.view).unwrap(),
        prepared: it.prepared.map(hash),
        lock: it.lock.map(|lock| (u8::try_from(lock.view).unwrap(), hash(lock.value))),
    })
}

/// All that is on the board for a device in this view, as the model puts it.
fn board(local: &Local, votes: &[Vote], view: u8, (devices, m): (usize, usize)) -> Board {
    let bits = |least: usize, view: u8| {
        let count = |value: Value| {
            let hash = local.entry(value).hash();
            let of = |it: &&Vote| {
                it.phase == Phase::Prepare && it.view == u64::from(view) && it.value == hash
            };
            votes.iter().filter(of).count()
        };
        (0_u8..).zip(Value::BOTH).filter(|(_, it)| least <= count(*it)).map(|(it, _)| it + 1).sum()
    };
    let mut prepared = [0; VIEWS as usize];
    for before in 0..=view {
        prepared[usize::from(before)] = bits(m, before);
    }
    let entered = (view + 1..VIEWS).rev().find(|target| {
        let of = |it: &&Vote| it.phase == Phase::NewView && u64::from(*target) <= it.view;
        let keys: std::collections::BTreeSet<_> =
            votes.iter().filter(of).map(|it| it.key).collect();
        devices - m < keys.len()
    });
    Board { prepared, begun: bits(1, view), entered: entered.unwrap_or_default() }
}

/// INV-M6: real voters, with memory that lasts until it is lost, cast nothing that the model leaves
/// out: neither in a poll of several votes nor after any part of what was said.
#[test]
fn the_model_lets_voters_do_all_that_they_do() {
    for (devices, m, runs) in [(3, 2, 60), (4, 3, 60)] {
        let mut local = Local::found(devices, m).unwrap();
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..runs {
            kinds.extend(real_run(&mut local, seed));
        }
        // All that a run of three views can show was seen.
        assert!(kinds.contains(&(Phase::Commit, 1)), "{kinds:?}");
        assert!(kinds.contains(&(Phase::Prepare, 2)), "{kinds:?}");
        assert!(kinds.contains(&(Phase::NewView, 1)), "{kinds:?}");
    }
}

fn real_run(local: &mut Local, seed: u64) -> Vec<(Phase, u8)> {
    let (chain, slot) = (local.chain().clone(), local.slot());
    let (count, m) = (local.keys().len(), usize::from(chain.config().m));
    let author = DeviceId::from_bytes([0; 32]);
    let propose = |local: &Local, value| {
        let value = Box::new(local.entry(value).clone());
        ControlMessage::Propose { slot, view: 0, value }
    };
    let proposals = Value::BOTH.map(|it| propose(local, it));
    let fresh = || Device { voter: Voter::new(None), record: None, seen: Vec::new() };
    let mut all: Vec<Device> = (0..count).map(|_| fresh()).collect();
    let (mut votes, mut kinds, mut draw) = (Vec::<Vote>::new(), Vec::new(), Draw(seed));
    for _ in 0..240 {
        let device = &mut all[draw.below(count)];
        match draw.below(24) {
            0 => device.voter.time_out(),
            1 => {
                // Its memory is lost, and part of what it had seen.
                device.voter = Voter::new(device.record);
                device.seen.retain(|it| it % 3 != 0);
                for vote in &device.seen {
                    let message = ControlMessage::Vote(Box::new(votes[*vote].clone()));
                    device.voter.observe(&chain, author, &message);
                }
            }
            2..6 => {
                let proposal = &proposals[draw.below(2)];
                device.voter.observe(&chain, author, proposal);
            }
            _ if votes.is_empty() => {}
            _ => {
                let at = draw.below(votes.len());
                device.seen.push(at);
                let message = ControlMessage::Vote(Box::new(votes[at].clone()));
                device.voter.observe(&chain, author, &message);
            }
        }
        let wants = [vec![], vec![Value::A], vec![Value::B], Value::BOTH.to_vec()];
        let wanted = wants[draw.below(4)].iter().map(|it| local.entry(*it).hash()).collect();
        let index = draw.below(count);
        let device = &mut all[index];
        let outputs = device.voter.poll(&chain, &Wants(wanted), Some(&local.keys()[index]));
        for output in outputs {
            let VoterOutput::Vote { record, vote } = output else { continue };
            let Some(cast) = local.read(&record, &vote) else { return kinds };
            let before = memory(local, device.record);
            let board = board(local, &votes, before.view, (count, m));
            let known = local.casts(before, board, true);
            assert!(known.contains(&cast), "seed {seed}: {cast:?} of {before:?} and {board:?}");
            kinds.push((vote.phase, cast.memory.view));
            device.record = Some(record);
            device.seen.push(votes.len());
            votes.push(*vote);
        }
    }
    kinds
}
