//! Several voters over a network that loses, repeats, delays and reorders, with crashes.

use std::collections::{BTreeMap, BTreeSet};

use aura_journal::control::{
    Appended, CertifiedEntry, ControlChain, ControlMessage, Denied, Entry, EntryPolicy, Phase,
    Slot, Verdict, Vote, VoteRecord, Voter, VoterOutput,
};
use aura_protocol_core::{DeviceId, Digest};

use crate::control_fixture::{Device, chain_of, devices};

/// A policy that wants everything.
pub struct AcceptAll;

impl EntryPolicy for AcceptAll {
    fn check(&self, _: &Slot, _: &Entry) -> Verdict {
        Verdict::Accept
    }
}

/// A policy that waits for some values, denies some, and wants the rest.
#[derive(Default)]
pub struct Picky {
    pub waits: BTreeSet<Digest>,
    pub denies: BTreeSet<Digest>,
}

impl EntryPolicy for Picky {
    fn check(&self, _: &Slot, value: &Entry) -> Verdict {
        let hash = value.hash();
        if self.waits.contains(&hash) {
            return Verdict::Wait("later".to_owned());
        }
        if self.denies.contains(&hash) {
            return Verdict::Deny(denied());
        }
        Verdict::Accept
    }
}

pub fn denied() -> Denied {
    Denied { code: "NotWanted".to_owned(), reason: "never".to_owned() }
}

/// Where a device's power fails during one poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    Stays,
    /// After this many outputs were carried out.
    FailsAfter(usize),
}

/// A device: what is in its memory, and what is on its disk.
pub struct Node {
    pub device: Device,
    pub chain: ControlChain,
    pub voter: Voter,
    pub durable_record: Option<VoteRecord>,
    /// Units on disk, in order of arrival.
    pub durable_units: Vec<(DeviceId, ControlMessage)>,
}

impl Node {
    pub fn new(device: Device, chain: ControlChain) -> Self {
        let voter = Voter::new(None);
        Self { device, chain, voter, durable_record: None, durable_units: Vec::new() }
    }

    pub fn receive(&mut self, author: DeviceId, message: &ControlMessage) {
        self.durable_units.push((author, message.clone()));
        self.voter.observe(&self.chain, author, message);
    }

    /// What a reopened store makes of the device.
    pub fn restart(&mut self) {
        self.voter = Voter::new(self.durable_record);
        for (author, message) in &self.durable_units {
            self.voter.observe(&self.chain, *author, message);
        }
    }

    /// Polls and carries out what is asked, until the power fails. Returns what was sent.
    pub fn poll(&mut self, policy: &dyn EntryPolicy, power: Power) -> Vec<ControlMessage> {
        let outputs = self.voter.poll(&self.chain, policy, Some(&self.device.vote_key));
        let mut sent = Vec::new();
        for (done, output) in outputs.into_iter().enumerate() {
            if power == Power::FailsAfter(done) {
                self.restart();
                return sent;
            }
            match output {
                VoterOutput::Vote { record, vote } => {
                    self.durable_record = Some(record);
                    let message = ControlMessage::Vote(vote);
                    self.durable_units.push((self.device.id(), message.clone()));
                    sent.push(message);
                }
                VoterOutput::Decided(entry) => {
                    assert_eq!(self.chain.append(entry), Ok(Appended::New));
                    self.voter.advance(&self.chain);
                }
                VoterOutput::Waiting { .. } | VoterOutput::Denied { .. } => (),
                other => panic!("unknown output {other:?}"),
            }
        }
        sent
    }
}

/// An account of `honest` devices that run voters and `equivocators` that sign whatever is asked.
pub struct Net {
    pub nodes: Vec<Node>,
    pub equivocators: Vec<Device>,
    /// Undelivered messages, by the node that they are for. Any may be delivered next.
    pub inboxes: Vec<Vec<(DeviceId, ControlMessage)>>,
    /// Every vote that left an honest device.
    pub votes: Vec<Vote>,
}

