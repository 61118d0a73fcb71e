//! The key derivation of [`dkd`], written by hand as a state machine: the yardstick for
//! what a script costs. Same messages, same deadlines, same ends.

use aura_choreography::{
    Body, Completed, Conclude, Dev, DeviceSet, Ended, Event, Label, LabelSet, Reason, Stop,
};
use aura_protocol_core::{Epoch, decode, encode};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    engine::{Change, Changed, Heard, Level, Node, Outbox, Waits},
    level::{Table, corrupted},
    plan::Plan,
    protocols::{
        aggregate, commitment,
        dkd::{self, derivation},
        point, secret_of,
    },
};

/// How long a decider waits for others, and others for a decider.
const DECIDES_WITHIN: u64 = 50;
const TTL: u64 = 60;
/// How far ahead of round 0, which is the only one, a message may be to be taken for one.
const ROUNDS_AHEAD_MAX: u32 = 64;
/// The device that decides.
const DECIDER: Dev = Dev(0);

/// Hand-written machines on devices.
pub struct Machines {
    table: Table,
    quorum: (u8, u8),
}

impl Default for Machines {
    fn default() -> Self {
        Self {
            table: Table::new(dkd::PROTOCOL.script, dkd::PROTOCOL.params, dkd::PROTOCOL.host),
            quorum: (0, 0),
        }
    }
}

impl Level for Machines {
    type Node = Machine;
    const GOES_ON: bool = false;

    fn prepare(&mut self, plan: &Plan) -> Result<(), String> {
        self.quorum = (plan.devices, plan.threshold);
        self.table.prepare(plan)
    }

    fn node(&self, dev: Dev, corrupts: Option<u64>) -> Machine {
        Machine::new(dev, self.quorum, corrupts)
    }

    fn restart(&self, _: Dev, saved: Vec<u8>, _: Option<u64>) -> Result<Machine, String> {
        decode(&saved, saved.len()).map_err(|error| error.to_string())
    }

    fn change(&mut self, dev: Dev, event: &Event, how: Change, key: u64) -> Option<Changed<Event>> {
        self.table.change(dev, event, how, key)
    }

    fn vote(&self, event: &Event) -> Option<(u64, u64)> {
        self.table.vote(event)
    }

    fn describe(&self, event: &Event) -> (String, String) {
        self.table.describe(event)
    }
}

#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
enum Phase {
    New,
    /// Waits for the context.
    Context,
    /// Decides who counts.
    Commits {
        context: u64,
    },
    /// Waits to hear who counts.
    Freeze {
        point: u64,
    },
    /// Computes the key.
    Reveals {
        commits: Vec<(Dev, u64)>,
        frozen: DeviceSet,
    },
    /// Waits for the key.
    Finalize,
    Ended(Ended),
}

/// One device.
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
pub struct Machine {
    me: Dev,
    devices: u8,
    threshold: u8,
    corrupts: Option<u64>,
    phase: Phase,
    since: Epoch,
    /// What was heard first of each device.
    commits: Vec<(Dev, u64)>,
    reveals: Vec<(Dev, u64)>,
    /// What the decider said.
    context: Option<u64>,
    freeze: Option<Result<DeviceSet, Reason>>,
    finalize: Option<Result<u64, Reason>>,
}

impl Machine {
    fn new(me: Dev, (devices, threshold): (u8, u8), corrupts: Option<u64>) -> Self {
        Self {
            me,
            devices,
            threshold,
            corrupts,
            phase: Phase::New,
            since: Epoch(0),
            commits: Vec::new(),
            reveals: Vec::new(),
            context: None,
            freeze: None,
            finalize: None,
        }
    }

    /// Takes a message into account, if it is one.
    fn note(&mut self, event: &Event) -> bool {
        let Event { author, label, round, body } = event;
        let bytes = body.bytes();
        if self.devices <= author.0 || ROUNDS_AHEAD_MAX < *round {
            return false;
        }
        let decides = *author == DECIDER && *round == 0;
        let first = |all: &mut Vec<(Dev, u64)>, value: u64| {
            if *round == 0 && !all.iter().any(|it| it.0 == *author) {
                all.push((*author, value));
            }
        };
        match *label {
            derivation::INIT => number(bytes).map(|it| {
                if decides {
                    self.context.get_or_insert(it);
                }
            }),
            derivation::COMMIT => number(bytes).map(|it| first(&mut self.commits, it)),
            derivation::REVEAL => number(bytes).map(|it| first(&mut self.reveals, it)),
            derivation::FREEZE => decode(bytes, bytes.len()).ok().map(|it| {
                if decides {
                    self.freeze.get_or_insert(Ok(it));
                }
            }),
            derivation::FINALIZE => number(bytes).map(|it| {
                if decides {
                    self.finalize.get_or_insert(Ok(it));
                }
            }),
            derivation::ABORT => decode(bytes, bytes.len()).ok().map(|it: Reason| {
                if decides {
                    self.freeze.get_or_insert_with(|| Err(it.clone()));
                    self.finalize.get_or_insert(Err(it));
                }
            }),
            _ => None,
        }
        .is_some()
    }

    fn say(&mut self, label: Label, bytes: &[u8], out: &mut Outbox<Event>) {
        let event = Event { author: self.me, label, round: 0, body: Body::new(bytes) };
        self.note(&event);
        out.say(match self.corrupts {
            None => event,
            Some(key) => corrupted(dkd::PROTOCOL.script, event, key),
        });
    }

    fn say_number(&mut self, label: Label, value: u64, out: &mut Outbox<Event>) {
        self.say(label, &value.to_le_bytes(), out);
    }

    fn commit(&mut self, context: u64, out: &mut Outbox<Event>) -> u64 {
        let point = point(secret_of(self.me), context);
        self.say_number(derivation::COMMIT, commitment(point), out);
        point
    }

