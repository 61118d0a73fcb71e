//! The places at which each device can be, and how it gets from one to the next.
//!
//! **Invariants**
//! - INV-M4: two places are one only if nobody can tell them apart from then on: a device that has
//!   ended is what it said and how it ended, a crashed one is what it said.

use aura_choreography::{Ask, Dev, Want};
use rustc_hash::FxHashMap;

use super::{
    Delivery, ExploreError, Model, Reduction,
    choices::{Choice, INJECTED_MAX, Rules, alone, choices},
    code::{Code, How, Stage},
    eager::{drive, hear},
    key::Key,
    ledger::{Interner, Wait},
};

/// Where one device is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Its code waits. What it has heard is a list, and only kept where events are delivered one by
    /// one; what it has read of the adversary, where that is kept account of.
    Waits { node: u32, view: u32, reads: u128 },
    /// Its code has ended.
    Ended { outcome: u32, sent: u32, reads: u128 },
    /// It has crashed.
    Crashed { sent: u32, reads: u128 },
    /// Not a device: what the adversary has written.
    Adversary { sent: u32 },
}

/// What the search needs of a place, without looking further.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Brief {
    /// The list of what was said there.
    pub(super) sent: u32,
    /// What is waited for, plus one.
    pub(super) wait: u32,
    /// The slots of those it waits for, as bits.
    pub(super) sources: u32,
    /// How it ended; 0 if it has not.
    pub(super) outcome: u32,
    pub(super) lives: bool,
    pub(super) crashed: bool,
    /// Whether it waits for ever.
    pub(super) patient: bool,
    pub(super) reads: u128,
}

/// One way from a place.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) to: u32,
    pub(super) via: Via,
    /// It ends without a word and without having learnt how the session ended.
    pub(super) silent: bool,
}

/// What happens on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Via {
    /// The code goes on from its wait.
    On(How),
    /// An event is delivered.
    Delivery(u32),
    /// A crash, after what was said on the way.
    Crash,
    /// The adversary writes an event.
    Writes(u32),
}

/// One device, or the adversary.
pub(super) struct Slot {
    pub(super) dev: Option<Dev>,
    places: Interner<Place>,
    briefs: Vec<Brief>,
    /// Where it is in the beginning; and where it may have crashed right there.
    pub(super) begin: u32,
    pub(super) torn_begin: Vec<u32>,
}

/// Everything that can be, but for who is where.
pub(super) struct World<'s> {
    pub(super) code: Code<'s>,
    pub(super) slots: Vec<Slot>,
    pub(super) rules: Rules,
    delivery: Delivery,
    reduction: Reduction,
    pub(super) devices: u8,
    crashes: u8,
    read_lists: FxHashMap<u128, u32>,
}

impl<'s> World<'s> {
    pub(super) fn new(model: &Model<'s>) -> Result<Self, ExploreError> {
        model.check()?;
        let mut code = Code::new(model)?;
        // First, so that the adversary's events have the lowest numbers.
        let mut injected = Vec::new();
        for event in &model.injected {
            let number = code.ledger.event(event.clone())?;
            if !injected.contains(&number) {
                injected.push(number);
            }
        }
        if INJECTED_MAX < injected.len() {
            return Err(ExploreError::TooManyInjected);
        }
        let rules = Rules {
            injected: injected.len() as u32,
            reads: model.reduction == Reduction::Silence,
            rounds: model.rounds,
        };
        let mut world = Self {
            code,
            slots: Vec::new(),
            rules,
            delivery: model.delivery,
            reduction: model.reduction,
            devices: model.devices,
            crashes: model.crashes,
            read_lists: FxHashMap::default(),
        };
        let devices = model.running().map(Some);
        let adversary = (!injected.is_empty()).then_some(None);
        for dev in devices.chain(adversary) {
            world.slots.push(Slot {
                dev,
                places: Interner::new(),
                briefs: Vec::new(),
                begin: 0,
                torn_begin: Vec::new(),
            });
        }
        world.begin(injected)?;
        Ok(world)
    }

    fn begin(&mut self, injected: Vec<u32>) -> Result<(), ExploreError> {
        for at in 0..self.slots.len() {
            let (begin, torn) = match self.slots.get(at).and_then(|it| it.dev) {
                Some(dev) => {
                    let node = self.code.start(dev)?;
                    self.arrive(at, node, Vec::new(), 0)?
                }
                None => {
                    let written = if self.rules.reads { injected.clone() } else { Vec::new() };
                    let sent = self.code.ledger.lists.number(written.into());
                    (self.place(at, Place::Adversary { sent }), Vec::new())
                }
            };
            if let Some(slot) = self.slots.get_mut(at) {
                (slot.begin, slot.torn_begin) = (begin, torn);
            }
        }
        Ok(())
    }

    pub(super) fn brief(&self, slot: usize, place: u32) -> Brief {
        let brief =
            self.slots.get(slot).and_then(|it| it.briefs.get((place as usize).wrapping_sub(1)));
        brief.copied().unwrap_or_default()
    }

