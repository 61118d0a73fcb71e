//! Random well-formed session types, for tests here and elsewhere: the same seed, the same type.

use alloc::{
    borrow::ToOwned,
    boxed::Box,
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{
    ALL, Arity, Branch, BranchEnd, Condition, Group, LabelType, OPENER, Quorum, Role, SessionType,
    Step,
};

/// Candidates that are built before a small fixed type is taken instead.
const TRIES_MAX: u64 = 64;

/// A well-formed type. Nearly all go well when every device runs them.
#[must_use]
pub fn sample(seed: u64) -> SessionType {
    (0..TRIES_MAX)
        .map(|attempt| {
            let mut dice = Dice(seed.wrapping_mul(TRIES_MAX).wrapping_add(attempt));
            Maker::session(&mut dice, "sample", 0)
        })
        .find(|it| it.check().is_ok())
        .unwrap_or_else(smallest)
}

/// A well-formed type that is a small change away from `session`; the same type if there is none.
#[must_use]
pub fn mutate(seed: u64, session: &SessionType) -> SessionType {
    (0..TRIES_MAX)
        .map(|attempt| {
            let mut dice = Dice(seed.wrapping_mul(TRIES_MAX).wrapping_add(attempt));
            let mut changed = session.clone();
            change(&mut dice, &mut changed);
            let mut used = Vec::new();
            labels_used(&changed.body, &mut used);
            changed.labels.retain(|it| used.contains(&it.name));
            changed
        })
        .find(|it| it != session && it.check().is_ok())
        .unwrap_or_else(|| session.clone())
}

fn smallest() -> SessionType {
    SessionType {
        name: "sample".to_string(),
        ttl: None,
        roles: Vec::new(),
        labels: Vec::new(),
        body: alloc::vec![Step::Pause { op: "rest".to_string(), epochs: 1 }],
    }
}

/// A stream of numbers that is the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count.max(1)).unwrap_or(1);
        usize::try_from(self.roll() % count).unwrap_or_default()
    }

    const fn one_in(&mut self, count: u64) -> bool {
        self.roll().is_multiple_of(count)
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }

    fn epochs(&mut self) -> u32 {
        u32::try_from(self.below(100)).unwrap_or_default() + 1
    }

    fn perhaps_epochs(&mut self) -> Option<u32> {
        if self.one_in(2) { Some(self.epochs()) } else { None }
    }
}

/// Something that was sent on this path, and how it may be awaited.
#[derive(Clone)]
struct Sent {
    label: String,
    by: Group,
    scattered: bool,
    single: bool,
    declinable: bool,
}

#[derive(Clone, Default)]
struct Path {
    sent: Vec<Sent>,
    decided: Vec<String>,
}

struct Maker<'a> {
    dice: &'a mut Dice,
    depth: usize,
    labels: Vec<LabelType>,
    roles: Vec<Role>,
    ops: usize,
    path: Path,
}

