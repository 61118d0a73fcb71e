//! Compares two versions of a session.

use alloc::{
    boxed::Box,
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{
    Branch, BranchEnd, Condition, MOVES_MAX, STATES_MAX, SessionType, Side, Step, Witness,
    clock::Late,
    code::Code,
    explore::{Arena, Explored},
    late::TimeOuts,
    spread::{COUNT, Names, Spread},
};

/// What a change of a session means for devices that run different versions of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing that is sent, awaited or decided changed.
    Patch,
    /// Devices of both versions can run a session together.
    Soft,
    /// They cannot.
    Hard(Hard),
}

/// Why two versions cannot be mixed, and which way round they might be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hard {
    /// Sessions that the old version opens are safe, with members of the new one.
    pub old_with_new: bool,
    /// Sessions that the new version opens are safe, with members of the old one.
    pub new_with_old: bool,
    /// What goes wrong.
    pub witness: Witness,
}

/// What the change from `old` to `new` means.
///
/// `Patch`: the two are equal but for names of steps and marks, and but for how long something may
/// take (`ttl`, `within`). These are not sent. The name of a sub-session's step is: it is the prefix of
/// its labels. So is whether there is a deadline at all, and how long a pause is: what differs in one
/// of these is compared like any other change.
///
/// Otherwise three devices (device 0 opens) run the session in every mix of the two versions, in one
/// arrangement of roles (four where roles are declared), with every decision that a decider can take,
/// everybody declining or not wherever its own version lets it, each loop going back at most
/// [`super::CONTINUES_MAX`] times. A device sees an event only if its own version knows the label with
/// the same layout. A mix is safe if in every run all devices end, all of them finish or none does,
/// those who finish know the same decisions, and nobody runs out of time who would not with one version
/// alone, unless enough would have come if nobody had declined. `Soft`: every mix is safe. This is
/// asynchronous: the order in which things are sent does not matter as long as everybody gets what it
/// waits for.
///
/// Nothing but a pause takes time. Where the two pause differently, nobody may wait, with a deadline, for
/// one who may still rest when it is over; which of several comes first is not followed, so that this
/// can refuse more than would go wrong ([`Witness::Rests`]).
///
/// Who waits without a deadline for what others may decline waits for ever: that version goes wrong by
/// itself.
///
/// Compatibility is not transitive: a version may send what it does not need itself, so that an older
/// one can work with it, and the next may stop sending it. Compare a release with every version that
/// it has to run with, not only with the one before.
///
/// Both types must be well-formed ([`SessionType::check`]); for others the answer says nothing.
#[must_use]
pub fn compare(old: &SessionType, new: &SessionType) -> Change {
    if skeleton(old) == skeleton(new) {
        return Change::Patch;
    }
    let pair = Pair::new(old, new);
    let mut alone = Vec::new();
    for spread in &pair.spreads {
        for side in [Side::Old, Side::New] {
            match pair.alone(side, spread) {
                Ok(time_outs) => alone.push(time_outs),
                Err(witness) => return Change::hard(false, false, witness),
            }
        }
    }
    pair.mixes(&alone)
}

/// Whether a session goes well, without faults, when all devices run this one version.
///
/// # Errors
/// The shortest run that does not, as [`Witness::Alone`] of [`Side::New`]; or that there were too many.
pub fn sound(session: &SessionType) -> Result<(), Witness> {
    let pair = Pair::new(session, session);
    pair.spreads.iter().try_for_each(|it| pair.alone(Side::New, it).map(|_| ()))
}

/// What the change from all of a module's sessions to all of another's means, matched by name.
///
/// A session that only the new module has is a soft change: nobody opens it with a device that does not
/// announce it, and no session that exists today is touched. A session that only the old module has is
/// a hard change: an old device would open it, and a new one could not take part.
#[must_use]
pub fn compare_all(old: &[SessionType], new: &[SessionType]) -> Change {
    let (old, new) = match (by_name(old), by_name(new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(session), _) | (_, Err(session)) => {
            return Change::hard(false, false, Witness::Ambiguous { session });
        }
    };
    let mut all = Change::Patch;
    for (name, session) in &old {
        let change = match new.get(name) {
            Some(later) => compare(session, later),
            None => {
                let session = (*name).to_string();
                Change::hard(false, true, Witness::Dropped { session })
            }
        };
        all = all.and(change);
    }
    if new.keys().any(|it| !old.contains_key(it)) {
        all = all.and(Change::Soft);
    }
    all
}

