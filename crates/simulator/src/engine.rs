//! One run: devices, a network, a clock, and what goes wrong with each of them.
//!
//! **Invariants**
//! - INV-Z1: a run is a function of its plan: the same plan has the same trace hash.
//! - INV-Z2: what an honest device said durably reaches every device that is up in the end.
//! - INV-Z3: what was not durable when the power went was not said; what was durable is said.

mod network;
mod node;
mod oracle;
mod queue;
mod run;
mod say;

pub use node::{Change, Changed, Heard, Level, Message, MessageOf, Node, Outbox, Waits};
pub use run::{Outcomes, Run, Tally, Violation};

use aura_choreography::{Dev, DeviceSet};
use aura_protocol_core::Epoch;

use crate::{
    draw::mix,
    engine::{
        network::{Network, skew},
        oracle::Votes,
        queue::Queue,
    },
    plan::{FOR_EVER, Fault, Plan, Strategy},
    trace::{Trace, What},
};

/// Events after which a run is taken for one that never comes to rest.
const EVENTS_MAX: u32 = 1_000_000;
/// No timer.
const NEVER: u64 = u64::MAX;

/// Something that is to happen.
#[derive(Debug, Clone, Copy)]
enum Item {
    Deliver { sent: u32, to: u8 },
    Timer { dev: u8 },
    Crash { dev: u8, down: u32 },
    Restart { dev: u8 },
    Signal { dev: u8 },
}

/// What a device is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    Start,
    Message { sent: u32 },
    Clock,
    Signal,
    Back,
}

/// A message that was said.
#[derive(Debug)]
struct Sent<M> {
    message: M,
    from: Dev,
    /// Whom it is for.
    audience: DeviceSet,
    /// Who has got it.
    got: DeviceSet,
    /// Whether everybody it is for has to get it.
    must: bool,
    /// Whether no honest device may take it.
    bogus: bool,
}

/// A device.
struct Place<N: Node> {
    node: Option<N>,
    saved: Option<N::Saved>,
    /// What is durable and not said yet.
    unsaid: Vec<(Option<Dev>, N::Message)>,
    /// What was not taken when the power went.
    again: Option<Given>,
    strategy: Option<Strategy>,
    /// The boundary at which its power goes, and for how long.
    torn: Option<(u32, u32)>,
    percent: i16,
    /// At how many steps it has said something.
    spoke: u32,
    /// When the clock wakes it next.
    timer: u64,
    /// When it will be up again, where it is down.
    back: Option<u64>,
    over: bool,
}

impl<N: Node> Place<N> {
    fn new() -> Self {
        Self {
            node: None,
            saved: None,
            unsaid: Vec::new(),
            again: None,
            strategy: None,
            torn: None,
            percent: 0,
            spoke: 0,
            timer: NEVER,
            back: None,
            over: false,
        }
    }

    fn clock(&self, now: u64) -> Epoch {
        Epoch(skew::shown(now, self.percent))
    }
}

/// Runs plans at one level, one after the other, in the same memory.
pub struct Engine<L: Level> {
    level: L,
    queue: Queue<Item>,
    places: Vec<Place<L::Node>>,
    sent: Vec<Sent<MessageOf<L>>>,
    outbox: Outbox<MessageOf<L>>,
    network: Network,
    votes: Votes,
    sybils: u8,
    hash: u64,
    events: u32,
    /// When a device was given something last.
    end: u64,
    tally: Tally,
    violation: Option<Violation>,
    trace: Option<Trace>,
}

impl<L: Level> Engine<L> {
    /// An engine for this level.
    #[must_use]
    pub fn new(level: L) -> Self {
        Self {
            level,
            queue: Queue::new(),
            places: Vec::new(),
            sent: Vec::new(),
            outbox: Outbox::default(),
            network: Network::default(),
            votes: Votes::default(),
            sybils: 0,
            hash: 0,
            events: 0,
            end: 0,
            tally: Tally::default(),
            violation: None,
            trace: None,
        }
    }