impl Net {
    pub fn new(honest: usize, equivocators: usize) -> Self {
        let mut devices = devices(honest + equivocators);
        let chain = chain_of(&devices);
        let equivocators = devices.split_off(honest);
        let nodes: Vec<_> =
            devices.into_iter().map(|device| Node::new(device, chain.clone())).collect();
        let inboxes = nodes.iter().map(|_| Vec::new()).collect();
        Self { nodes, equivocators, inboxes, votes: Vec::new() }
    }

    pub fn broadcast(&mut self, author: DeviceId, message: &ControlMessage) {
        for inbox in &mut self.inboxes {
            inbox.push((author, message.clone()));
        }
    }

    pub fn propose(&mut self, by: usize, value: &Entry) {
        let slot = self.nodes[by].chain.next_slot();
        let author = self.nodes[by].device.id();
        let message = ControlMessage::Propose { slot, view: 0, value: Box::new(value.clone()) };
        self.broadcast(author, &message);
    }

    /// Each equivocator proposes every value, and votes for each in both phases.
    pub fn equivocate(&mut self, values: &[Entry]) {
        self.equivocate_in(0, values);
    }

    /// The same in one view, which they claim to have entered with either lock.
    pub fn equivocate_in(&mut self, view: u64, values: &[Entry]) {
        let slot = self.nodes[0].chain.next_slot();
        let mut messages = Vec::new();
        for device in &self.equivocators {
            for value in values {
                let propose =
                    ControlMessage::Propose { slot, view: 0, value: Box::new(value.clone()) };
                messages.push((device.id(), propose));
                for phase in [Phase::Prepare, Phase::Commit, Phase::NewView] {
                    let vote = Vote::sign(slot, phase, view, value.hash(), &device.vote_key);
                    messages.push((device.id(), ControlMessage::Vote(Box::new(vote))));
                }
            }
        }
        for (author, message) in messages {
            self.broadcast(author, &message);
        }
    }

    /// Delivers one waiting message of node `at`, then lets it poll.
    pub fn deliver(&mut self, at: usize, which: usize, policy: &dyn EntryPolicy, power: Power) {
        if self.inboxes[at].is_empty() {
            return;
        }
        let which = which % self.inboxes[at].len();
        let (author, message) = self.inboxes[at].swap_remove(which);
        self.nodes[at].receive(author, &message);
        self.poll(at, policy, power);
    }

    pub fn poll(&mut self, at: usize, policy: &dyn EntryPolicy, power: Power) {
        let me = self.nodes[at].device.id();
        for message in self.nodes[at].poll(policy, power) {
            if let ControlMessage::Vote(vote) = &message {
                self.votes.push(Vote::clone(vote));
            }
            self.broadcast(me, &message);
        }
    }

    /// The time of node `at`'s view is over.
    pub fn time_out(&mut self, at: usize, policy: &dyn EntryPolicy, power: Power) {
        self.nodes[at].voter.time_out();
        self.poll(at, policy, power);
    }

    /// Delivers everything, in the order of `choices`.
    pub fn run(&mut self, choices: &[(usize, usize)], policy: &dyn EntryPolicy) {
        let mut choices = choices.iter().copied().cycle();
        while let Some(at) = self.next_node(choices.next().map_or(0, |it| it.0)) {
            let which = choices.next().map_or(0, |it| it.1);
            self.deliver(at, which, policy, Power::Stays);
        }
    }

    fn next_node(&self, from: usize) -> Option<usize> {
        let count = self.nodes.len();
        (0..count).map(|it| (from + it) % count).find(|it| !self.inboxes[*it].is_empty())
    }

    /// The entries that the nodes decided at height 2, the first open one, by their values.
    pub fn decided(&self) -> BTreeMap<Digest, CertifiedEntry> {
        let entries = self.nodes.iter().filter_map(|it| it.chain.entries().get(2));
        entries.map(|it| (it.value.hash(), it.clone())).collect()
    }

    /// INV-J8: whether some honest device voted for two values in one phase.
    pub fn voted_twice(&self) -> bool {
        let mut seen = BTreeMap::new();
        self.votes.iter().any(|vote| {
            let place = (vote.key, vote.slot, vote.view, vote.phase);
            *seen.entry(place).or_insert(vote.value) != vote.value
        })
    }
}
