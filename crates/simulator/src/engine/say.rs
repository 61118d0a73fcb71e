//! What becomes of a message on its way out: honest devices tell everybody the same, liars do what
//! their strategy says.

use aura_choreography::{Dev, DeviceSet};

use crate::{
    draw::{Purpose, hash_bytes, mix},
    engine::{Change, Changed, Engine, Item, Level, Message, MessageOf, Sent, network::Way},
    plan::Strategy,
    trace::What,
};

/// How many epochs later those hear something to whom only its other hearers pass it on.
const RELAY_EPOCHS: u64 = 20;
/// How often a message is said that is said many times.
const STUFFED: u64 = 3;

/// How a message goes out.
#[derive(Debug, Clone, Copy)]
struct Spread {
    /// To whom it goes directly.
    direct: DeviceSet,
    /// To whom it goes later.
    relayed: DeviceSet,
    /// How much later all of it goes.
    late: u64,
    must: bool,
    bogus: bool,
    /// Whether it is for one device alone.
    answers: bool,
}

impl<L: Level> Engine<L> {
    /// Sends what `dev` says now.
    pub(super) fn say(&mut self, dev: Dev, now: u64, to: Option<Dev>, message: MessageOf<L>) {
        self.hash = mix(self.hash ^ message.digest());
        if self.trace.is_some() {
            let (label, body) = self.level.describe(&message);
            self.note(now, dev, || What::Said { message: label, body });
        }
        let others = DeviceSet::all(self.places.len()).without(dev);
        let direct = to.map_or(others, DeviceSet::one);
        let strategy = self.places.get(usize::from(dev.0)).and_then(|it| it.strategy);
        let spread = Spread {
            direct,
            relayed: DeviceSet::EMPTY,
            late: 0,
            must: strategy.is_none() && to.is_none(),
            bogus: false,
            answers: to.is_some(),
        };
        if self.sybils != 0 && strategy.is_none() && to.is_none() {
            self.repeat_by_sybils(dev, now, &message, spread);
        }
        match strategy {
            None => self.send(dev, now, message, spread),
            Some(strategy) => self.lie(dev, now, strategy, message, spread),
        }
    }

    fn lie(
        &mut self,
        dev: Dev,
        now: u64,
        strategy: Strategy,
        message: MessageOf<L>,
        spread: Spread,
    ) {
        match strategy {
            Strategy::Silent => self.tally.withheld += 1,
            Strategy::Corrupt => {
                // The node did it before it said anything.
                self.tally.corrupted += 1;
                self.send(dev, now, message, spread);
            }
            Strategy::Equivocate => {
                let draws = self.network.draws;
                if draws.below(3, Purpose::Split, message.topic(), 1) == 0 {
                    // Not about everything: a liar who is caught at once gets nowhere.
                    return self.send(dev, now, message, spread);
                }
                let (some, others) = self.split(spread.direct);
                let key = draws.of(Purpose::Tamper, 0, 0);
                self.tally.equivocated += 1;
                let one = Spread { direct: some, relayed: others, ..spread };
                let other = Spread { direct: others, relayed: some, ..spread };
                let variant = self.level.change(dev, &message, Change::Value, key);
                self.send(dev, now, message, one);
                self.send_changed(dev, now, variant, other);
            }
            Strategy::SelectiveAbort => {
                let first = !self.sent.iter().any(|it| it.from == dev);
                let (some, others) = self.split(spread.direct);
                if first {
                    return self.send(dev, now, message, spread);
                }
                self.tally.withheld += 1;
                self.send(dev, now, message, Spread { direct: some, relayed: others, ..spread });
            }
            Strategy::Hold { epochs } => {
                self.tally.held += 1;
                self.send(dev, now, message, Spread { late: u64::from(epochs), ..spread });
            }
            Strategy::ForgedSignature => {
                let victim = spread.direct.first().unwrap_or(dev);
                let forged = self.level.change(dev, &message, Change::Author(victim), 0);
                self.send(dev, now, message, spread);
                self.send_changed(dev, now, forged, spread);
            }
            Strategy::ForkLedger => {
                self.tally.equivocated += 1;
                let key = self.network.draws.of(Purpose::Tamper, 0, 0);
                let variant = self.level.change(dev, &message, Change::Value, key);
                self.send(dev, now, message, spread);
                self.send_changed(dev, now, variant, spread);
            }
            Strategy::Branches => self.branch(dev, now, message, spread),
            // An answer to one device is no part of the session: replayed in answer to a replay, it
            // would keep liars busy with each other for ever.
            Strategy::Replay if spread.answers => self.send(dev, now, message, spread),
            Strategy::Replay => {
                let other = self.level.change(dev, &message, Change::Session, 0);
                let old = self.sent.iter().find(|it| it.from == dev && !it.bogus);
                let old = old.map(|it| Changed::Open(it.message.clone()));
                self.send(dev, now, message, spread);
                self.send_changed(dev, now, other, spread);
                self.send_changed(dev, now, old, Spread { late: 3, ..spread });
            }
            Strategy::Stuffing => {
                let other = self.level.change(dev, &message, Change::Encoding, 0);
                for time in 1..STUFFED {
                    let again = message.clone();
                    self.send(dev, now, again, Spread { late: time, ..spread });
                }
                self.send(dev, now, message, spread);
                self.send_changed(dev, now, other, spread);
            }
        }
    }

