//! What makes a session type well-formed.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::{String, ToString},
};

use super::{
    ALL, Arity, Branch, BranchEnd, Broken, Condition, Group, IllFormed, LABELS_MAX, NESTING_MAX,
    OPENER, Quorum, STEPS_MAX, SessionType, Step, TEXT_BYTES_MAX, WORD_BYTES_MAX, vote_label,
};
use crate::limits::DEVICES_MAX;

impl SessionType {
    /// Checks every rule for session types: names and limits, and on each path that labels are sent
    /// before they are awaited, subsets decided before they are used, and every end reached by
    /// everyone.
    ///
    /// # Errors
    /// [`IllFormed`] with the first step that breaks a rule, and the rule.
    pub fn check(&self) -> Result<(), IllFormed> {
        let mut count = 0;
        session(self, 1, &mut count)?;
        let labels = labels(self);
        if LABELS_MAX < labels {
            return Err(head(Broken::Labels { found: labels }));
        }
        let text = self.to_string().len();
        if TEXT_BYTES_MAX < text {
            return Err(head(Broken::Text { found: text }));
        }
        Ok(())
    }
}

/// Whether a text is a name.
pub(super) fn is_name(text: &str) -> bool {
    let starts = |it: char| it.is_ascii_alphabetic() || it == '_';
    text.len() <= WORD_BYTES_MAX
        && text != "_"
        && text.starts_with(starts)
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_')
}

/// Whether a text is a layout: canonical characters only, brackets balanced and nested.
fn is_layout(text: &str) -> bool {
    let mut open = alloc::vec::Vec::new();
    for byte in text.bytes() {
        let closes = match byte {
            b'(' => Err(b')'),
            b'[' => Err(b']'),
            b'{' => Err(b'}'),
            b'<' => Err(b'>'),
            b')' | b']' | b'}' | b'>' => Ok(true),
            b'_' | b',' | b':' | b';' => Ok(false),
            _ if byte.is_ascii_alphanumeric() => Ok(false),
            _ => return false,
        };
        match closes {
            Err(closing) => open.push(closing),
            Ok(true) if open.pop() != Some(byte) => return false,
            Ok(_) => {}
        }
    }
    open.is_empty() && !text.is_empty()
}

/// All labels of a type, those of its sub-sessions and votes included.
fn labels(session: &SessionType) -> usize {
    session.labels.len() + body_labels(&session.body)
}

fn body_labels(steps: &[Step]) -> usize {
    let of_step = |step: &Step| match step {
        Step::Decide { certified: true, .. } => 1,
        Step::Choice { branches, .. } => branches.iter().map(|it| body_labels(&it.body)).sum(),
        Step::Sub { session, .. } => labels(session),
        _ => 0,
    };
    steps.iter().map(of_step).sum()
}

const fn head(broken: Broken) -> IllFormed {
    IllFormed { step: None, broken }
}

/// How a label is used. A label has one use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Message,
    Scattered,
    Outcome,
    Abort,
    Decline,
    Signal,
    Finally,
}

/// Who sends something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source<'a> {
    Role(&'a str),
    Decided(&'a str),
    Scattered(&'a str, &'a str),
}

/// What holds on every path to a step.
#[derive(Debug, Clone, Default)]
struct Flow<'a> {
    /// What was sent in this round, and by whom.
    sent: BTreeMap<&'a str, Source<'a>>,
    /// What was sent before a mark, which is another round once a branch goes back to it.
    earlier: BTreeSet<&'a str>,
    decided: BTreeSet<&'a str>,
    recs: BTreeSet<&'a str>,
}

struct Checker<'a, 'c> {
    session: &'a SessionType,
    /// Steps seen so far, in the whole text.
    count: &'c mut usize,
    level: usize,
    ops: BTreeSet<&'a str>,
    uses: BTreeMap<&'a str, Use>,
    /// Each mark: its step, and whether somebody continues it.
    recs: BTreeMap<&'a str, (usize, bool)>,
    /// Whether some path stops in a branch.
    stops: bool,
}

