//! Follows every run of three devices, each with its own version.
//!
//! Logs only grow, and what a device does next depends on more of a log never less: sending, seeing a
//! quorum and following a decision can be done as soon as they are possible without excluding
//! anything. So everything but decisions is done eagerly, and only decisions branch: which device
//! decides next, what, and for which subset of those whom it has seen; and whether a device that may
//! decline does. When it declines does not matter, only whether. Time runs out only when nothing else
//! can happen.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{
    CONTINUES_MAX, End, MOVES_MAX, STATES_MAX, Side,
    clock::{Clock, Late},
    code::{Awaited, Code, Label, Labels, Need, Op, Senders, Way},
    late::TimeOuts,
    spread::{COUNT, DEVICES, Devices, Names, Spread, threshold},
};

/// One event in an author's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Event {
    pub(super) label: Label,
    round: u16,
    /// Who may read it.
    to: Devices,
    /// The devices that it names.
    payload: Devices,
    /// Not sent, but declined.
    declined: bool,
    /// When.
    pub(super) said: Clock,
}

/// Where one device stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Device {
    pub(super) at: usize,
    /// The round of what it sends and awaits now.
    round: u16,
    /// How often it went back to a mark. No round is used twice.
    rounds: u16,
    /// The rounds of the sessions around the one that it is in.
    outer: Vec<u16>,
    loops: Vec<u8>,
    /// The payloads of decisions that later steps use.
    subsets: BTreeMap<Label, Devices>,
    /// What it owes at the end, and in which round.
    owed: Vec<(Label, u16)>,
    /// Decisions that it went by and that not all others have learned of.
    pub(super) decided: BTreeSet<(Label, u16, Devices)>,
    pub(super) clock: Clock,
    pub(super) end: Option<End>,
}

/// Where all devices stand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct State {
    pub(super) devices: [Device; COUNT],
    pub(super) logs: [Vec<Event>; COUNT],
    /// The first wait that may have been too short.
    pub(super) late: Option<Late>,
}

/// What a device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    Send { label: Label, to: Devices },
    Decline { label: Label, no: Label },
    See { label: Label, from: Devices },
    Decide { label: Label, payload: Option<Devices> },
    Follow { label: Label },
    TimeOut { awaited: Label, label: Label },
    GiveUp { awaited: Label },
}

/// Who does what.
pub(super) type Step = (usize, Act);

/// One kind of run: which versions, which roles.
pub(super) struct Arena<'a> {
    pub(super) codes: [&'a Code; COUNT],
    pub(super) sides: [Side; COUNT],
    pub(super) names: &'a Names,
    pub(super) spread: &'a Spread,
    /// The labels whose payload some later step uses.
    pub(super) tracked: Labels,
    /// Where deciders run out of time although nobody declines; `None`: anywhere, and it is noted.
    pub(super) time_outs: Option<&'a TimeOuts>,
}

/// What following every run led to.
pub(super) enum Explored {
    /// Every run ends well. Where devices had to run out of time for that.
    Safe(TimeOuts),
    /// Every run ends well if a device waits longer than it would.
    Late(Late),
    /// The shortest run that does not.
    Wrong(Vec<Step>, Box<State>),
    /// Too many runs.
    Bound,
}

/// How a state was reached.
struct Node {
    parent: Option<usize>,
    steps: Vec<Step>,
}

