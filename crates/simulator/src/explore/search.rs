//! Breadth first through all global states.
//!
//! **Invariants**
//! - INV-M5: states are visited in an order that rests on the model alone, so two explorations of one
//!   model report the same numbers and the same trace, which no other is shorter than.

use aura_choreography::GlobalType;
use rustc_hash::FxHashMap;

use super::{
    Delivery, ExploreError, Model, Property, Reduction, Report, Verdict,
    judge::{Broken, Judge},
    key::{Key, Seen},
    trace::{Trace, explain},
    world::{Brief, Slot, Way, World},
};

/// Most slots of a state.
const SLOTS_MAX: usize = 16;
/// States that are expanded before their successors are looked up.
const BLOCK: usize = 256;

/// Why a search ended early.
pub(super) enum Unfit {
    /// A number does not fit into a key.
    TooNarrow,
    Model(ExploreError),
}

impl From<ExploreError> for Unfit {
    fn from(error: ExploreError) -> Self {
        Self::Model(error)
    }
}

/// The ways from a place under one offer, as a part of a common list.
#[derive(Debug, Clone, Copy, Default)]
struct Ways {
    begin: u32,
    /// From here on they are crashes.
    crashes: u32,
    end: u32,
    /// Whether one of them, not in the list, is silent.
    silent: bool,
}

/// What the devices of a state can do, as sets of slots.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Activity {
    /// Those that go on, and cannot give up without a word.
    pub(super) busy: u32,
    /// Those that may give up without a word.
    pub(super) free: u32,
    /// Those that wait for ever for what is not there.
    pub(super) blocked: u32,
    crashed: u32,
}

/// A state that was come to.
struct Found<K> {
    key: K,
    from: u32,
    /// Whether a device ended on the way.
    ended: bool,
}

/// The worst that was found so far.
struct Candidate {
    steps: usize,
    at: u32,
    property: Property,
    stuck: Option<Activity>,
}

pub(super) struct Search<'m, 's, K> {
    model: &'m Model<'s>,
    pub(super) world: World<'s>,
    judge: Judge<K>,
    cache: Vec<FxHashMap<(u32, K), Ways>>,
    targets: Vec<u32>,
    pub(super) order: Vec<K>,
    parents: Vec<u32>,
    seen: Seen<K>,
    found: Vec<Found<K>>,
    best: Option<Candidate>,
    outcomes: Vec<K>,
    generated: u64,
    terminals: u64,
    too_narrow: bool,
}

impl<'m, 's, K: Key> Search<'m, 's, K> {
    pub(super) fn new(model: &'m Model<'s>) -> Result<Self, Unfit> {
        let world = World::new(model)?;
        let slots = world.slots.len();
        if SLOTS_MAX < slots {
            return Err(ExploreError::TooManyDevices(SLOTS_MAX).into());
        }
        if K::SLOTS < slots {
            return Err(Unfit::TooNarrow);
        }
        let mut root = K::default();
        for (at, slot) in world.slots.iter().enumerate() {
            root = root.with(at, slot.begin);
        }
        let mut seen = Seen::new();
        seen.insert(root);
        Ok(Self {
            model,
            judge: Judge::new(slots),
            cache: (0..slots).map(|_| FxHashMap::default()).collect(),
            targets: Vec::new(),
            order: vec![root],
            parents: vec![u32::MAX],
            seen,
            found: Vec::new(),
            best: None,
            outcomes: Vec::new(),
            generated: 0,
            terminals: 0,
            too_narrow: false,
            world,
        })
    }

    /// Visits everything, or what lies before the first violation.
    pub(super) fn run(&mut self) -> Result<Report, Unfit> {
        let (mut at, mut depth) = (0, 0);
        let mut capped = false;
        self.judge_state(0, 0);
        while at < self.order.len() && !capped {
            if self.best.as_ref().is_some_and(|it| it.steps <= depth) {
                break;
            }
            let level = self.order.len();
            while at < level && !capped {
                let end = level.min(at + BLOCK);
                for it in at..end {
                    self.expand(it, depth)?;
                }
                self.take(depth + 1);
                at = end;
                capped = self.model.states_max <= self.order.len();
                if self.too_narrow {
                    return Err(Unfit::TooNarrow);
                }
            }
            depth += 1;
        }
        let capped = capped && at < self.order.len();
        self.report(capped)
    }