fn session(session: &SessionType, level: usize, count: &mut usize) -> Result<(), IllFormed> {
    let step = count.checked_sub(1);
    names(session).map_err(|broken| IllFormed { step, broken })?;
    let mut checker = Checker {
        session,
        count,
        level,
        ops: BTreeSet::new(),
        uses: BTreeMap::new(),
        recs: BTreeMap::new(),
        stops: false,
    };
    let after = checker.body(&session.body, Flow::default())?;
    if after.is_none() && !checker.stops {
        return Err(IllFormed { step, broken: Broken::NoEnd });
    }
    for (rec, (step, continued)) in &checker.recs {
        if !continued {
            let broken = Broken::NeverContinued((*rec).to_string());
            return Err(IllFormed { step: Some(*step), broken });
        }
    }
    let unused = session.labels.iter().find(|it| !checker.uses.contains_key(it.name.as_str()));
    match unused {
        Some(label) => Err(IllFormed { step, broken: Broken::Unused(label.name.clone()) }),
        None => Ok(()),
    }
}

/// Names, roles and labels of one session.
fn names(session: &SessionType) -> Result<(), Broken> {
    name(&session.name)?;
    let mut roles = BTreeSet::from([OPENER, ALL]);
    for role in &session.roles {
        name(&role.name)?;
        if !roles.insert(&role.name) {
            return Err(Broken::DuplicateRole(role.name.clone()));
        }
    }
    let mut labels = BTreeSet::new();
    for label in &session.labels {
        name(&label.name)?;
        if !is_layout(&label.layout) {
            return Err(Broken::Layout(label.layout.clone()));
        }
        if !labels.insert(&label.name) {
            return Err(Broken::DuplicateLabel(label.name.clone()));
        }
    }
    Ok(())
}

fn name(text: &str) -> Result<(), Broken> {
    if is_name(text) { Ok(()) } else { Err(Broken::Name(text.to_string())) }
}