fn by_name(sessions: &[SessionType]) -> Result<BTreeMap<&str, &SessionType>, String> {
    let mut named: BTreeMap<&str, &SessionType> = BTreeMap::new();
    for session in sessions {
        match named.insert(&session.name, session) {
            Some(other) if other != session => return Err(session.name.clone()),
            _ => {}
        }
    }
    Ok(named)
}

impl Change {
    const fn hard(old_with_new: bool, new_with_old: bool, witness: Witness) -> Self {
        Self::Hard(Hard { old_with_new, new_with_old, witness })
    }

    /// Both changes together: safe where both are. The first witness stays.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Hard(one), Self::Hard(two)) => Self::hard(
                one.old_with_new && two.old_with_new,
                one.new_with_old && two.new_with_old,
                one.witness,
            ),
            (Self::Hard(hard), _) | (_, Self::Hard(hard)) => Self::Hard(hard),
            (Self::Soft, _) | (_, Self::Soft) => Self::Soft,
            (Self::Patch, Self::Patch) => Self::Patch,
        }
    }
}

struct Pair<'a> {
    old: &'a SessionType,
    new: &'a SessionType,
    names: Names,
    spreads: Vec<Spread>,
}

impl<'a> Pair<'a> {
    fn new(old: &'a SessionType, new: &'a SessionType) -> Self {
        Self { old, new, names: Names::new(old, new), spreads: Spread::all(old, new) }
    }

    const fn session(&self, side: Side) -> &'a SessionType {
        match side {
            Side::Old => self.old,
            Side::New => self.new,
        }
    }

    /// What every device runs if it runs one version.
    fn codes(&self, side: Side, spread: &Spread) -> [Code; COUNT] {
        core::array::from_fn(|device| {
            let plays = |role: &str| spread.members(role) >> device & 1 == 1;
            Code::new(&self.session(side).project(&plays), &self.names, spread)
        })
    }

    /// Explores one version; where it runs out of time in the ordinary course of things.
    fn alone(&self, side: Side, spread: &Spread) -> Result<TimeOuts, Witness> {
        let codes = self.codes(side, spread);
        let arena = self.arena(codes.each_ref(), [side; COUNT], spread, None);
        match arena.explore() {
            Explored::Safe(time_outs) => Ok(time_outs),
            Explored::Late(late) => Err(self.rests(late, [side; COUNT])),
            Explored::Bound => Err(Witness::BoundReached { moves: MOVES_MAX, states: STATES_MAX }),
            Explored::Wrong(steps, last) => {
                let run = arena.run(&self.session(side).name, &steps, &last);
                Err(Witness::Alone { side, run: Box::new(run) })
            }
        }
    }

    fn arena<'b>(
        &'b self,
        codes: [&'b Code; COUNT],
        sides: [Side; COUNT],
        spread: &'b Spread,
        time_outs: Option<&'b TimeOuts>,
    ) -> Arena<'b> {
        let tracked = codes.iter().map(|it| it.all_subsets());
        let tracked = tracked.fold(super::code::Labels::default(), super::code::Labels::union);
        Arena { codes, sides, names: &self.names, spread, tracked, time_outs }
    }

    /// Explores every mix. `alone` holds, for each spread, where the old and the new version run out
    /// of time by themselves.
    fn mixes(&self, alone: &[TimeOuts]) -> Change {
        let mut safe = [true; 2];
        let mut shortest: Option<Witness> = None;
        for (spread, alone) in self.spreads.iter().zip(alone.chunks(2)) {
            let [old, new] = [Side::Old, Side::New].map(|it| self.codes(it, spread));
            for mix in 1..(1_u8 << COUNT) - 1 {
                let sides = core::array::from_fn(|device| match mix >> device & 1 {
                    0 => Side::Old,
                    _ => Side::New,
                });
                let mut codes = old.each_ref();
                let mut time_outs = TimeOuts::new();
                for ((index, side), (code, newer)) in
                    sides.iter().enumerate().zip(codes.iter_mut().zip(&new))
                {
                    let place = usize::from(*side == Side::New);
                    if *side == Side::New {
                        *code = newer;
                    }
                    let own =
                        alone.get(place).into_iter().flatten().filter(|it| it.device == index);
                    time_outs.extend(own.copied());
                }
                let arena = self.arena(codes, sides, spread, Some(&time_outs));
                let Some(witness) = self.witness(&arena) else { continue };
                // The opener is device 0.
                if let Some(direction) = safe.get_mut(usize::from(mix & 1)) {
                    *direction = false;
                }
                shortest = Some(shorter(shortest, witness));
            }
        }
        match shortest {
            None => Change::Soft,
            Some(witness) => Change::hard(safe[0], safe[1], witness),
        }
    }

    fn rests(&self, late: Late, sides: [Side; COUNT]) -> Witness {
        Witness::Rests {
            session: self.new.name.clone(),
            side: sides.get(late.device).copied().unwrap_or(Side::Old),
            label: self.names.name(late.label),
            after: late.after,
            within: late.within,
        }
    }

    fn witness(&self, arena: &Arena<'_>) -> Option<Witness> {
        match arena.explore() {
            Explored::Safe(_) => None,
            Explored::Late(late) => Some(self.rests(late, arena.sides)),
            Explored::Bound => Some(Witness::BoundReached { moves: MOVES_MAX, states: STATES_MAX }),
            Explored::Wrong(steps, last) => {
                Some(Witness::Mixed(Box::new(arena.run(&self.new.name, &steps, &last))))
            }
        }
    }
}

