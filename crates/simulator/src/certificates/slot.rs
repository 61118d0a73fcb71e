//! One slot, two values, three views: every order in which an account can vote on them.

use std::fmt;

use aura_journal::control::Phase;
use rustc_hash::FxHashMap;

use super::{Board, Cast, CertificateError, Local, Memory, VIEWS, Value};

/// Most states of one model. What is larger is not explored by halves.
const STATES_MAX: usize = 4_000_000;
/// Bits of a device in a packed state.
const DEVICE_BITS: u32 = 21;

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fleet {
    /// All devices of the account.
    pub devices: u8,
    /// How many decide.
    pub m: u8,
    /// How many of them sign whatever helps.
    pub equivocators: u8,
}

/// Which rule is broken, if one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// None.
    Kept,
    /// Devices are restored from backups that are older than their votes, and abstain.
    RestoredAbstain,
    /// They are restored, and vote with the key that they had.
    RestoredVote,
    /// A lock binds in its own view only.
    NoLock,
    /// A vote leaves before its record is durable.
    SendsFirst,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// No run certifies two values.
    Holds,
    /// None does, but devices with the same past stand before different slots.
    Parts,
    /// A shortest run that does, a vote a line.
    Conflict(Vec<String>),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds => f.write_str("holds"),
            Self::Parts => f.write_str("two slots for one height"),
            Self::Conflict(steps) => write!(f, "two values after {} steps", steps.len()),
        }
    }
}

/// What is explored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotModel {
    /// Who takes part.
    pub fleet: Fleet,
    /// What is broken.
    pub rule: Rule,
    /// Without taking states for one that nobody can tell apart from then on.
    pub every_state: bool,
}

/// An honest device, and the votes of it that are there for all to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Device {
    memory: Memory,
    prepares: [u8; VIEWS as usize],
    commits: [u8; VIEWS as usize],
    restored: bool,
}

fn pack_value(value: Option<Value>) -> u32 {
    value.map_or(0, |it| u32::from(it.bit()))
}

fn unpack_value(bits: u32) -> Option<Value> {
    Value::BOTH.into_iter().find(|it| u32::from(it.bit()) == bits & 3)
}

impl Device {
    fn pack(&self) -> u32 {
        let Memory { view, prepared, lock } = self.memory;
        let (lock_view, locked) = lock.map_or((0, None), |(view, it)| (view, Some(it)));
        let memory =
            [u32::from(view), pack_value(prepared), u32::from(lock_view), pack_value(locked)];
        let votes = self.prepares.iter().chain(&self.commits).map(|it| u32::from(*it));
        let fields = memory.into_iter().chain(votes);
        fields.fold(u32::from(self.restored), |bits, it| bits << 2 | it)
    }

    fn unpack(mut bits: u32) -> Self {
        let mut next = || {
            let field = bits & 3;
            bits >>= 2;
            field
        };
        let mut small = || u8::try_from(next()).unwrap_or_default();
        let [c2, c1, c0, p2, p1, p0] = std::array::from_fn(|_| small());
        let (locked, lock_view) = (unpack_value(next()), next());
        let (prepared, view) = (unpack_value(next()), next());
        let (lock_view, view) = (lock_view as u8, view as u8);
        let lock = locked.map(|it| (lock_view, it));
        let (prepares, commits) = ([p0, p1, p2], [c0, c1, c2]);
        Self { memory: Memory { view, prepared, lock }, prepares, commits, restored: bits & 1 == 1 }
    }

    fn votes(&self, phase: Phase) -> &[u8; VIEWS as usize] {
        if phase == Phase::Prepare { &self.prepares } else { &self.commits }
    }

    fn has(&self, phase: Phase, view: u8, value: Value) -> bool {
        self.votes(phase).get(usize::from(view)).is_some_and(|bits| bits & value.bit() != 0)
    }

    /// Whether it votes in this view no more, whatever happens.
    fn has_left(&self, view: u8) -> bool {
        self.restored || view < self.memory.view
    }

    /// Whether it may vote so yet, as far as it has not voted.
    fn may_vote(&self, phase: Phase, view: u8) -> bool {
        let Memory { view: own, prepared, lock } = self.memory;
        let committed = lock.is_some_and(|it| it.0 == view);
        let voted = committed || (phase == Phase::Prepare && prepared.is_some());
        !self.has_left(view) && (own < view || !voted)
    }

