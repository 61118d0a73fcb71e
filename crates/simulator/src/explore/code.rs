//! What the running code does, extracted: it is run once for each log and reply, and its states are
//! numbered.
//!
//! **Invariants**
//! - INV-M3: a node is what [`Machine::replay`] makes of its log; nothing about a script is known here
//!   but what running it shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aura_choreography::{Ask, Dev, Ended, Event, Machine, Reply, Script, Seat, Stop};
use aura_protocol_core::Epoch;
use rustc_hash::FxHashMap;

use super::{
    ExploreError, Model,
    ledger::Ledger,
    model::{Delivery, HostFn},
};

/// Most questions that a script may ask between two waits.
pub(super) const ANSWERS_MAX: usize = 10_000;

/// How a device's code goes on from a wait.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum How {
    /// It begins.
    Start,
    /// With these events.
    Took(Box<[u32]>),
    /// The deadline passes.
    Timeout,
    /// The person says the next thing.
    Signal,
    /// Enough epochs have passed, or not.
    Passed(bool),
    /// The pause is over.
    Rested,
}

/// What the code at one device has come to.
pub(super) struct Node {
    pub(super) dev: Dev,
    /// The node before, and how it went on from there.
    before: Option<u32>,
    how: How,
    /// The answers that it got at once since.
    at_once: Vec<Reply>,
    /// The list of all it has said.
    pub(super) sent: u32,
    /// The lists of all it had said after each of the last things that it said at once, but the last.
    pub(super) torn: Vec<u32>,
    /// How many signals it has taken.
    pub(super) signals: usize,
    pub(super) stage: Stage,
}

/// Whether it waits or has ended.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    Waits(Ask),
    Ended(u32),
}

/// The code of all devices.
pub(super) struct Code<'s> {
    script: &'s dyn Script,
    host: HostFn<'s>,
    seats: BTreeMap<Dev, Arc<Seat>>,
    pub(super) signals: BTreeMap<Dev, Vec<Vec<u8>>>,
    pause_at_once: bool,
    pub(super) ledger: Ledger,
    nodes: Vec<Node>,
    next: FxHashMap<(u32, How), u32>,
    /// What devices ended with; the first is a place holder, so that 0 can mean none.
    outcomes: Vec<Option<Ended>>,
    pub(super) runs: u64,
}

impl<'s> Code<'s> {
    pub(super) fn new(model: &Model<'s>) -> Result<Self, ExploreError> {
        let seat = |dev| model.seat(dev).map(|it| (dev, Arc::new(it)));
        Ok(Self {
            script: model.script,
            host: Arc::clone(&model.host),
            seats: model.running().map(seat).collect::<Result<_, _>>()?,
            signals: model.signals.clone(),
            pause_at_once: model.delivery == Delivery::Lazy,
            ledger: Ledger::new(),
            nodes: Vec::new(),
            next: FxHashMap::default(),
            outcomes: vec![None],
            runs: 0,
        })
    }

    pub(super) fn node(&self, number: u32) -> Option<&Node> {
        self.nodes.get(number as usize)
    }