impl Maker<'_> {
    fn session(dice: &mut Dice, name: &str, depth: usize) -> SessionType {
        let declared = [("Coord", Arity::One), ("Old", Arity::Many), ("New", Arity::Many)];
        let roles = match dice.below(3) {
            0 => declared.map(|(name, arity)| Role { name: name.to_string(), arity }).to_vec(),
            _ => Vec::new(),
        };
        let ttl = dice.perhaps_epochs();
        let count = 2 + dice.below(5);
        let mut maker =
            Maker { dice, depth, labels: Vec::new(), roles, ops: 0, path: Path::default() };
        let body = maker.steps(count);
        SessionType { name: name.to_string(), ttl, roles: maker.roles, labels: maker.labels, body }
    }

    fn op(&mut self) -> String {
        self.ops += 1;
        format!("op{}", self.ops)
    }

    fn label(&mut self, word: &str) -> String {
        let layouts =
            ["u64", "vec<u64>", "[u8;32]", "Initiate{context:[u8;32],ttl:u32}", "(u8,bool)"];
        let layout = self.dice.pick(&layouts).copied().unwrap_or("u64").to_string();
        let name = format!("{word}{}", self.labels.len());
        self.labels.push(LabelType { name: name.clone(), layout });
        name
    }

    fn abort(&mut self) -> String {
        self.reason("Abort")
    }

    fn reason(&mut self, name: &str) -> String {
        let name = name.to_string();
        if !self.labels.iter().any(|it| it.name == name) {
            self.labels.push(LabelType { name: name.clone(), layout: "Reason".to_string() });
        }
        name
    }

    fn role(&mut self, arity: Arity) -> String {
        let always = match arity {
            Arity::One => OPENER,
            Arity::Many => ALL,
        };
        let declared = self.roles.iter().filter(|it| it.arity == arity).map(|it| it.name.as_str());
        let roles: Vec<&str> = core::iter::once(always).chain(declared).collect();
        self.dice.pick(&roles).copied().unwrap_or(always).to_string()
    }

    fn steps(&mut self, count: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..count {
            match self.dice.below(12) {
                0 => steps.push(self.write()),
                1..=3 => steps.push(self.each()),
                4 => steps.extend(self.gather()),
                5 => steps.push(self.scatter()),
                6 | 7 => steps.extend(self.decide()),
                8 if self.depth < 2 => steps.push(self.choice(None)),
                9 if self.depth < 2 => {
                    let name = format!("round{}", self.ops);
                    steps.push(Step::Rec { name: name.clone(), within: self.dice.epochs() });
                    self.path.sent.clear();
                    steps.push(self.each());
                    steps.push(self.choice(Some(name)));
                }
                10 if self.depth == 0 => steps.push(self.sub()),
                _ => {
                    let epochs = self.dice.epochs();
                    steps.push(Step::Pause { op: self.op(), epochs });
                }
            }
        }
        steps
    }

    fn write(&mut self) -> Step {
        let (op, label, by) = (self.op(), self.label("Say"), self.role(Arity::One));
        let group = Group::Role(by.clone());
        self.path.sent.push(Sent {
            label: label.clone(),
            by: group,
            scattered: false,
            single: true,
            declinable: false,
        });
        Step::Write { op, label, by }
    }

    fn each(&mut self) -> Step {
        let (op, label) = (self.op(), self.label("Tell"));
        let decided = self.dice.pick(&self.path.decided).cloned();
        let among = match decided {
            Some(decided) if self.dice.one_in(2) => Group::Decided(decided),
            _ => Group::Role(self.role(Arity::Many)),
        };
        let no = if self.dice.one_in(4) { Some(self.reason("Decline")) } else { None };
        self.path.sent.push(Sent {
            label: label.clone(),
            by: among.clone(),
            scattered: false,
            single: false,
            declinable: no.is_some(),
        });
        Step::Each { op, label, among, no }
    }

    fn scatter(&mut self) -> Step {
        let (op, label) = (self.op(), self.label("Deal"));
        let (from, to) = (self.role(Arity::Many), self.role(Arity::Many));
        let by = Group::Role(from.clone());
        self.path.sent.push(Sent {
            label: label.clone(),
            by,
            scattered: true,
            single: false,
            declinable: false,
        });
        Step::Scatter { op, label, from, to }
    }

    fn quorum(&mut self, sent: &Sent) -> Quorum {
        match (&sent.by, self.dice.below(4)) {
            (_, _) if sent.single => Quorum::Count(1),
            (Group::Decided(label), 0 | 1) => Quorum::Among(label.clone()),
            (_, 0) => Quorum::All,
            (_, 1) => Quorum::Count(1 + u16::try_from(self.dice.below(3)).unwrap_or_default()),
            _ => Quorum::Threshold,
        }
    }

    fn gather(&mut self) -> Option<Step> {
        let sent = self.dice.pick(&self.path.sent).cloned()?;
        let quorum = self.quorum(&sent);
        let within = self.within(&sent);
        Some(Step::Gather { op: self.op(), label: sent.label, quorum, within })
    }

    fn condition(&mut self) -> Option<Condition> {
        let plain: Vec<Sent> = self.path.sent.iter().filter(|it| !it.scattered).cloned().collect();
        let sent = self.dice.pick(&plain).cloned()?;
        let quorum = self.quorum(&sent);
        let within = self.within(&sent);
        Some(Condition { label: sent.label, quorum, within })
    }

    /// Who waits without a bound for what may be declined goes wrong by itself.
    fn within(&mut self, sent: &Sent) -> Option<u32> {
        match self.dice.below(8) {
            1.. if sent.declinable => Some(self.dice.epochs()),
            _ => self.dice.perhaps_epochs(),
        }
    }

    fn decide(&mut self) -> Option<Step> {
        let on = self.condition()?;
        let (op, by, yes, no) = (self.op(), self.role(Arity::One), self.label("Fix"), self.abort());
        let certified = self.dice.one_in(3);
        let unless = if self.dice.one_in(4) { Some(self.label("Veto")) } else { None };
        self.path.decided.push(yes.clone());
        Some(Step::Decide { op, by, on, yes, no, certified, unless })
    }

    fn choice(&mut self, back_to: Option<String>) -> Step {
        let (op, by) = (self.op(), self.role(Arity::One));
        let on = if self.dice.one_in(2) { self.condition() } else { None };
        let no = match (&on, &back_to) {
            (None, None) if self.dice.one_in(2) => None,
            _ => Some(self.abort()),
        };
        let before = self.path.clone();
        let mut branches = Vec::new();
        let mut ends = alloc::vec![BranchEnd::Join];
        ends.extend(back_to.map(BranchEnd::Continue));
        if self.dice.one_in(3) {
            ends.push(BranchEnd::Stop);
        }
        for end in ends {
            let label = self.label("Way");
            self.path = before.clone();
            self.depth += 1;
            let count = self.dice.below(3);
            let body = self.steps(count);
            self.depth -= 1;
            branches.push(Branch { label, body, end });
        }
        self.path = before;
        Step::Choice { op, by, on, branches, no }
    }

    fn sub(&mut self) -> Step {
        let op = self.op();
        let session = Box::new(Maker::session(self.dice, "child", 2));
        let mut roles = Vec::new();
        for role in &session.roles {
            if self.dice.one_in(2) {
                roles.push((role.name.clone(), self.role(role.arity)));
            }
        }
        let finally = if self.dice.one_in(2) { Some(self.label("Done")) } else { None };
        Step::Sub { op, session, roles, finally }
    }
}