    /// With this vote on the board.
    fn after(mut self, cast: Cast) -> Self {
        let bit = cast.value.map_or(0, Value::bit);
        let votes = match cast.phase {
            Phase::Prepare => &mut self.prepares,
            Phase::Commit => &mut self.commits,
            Phase::NewView => return self,
        };
        if let Some(votes) = votes.get_mut(usize::from(cast.memory.view)) {
            *votes |= bit;
        }
        self
    }
}

/// All honest devices. Which is which makes no difference, so they are kept in order.
type State = Vec<Device>;

fn pack(state: &State) -> u128 {
    let mut devices: Vec<u32> = state.iter().map(Device::pack).collect();
    devices.sort_unstable();
    devices.into_iter().fold(0, |bits, it| bits << DEVICE_BITS | u128::from(it))
}

fn unpack(bits: u128, honest: u8) -> State {
    let mask = (1_u128 << DEVICE_BITS) - 1;
    let device = |it: u32| Device::unpack(((bits >> (it * DEVICE_BITS)) & mask) as u32);
    (0..u32::from(honest)).map(device).collect()
}

impl SlotModel {
    /// Visits every state, or those before the first in which two values are certified. Says how many.
    ///
    /// # Errors
    /// [`CertificateError`] when the fleet is no account, or there are more states than fit.
    pub fn explore(&self) -> Result<(usize, Finding), CertificateError> {
        let Fleet { devices, m, equivocators } = self.fleet;
        let honest = devices.saturating_sub(equivocators);
        let mut local = Local::found(devices, m)?;
        let begin = self.pack(&vec![Device::default(); usize::from(honest)]);
        let mut states = vec![begin];
        let mut from: FxHashMap<u128, u32> = [(begin, u32::MAX)].into_iter().collect();
        let mut at = 0;
        while let Some(packed) = states.get(at).copied() {
            let state = unpack(packed, honest);
            if self.conflicts(&state) {
                let trace = self.trace(&mut local, honest, &way(&states, &from, packed));
                return Ok((states.len(), Finding::Conflict(trace)));
            }
            for (_, next) in self.steps(&mut local, &state) {
                let next = self.pack(&next);
                if let std::collections::hash_map::Entry::Vacant(place) = from.entry(next) {
                    place.insert(u32::try_from(at).unwrap_or(u32::MAX));
                    states.push(next);
                }
            }
            if STATES_MAX < states.len() {
                return Err(CertificateError::TooManyStates);
            }
            at += 1;
        }
        Ok((states.len(), Finding::Holds))
    }

    /// Everything that can happen next, and what to call it.
    fn steps(&self, local: &mut Local, state: &State) -> Vec<(String, State)> {
        let mut steps = Vec::new();
        for (index, device) in state.iter().enumerate() {
            let mut to = |what: String, device: Device| {
                let mut next = state.clone();
                if let Some(place) = next.get_mut(index) {
                    *place = device;
                }
                steps.push((what, next));
            };
            let has_key = !(device.restored && self.rule == Rule::RestoredAbstain);
            for cast in local.casts(self.bound_by(device), self.board(state, device), has_key) {
                let said = device.after(cast);
                to(says(index, cast), Device { memory: cast.memory, ..said });
                if self.rule == Rule::SendsFirst {
                    to(format!("{}, and crashes", says(index, cast)), said);
                }
            }
            let restores = matches!(self.rule, Rule::RestoredAbstain | Rule::RestoredVote);
            if restores && !device.restored {
                let (memory, restored) = (Memory::default(), true);
                to(format!("{index} is restored"), Device { memory, restored, ..*device });
            }
        }
        steps
    }

    /// What binds a device: its record, less what the broken rule leaves out of it.
    fn bound_by(&self, device: &Device) -> Memory {
        let memory = device.memory;
        let holds = |it: &(u8, Value)| self.rule != Rule::NoLock || it.0 == memory.view;
        Memory { lock: memory.lock.filter(holds), ..memory }
    }

    /// How many of all devices have voted so; an equivocator always has.
    fn count(&self, state: &State, phase: Phase, view: u8, value: Value) -> u8 {
        let honest = state.iter().filter(|it| it.has(phase, view, value)).count();
        self.fleet.equivocators.saturating_add(u8::try_from(honest).unwrap_or(u8::MAX))
    }