impl Arena<'_> {
    /// Follows every run, shortest first.
    pub(super) fn explore(&self) -> Explored {
        let mut noted = TimeOuts::new();
        let mut nodes: Vec<Node> = Vec::new();
        // By length, then by age.
        let mut queue = BTreeMap::new();
        let mut visited = BTreeSet::new();
        let mut moves = 0;
        let mut late = None;
        let mut steps = Vec::new();
        let mut state = self.start();
        self.settle(&mut state, &mut steps);
        late = late.or_else(|| state.late.take());
        queue.insert((steps.len(), 0), state);
        nodes.push(Node { parent: None, steps });
        while let Some(((length, index), state)) = queue.pop_first() {
            if visited.contains(&state) {
                continue;
            }
            if self.unheard(&state).is_some() {
                return Explored::Wrong(path(&nodes, index), Box::new(state));
            }
            let mut options = self.answers(&state);
            match options.first() {
                // In which order people answer does not matter.
                Some(&(first, _)) => options.retain(|it| it.0 == first),
                None => options = self.options(&state),
            }
            if options.is_empty() {
                options = self.out_of_time(&state, &mut noted);
            }
            if options.is_empty() && self.is_wrong(&state) {
                return Explored::Wrong(path(&nodes, index), Box::new(state));
            }
            for step in options {
                let mut next = state.clone();
                let mut steps = alloc::vec![step];
                self.take(&mut next, step);
                self.settle(&mut next, &mut steps);
                late = next.late.take().or(late);
                moves += steps.len();
                if MOVES_MAX < moves || STATES_MAX < queue.len() + visited.len() {
                    return Explored::Bound;
                }
                queue.insert((length + steps.len(), nodes.len()), next);
                nodes.push(Node { parent: Some(index), steps });
            }
            visited.insert(state);
        }
        late.map_or(Explored::Safe(noted), Explored::Late)
    }

    pub(super) fn start(&self) -> State {
        let device = |code: &Code| Device {
            at: 0,
            round: 0,
            rounds: 0,
            outer: Vec::new(),
            loops: alloc::vec![0; code.recs],
            subsets: BTreeMap::new(),
            owed: Vec::new(),
            decided: BTreeSet::new(),
            clock: Clock::default(),
            end: None,
        };
        let logs = [const { Vec::new() }; COUNT];
        State { devices: self.codes.map(device), logs, late: None }
    }

    /// Does all that can be done without deciding, then forgets what nobody can use any more.
    fn settle(&self, state: &mut State, steps: &mut Vec<Step>) {
        let mut moved = true;
        while moved {
            moved = false;
            for device in 0..COUNT {
                while let Some(act) = self.one(state, device) {
                    steps.push((device, act));
                    moved = true;
                }
            }
        }
        self.forget(state);
    }

    /// The next thing that a device does without deciding, if there is one.
    pub(super) fn one(&self, state: &mut State, index: usize) -> Option<Act> {
        let code = self.codes.get(index)?;
        loop {
            let device = state.devices.get(index)?;
            if device.end.is_some() {
                return None;
            }
            let op = code.ops.get(device.at)?;
            match op {
                Op::Send { label, to, among, no } => {
                    let here = device_mut(state, index)?;
                    let sends = here.is_among(index, *among);
                    if sends && no.is_some() {
                        return None;
                    }
                    here.at += 1;
                    if sends {
                        let round = here.round;
                        return self.send(state, index, *label, *to, round);
                    }
                }
                Op::Await(wait) => {
                    let seen = self.seen(state, index, wait);
                    if !device.has_enough(&wait.need, seen) {
                        return None;
                    }
                    let arrival = self.arrival(state, index, wait);
                    self.comes(state, index, (wait.label, wait.within), arrival);
                    device_mut(state, index)?.at += 1;
                    return Some(Act::See { label: wait.label, from: seen });
                }
                Op::Decide { .. } => return None,
                Op::Follow { from, ways, within, .. } => {
                    let (way, event) = self.announced(state, index, *from, ways)?;
                    if self.refuses(state, index, *from, way.label) {
                        return None;
                    }
                    self.comes(state, index, (way.label, *within), event.said);
                    device_mut(state, index)?.go(way, event.payload, self.tracked);
                    return Some(Act::Follow { label: way.label });
                }
                Op::Abort | Op::Finish | Op::GiveUp => {
                    let here = device_mut(state, index)?;
                    if let Some((label, round)) = here.owed.pop() {
                        return self.send(state, index, label, DEVICES, round);
                    }
                    here.end = Some(match op {
                        Op::Abort => End::Aborted,
                        Op::GiveUp => End::GaveUp,
                        _ => End::Finished,
                    });
                }
                silent => device_mut(state, index)?.pass(silent),
            }
        }
    }

    fn send(
        &self,
        state: &mut State,
        author: usize,
        label: Label,
        to: Devices,
        round: u16,
    ) -> Option<Act> {
        let said = state.devices.get(author)?.clock;
        let event = Event { label, round, to, payload: 0, declined: false, said };
        state.logs.get_mut(author)?.push(event);
        Some(Act::Send { label, to })
    }

    /// Whether a device can read an event.
    pub(super) fn reads(&self, reader: usize, author: usize, label: Label) -> bool {
        match (self.sides.get(reader), self.sides.get(author)) {
            (Some(reader), Some(author)) => self.names.reads(*reader, *author, label),
            _ => false,
        }
    }

    /// From whom a device has what it waits for, in its round. Only those count who are
    /// to send it.
    pub(super) fn seen(&self, state: &State, reader: usize, wait: &Awaited) -> Devices {
        self.answered(state, reader, wait, false)
    }

    /// Who declined to send what a device waits for and could read, in its round.
    pub(super) fn declined(&self, state: &State, reader: usize, wait: &Awaited) -> Devices {
        self.answered(state, reader, wait, true)
    }

    /// Whether one device declined to send any of these in the round of another.
    pub(super) fn has_declined(
        &self,
        state: &State,
        reader: usize,
        author: usize,
        labels: &[Label],
    ) -> bool {
        let (Some(device), Some(log)) = (state.devices.get(reader), state.logs.get(author)) else {
            return false;
        };
        let of = |it: &Event| it.declined && it.round == device.round;
        log.iter().any(|it| of(it) && labels.contains(&it.label))
    }

    fn answered(&self, state: &State, reader: usize, wait: &Awaited, declined: bool) -> Devices {
        let label = wait.label;
        let Some(device) = state.devices.get(reader) else { return 0 };
        let from = self.senders(device, wait);
        let round = device.round;
        let mut seen = 0;
        for (author, log) in state.logs.iter().enumerate() {
            let here = |it: &Event| {
                it.declined == declined
                    && it.label == label
                    && it.round == round
                    && it.to >> reader & 1 == 1
            };
            if self.reads(reader, author, label) && log.iter().any(here) {
                seen |= 1 << author;
            }
        }
        seen & from
    }

    /// Who is to send what a device waits for.
    pub(super) fn senders(&self, device: &Device, wait: &Awaited) -> Devices {
        match wait.from {
            Senders::Devices(devices) => devices,
            Senders::Decided(decided) => device.subset(decided),
        }
    }

    /// When one device said what another waits for.
    pub(super) fn said(
        &self,
        state: &State,
        reader: usize,
        author: usize,
        label: Label,
    ) -> Option<Clock> {
        let round = state.devices.get(reader)?.round;
        let is_it = |it: &&Event| it.label == label && it.round == round && !it.declined;
        state.logs.get(author)?.iter().find(is_it).map(|it| it.said)
    }

    /// The first decision of this round in a decider's log that leads on.
    fn announced(
        &self,
        state: &State,
        reader: usize,
        author: usize,
        ways: &[Way],
    ) -> Option<(Way, Event)> {
        let round = state.devices.get(reader)?.round;
        let log = state.logs.get(author)?;
        log.iter().filter(|it| it.round == round).find_map(|event| {
            let way = ways.iter().find(|it| it.label == event.label)?;
            self.reads(reader, author, event.label).then_some((*way, *event))
        })
    }

    /// Whether a device refuses a decision that it can read: where the payload says who does something,
    /// its own version must allow a decision on these devices.
    pub(super) fn refuses(
        &self,
        state: &State,
        reader: usize,
        author: usize,
        label: Label,
    ) -> bool {
        let refuses = || {
            let device = state.devices.get(reader)?;
            let code = self.codes.get(reader)?;
            let Op::Follow { ways, on: Some(on), .. } = code.ops.get(device.at)? else {
                return None;
            };
            let (way, event) = self.announced(state, reader, author, ways)?;
            let matters = way.label == label && !way.aborts && code.all_subsets().contains(label);
            let from = match on.from {
                Senders::Devices(devices) => devices,
                Senders::Decided(decided) => device.subset(decided),
            };
            let allowed =
                event.payload & !from == 0 && device.least(&on.need) <= event.payload.count_ones();
            Some(matters && !allowed)
        };
        refuses().unwrap_or(false)
    }

    /// What can be answered now by people who are asked for something that they may decline.
    pub(super) fn answers(&self, state: &State) -> Vec<Step> {
        let mut answers = Vec::new();
        for (index, device) in state.devices.iter().enumerate() {
            let op = self.codes.get(index).and_then(|it| it.ops.get(device.at));
            if let Some(&Op::Send { label, to, among, no: Some(no) }) = op
                && device.end.is_none()
                && device.is_among(index, among)
            {
                answers.push((index, Act::Send { label, to }));
                answers.push((index, Act::Decline { label, no }));
            }
        }
        answers
    }

    /// Everything that can be decided now.
    pub(super) fn options(&self, state: &State) -> Vec<Step> {
        let mut options = Vec::new();
        for (index, device) in state.devices.iter().enumerate() {
            let Some((on, ways)) = self.decision(device, index) else { continue };
            let (seen, least) = match on {
                None => (DEVICES, threshold(DEVICES)),
                Some(on) => {
                    let seen = self.seen(state, index, on);
                    if !device.has_enough(&on.need, seen) {
                        continue;
                    }
                    (seen, device.least(&on.need))
                }
            };
            for way in ways.iter().filter(|it| device.may_take(it)) {
                let label = way.label;
                if !self.tracked.contains(label) {
                    options.push((index, Act::Decide { label, payload: None }));
                    continue;
                }
                let subsets =
                    (0..=DEVICES).filter(|it| it & !seen == 0 && least <= it.count_ones());
                options.extend(subsets.map(|it| (index, Act::Decide { label, payload: Some(it) })));
            }
        }
        options
    }

    /// The decision that a device stands at.
    pub(super) fn decision(
        &self,
        device: &Device,
        index: usize,
    ) -> Option<(Option<&Awaited>, &[Way])> {
        if device.end.is_some() {
            return None;
        }
        match self.codes.get(index)?.ops.get(device.at)? {
            Op::Decide { on, ways } => Some((on.as_ref(), ways)),
            _ => None,
        }
    }

    /// Does what branches: an answer, a decision, the end of a wait.
    pub(super) fn take(&self, state: &mut State, (index, act): Step) -> Option<()> {
        let (label, payload) = match act {
            Act::Decide { label, payload } => (label, payload.unwrap_or_default()),
            Act::TimeOut { label, .. } => (label, 0),
            Act::Send { label, .. } => return self.answer(state, index, label, false),
            Act::Decline { label, .. } => return self.answer(state, index, label, true),
            Act::GiveUp { .. } => {
                device_mut(state, index)?.at = self.codes.get(index)?.gives_up();
                return Some(());
            }
            Act::See { .. } | Act::Follow { .. } => return None,
        };
        let (on, ways) = self.decision(state.devices.get(index)?, index)?;
        let way = *ways.iter().find(|it| it.label == label)?;
        if let (Some(on), Act::Decide { .. }) = (on, act) {
            let arrival = self.arrival(state, index, on);
            self.comes(state, index, (on.label, on.within), arrival);
        }
        let device = device_mut(state, index)?;
        let (round, said) = (device.round, device.clock);
        let event = Event { label, round, to: DEVICES, payload, declined: false, said };
        device.go(way, payload, self.tracked);
        state.logs.get_mut(index)?.push(event);
        Some(())
    }

    fn answer(&self, state: &mut State, index: usize, label: Label, declined: bool) -> Option<()> {
        let device = device_mut(state, index)?;
        device.at += 1;
        let (round, said) = (device.round, device.clock);
        let event = Event { label, round, to: DEVICES, payload: 0, declined, said };
        state.logs.get_mut(index)?.push(event);
        Some(())
    }

    /// A device that can signal to a decider that cannot read the signal, though it waits for one of
    /// this name: device, decider, signal.
    pub(super) fn unheard(&self, state: &State) -> Option<(usize, usize, Label)> {
        state.devices.iter().enumerate().find_map(|(index, device)| {
            let op = self.codes.get(index)?.ops.get(device.at)?;
            let Op::Follow { from, signal: Some(label), .. } = op else { return None };
            let decider = state.devices.get(*from)?;
            let (on, _) = self.decision(decider, *from)?;
            let waits = on?.unless == Some(*label) && decider.round == device.round;
            (waits && device.end.is_none() && !self.reads(*from, index, *label))
                .then_some((index, *from, *label))
        })
    }

    /// Whether a state from which nothing leads on is a bad end.
    pub(super) fn is_wrong(&self, state: &State) -> bool {
        let finished = |it: &Device| it.end == Some(End::Finished);
        let [first, ..] = &state.devices;
        state.devices.iter().any(|it| {
            it.end.is_none()
                || finished(it) != finished(first)
                || (finished(it) && !it.decided.is_empty())
        })
    }

    /// Drops what no device can use any more, so that states with the same future are the same.
    pub(super) fn forget(&self, state: &mut State) {
        let mut known = state.devices.iter().map(|it| &it.decided);
        let first = known.next().cloned().unwrap_or_default();
        let common: BTreeSet<_> =
            known.fold(first, |all, it| all.intersection(it).copied().collect());
        let mut wants = [None; COUNT];
        for ((device, code), wants) in state.devices.iter_mut().zip(self.codes).zip(&mut wants) {
            device.decided.retain(|it| !common.contains(it));
            if device.end.is_some() {
                device.at = 0;
                device.round = 0;
                device.loops.clear();
                device.rounds = 0;
                device.outer.clear();
                device.subsets.clear();
                continue;
            }
            let here = code.wants.get(device.at).copied().unwrap_or_default();
            let subsets = code.subsets.get(device.at).copied().unwrap_or_default();
            device.subsets.retain(|label, _| subsets.contains(*label));
            *wants = Some(here);
        }
        let devices = &state.devices;
        let is_used = |event: &Event| {
            devices.iter().zip(&wants).any(|(device, wants)| {
                // It may still come back to the round of a session around this one.
                let first = device.outer.first().copied().unwrap_or(device.round);
                wants.is_some_and(|it| it.contains(event.label)) && first <= event.round
            })
        };
        state.logs.iter_mut().for_each(|log| log.retain(is_used));
        self.wind(state);
    }
}