    /// Runs a plan.
    pub fn run(&mut self, plan: &Plan) -> Run {
        self.begin(plan);
        self.advance(u64::MAX);
        self.check(plan);
        let outcomes = self.outcomes();
        Run {
            hash: self.hash,
            events: self.events,
            end: self.end,
            outcomes,
            tally: self.tally,
            violation: self.violation.take(),
        }
    }

    /// Runs a plan and tells everything that happened.
    pub fn trace(&mut self, plan: &Plan) -> (Run, Trace) {
        self.trace = Some(Trace { devices: plan.devices, entries: Vec::new() });
        let run = self.run(plan);
        (run, self.trace.take().unwrap_or_default())
    }

    /// What runs, as the last run left it.
    pub fn node(&self, dev: Dev) -> Option<&L::Node> {
        self.places.get(usize::from(dev.0))?.node.as_ref()
    }

    fn prepare(&mut self, plan: &Plan) -> Result<(), String> {
        self.queue.clear();
        self.sent.clear();
        self.outbox.said.clear();
        self.places.clear();
        self.network.prepare(plan);
        self.level.prepare(plan)?;
        self.places.extend((0..plan.devices).map(|_| Place::new()));
        self.sybils = 0;
        for fault in &plan.faults {
            self.plan_fault(fault);
        }
        for dev in (0..plan.devices).map(Dev) {
            let node = self.level.node(dev, self.corrupts(dev));
            if let Some(place) = self.places.get_mut(usize::from(dev.0)) {
                place.node = Some(node);
            }
        }
        Ok(())
    }

    fn plan_fault(&mut self, fault: &Fault) {
        match *fault {
            Fault::Crash { dev, at, down } => {
                self.queue.push(u64::from(at), Item::Crash { dev, down });
            }
            Fault::Signal { dev, at } => self.queue.push(u64::from(at), Item::Signal { dev }),
            Fault::Sybil { count } => self.sybils = count,
            Fault::Absent { dev } => {
                if let Some(place) = self.places.get_mut(usize::from(dev)) {
                    place.back = Some(NEVER);
                }
            }
            Fault::TornWrite { dev, boundary, down } => {
                if let Some(place) = self.places.get_mut(usize::from(dev)) {
                    place.torn = Some((boundary, down));
                }
            }
            Fault::ClockSkew { dev, percent } => {
                if let Some(place) = self.places.get_mut(usize::from(dev)) {
                    place.percent = percent;
                }
            }
            Fault::Byzantine { dev, strategy } => {
                if let Some(place) = self.places.get_mut(usize::from(dev)) {
                    place.strategy = Some(strategy);
                }
            }
            _ => {}
        }
    }

    /// What a device corrupts what it says with, if it does.
    fn corrupts(&self, dev: Dev) -> Option<u64> {
        let place = self.places.get(usize::from(dev.0))?;
        let key = || self.network.draws.of(crate::draw::Purpose::Tamper, u64::from(dev.0), 0);
        (place.strategy == Some(Strategy::Corrupt)).then(key)
    }

    /// Begins a plan: every device is started, and nothing else happens yet.
    pub fn begin(&mut self, plan: &Plan) {
        self.hash = mix(plan.seed);
        self.events = 0;
        self.tally = Tally::default();
        self.violation = None;
        self.end = 0;
        if let Err(why) = self.prepare(plan) {
            return self.broken(Violation::NotStarted { why });
        }
        for dev in 0..plan.devices {
            self.drive(Dev(dev), 0, Given::Start);
        }
    }

    /// Lets everything happen up to and in this epoch. Says whether anything is left to happen.
    pub fn advance(&mut self, epoch: u64) -> bool {
        while let Some((now, item)) = self.queue.pop_until(epoch) {
            if self.violation.is_some() {
                return false;
            }
            self.events += 1;
            if EVENTS_MAX <= self.events {
                self.broken(Violation::Endless { events: self.events });
                return false;
            }
            match item {
                Item::Deliver { sent, to } => self.deliver(now, sent, Dev(to)),
                Item::Timer { dev } => self.timer(now, Dev(dev)),
                Item::Crash { dev, down } => self.crash(now, Dev(dev), down),
                Item::Restart { dev } => self.restart(now, Dev(dev)),
                Item::Signal { dev } => {
                    self.tally.signals += 1;
                    self.note(now, Dev(dev), || What::Signal);
                    self.drive(Dev(dev), now, Given::Signal);
                }
            }
        }
        self.violation.is_none() && !self.queue.is_empty()
    }