/// The witness with the shorter run; the first of two that are equally long.
fn shorter(one: Option<Witness>, two: Witness) -> Witness {
    let length = |it: &Witness| match it {
        Witness::Mixed(run) => run.schedule.len(),
        _ => usize::MAX,
    };
    match one {
        Some(one) if length(&one) <= length(&two) => one,
        _ => two,
    }
}

/// A type without what is not sent: names of steps and marks, and how long something may take.
fn skeleton(session: &SessionType) -> SessionType {
    let mut marks = BTreeMap::new();
    SessionType {
        ttl: session.ttl.map(|_| 0),
        body: skeleton_of_steps(&session.body, &mut marks),
        ..session.clone()
    }
}

fn skeleton_of_steps<'a>(steps: &'a [Step], marks: &mut BTreeMap<&'a str, usize>) -> Vec<Step> {
    steps.iter().map(|it| skeleton_of_step(it, marks)).collect()
}

fn skeleton_of_step<'a>(step: &'a Step, marks: &mut BTreeMap<&'a str, usize>) -> Step {
    let mut step = match step {
        Step::Choice { op, by, on, branches, no } => Step::Choice {
            op: op.clone(),
            by: by.clone(),
            on: on.as_ref().map(without_number),
            branches: branches.iter().map(|it| skeleton_of_branch(it, marks)).collect(),
            no: no.clone(),
        },
        Step::Rec { name, .. } => {
            let number = marks.len();
            marks.insert(name, number);
            Step::Rec { name: number.to_string(), within: 0 }
        }
        Step::Sub { op, session, roles, finally } => {
            // This name goes before the child's labels: it stays.
            return Step::Sub {
                op: op.clone(),
                session: Box::new(skeleton(session)),
                roles: roles.clone(),
                finally: finally.clone(),
            };
        }
        other => other.clone(),
    };
    match &mut step {
        Step::Gather { op, within, .. } => {
            op.clear();
            *within = within.map(|_| 0);
        }
        Step::Decide { op, on, .. } => {
            op.clear();
            *on = without_number(on);
        }
        Step::Write { op, .. }
        | Step::Each { op, .. }
        | Step::Scatter { op, .. }
        | Step::Choice { op, .. }
        | Step::Pause { op, .. } => op.clear(),
        Step::Rec { .. } | Step::Sub { .. } => {}
    }
    step
}

fn without_number(on: &Condition) -> Condition {
    Condition { within: on.within.map(|_| 0), ..on.clone() }
}

fn skeleton_of_branch<'a>(branch: &'a Branch, marks: &mut BTreeMap<&'a str, usize>) -> Branch {
    let body = skeleton_of_steps(&branch.body, marks);
    let end = match &branch.end {
        BranchEnd::Continue(rec) => {
            let number = marks.get(rec.as_str()).map_or_else(|| rec.clone(), |it| format!("{it}"));
            BranchEnd::Continue(number)
        }
        other => other.clone(),
    };
    Branch { label: branch.label.clone(), body, end }
}

#[cfg(test)]
mod tests {
    use alloc::collections::{BTreeSet, VecDeque};

    use super::{super::explore::State, super::sample, super::spread::DEVICES, *};