    pub(super) const fn nodes(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn outcome(&self, number: u32) -> Option<&Ended> {
        self.outcomes.get(number as usize)?.as_ref()
    }

    /// The code of a device before any answer.
    pub(super) fn start(&mut self, dev: Dev) -> Result<u32, ExploreError> {
        self.run(dev, None, How::Start)
    }

    /// The code after one more answer; none when there is no such node.
    pub(super) fn go_on(&mut self, from: u32, how: How) -> Result<Option<u32>, ExploreError> {
        if let Some(node) = self.next.get(&(from, how.clone())) {
            return Ok(Some(*node));
        }
        let Some(dev) = self.node(from).map(|it| it.dev) else { return Ok(None) };
        let node = self.run(dev, Some(from), how.clone())?;
        self.next.insert((from, how), node);
        Ok(Some(node))
    }

    fn run(&mut self, dev: Dev, from: Option<u32>, how: How) -> Result<u32, ExploreError> {
        self.runs += 1;
        let seat = self.seats.get(&dev).ok_or(ExploreError::Stuck { dev })?;
        let log = from.map_or_else(Vec::new, |it| self.log(it));
        let mut machine = Machine::replay(self.script, Arc::clone(seat), log);
        let before = from.and_then(|it| self.node(it));
        let mut signals = before.map_or(0, |it| it.signals);
        let mut sent = before.map_or_else(Vec::new, |it| self.ledger.list(it.sent).to_vec());
        if let Some(reply) = self.reply(dev, &how, signals) {
            machine.answer(reply);
        }
        signals += usize::from(how == How::Signal);
        let (at_once, said) = self.settle(dev, &mut machine)?;
        let mut torn = Vec::new();
        for event in said {
            let event = self.ledger.event(event)?;
            if !sent.contains(&event) {
                sent.push(event);
                torn.push(self.ledger.lists.number(sent.clone().into()));
            }
        }
        torn.pop();
        let sent = self.ledger.lists.number(sent.into());
        let stage = match (machine.ended(), machine.pending()) {
            (Some(ended), _) => Stage::Ended(self.outcome_number(ended)),
            (None, Some(ask)) => Stage::Waits(ask.clone()),
            (None, None) => return Err(ExploreError::Stuck { dev }),
        };
        self.nodes.push(Node { dev, before: from, how, at_once, sent, torn, signals, stage });
        Ok(self.nodes.len() as u32 - 1)
    }

    /// Answers everything that needs nobody else.
    fn settle(
        &self,
        dev: Dev,
        machine: &mut Machine,
    ) -> Result<(Vec<Reply>, Vec<Event>), ExploreError> {
        let (mut at_once, mut said) = (Vec::new(), Vec::new());
        while let Some(ask) = machine.pending() {
            let reply = match ask {
                Ask::Write { label, round, body } => {
                    let (label, round, body) = (*label, *round, body.clone());
                    said.push(Event { author: dev, label, round, body });
                    Reply::Done
                }
                Ask::Log(_) => Reply::Done,
                Ask::Pause { .. } if self.pause_at_once => Reply::Done,
                Ask::Now => Reply::Epoch(Epoch(0)),
                Ask::Host(call) => Reply::Host((self.host)(dev, call)),
                _ => break,
            };
            if ANSWERS_MAX <= at_once.len() {
                return Err(ExploreError::Endless { dev });
            }
            at_once.push(reply.clone());
            machine.answer(reply);
        }
        Ok((at_once, said))
    }

    fn reply(&self, dev: Dev, how: &How, signals: usize) -> Option<Reply> {
        Some(match how {
            How::Start => return None,
            How::Took(events) => Reply::Events(self.ledger.read(events).into()),
            How::Timeout => Reply::Timeout,
            How::Signal => Reply::Signal(self.signal(dev, signals)?.to_vec()),
            How::Passed(passed) => Reply::Passed(*passed),
            How::Rested => Reply::Done,
        })
    }

    /// What the person at a device says after so many things.
    pub(super) fn signal(&self, dev: Dev, after: usize) -> Option<&[u8]> {
        self.signals.get(&dev)?.get(after).map(Vec::as_slice)
    }

    /// All answers up to a node.
    fn log(&self, node: u32) -> Vec<Reply> {
        let (mut chain, mut at) = (Vec::new(), Some(node));
        while let Some(node) = at.and_then(|it| self.node(it)) {
            chain.push(node);
            at = node.before;
        }
        let mut log = Vec::new();
        let mut signals = 0;
        for node in chain.into_iter().rev() {
            log.extend(self.reply(node.dev, &node.how, signals));
            log.extend(node.at_once.iter().cloned());
            signals = node.signals;
        }
        log
    }

    fn outcome_number(&mut self, ended: &Ended) -> u32 {
        let known = self.outcomes.iter().position(|it| it.as_ref() == Some(ended));
        known.unwrap_or_else(|| {
            self.outcomes.push(Some(ended.clone()));
            self.outcomes.len() - 1
        }) as u32
    }

    /// Everything that a device has said in any run.
    pub(super) fn words(&self, dev: Dev) -> BTreeSet<Event> {
        let lists = self.nodes.iter().filter(|it| it.dev == dev).map(|it| it.sent);
        lists.flat_map(|it| self.ledger.read(self.ledger.list(it))).collect()
    }

    /// How many outcomes there are, and one.
    pub(super) const fn outcomes(&self) -> usize {
        self.outcomes.len()
    }

    /// Whether a device that ended so has learnt how the session ended.
    pub(super) fn is_told(&self, outcome: u32) -> bool {
        matches!(self.outcome(outcome), Some(Ok(_) | Err(Stop::Aborted(_))))
    }
}