    fn deliver(&mut self, now: u64, sent: u32, to: Dev) {
        let Some(place) = self.places.get(usize::from(to.0)) else { return };
        if let Some(back) = place.back {
            if back != NEVER {
                self.queue.push(back, Item::Deliver { sent, to: to.0 });
            }
            return;
        }
        let over = place.over;
        let Some(message) = self.sent.get_mut(sent as usize) else { return };
        message.got = message.got.with(to);
        let what = now << 40 | u64::from(to.0) << 32 | u64::from(sent);
        self.hash = mix(self.hash ^ what);
        if !over || L::GOES_ON {
            self.drive(to, now, Given::Message { sent });
        }
    }

    fn timer(&mut self, now: u64, dev: Dev) {
        let Some(place) = self.places.get_mut(usize::from(dev.0)) else { return };
        if place.timer != now || place.back.is_some() || (place.over && !L::GOES_ON) {
            return;
        }
        place.timer = NEVER;
        let wake = place.node.as_ref().and_then(Node::wake);
        if wake.is_some_and(|it| it <= place.clock(now)) {
            self.tally.timers += 1;
            self.hash = mix(self.hash ^ now << 40 ^ u64::from(dev.0));
            self.note(now, dev, || What::Timer);
            self.drive(dev, now, Given::Clock);
        } else {
            self.set_timer(dev, now);
        }
    }

    /// Puts the next wish of a device into the queue, unless it is woken before anyway.
    fn set_timer(&mut self, dev: Dev, now: u64) {
        let Some(place) = self.places.get_mut(usize::from(dev.0)) else { return };
        let Some(wake) = place.node.as_ref().and_then(Node::wake) else { return };
        let at = skew::moment(wake.0, place.percent).max(now);
        if at < place.timer {
            place.timer = at;
            self.queue.push(at, Item::Timer { dev: dev.0 });
        }
    }

    fn crash(&mut self, now: u64, dev: Dev, down: u32) {
        let Some(place) = self.places.get_mut(usize::from(dev.0)) else { return };
        if place.back.is_some() || (place.over && !L::GOES_ON) {
            return;
        }
        place.saved = place.node.as_ref().map(Node::save);
        self.note(now, dev, || What::Crash { torn: None });
        self.lose_power(now, dev, down);
    }

    fn lose_power(&mut self, now: u64, dev: Dev, down: u32) {
        self.tally.crashes += 1;
        let for_ever = FOR_EVER <= down;
        let back = if for_ever { NEVER } else { now + u64::from(down).max(1) };
        if let Some(place) = self.places.get_mut(usize::from(dev.0)) {
            place.back = Some(back);
            place.node = None;
            place.timer = NEVER;
        }
        if !for_ever {
            self.queue.push(back, Item::Restart { dev: dev.0 });
        }
    }

    fn restart(&mut self, now: u64, dev: Dev) {
        let corrupts = self.corrupts(dev);
        let Some(place) = self.places.get_mut(usize::from(dev.0)) else { return };
        let Some(saved) = place.saved.take() else { return };
        match self.level.restart(dev, saved, corrupts) {
            Ok(node) => place.node = Some(node),
            Err(what) => return self.broken(Violation::Restart { dev, what }),
        }
        place.back = None;
        self.tally.restarts += 1;
        let (again, unsaid) = (place.again.take(), std::mem::take(&mut place.unsaid));
        self.hash = mix(self.hash ^ now << 40 ^ u64::from(dev.0) << 8);
        self.note(now, dev, || What::Restart);
        for (to, message) in unsaid {
            self.say(dev, now, to, message);
        }
        if let Some(given) = again {
            self.drive(dev, now, given);
        }
        self.drive(dev, now, Given::Back);
    }