    /// Every arena of a comparison, mixed or not.
    fn each_arena(pair: &Pair<'_>, mut visit: impl FnMut(&Arena<'_>)) {
        for spread in &pair.spreads {
            let codes = [Side::Old, Side::New].map(|it| pair.codes(it, spread));
            for mix in 0..=DEVICES {
                let place = |device: usize| usize::from(mix >> device & 1);
                let sides = core::array::from_fn(|it| [Side::Old, Side::New][place(it)]);
                let mixed = core::array::from_fn(|it| &codes[place(it)][it]);
                visit(&pair.arena(mixed, sides, spread, None));
            }
        }
    }

    /// Every interleaving, a move at a time, nothing done eagerly: the length of the shortest bad run.
    fn every_interleaving(arena: &Arena<'_>) -> Option<Result<(), usize>> {
        let mut queue = VecDeque::from([(arena.start(), 0)]);
        let mut visited: BTreeSet<State> = BTreeSet::new();
        while let Some((state, length)) = queue.pop_front() {
            if 4_000 < visited.len() {
                return None;
            }
            if !visited.insert(state.clone()) {
                continue;
            }
            let mut next = Vec::new();
            let mut silent = state.clone();
            for device in 0..COUNT {
                let mut moved = state.clone();
                if arena.one(&mut moved, device).is_some() {
                    next.push(moved);
                } else {
                    // It may have come further without a move of its own.
                    silent.devices[device].clone_from(&moved.devices[device]);
                }
            }
            let mut options = arena.answers(&silent);
            options.extend(arena.options(&silent));
            if next.is_empty() && options.is_empty() {
                options = arena.out_of_time(&silent, &mut TimeOuts::new());
            }
            for step in options {
                let mut decided = silent.clone();
                arena.take(&mut decided, step).unwrap();
                next.push(decided);
            }
            if next.is_empty() {
                arena.forget(&mut silent);
                if arena.is_wrong(&silent) {
                    return Some(Err(length));
                }
            }
            queue.extend(next.into_iter().map(|it| (it, length + 1)));
        }
        Some(Ok(()))
    }

    /// INV-ST6: doing at once what can be done at once misses no bad run, and no shorter one.
    #[test]
    fn the_shortest_bad_run_is_that_of_every_interleaving() {
        let (mut compared, mut wrong) = (0, 0);
        for seed in 0..60 {
            let old = sample::sample(seed);
            let new = sample::mutate(seed, &old);
            // A signal that is not heard ends a run at once; interleavings are compared to their end.
            if 7 < old.body.len() || old.to_string().contains("unless") {
                continue;
            }
            each_arena(&Pair::new(&old, &new), |arena| {
                let found = match arena.explore() {
                    Explored::Safe(_) | Explored::Late(_) => Ok(()),
                    Explored::Wrong(steps, _) => Err(steps.len()),
                    Explored::Bound => return,
                };
                if let Some(expected) = every_interleaving(arena) {
                    compared += 1;
                    wrong += usize::from(expected.is_err());
                    assert_eq!(found, expected, "seed {seed}, {:?}\n{old}{new}", arena.sides);
                }
            });
        }
        assert!(200 < compared && 20 < wrong, "{wrong} wrong of {compared}");
    }

    /// INV-ST6: each witness can be replayed, move by move, to the fault that it names.
    #[test]
    fn witnesses_can_be_replayed() {
        let mut replayed = 0;
        for seed in 0..300 {
            let old = sample::sample(seed);
            let new = sample::mutate(seed, &old);
            each_arena(&Pair::new(&old, &new), |arena| {
                let Explored::Wrong(steps, last) = arena.explore() else { return };
                let mut state = arena.start();
                for step in &steps {
                    match arena.one(&mut state, step.0) {
                        Some(act) => assert_eq!((step.0, act), *step, "seed {seed}"),
                        None => {
                            let mut options = arena.answers(&state);
                            options.extend(arena.options(&state));
                            options.extend(arena.out_of_time(&state, &mut TimeOuts::new()));
                            assert!(options.contains(step), "seed {seed}");
                            arena.take(&mut state, *step).unwrap();
                        }
                    }
                }
                for device in 0..COUNT {
                    assert_eq!(arena.one(&mut state, device), None, "seed {seed}");
                }
                arena.forget(&mut state);
                let run = arena.run("s", &steps, &last);
                assert_eq!(arena.run("s", &steps, &state), run, "seed {seed}");
                assert_eq!(run.schedule.len(), steps.len());
                replayed += 1;
            });
        }
        assert!(500 < replayed, "{replayed} replayed");
    }
}