    /// Adds the states that were found to those to be visited.
    fn take(&mut self, depth: usize) {
        let found = std::mem::take(&mut self.found);
        self.seen.touch(found.iter().map(|it| it.key));
        for Found { key, from, ended } in &found {
            if self.seen.insert(*key) {
                self.order.push(*key);
                self.parents.push(*from);
                if *ended {
                    self.judge_state(self.order.len() - 1, depth);
                }
            }
        }
        self.generated += found.len() as u64;
        self.found = found;
        self.found.clear();
    }

    fn judge_state(&mut self, at: usize, depth: usize) {
        let Some(key) = self.order.get(at).copied() else { return };
        let Some(broken) = self.judge.look(&self.world, self.model, key) else { return };
        let steps = depth + self.reads(key).count_ones() as usize;
        let property = match broken {
            Broken::Agreement => Property::Agreement,
            Broken::Decision => Property::Decision,
            Broken::Invariant(what) => Property::Invariant(what),
        };
        self.propose(Candidate { steps, at: at as u32, property, stuck: None });
    }

    fn propose(&mut self, candidate: Candidate) {
        if self.best.as_ref().is_none_or(|it| candidate.steps < it.steps) {
            self.best = Some(candidate);
        }
    }

    /// What of the adversary's events somebody has read.
    fn reads(&self, key: K) -> u128 {
        let read = |slot: usize| self.world.brief(slot, key.at(slot)).reads;
        (0..self.world.slots.len()).fold(0, |set, slot| set | read(slot))
    }

    /// Finds the states after one.
    fn expand(&mut self, at: usize, depth: usize) -> Result<(), Unfit> {
        let Some(key) = self.order.get(at).copied() else { return Ok(()) };
        let slots = self.world.slots.len();
        let (mut briefs, mut sents) = ([Brief::default(); SLOTS_MAX], [0; SLOTS_MAX]);
        let (mut crashed, mut patient) = (0, false);
        for (slot, (brief, sent)) in briefs.iter_mut().zip(&mut sents).enumerate().take(slots) {
            *brief = self.world.brief(slot, key.at(slot));
            *sent = brief.sent;
            crashed += u32::from(brief.crashed);
            patient |= brief.patient;
        }
        let may_crash = crashed < u32::from(self.model.crashes);
        let mut activity = Activity { crashed, ..Activity::default() };
        for (slot, brief) in briefs.iter().enumerate().take(slots) {
            self.go_on(slot, key, brief, &sents, (at, may_crash), &mut activity)?;
        }
        if may_crash && depth <= usize::from(self.model.crashes) {
            self.crash_at_once(at, key);
        }
        self.terminals += u64::from(activity.busy == 0);
        if activity.busy == 0 && self.model.keep_outcomes {
            self.outcomes.push(self.judge.outcomes(&self.world, key));
        }
        if patient {
            self.judge_progress(at, depth, key, &briefs, &mut sents, activity)?;
        }
        Ok(())
    }

    fn go_on(
        &mut self,
        slot: usize,
        key: K,
        brief: &Brief,
        sents: &[u32; SLOTS_MAX],
        (at, may_crash): (usize, bool),
        activity: &mut Activity,
    ) -> Result<(), Unfit> {
        let adversary = self.world.slots.get(slot).is_some_and(|it| it.dev.is_none());
        if !brief.lives && !adversary {
            return Ok(());
        }
        let may_crash = may_crash && !self.is_steady(slot);
        let mut all = Ways::default();
        for group in 0..self.groups() {
            let Some(ways) = self.ways(slot, key.at(slot), brief, sents, group)? else { continue };
            let end = if may_crash { ways.end } else { ways.crashes };
            let targets = self.targets.get(ways.begin as usize..end as usize).unwrap_or_default();
            for to in targets {
                let ended = self.world.brief(slot, *to).outcome != 0;
                let key = key.with(slot, *to);
                self.found.push(Found { key, from: at as u32, ended });
            }
            note(&mut all, ways);
        }
        if !adversary {
            activity.count(slot, all);
        }
        Ok(())
    }

