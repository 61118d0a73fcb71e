//! Who had seen what: for each unit, how many units of each author it rests on.
//!
//! What a unit overwrites, and which changes its change rests on, must be a function of its causal past
//! alone, whatever else has arrived. With a count for each author both are one comparison.

use std::collections::BTreeMap;

use aura_protocol_core::{DeviceId, Digest};

use crate::engine::Hash;

/// A place in [`Past`], in the order of arrival. Never shown: replicas differ in it.
pub(crate) type NodeId = usize;
/// An author's place in the clocks, in the order of arrival.
pub(crate) type AuthorId = usize;

/// How many units of each author there are in a past, from the author's first on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Clock(Vec<u64>);

/// A unit that was compiled.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) unit: Digest,
    pub(crate) author: AuthorId,
    pub(crate) seq: u64,
    pub(crate) clock: Clock,
    /// Its change, where it has one.
    pub(crate) change: Option<Hash>,
    /// Where it has none: the units below it whose changes stand for it.
    below: Vec<NodeId>,
}

/// All units that were compiled.
#[derive(Debug, Default)]
pub(crate) struct Past {
    authors: BTreeMap<DeviceId, AuthorId>,
    nodes: Vec<Node>,
    by_unit: BTreeMap<Digest, NodeId>,
}

impl Clock {
    /// Whether the author's unit at `seq` is in this past.
    pub(crate) fn covers(&self, author: AuthorId, seq: u64) -> bool {
        self.0.get(author).is_some_and(|count| seq < *count)
    }

    /// How many of the author's units are in this past.
    pub(crate) fn count(&self, author: AuthorId) -> u64 {
        self.0.get(author).copied().unwrap_or(0)
    }

    fn see(&mut self, author: AuthorId, count: u64) {
        if self.0.len() <= author {
            self.0.resize(author.saturating_add(1), 0);
        }
        if let Some(seen) = self.0.get_mut(author) {
            *seen = count.max(*seen);
        }
    }

    pub(crate) fn join(&mut self, other: &Self) {
        for (author, count) in other.0.iter().enumerate() {
            self.see(author, *count);
        }
    }
}

impl Past {
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn contains(&self, unit: &Digest) -> bool {
        self.by_unit.contains_key(unit)
    }

    pub(crate) fn id(&self, unit: &Digest) -> Option<NodeId> {
        self.by_unit.get(unit).copied()
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    pub(crate) fn author(&mut self, device: DeviceId) -> AuthorId {
        let next = self.authors.len();
        *self.authors.entry(device).or_insert(next)
    }

    /// The clock of what these units and all below them come to.
    pub(crate) fn clock_of(&self, tips: &[NodeId]) -> Clock {
        let mut clock = Clock::default();
        for node in tips.iter().filter_map(|it| self.node(*it)) {
            clock.join(&node.clock);
        }
        clock
    }

    /// The units with changes that stand for these: themselves or what is next below them, without
    /// those that another of them rests on.
    pub(crate) fn with_changes(&self, tips: &[NodeId]) -> Vec<NodeId> {
        let mut found = Vec::new();
        for tip in tips {
            match self.node(*tip) {
                Some(Node { change: Some(_), .. }) => found.push(*tip),
                Some(node) => found.extend(&node.below),
                None => {}
            }
        }
        found.sort_unstable();
        found.dedup();
        self.newest(found)
    }

    /// Those that no other of them rests on.
    pub(crate) fn newest(&self, of: Vec<NodeId>) -> Vec<NodeId> {
        if of.len() < 2 {
            return of;
        }
        let rests_on = |above: NodeId, below: NodeId| match (self.node(above), self.node(below)) {
            (Some(above), Some(below)) => above.clock.covers(below.author, below.seq),
            _ => false,
        };
        let is_below = |id: NodeId| of.iter().any(|it| *it != id && rests_on(*it, id));
        of.iter().copied().filter(|id| !is_below(*id)).collect()
    }

    /// The changes of these units, sorted.
    pub(crate) fn changes(&self, of: &[NodeId]) -> Vec<Hash> {
        let mut changes: Vec<Hash> =
            of.iter().filter_map(|it| self.node(*it)).filter_map(|it| it.change).collect();
        changes.sort_unstable();
        changes
    }

    /// Adds a unit above `parents`. The clock is that of the parents and itself.
    pub(crate) fn add(
        &mut self,
        unit: Digest,
        author: AuthorId,
        seq: u64,
        mut clock: Clock,
        outcome: Result<Hash, Vec<NodeId>>,
    ) -> NodeId {
        clock.see(author, seq.saturating_add(1));
        clock.0.shrink_to_fit();
        let (change, below) = match outcome {
            Ok(change) => (Some(change), Vec::new()),
            Err(below) => (None, below),
        };
        let id = self.nodes.len();
        self.nodes.push(Node { unit, author, seq, clock, change, below });
        self.by_unit.insert(unit, id);
        id
    }
}