impl<'a> Checker<'a, '_> {
    /// Checks steps; says what holds after them, or `None` if nothing comes after them.
    fn body(&mut self, steps: &'a [Step], flow: Flow<'a>) -> Result<Option<Flow<'a>>, IllFormed> {
        if NESTING_MAX < self.level {
            return Err(self.here(Broken::Nesting));
        }
        let mut flow = Some(flow);
        for step in steps {
            *self.count += 1;
            if STEPS_MAX < *self.count {
                return Err(self.here(Broken::Steps));
            }
            let Some(before) = flow else { return Err(self.here(Broken::Unreachable)) };
            flow = self.step(step, before)?;
        }
        Ok(flow)
    }

    /// An error at the step that is being checked.
    fn here(&self, broken: Broken) -> IllFormed {
        IllFormed { step: self.count.checked_sub(1), broken }
    }

    fn step(&mut self, step: &'a Step, mut flow: Flow<'a>) -> Result<Option<Flow<'a>>, IllFormed> {
        match step {
            Step::Choice { op, by, on, branches, no } => {
                return self.choice(op, by, on.as_ref(), branches, no.as_deref(), flow);
            }
            Step::Sub { op, session: child, roles, finally } => {
                self.op(op).map_err(|it| self.here(it))?;
                self.mapping(child, roles).map_err(|it| self.here(it))?;
                session(child, self.level + 1, self.count)?;
                if let Some(label) = finally {
                    self.finally(label).map_err(|it| self.here(it))?;
                }
            }
            plain => self.plain(plain, &mut flow).map_err(|it| self.here(it))?,
        }
        Ok(Some(flow))
    }

    fn plain(&mut self, step: &'a Step, flow: &mut Flow<'a>) -> Result<(), Broken> {
        match step {
            Step::Write { op, label, by } => {
                self.op(op)?;
                self.role(by, Arity::One)?;
                self.sends(label, Use::Message, Source::Role(by), flow)
            }
            Step::Each { op, label, among, no } => {
                self.op(op)?;
                no.as_ref().map_or(Ok(()), |no| self.declines(no))?;
                let source = match among {
                    Group::Role(role) => {
                        self.role(role, Arity::Many)?;
                        Source::Role(role)
                    }
                    Group::Decided(decided) => {
                        is_decided(decided, flow)?;
                        Source::Decided(decided)
                    }
                };
                self.sends(label, Use::Message, source, flow)
            }
            Step::Gather { op, label, quorum, .. } => {
                self.op(op)?;
                self.awaits(label, quorum, flow)
            }
            Step::Scatter { op, label, from, to } => {
                self.op(op)?;
                self.role(from, Arity::Many)?;
                self.role(to, Arity::Many)?;
                self.sends(label, Use::Scattered, Source::Scattered(from, to), flow)
            }
            Step::Decide { op, by, on, yes, no, certified, unless } => {
                self.op(op)?;
                self.role(by, Arity::One)?;
                self.decides_on(on, flow)?;
                self.uses(yes, Use::Outcome)?;
                self.ends(no)?;
                let vote = vote_label(yes);
                if *certified && self.session.layout(&vote).is_some() {
                    return Err(Broken::VoteLabel(vote));
                }
                flow.decided.insert(yes);
                unless.as_deref().map_or(Ok(()), |signal| self.uses(signal, Use::Signal))
            }
            Step::Rec { name: rec, .. } => {
                name(rec)?;
                let step = self.count.saturating_sub(1);
                flow.recs.insert(rec);
                flow.earlier.extend(core::mem::take(&mut flow.sent).into_keys());
                match self.recs.insert(rec, (step, false)) {
                    Some(_) => Err(Broken::DuplicateRec(rec.clone())),
                    None => Ok(()),
                }
            }
            Step::Pause { op, .. } => self.op(op),
            Step::Choice { .. } | Step::Sub { .. } => Ok(()),
        }
    }

    fn choice(
        &mut self,
        op: &'a str,
        by: &str,
        on: Option<&'a Condition>,
        branches: &'a [Branch],
        no: Option<&'a str>,
        flow: Flow<'a>,
    ) -> Result<Option<Flow<'a>>, IllFormed> {
        self.choice_head(op, by, on, branches, no, &flow).map_err(|it| self.here(it))?;
        // All outcomes first: a branch's steps must not use a sibling's label.
        for branch in branches {
            self.uses(&branch.label, Use::Outcome).map_err(|it| self.here(it))?;
        }
        let mut joined: Option<Flow<'a>> = None;
        for branch in branches {
            self.level += 1;
            let after = self.body(&branch.body, flow.clone())?;
            self.level -= 1;
            match (&branch.end, after) {
                (BranchEnd::Join, None) => {}
                (_, None) => return Err(self.here(Broken::Unreachable)),
                (BranchEnd::Join, Some(after)) => {
                    joined = Some(match joined {
                        None => after,
                        Some(other) => both(&other, &after),
                    });
                }
                (BranchEnd::Continue(rec), Some(after)) => {
                    self.continues(rec, no, op, &after).map_err(|it| self.here(it))?;
                }
                (BranchEnd::Stop, Some(_)) => self.stops = true,
            }
        }
        Ok(joined.map(|joined| Flow { recs: flow.recs, ..joined }))
    }

    fn choice_head(
        &mut self,
        op: &'a str,
        by: &str,
        on: Option<&'a Condition>,
        branches: &[Branch],
        no: Option<&'a str>,
        flow: &Flow<'a>,
    ) -> Result<(), Broken> {
        self.op(op)?;
        self.role(by, Arity::One)?;
        if branches.is_empty() {
            return Err(Broken::NoBranches(op.to_string()));
        }
        if let Some(on) = on {
            self.decides_on(on, flow)?;
        }
        match (on, no) {
            (_, Some(no)) => self.ends(no),
            (Some(_), None) => Err(Broken::NoAbort(op.to_string())),
            (None, None) => Ok(()),
        }
    }

    fn continues(
        &mut self,
        rec: &'a str,
        no: Option<&str>,
        op: &str,
        flow: &Flow<'a>,
    ) -> Result<(), Broken> {
        match self.recs.get_mut(rec) {
            Some((_, continued)) if flow.recs.contains(rec) => *continued = true,
            _ => return Err(Broken::UnknownRec(rec.to_string())),
        }
        if no.is_some() { Ok(()) } else { Err(Broken::NoAbort(op.to_string())) }
    }

    fn op(&mut self, op: &'a str) -> Result<(), Broken> {
        name(op)?;
        // `decide certified by R: …` would have two readings.
        if op == "certified" {
            return Err(Broken::Name(op.to_string()));
        }
        if self.ops.insert(op) { Ok(()) } else { Err(Broken::DuplicateOp(op.to_string())) }
    }

    fn role(&self, role: &str, needs: Arity) -> Result<(), Broken> {
        match (self.session.arity(role), needs) {
            (None, _) => Err(Broken::UnknownRole(role.to_string())),
            (Some(found), needs) if found == needs => Ok(()),
            (_, Arity::One) => Err(Broken::NeedsOne(role.to_string())),
            (_, Arity::Many) => Err(Broken::NeedsMany(role.to_string())),
        }
    }

    fn sends(
        &mut self,
        label: &'a str,
        how: Use,
        source: Source<'a>,
        flow: &mut Flow<'a>,
    ) -> Result<(), Broken> {
        self.uses(label, how)?;
        match flow.sent.insert(label, source) {
            Some(_) => Err(Broken::SentTwice(label.to_string())),
            None => Ok(()),
        }
    }

    /// Notes how a label is used, and refuses a second way.
    fn uses(&mut self, label: &'a str, how: Use) -> Result<(), Broken> {
        if self.session.layout(label).is_none() {
            return Err(Broken::UnknownLabel(label.to_string()));
        }
        match (self.uses.insert(label, how), how) {
            (None, _)
            | (Some(Use::Message), Use::Message)
            | (Some(Use::Scattered), Use::Scattered)
            | (Some(Use::Abort), Use::Abort)
            | (Some(Use::Decline), Use::Decline)
            | (Some(Use::Signal), Use::Signal) => Ok(()),
            (Some(Use::Outcome), Use::Outcome) => Err(Broken::DecidedTwice(label.to_string())),
            (Some(Use::Finally), _) | (_, Use::Finally) => {
                Err(Broken::FinallyElsewhere(label.to_string()))
            }
            _ => Err(Broken::MixedUse(label.to_string())),
        }
    }

    fn ends(&mut self, no: &'a str) -> Result<(), Broken> {
        self.uses(no, Use::Abort)?;
        self.is_reason(no)
    }

    fn declines(&mut self, no: &'a str) -> Result<(), Broken> {
        self.uses(no, Use::Decline)?;
        self.is_reason(no)
    }

    fn is_reason(&self, no: &str) -> Result<(), Broken> {
        let layout = self.session.layout(no).unwrap_or_default();
        match layout.strip_prefix("Reason") {
            Some(rest) if rest.is_empty() || rest.starts_with(['[', '{', '<', '(']) => Ok(()),
            _ => Err(Broken::NotAReason(no.to_string())),
        }
    }

    fn finally(&mut self, label: &'a str) -> Result<(), Broken> {
        self.uses(label, Use::Finally)
    }

    fn decides_on(&self, on: &Condition, flow: &Flow<'a>) -> Result<(), Broken> {
        self.awaits(&on.label, &on.quorum, flow)?;
        match self.uses.get(on.label.as_str()) {
            Some(Use::Scattered) => Err(Broken::Scattered(on.label.clone())),
            _ => Ok(()),
        }
    }

    fn awaits(&self, label: &str, quorum: &Quorum, flow: &Flow<'a>) -> Result<(), Broken> {
        if self.session.layout(label).is_none() {
            return Err(Broken::UnknownLabel(label.to_string()));
        }
        if !flow.sent.contains_key(label) {
            return Err(match self.uses.get(label) {
                _ if flow.earlier.contains(label) => Broken::EarlierRound(label.to_string()),
                None | Some(Use::Message | Use::Scattered) => Broken::NeverSent(label.to_string()),
                Some(_) => Broken::MixedUse(label.to_string()),
            });
        }
        match quorum {
            Quorum::Among(decided) => is_decided(decided, flow),
            Quorum::Count(count) if *count == 0 || DEVICES_MAX < usize::from(*count) => {
                Err(Broken::Count(*count))
            }
            _ => Ok(()),
        }
    }

    fn mapping(&self, child: &SessionType, roles: &[(String, String)]) -> Result<(), Broken> {
        let mut mapped = BTreeSet::new();
        for (inner, outer) in roles {
            let arity = self.session.arity(outer);
            if arity.is_none() {
                return Err(Broken::UnknownRole(outer.clone()));
            }
            if child.arity(inner) != arity || !mapped.insert(inner) {
                return Err(Broken::Mapping(inner.clone()));
            }
        }
        Ok(())
    }
}

fn is_decided(label: &str, flow: &Flow<'_>) -> Result<(), Broken> {
    if flow.decided.contains(label) { Ok(()) } else { Err(Broken::NotDecided(label.to_string())) }
}

/// What holds on two paths that meet.
fn both<'a>(one: &Flow<'a>, other: &Flow<'a>) -> Flow<'a> {
    let meet = |a: &BTreeSet<&'a str>, b: &BTreeSet<&'a str>| a.intersection(b).copied().collect();
    let mut sent = one.sent.clone();
    sent.retain(|label, source| other.sent.get(label) == Some(source));
    Flow {
        sent,
        earlier: meet(&one.earlier, &other.earlier),
        decided: meet(&one.decided, &other.decided),
        recs: meet(&one.recs, &other.recs),
    }
}