    fn reveal(&mut self, frozen: DeviceSet, point: u64, out: &mut Outbox<Event>) {
        if frozen.contains(self.me) {
            self.say_number(derivation::REVEAL, point, out);
        }
    }

    fn abort(&mut self, reason: Reason, out: &mut Outbox<Event>) -> Phase {
        self.say(derivation::ABORT, &encode(&reason), out);
        Phase::Ended(Err(Stop::Aborted(reason)))
    }

    /// Goes as far as what is here allows.
    fn drive(&mut self, now: Epoch, out: &mut Outbox<Event>) {
        while let Some(next) = self.next(now, out) {
            self.phase = next;
            self.since = now;
        }
    }

    fn next(&mut self, now: Epoch, out: &mut Outbox<Event>) -> Option<Phase> {
        let late = self.wake().is_some_and(|it| it <= now);
        match &self.phase {
            Phase::New if self.me == DECIDER => {
                let context = secret_of(self.me);
                self.say_number(derivation::INIT, context, out);
                self.commit(context, out);
                Some(Phase::Commits { context })
            }
            Phase::New => Some(Phase::Context),
            Phase::Context => match self.context {
                Some(context) => Some(Phase::Freeze { point: self.commit(context, out) }),
                None => late.then(|| gives_up(&[derivation::INIT])),
            },
            Phase::Commits { .. } if self.commits.len() < usize::from(self.threshold) => {
                late.then(|| self.abort(Reason::Timeout, out))
            }
            Phase::Commits { context } => {
                let context = *context;
                let commits = self.commits.clone();
                let frozen: DeviceSet = commits.iter().map(|it| it.0).collect();
                self.say(derivation::FREEZE, &encode(&frozen), out);
                self.reveal(frozen, point(secret_of(self.me), context), out);
                Some(Phase::Reveals { commits, frozen })
            }
            Phase::Freeze { point } => {
                let point = *point;
                match self.freeze.clone() {
                    Some(Ok(frozen)) if !self.may_be_named(frozen) => {
                        let what = "named devices that its decision cannot rest on".to_owned();
                        Some(Phase::Ended(Err(Stop::Byzantine { culprit: DECIDER, what })))
                    }
                    Some(Ok(frozen)) => {
                        self.reveal(frozen, point, out);
                        Some(Phase::Finalize)
                    }
                    Some(Err(reason)) => Some(Phase::Ended(Err(Stop::Aborted(reason)))),
                    None => late.then(|| gives_up(&[derivation::FREEZE, derivation::ABORT])),
                }
            }
            Phase::Reveals { commits, frozen } => {
                let mut reveals = self.reveals.clone();
                reveals.retain(|it| frozen.contains(it.0));
                if reveals.len() < frozen.len() {
                    return late.then(|| self.abort(Reason::Timeout, out));
                }
                Some(match aggregate(commits, &reveals) {
                    Ok(key) => {
                        self.say_number(derivation::FINALIZE, key, out);
                        finished(key)
                    }
                    Err(reason) => self.abort(reason, out),
                })
            }
            Phase::Finalize => match self.finalize.clone() {
                Some(Ok(key)) => Some(finished(key)),
                Some(Err(reason)) => Some(Phase::Ended(Err(Stop::Aborted(reason)))),
                None => late.then(|| gives_up(&[derivation::FINALIZE, derivation::ABORT])),
            },
            Phase::Ended(_) => None,
        }
    }

    fn may_be_named(&self, frozen: DeviceSet) -> bool {
        let everyone = DeviceSet::all(usize::from(self.devices));
        frozen.is_subset(everyone) && usize::from(self.threshold) <= frozen.len()
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

fn finished(key: u64) -> Phase {
    Phase::Ended(Ok(Completed::of(&key).conclude()))
}

fn gives_up(labels: &[Label]) -> Phase {
    let labels = labels.iter().fold(LabelSet::default(), |set, it| set.with(*it));
    Phase::Ended(Err(Stop::Stalled { labels, from: DeviceSet::one(DECIDER) }))
}

impl Node for Machine {
    type Message = Event;
    /// What is durable are bytes, as those of a session are.
    type Saved = Vec<u8>;

    fn start(&mut self, now: Epoch, out: &mut Outbox<Event>) {
        self.drive(now, out);
    }

    fn hear(&mut self, _: Dev, event: &Event, now: Epoch, out: &mut Outbox<Event>) -> Heard {
        if !self.note(event) {
            return Heard::Refused;
        }
        self.drive(now, out);
        Heard::Taken
    }

    fn clock(&mut self, now: Epoch, out: &mut Outbox<Event>) {
        self.drive(now, out);
    }

    fn signal(&mut self, _: &[u8], now: Epoch, out: &mut Outbox<Event>) {
        self.drive(now, out);
    }

    fn wake(&self) -> Option<Epoch> {
        let patience = match self.phase {
            Phase::New | Phase::Ended(_) => return None,
            Phase::Commits { .. } | Phase::Reveals { .. } => DECIDES_WITHIN,
            Phase::Context | Phase::Freeze { .. } | Phase::Finalize => TTL,
        };
        Some(self.since.saturating_add(patience))
    }

    fn ended(&self) -> Option<&Ended> {
        match &self.phase {
            Phase::Ended(ended) => Some(ended),
            _ => None,
        }
    }

    fn save(&self) -> Vec<u8> {
        encode(self)
    }

    fn waits(&self) -> Option<Waits> {
        if self.ended().is_some() {
            return None;
        }
        let what = format!("{:?}", self.phase);
        Some(Waits { what, from: DeviceSet::one(DECIDER), since: self.since })
    }
}