    /// What there is to see for a device.
    fn board(&self, state: &State, device: &Device) -> Board {
        let Fleet { devices, m, equivocators } = self.fleet;
        let which = |holds: &dyn Fn(Value) -> bool| {
            Value::BOTH.into_iter().filter(|it| holds(*it)).map(Value::bit).sum()
        };
        let mut prepared = [0; VIEWS as usize];
        let view = device.memory.view;
        // What happens in later views it can tell no sooner than it enters them.
        for (view, values) in (0..=view).zip(&mut prepared) {
            *values = which(&|it| m <= self.count(state, Phase::Prepare, view, it));
        }
        let begun = which(&|it| 0 < self.count(state, Phase::Prepare, view, it));
        let follows = |target: &u8| {
            let there = state.iter().filter(|it| *target <= it.memory.view).count();
            usize::from(devices - m) < there + usize::from(equivocators)
        };
        let entered = (view + 1..VIEWS).rev().find(follows).unwrap_or_default();
        Board { prepared, begun, entered }
    }

    /// The state in a form that is the same for all that differ in nothing to come: devices in order,
    /// and of the votes in views that a device has left, only how many there are as far as that matters.
    /// Where a device may vote twice, it matters whose a vote is.
    fn pack(&self, state: &State) -> u128 {
        let once = matches!(self.rule, Rule::Kept | Rule::NoLock | Rule::RestoredAbstain);
        if !once || self.every_state {
            return pack(state);
        }
        let bound = |it: &Device| Device { memory: self.bound_by(it), ..*it };
        let mut devices: State = state.iter().map(bound).collect();
        devices.sort_unstable_by_key(|it| (it.restored, it.memory));
        for view in 0..VIEWS {
            for phase in [Phase::Prepare, Phase::Commit] {
                self.pool(&mut devices, phase, view);
            }
        }
        pack(&devices)
    }

    /// Hands the votes of a phase and view out anew to those that vote there no more.
    fn pool(&self, devices: &mut State, phase: Phase, view: u8) {
        let Fleet { m, equivocators, .. } = self.fleet;
        let left = devices.iter().filter(|it| it.may_vote(phase, view)).count();
        let left = u8::try_from(left).unwrap_or(u8::MAX);
        let mut votes = Vec::new();
        for value in Value::BOTH {
            let all = self.count(devices, phase, view, value).saturating_sub(equivocators);
            let gone = devices.iter().filter(|it| it.has_left(view));
            let pooled = gone.filter(|it| it.has(phase, view, value)).count();
            let pooled = u8::try_from(pooled).unwrap_or(u8::MAX);
            let others = all.saturating_sub(pooled);
            let kept = if equivocators + all + left < m {
                // Nobody's quorum any more, though still something to join.
                u8::from(phase == Phase::Prepare && 0 < left).min(pooled)
            } else {
                pooled.min(m.saturating_sub(equivocators + others))
            };
            votes.extend(std::iter::repeat_n(value.bit(), usize::from(kept)));
        }
        let mut votes = votes.into_iter();
        for device in devices.iter_mut().filter(|it| it.has_left(view)) {
            let place = match phase {
                Phase::Prepare => device.prepares.get_mut(usize::from(view)),
                Phase::Commit | Phase::NewView => device.commits.get_mut(usize::from(view)),
            };
            if let Some(place) = place {
                *place = votes.next().unwrap_or_default();
            }
        }
    }

    fn conflicts(&self, state: &State) -> bool {
        let certified = |value| {
            (0..VIEWS).any(|view| self.fleet.m <= self.count(state, Phase::Commit, view, value))
        };
        Value::BOTH.into_iter().all(certified)
    }

    /// The way through these states as what the devices do. States know no names, so each step is the
    /// first that leads on.
    fn trace(&self, local: &mut Local, honest: u8, way: &[u128]) -> Vec<String> {
        let mut state = vec![Device::default(); usize::from(honest)];
        let mut trace = Vec::new();
        for packed in way {
            let step =
                self.steps(local, &state).into_iter().find(|(_, it)| self.pack(it) == *packed);
            let Some((what, next)) = step else { continue };
            trace.push(what);
            state = next;
        }
        trace
    }
}

/// The states from the beginning, which is left out, to this one.
fn way(states: &[u128], from: &FxHashMap<u128, u32>, end: u128) -> Vec<u128> {
    let mut way = Vec::new();
    let mut at = Some(end);
    while let Some(state) = at {
        let before = from.get(&state).and_then(|it| states.get(usize::try_from(*it).ok()?));
        way.extend(before.map(|_| state));
        at = before.copied();
    }
    way.reverse();
    way
}

fn says(index: usize, cast: Cast) -> String {
    let view = cast.memory.view;
    let what = match cast.value {
        Some(Value::A) => "a",
        Some(Value::B) => "b",
        None => "nothing",
    };
    match cast.phase {
        Phase::Prepare => format!("{index} prepares {what} in view {view}"),
        Phase::Commit => format!("{index} commits {what} in view {view}"),
        Phase::NewView => format!("{index} enters view {view} locked on {what}"),
    }
}