fn path(nodes: &[Node], last: usize) -> Vec<Step> {
    let mut parts = Vec::new();
    let mut next = Some(last);
    while let Some(node) = next.and_then(|it| nodes.get(it)) {
        parts.push(node.steps.as_slice());
        next = node.parent;
    }
    parts.reverse();
    parts.concat()
}

fn device_mut(state: &mut State, index: usize) -> Option<&mut Device> {
    state.devices.get_mut(index)
}

impl Device {
    pub(super) fn subset(&self, label: Label) -> Devices {
        self.subsets.get(&label).copied().unwrap_or_default()
    }

    /// Whether this device is one of those who do something: those that a decision names, if it is for
    /// them.
    fn is_among(&self, index: usize, among: Option<Label>) -> bool {
        among.is_none_or(|it| self.subset(it) >> index & 1 == 1)
    }

    /// How many devices a quorum takes.
    pub(super) fn least(&self, need: &Need) -> u32 {
        match need {
            Need::Count(count) => *count,
            Need::Devices(devices) => devices.count_ones(),
            Need::Decided(label) => self.subset(*label).count_ones(),
            Need::CountIn(count, label) => (*count).min(self.subset(*label).count_ones()),
            Need::ThresholdIn(label) => threshold(self.subset(*label)),
        }
    }