    pub(super) fn at(&self, slot: usize, place: u32) -> Option<&Place> {
        self.slots.get(slot)?.places.get(place.checked_sub(1)?)
    }

    /// How many places there are.
    pub(super) fn places(&self) -> usize {
        self.slots.iter().map(|it| it.places.len()).sum()
    }

    /// The number of a place, from 1.
    fn place(&mut self, slot: usize, place: Place) -> u32 {
        let known = self.slots.get(slot).map(|it| (it.places.find(&place), it.places.len()));
        match known {
            Some((Some(number), _)) => number + 1,
            Some((None, count)) => {
                let brief = self.summary(&place);
                if let Some(slot) = self.slots.get_mut(slot) {
                    slot.places.number(place);
                    slot.briefs.push(brief);
                }
                count as u32 + 1
            }
            None => 0,
        }
    }

    fn summary(&mut self, place: &Place) -> Brief {
        let none = Brief::default();
        match *place {
            Place::Adversary { sent } => Brief { sent, ..none },
            Place::Ended { outcome, sent, reads } => Brief { sent, outcome, reads, ..none },
            Place::Crashed { sent, reads } => Brief { sent, crashed: true, reads, ..none },
            Place::Waits { node, reads, .. } => {
                let node = self.code.node(node).map(|it| (it.dev, it.sent, it.stage.clone()));
                let Some((dev, sent, Stage::Waits(ask))) = node else { return none };
                let (wait, sources) = match self.delivery {
                    Delivery::Eager => (self.code.ledger.wait(Wait::Everything) + 1, u32::MAX),
                    Delivery::Lazy => self.wait_of(dev, &ask),
                };
                let patient =
                    matches!(ask, Ask::Await { within: None, .. } | Ask::Signal { within: None });
                Brief { sent, wait, sources, lives: true, patient, reads, ..none }
            }
        }
    }

    fn wait_of(&mut self, dev: Dev, ask: &Ask) -> (u32, u32) {
        let (want, unless) = match ask {
            Ask::Await { want, unless, .. } => (*want, *unless),
            Ask::Peek(want) => (*want, None),
            _ => return (0, 0),
        };
        let addressed = |it: &Want| it.to_me;
        let me = if addressed(&want) || unless.is_some_and(|it| it.to_me) { dev } else { Dev(0) };
        let wait = self.code.ledger.wait(Wait::For { want, unless, me }) + 1;
        let from = unless.map_or(want.from, |it| want.from.union(it.from));
        let asked = |it: &Slot| it.dev.is_none_or(|it| it != dev && from.contains(it));
        let bits = self.slots.iter().enumerate().filter(|(_, it)| asked(it));
        (wait, bits.fold(0, |set, (at, _)| set | 1 << at))
    }

    /// The place of a device whose code has newly come to `node`, and those where it crashed before it
    /// had said all it says on the way.
    fn arrive(
        &mut self,
        slot: usize,
        node: u32,
        view: Vec<u32>,
        reads: u128,
    ) -> Result<(u32, Vec<u32>), ExploreError> {
        if self.delivery == Delivery::Eager {
            return self.drive(slot, node, view, true);
        }
        let torn = self.code.node(node).map(|it| it.torn.clone()).unwrap_or_default();
        Ok(self.settle(slot, node, 0, reads, torn))
    }

    fn drive(
        &mut self,
        slot: usize,
        node: u32,
        view: Vec<u32>,
        fresh: bool,
    ) -> Result<(u32, Vec<u32>), ExploreError> {
        let reached = drive(&mut self.code, node, view, fresh)?;
        let reads = self.rules.reads_of(&reached.view);
        let view = self.code.ledger.lists.number(reached.view.into());
        Ok(self.settle(slot, reached.node, view, reads, reached.torn))
    }

    fn settle(
        &mut self,
        slot: usize,
        node: u32,
        view: u32,
        reads: u128,
        torn: Vec<u32>,
    ) -> (u32, Vec<u32>) {
        let place = match self.code.node(node).map(|it| (it.sent, &it.stage)) {
            Some((sent, Stage::Ended(outcome))) => Place::Ended { outcome: *outcome, sent, reads },
            _ => Place::Waits { node, view, reads },
        };
        let place = self.place(slot, place);
        let torn = if self.crashes == 0 { Vec::new() } else { torn };
        let crashed = |sent| self.place(slot, Place::Crashed { sent, reads });
        (place, torn.into_iter().map(crashed).collect())
    }

    /// All ways from a place, if the others have said what `offers` names: a list for each slot that
    /// matters. With [`Delivery::Eager`] it is one slot, or none for what nobody else has part in.
    pub(super) fn ways<K: Key>(
        &mut self,
        slot: usize,
        place: u32,
        offers: K,
    ) -> Result<Vec<Way>, ExploreError> {
        match self.at(slot, place).cloned() {
            Some(Place::Waits { node, view, reads }) => {
                let mut ways = Vec::new();
                let from = (slot, node, view, reads);
                if self.delivery == Delivery::Eager && offers != K::default() {
                    self.delivered(from, offers, &mut ways)?;
                } else {
                    self.gone_on(from, offers, &mut ways)?;
                    self.may_crash(slot, place, &mut ways);
                }
                Ok(ways)
            }
            Some(Place::Adversary { sent }) if !self.rules.reads => Ok(self.written(slot, sent)),
            _ => Ok(Vec::new()),
        }
    }