/// Changes one thing, well-formed or not.
fn change(dice: &mut Dice, session: &mut SessionType) {
    let name = format!("Extra{}", session.labels.len());
    let place = dice.below(session.body.len() + 1);
    let step = dice.below(session.body.len());
    match dice.below(9) {
        0 => {
            session.labels.push(LabelType { name: name.clone(), layout: "u8".to_string() });
            let among = Group::Role(ALL.to_string());
            session.body.insert(
                place,
                Step::Each { op: name.to_lowercase(), label: name, among, no: None },
            );
        }
        1 => {
            session.labels.push(LabelType { name: name.clone(), layout: "u8".to_string() });
            let by = OPENER.to_string();
            session.body.insert(place, Step::Write { op: name.to_lowercase(), label: name, by });
        }
        2 if step < session.body.len() => {
            session.body.remove(step);
        }
        3 if step + 1 < session.body.len() => session.body.swap(step, step + 1),
        4 => {
            let label = dice.below(session.labels.len());
            if let Some(label) = session.labels.get_mut(label) {
                label.layout = "vec<u8>".to_string();
            }
        }
        5 => session.ttl = session.ttl.map(|it| it.saturating_add(dice.epochs())),
        6 => {
            let sent: Vec<String> = session.labels.iter().map(|it| it.name.clone()).collect();
            if let Some(label) = dice.pick(&sent).cloned() {
                let op = name.to_lowercase();
                let quorum = Quorum::Threshold;
                session.body.insert(place, Step::Gather { op, label, quorum, within: None });
            }
        }
        _ => {
            if let Some(step) = session.body.get_mut(step) {
                change_step(dice, step, &name, &mut session.labels);
            }
        }
    }
}

fn change_step(dice: &mut Dice, step: &mut Step, name: &str, labels: &mut Vec<LabelType>) {
    match step {
        Step::Each { no: no @ None, .. } if dice.one_in(3) => {
            let decline = "Decline".to_string();
            if !labels.iter().any(|it| it.name == decline) {
                labels.push(LabelType { name: decline.clone(), layout: "Reason".to_string() });
            }
            *no = Some(decline);
        }
        Step::Each { no: no @ Some(_), .. } if dice.one_in(2) => *no = None,
        Step::Write { op, .. } | Step::Each { op, .. } | Step::Scatter { op, .. } => {
            *op = name.to_lowercase();
        }
        Step::Gather { quorum, within, .. } => match dice.below(2) {
            0 => *within = Some(dice.epochs()),
            _ => *quorum = if *quorum == Quorum::All { Quorum::Threshold } else { Quorum::All },
        },
        Step::Decide { on, certified, unless, .. } => match dice.below(4) {
            0 => on.within = Some(dice.epochs()),
            1 => *certified = !*certified,
            2 => on.quorum = if on.quorum == Quorum::All { Quorum::Threshold } else { Quorum::All },
            _ => {
                labels.push(LabelType { name: name.to_owned(), layout: "u8".to_string() });
                *unless = Some(name.to_owned());
            }
        },
        Step::Choice { branches, .. } => {
            labels.push(LabelType { name: name.to_owned(), layout: "u8".to_string() });
            let label = name.to_owned();
            branches.push(Branch { label, body: Vec::new(), end: BranchEnd::Join });
        }
        Step::Rec { within, .. } => *within = dice.epochs(),
        Step::Sub { session, .. } => change(dice, session),
        Step::Pause { epochs, .. } => *epochs = dice.epochs(),
    }
}

/// The labels of one session that its steps use.
fn labels_used(steps: &[Step], used: &mut Vec<String>) {
    for step in steps {
        match step {
            Step::Each { label, no, .. } => {
                used.push(label.clone());
                used.extend(no.clone());
            }
            Step::Write { label, .. }
            | Step::Gather { label, .. }
            | Step::Scatter { label, .. } => used.push(label.clone()),
            Step::Decide { on, yes, no, unless, .. } => {
                used.extend([on.label.clone(), yes.clone(), no.clone()]);
                used.extend(unless.clone());
            }
            Step::Choice { on, branches, no, .. } => {
                used.extend(on.iter().map(|it| it.label.clone()));
                used.extend(no.clone());
                for branch in branches {
                    used.push(branch.label.clone());
                    labels_used(&branch.body, used);
                }
            }
            Step::Sub { finally, .. } => used.extend(finally.clone()),
            Step::Rec { .. } | Step::Pause { .. } => {}
        }
    }
}