    /// Gives a device something, and passes on what it says.
    fn drive(&mut self, dev: Dev, now: u64, given: Given) {
        let Some(place) = self.places.get_mut(usize::from(dev.0)) else { return };
        if place.back.is_some() || (place.over && !L::GOES_ON) {
            return;
        }
        self.end = now;
        let clock = place.clock(now);
        let Some(node) = &mut place.node else { return };
        let tears = place.torn.filter(|(boundary, _)| *boundary == 2 * place.spoke);
        let before = tears.map(|_| node.save());
        let out = &mut self.outbox;
        match given {
            Given::Start => node.start(clock, out),
            Given::Clock => node.clock(clock, out),
            Given::Signal => node.signal(b"signal", clock, out),
            Given::Back => node.back(clock, out),
            Given::Message { sent } => {
                let Some(message) = self.sent.get(sent as usize) else { return };
                let heard = node.hear(message.from, &message.message, clock, out);
                self.tally.refused += u32::from(heard == Heard::Refused);
                if message.bogus && heard == Heard::Taken && place.strategy.is_none() {
                    self.violation.get_or_insert(Violation::TookBogus { dev });
                }
                if let Some(trace) = &mut self.trace {
                    let (label, body) = self.level.describe(&message.message);
                    let (from, taken) = (message.from.0, heard != Heard::Refused);
                    trace.push(now, dev, What::Heard { from, message: label, body, taken });
                }
            }
        }
        if !self.outbox.said.is_empty() {
            if self.tears(dev, now, given, before) {
                return;
            }
            let mut said = std::mem::take(&mut self.outbox.said);
            for (to, message) in said.drain(..) {
                self.say(dev, now, to, message);
            }
            self.outbox.said = said;
        }
        self.after(dev, now);
    }

    /// After a step: whether the session ended, and when the device is to be woken.
    fn after(&mut self, dev: Dev, now: u64) {
        let Some(place) = self.places.get_mut(usize::from(dev.0)) else { return };
        let Some(ended) = place.node.as_ref().and_then(Node::ended) else {
            return self.set_timer(dev, now);
        };
        if std::mem::replace(&mut place.over, true) {
            if L::GOES_ON {
                self.set_timer(dev, now);
            }
            return;
        }
        if let Some(trace) = &mut self.trace {
            let how = match ended {
                Ok(outcome) => format!("{outcome:?}"),
                Err(stop) => stop.to_string(),
            };
            trace.push(now, dev, What::Ended { how });
        }
        if L::GOES_ON {
            self.set_timer(dev, now);
        }
    }

    /// Whether the power goes at this step. Then what the step did is either durable, or undone.
    fn tears(
        &mut self,
        dev: Dev,
        now: u64,
        given: Given,
        before: Option<<L::Node as Node>::Saved>,
    ) -> bool {
        let Some(place) = self.places.get_mut(usize::from(dev.0)) else { return false };
        let spoke = place.spoke;
        place.spoke += 1;
        let Some((_, down)) = place.torn.filter(|(it, _)| it / 2 == spoke) else {
            return false;
        };
        place.torn = None;
        let torn = if let Some(before) = before {
            self.tally.torn_before += 1;
            self.outbox.said.clear();
            place.saved = Some(before);
            place.again = Some(given);
            "before its step is durable"
        } else {
            self.tally.torn_after += 1;
            place.saved = place.node.as_ref().map(Node::save);
            place.unsaid.append(&mut self.outbox.said);
            "before it says what is durable"
        };
        self.note(now, dev, || What::Crash { torn: Some(torn) });
        self.lose_power(now, dev, down);
        true
    }

    fn note(&mut self, now: u64, dev: Dev, what: impl FnOnce() -> What) {
        if let Some(trace) = &mut self.trace {
            trace.push(now, dev, what());
        }
    }

    fn broken(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }
}