    fn gone_on<K: Key>(
        &mut self,
        (slot, node, view, reads): (usize, u32, u32, u128),
        offers: K,
        ways: &mut Vec<Way>,
    ) -> Result<(), ExploreError> {
        for Choice { how, reads: read } in self.choices(node, offers)? {
            let before = self.code.node(node).map(|it| it.sent);
            let Some(next) = self.code.go_on(node, how.clone())? else { continue };
            let view = self.code.ledger.list(view).to_vec();
            let (to, torn) = self.arrive(slot, next, view, reads | read)?;
            let brief = self.brief(slot, to);
            let silent = self.reduction == Reduction::Silence
                && brief.outcome != 0
                && !self.code.is_told(brief.outcome)
                && before == Some(brief.sent);
            add(ways, Way { to, via: Via::On(how), silent });
            for to in torn {
                add(ways, Way { to, via: Via::Crash, silent: false });
            }
        }
        Ok(())
    }

    fn choices<K: Key>(&mut self, node: u32, offers: K) -> Result<Vec<Choice>, ExploreError> {
        if self.delivery == Delivery::Lazy {
            let lists = (0..self.slots.len()).map(|it| self.code.ledger.list(offers.at(it)));
            let offered: Vec<u32> = lists.flatten().copied().collect();
            return choices(&mut self.code, self.rules, node, &offered);
        }
        let Some((dev, Stage::Waits(ask), taken)) =
            self.code.node(node).map(|it| (it.dev, &it.stage, it.signals))
        else {
            return Ok(Vec::new());
        };
        let Ask::Await { within, signals, .. } = ask else {
            return Ok(alone(&self.code, self.rules, dev, ask, taken));
        };
        let said = *signals && self.code.signal(dev, taken).is_some();
        let signal = said.then_some(How::Signal);
        Ok(signal.into_iter().chain(within.map(|_| How::Timeout)).map(Choice::plain).collect())
    }

    /// The next event of an author, or any of the adversary's.
    fn delivered<K: Key>(
        &mut self,
        (slot, node, view, _): (usize, u32, u32, u128),
        offers: K,
        ways: &mut Vec<Way>,
    ) -> Result<(), ExploreError> {
        let Some(author) = (0..self.slots.len()).find(|it| offers.at(*it) != 0) else {
            return Ok(());
        };
        let in_order = self.slots.get(author).is_some_and(|it| it.dev.is_some());
        let heard = self.code.ledger.list(view).to_vec();
        let said = self.code.ledger.list(offers.at(author)).to_vec();
        for event in said {
            let mut view = heard.clone();
            if !hear(&self.code.ledger, &mut view, event) {
                continue;
            }
            let (to, torn) = self.drive(slot, node, view, false)?;
            add(ways, Way { to, via: Via::Delivery(event), silent: false });
            for to in torn {
                add(ways, Way { to, via: Via::Crash, silent: false });
            }
            if in_order {
                break;
            }
        }
        Ok(())
    }

    fn may_crash(&mut self, slot: usize, place: u32, ways: &mut Vec<Way>) {
        if self.crashes != 0 && self.reduction == Reduction::None {
            let Brief { sent, reads, .. } = self.brief(slot, place);
            let to = self.place(slot, Place::Crashed { sent, reads });
            add(ways, Way { to, via: Via::Crash, silent: false });
        }
    }

    fn written(&mut self, slot: usize, sent: u32) -> Vec<Way> {
        let written = self.code.ledger.list(sent).to_vec();
        let mut ways = Vec::new();
        for event in (0..self.rules.injected).filter(|it| !written.contains(it)) {
            let mut more: Vec<u32> = written.iter().copied().chain([event]).collect();
            more.sort_unstable();
            let sent = self.code.ledger.lists.number(more.into());
            let to = self.place(slot, Place::Adversary { sent });
            ways.push(Way { to, via: Via::Writes(event), silent: false });
        }
        ways
    }

    /// The adversary's events of a set, as a list.
    pub(super) fn read_list(&mut self, reads: u128) -> u32 {
        if let Some(list) = self.read_lists.get(&reads) {
            return *list;
        }
        let events = (0..self.rules.injected).filter(|it| reads >> it & 1 == 1).collect();
        let list = self.code.ledger.lists.number(events);
        self.read_lists.insert(reads, list);
        list
    }
}

/// Adds a way unless one leads there already.
fn add(ways: &mut Vec<Way>, way: Way) {
    let is_crash = way.via == Via::Crash;
    if !ways.iter().any(|it| it.to == way.to && (it.via == Via::Crash) == is_crash) {
        ways.push(way);
    }
}