    /// Shows some devices one chain and the others another.
    fn branch(&mut self, dev: Dev, now: u64, message: MessageOf<L>, spread: Spread) {
        let (some, others) = self.split(spread.direct);
        let key = self.network.draws.of(Purpose::Tamper, 0, 0);
        let other = self.level.change(dev, &message, Change::Branch, key);
        self.tally.branched += u32::from(other.is_some());
        let other = other.unwrap_or_else(|| Changed::Open(message.clone()));
        self.send(dev, now, message, Spread { direct: some, ..spread });
        self.send_changed(dev, now, Some(other), Spread { direct: others, ..spread });
    }

    /// Two groups, the same for all liars of a run.
    fn split(&self, devices: DeviceSet) -> (DeviceSet, DeviceSet) {
        let draws = self.network.draws;
        let is_first = |it: &Dev| draws.below(2, Purpose::Split, u64::from(it.0), 0) == 0;
        let some: DeviceSet = devices.iter().filter(is_first).collect();
        (some, devices.difference(some))
    }

    fn repeat_by_sybils(&mut self, dev: Dev, now: u64, message: &MessageOf<L>, spread: Spread) {
        for index in 0..self.sybils {
            let author = Dev((self.places.len() as u8).saturating_add(index));
            let changed = self.level.change(dev, message, Change::Author(author), u64::from(index));
            self.send_changed(dev, now, changed, Spread { must: false, ..spread });
        }
    }

    fn send_changed(
        &mut self,
        dev: Dev,
        now: u64,
        changed: Option<Changed<MessageOf<L>>>,
        spread: Spread,
    ) {
        match changed {
            None => {}
            Some(Changed::Open(message)) => self.send(dev, now, message, spread),
            Some(Changed::Bogus(message)) => {
                self.tally.bogus += 1;
                self.send(dev, now, message, Spread { bogus: true, ..spread });
            }
            Some(Changed::Carrier) => {
                self.tally.bogus += 1;
                self.tally.refused_by_carrier += 1;
            }
        }
    }

    fn send(&mut self, dev: Dev, now: u64, message: MessageOf<L>, spread: Spread) {
        let sent = self.sent.len() as u32;
        let key = mix(message.key() ^ hash_bytes(u64::from(dev.0), &[]));
        let audience = spread.direct.union(spread.relayed);
        for to in audience.iter() {
            let relayed = spread.relayed.contains(to);
            let at = now + spread.late + if relayed { RELAY_EPOCHS } else { 0 };
            let way = Way { from: dev, to, relayed };
            let arrival = self.network.arrival(at, way, key, &mut self.tally);
            self.queue.push(arrival.at, Item::Deliver { sent, to: to.0 });
            if let Some(again) = arrival.again {
                self.queue.push(again, Item::Deliver { sent, to: to.0 });
            }
        }
        let (must, bogus) = (spread.must, spread.bogus);
        let got = DeviceSet::EMPTY;
        self.sent.push(Sent { message, from: dev, audience, got, must, bogus });
    }
}