    /// Whether this slot's device never crashes.
    fn is_steady(&self, slot: usize) -> bool {
        let dev = self.world.slots.get(slot).and_then(|it| it.dev);
        dev.is_some_and(|it| self.model.steady.contains(it))
    }

    /// The type of what is explored.
    pub(super) fn global(&self) -> &'s GlobalType {
        self.model.script.global()
    }

    /// All ways from a place in a state, also those that are not explored.
    pub(super) fn all_ways(&mut self, slot: usize, key: K) -> Result<Vec<Way>, Unfit> {
        let mut sents = [0; SLOTS_MAX];
        for (at, sent) in sents.iter_mut().enumerate().take(self.world.slots.len()) {
            *sent = self.world.brief(at, key.at(at)).sent;
        }
        let brief = self.world.brief(slot, key.at(slot));
        let mut all = Vec::new();
        for group in 0..self.groups() {
            if let Some(offers) = self.offers(slot, &brief, &sents, group) {
                all.extend(self.world.ways(slot, key.at(slot), offers)?);
            }
        }
        Ok(all)
    }

    /// How many separate things a place's ways rest on: all that was said, or each author's.
    fn groups(&self) -> usize {
        match self.model.delivery {
            Delivery::Lazy => 1,
            Delivery::Eager => 1 + self.world.slots.len(),
        }
    }

    /// The ways from a place that rest on one group; none when there is nothing in it.
    #[inline]
    fn ways(
        &mut self,
        slot: usize,
        place: u32,
        brief: &Brief,
        sents: &[u32; SLOTS_MAX],
        group: usize,
    ) -> Result<Option<Ways>, Unfit> {
        let Some(offers) = self.offers(slot, brief, sents, group) else { return Ok(None) };
        match self.cache.get(slot).and_then(|it| it.get(&(place, offers))) {
            Some(ways) => Ok(Some(*ways)),
            None => self.find_ways(slot, place, offers).map(Some),
        }
    }

    /// What of all that was said matters to a place, as far as it is in one group.
    #[inline]
    fn offers(
        &mut self,
        slot: usize,
        brief: &Brief,
        sents: &[u32; SLOTS_MAX],
        group: usize,
    ) -> Option<K> {
        let sources = match (self.model.delivery, group.checked_sub(1)) {
            (Delivery::Lazy, _) => brief.sources,
            (Delivery::Eager, None) => 0,
            (Delivery::Eager, Some(source)) if source == slot => return None,
            (Delivery::Eager, Some(source)) => brief.sources & 1 << source,
        };
        let mut offers = K::default();
        for (source, sent) in sents.iter().enumerate().take(self.world.slots.len()) {
            if sources >> source & 1 == 1 && *sent != 0 {
                let offer = self.world.code.ledger.offer(brief.wait - 1, *sent);
                self.too_narrow |= K::MAX < offer;
                offers = offers.with(source, offer);
            }
        }
        (group == 0 || offers != K::default()).then_some(offers)
    }

    #[cold]
    fn find_ways(&mut self, slot: usize, place: u32, offers: K) -> Result<Ways, Unfit> {
        let ways: Vec<Way> = self.world.ways(slot, place, offers)?;
        let begin = self.targets.len() as u32;
        let mut list = |crash: bool| {
            let of = |it: &&Way| !it.silent && (it.via == super::world::Via::Crash) == crash;
            self.targets.extend(ways.iter().filter(of).map(|it| it.to));
            self.targets.len() as u32
        };
        let (crashes, end) = (list(false), list(true));
        self.too_narrow |=
            ways.iter().any(|it| K::MAX < it.to) || (K::MAX as usize) < self.world.code.outcomes();
        let found = Ways { begin, crashes, end, silent: ways.iter().any(|it| it.silent) };
        if let Some(cache) = self.cache.get_mut(slot) {
            cache.insert((place, offers), found);
        }
        Ok(found)
    }

    /// A device may crash between the first things that it says at once. While no device has gone on,
    /// nobody has read more of it.
    fn crash_at_once(&mut self, at: usize, key: K) {
        let slots = &self.world.slots;
        let untouched = |(slot, it): (usize, &Slot)| {
            let place = key.at(slot);
            place == it.begin || it.torn_begin.contains(&place)
        };
        if !slots.iter().enumerate().all(untouched) {
            return;
        }
        let steady = self.model.steady;
        let may_crash = |(at, it): &(usize, &Slot)| {
            key.at(*at) == it.begin && !it.dev.is_some_and(|dev| steady.contains(dev))
        };
        for (slot, it) in slots.iter().enumerate().filter(may_crash) {
            for to in &it.torn_begin {
                let key = key.with(slot, *to);
                self.found.push(Found { key, from: at as u32, ended: false });
            }
        }
    }

    /// Whether a device may wait for ever here.
    fn judge_progress(
        &mut self,
        at: usize,
        depth: usize,
        key: K,
        briefs: &[Brief; SLOTS_MAX],
        sents: &mut [u32; SLOTS_MAX],
        mut activity: Activity,
    ) -> Result<(), Unfit> {
        let slots = self.world.slots.len();
        let quiet = self.model.reduction == Reduction::Silence;
        let mut reads = 0;
        if quiet && self.world.rules.injected != 0 {
            // What nobody has read the adversary may never write.
            reads = briefs.iter().fold(0, |set, it| set | it.reads);
            if let Some(sent) = sents.get_mut(slots - 1) {
                *sent = self.world.read_list(reads);
            }
            activity = Activity { crashed: activity.crashed, ..Activity::default() };
            for (slot, brief) in briefs.iter().enumerate().take(slots).filter(|(_, it)| it.lives) {
                let mut all = Ways::default();
                for group in 0..self.groups() {
                    if let Some(ways) = self.ways(slot, key.at(slot), brief, sents, group)? {
                        note(&mut all, ways);
                    }
                }
                activity.count(slot, all);
            }
        }
        let left = if quiet { u32::from(self.model.crashes) - activity.crashed } else { 0 };
        let goes_on = (0..slots).any(|it| activity.busy & 1 << it != 0 && self.is_steady(it));
        if activity.blocked != 0 && activity.busy.count_ones() <= left && !goes_on {
            let after = activity.busy.count_ones() + activity.free.count_ones();
            let steps = depth + (after + reads.count_ones()) as usize;
            let (at, property) = (at as u32, Property::Progress);
            self.propose(Candidate { steps, at, property, stuck: Some(activity) });
        }
        Ok(())
    }

    fn report(&mut self, capped: bool) -> Result<Report, Unfit> {
        let verdict = match self.best.take() {
            Some(it) => {
                let trace = self.trace(&it)?;
                Verdict::Violated { property: it.property, trace }
            }
            None if capped => Verdict::Capped,
            None => Verdict::Holds,
        };
        Ok(Report {
            unique: self.order.len(),
            generated: self.generated,
            places: self.world.places(),
            locals: self.world.code.nodes(),
            runs: self.world.code.runs,
            terminals: self.terminals,
            outcomes: self.judge.spell(&self.world, &self.outcomes),
            verdict,
        })
    }

    fn trace(&mut self, worst: &Candidate) -> Result<Trace, Unfit> {
        let mut path = Vec::new();
        let mut at = worst.at;
        while let Some(key) = self.order.get(at as usize) {
            path.push(*key);
            at = self.parents.get(at as usize).copied().unwrap_or(u32::MAX);
        }
        path.reverse();
        explain(self, &path, worst.stuck)
    }
}

impl Activity {
    fn count(&mut self, slot: usize, ways: Ways) {
        let set = match (ways.silent, ways.begin < ways.crashes) {
            (true, _) => &mut self.free,
            (false, true) => &mut self.busy,
            (false, false) => &mut self.blocked,
        };
        *set |= 1 << slot;
    }
}

/// Adds one group's ways to what is known of a place.
const fn note(all: &mut Ways, ways: Ways) {
    all.silent |= ways.silent;
    if ways.begin < ways.crashes {
        (all.begin, all.crashes) = (ways.begin, ways.crashes);
    }
}