    /// The devices that a quorum must include.
    pub(super) fn named(&self, need: &Need) -> Devices {
        match need {
            Need::Devices(devices) => *devices,
            Need::Decided(label) => self.subset(*label),
            Need::Count(_) | Need::CountIn(..) | Need::ThresholdIn(_) => 0,
        }
    }

    pub(super) fn has_enough(&self, need: &Need, seen: Devices) -> bool {
        self.named(need) & !seen == 0 && self.least(need) <= seen.count_ones()
    }

    /// Whether a decider may still go this way: loops are bounded.
    fn may_take(&self, way: &Way) -> bool {
        let taken = |rec: u16| self.loops.get(usize::from(rec)).copied().unwrap_or_default();
        way.again.is_none_or(|rec| taken(rec) < CONTINUES_MAX)
    }

    fn go(&mut self, way: Way, payload: Devices, tracked: Labels) {
        if tracked.contains(way.label) {
            self.subsets.insert(way.label, payload);
        }
        if !way.aborts {
            self.decided.insert((way.label, self.round, payload));
        }
        self.at = way.to;
    }

    /// Passes an instruction that nobody else notices.
    fn pass(&mut self, op: &Op) {
        self.at += 1;
        match op {
            Op::Go(to) => self.at = *to,
            Op::Again { rec, to } => {
                self.at = *to;
                self.rounds = self.rounds.saturating_add(1);
                self.round = self.rounds;
                if let Some(taken) = self.loops.get_mut(usize::from(*rec)) {
                    *taken = taken.saturating_add(1);
                }
            }
            Op::Enter => self.outer.push(self.round),
            Op::Leave => self.round = self.outer.pop().unwrap_or(self.round),
            Op::Pause(epochs) => self.clock.pause(*epochs),
            Op::Owe(label) => self.owed.push((*label, self.round)),
            _ => {}
        }
    }
}
