//! What holds on every way to a step: what was said before, what was decided, where one can go back.

mod marks;

use std::collections::{BTreeMap, BTreeSet};

use syn::Ident;

use self::marks::Marks;
use super::{Facts, Source};
use crate::{
    error::Errors,
    model::{
        Branch, Choice, Decide, Each, End, Group, Kind, On, Quorum, Scatter, Session, Step,
        all_steps,
    },
};

/// What holds on every way to a step.
#[derive(Clone, Default)]
struct Flow {
    /// What was said in this round, and by whom.
    said: BTreeMap<String, Source>,
    /// What was said before the mark that comes first on the way back.
    earlier: BTreeSet<String>,
    /// What was decided, on what.
    decided: BTreeMap<String, Source>,
    /// The marks that are passed.
    marks: BTreeSet<String>,
}

impl Flow {
    /// What holds on both ways.
    fn meet(mut self, other: &Self) -> Self {
        self.said.retain(|label, source| other.said.get(label) == Some(source));
        self.decided.retain(|label, source| other.decided.get(label) == Some(source));
        self.earlier.retain(|label| other.earlier.contains(label));
        self
    }
}

struct Walk<'a, 'e> {
    session: &'a Session,
    errors: &'e mut Errors,
    facts: Facts,
    marks: Marks<'a>,
    roles: Vec<(String, bool)>,
    /// Whether some way leads to the end.
    ends: bool,
}

pub(super) fn check(session: &Session, errors: &mut Errors) -> Facts {
    let roles = session.role_names();
    let marks = Marks::default();
    let mut walk = Walk { session, errors, facts: Facts::default(), marks, roles, ends: false };
    let after = walk.steps(&session.steps, Flow::default());
    let Walk { errors, mut facts, marks, ends, .. } = walk;
    if after.is_none() && !ends && errors.is_empty() {
        errors.at(&session.name, "no way leads to the end: one branch has to go on, or `stop`");
    }
    facts.marks = marks.finish(errors);
    facts
}

impl<'a> Walk<'a, '_> {
    /// What holds after steps; nothing when no way leads on.
    fn steps(&mut self, steps: &'a [Step], flow: Flow) -> Option<Flow> {
        let mut flow = Some(flow);
        for step in steps {
            let Some(before) = flow else {
                let what =
                    "no way leads here: every branch of the choice before it continues or stops";
                self.errors.at(&step.op, what);
                return None;
            };
            flow = self.step(step, before);
        }
        flow
    }

    fn step(&mut self, step: &'a Step, mut flow: Flow) -> Option<Flow> {
        match &step.kind {
            Kind::Write(it) => {
                let by = self.decider(it.by.as_ref());
                self.says(&it.label, Source::Role(by), &mut flow);
            }
            Kind::Each(it) => self.each(it, &mut flow),
            Kind::Scatter(it) => self.scatter(it, &mut flow),
            Kind::Gather(it) => self.awaits(&step.op, &it.label, &it.quorum, true, &flow),
            Kind::Decide(it) => self.decide(&step.op, it, &mut flow),
            Kind::Choice(it) => return self.choice(&step.op, it, flow),
            Kind::Rec { within } => {
                self.marks.declare(&step.op, *within);
                flow.marks.insert(step.op.to_string());
                let said = std::mem::take(&mut flow.said);
                flow.earlier.extend(said.into_keys());
            }
            Kind::Sub(it) => {
                for (_, ours) in &it.roles {
                    self.role(ours, None);
                }
            }
            Kind::Pause { .. } => {}
        }
        Some(flow)
    }

    fn each(&mut self, each: &Each, flow: &mut Flow) {
        let source = match &each.group {
            Group::Role(None) => Source::Role(1),
            Group::Role(Some(role)) => Source::Role(self.role(role, Some(true))),
            Group::Decided(decided) => {
                self.among(decided, flow);
                Source::Decided(decided.to_string())
            }
        };
        self.says(&each.label, source, flow);
    }

    fn scatter(&mut self, scatter: &Scatter, flow: &mut Flow) {
        let from = self.role(&scatter.from, Some(true));
        let to = self.role(&scatter.to, Some(true));
        self.says(&scatter.label, Source::Scattered(from, to), flow);
    }

    fn decide(&mut self, op: &Ident, decide: &Decide, flow: &mut Flow) {
        self.decider(decide.by.as_ref());
        self.on(op, &decide.on, flow);
        let source = self.facts.sources.get(&op.to_string()).cloned();
        flow.decided.insert(decide.yes.to_string(), source.unwrap_or(Source::Role(1)));
    }

    fn on(&mut self, op: &Ident, on: &On, flow: &Flow) {
        self.awaits(op, &on.label, &on.quorum, false, flow);
    }

    fn choice(&mut self, op: &'a Ident, choice: &'a Choice, flow: Flow) -> Option<Flow> {
        let by = self.decider(choice.by.as_ref());
        if let Some(on) = &choice.on {
            self.on(op, on, &flow);
        }
        let mut joined: Option<Flow> = None;
        for branch in &choice.branches {
            if let Some(after) = self.branch(branch, by, flow.clone()) {
                joined = Some(match joined {
                    Some(other) => other.meet(&after),
                    None => after,
                });
            }
        }
        joined.map(|joined| Flow { marks: flow.marks, ..joined })
    }

    /// What holds after a branch; nothing when it does not go on behind the choice.
    fn branch(&mut self, branch: &'a Branch, by: u8, flow: Flow) -> Option<Flow> {
        let after = self.steps(&branch.steps, flow);
        match &branch.end {
            End::Join => after,
            End::Stop => {
                self.ends |= after.is_some();
                None
            }
            End::Continue(mark) => {
                let passed = after.is_some_and(|it| it.marks.contains(&mark.to_string()));
                self.marks.continued(mark, passed, by, self.errors);
                None
            }
        }
    }

    /// Notes that a label is said.
    fn says(&mut self, label: &Ident, source: Source, flow: &mut Flow) {
        let said = self.facts.said.entry(label.to_string()).or_insert_with(|| Some(source.clone()));
        if said.as_ref() != Some(&source) {
            *said = None;
        }
        if flow.said.insert(label.to_string(), source).is_some() {
            let what = format!(
                "`{label}` was said before on this way, and a device says a message once: declare \
                 another one in `msg`"
            );
            self.errors.at(label, what);
        }
    }

    fn awaits(&mut self, op: &Ident, label: &Ident, quorum: &Quorum, is_gather: bool, flow: &Flow) {
        if let Quorum::Among(decided) = quorum {
            self.among(decided, flow);
        }
        if self.session.message(label).is_none() {
            return; // Told about already.
        }
        let Some(source) = flow.said.get(&label.to_string()) else {
            let name = label.to_string();
            let why = if self.is_decline(label) {
                "which is said instead of taking part, and nobody waits for that: wait for what the \
                 others say"
            } else if flow.earlier.contains(&name) {
                "which was said before a `rec`, that is, in an earlier round: say it behind the mark"
            } else if self.facts.said.contains_key(&name) {
                "which is not said on every way here: say it on each, or before they part"
            } else {
                "which no earlier step says: say it before, as in `each step: Label;`"
            };
            self.errors.at(label, format!("deadlock: `{op}` waits for `{label}`, {why}"));
            return;
        };
        if let (Source::Scattered(..), false) = (source, is_gather) {
            let what = format!("`{label}` is addressed to single devices: `gather` it");
            self.errors.at(label, what);
        }
        if let Quorum::Among(decided) = quorum {
            self.covers(op, label, source, decided, flow);
        }
        self.facts.sources.insert(op.to_string(), source.clone());
    }

    /// Whether a message says that a device takes no part in a step.
    fn is_decline(&self, label: &Ident) -> bool {
        let declines = |it: &&Step| match &it.kind {
            Kind::Each(each) => each.no.as_ref() == Some(label),
            _ => false,
        };
        all_steps(&self.session.steps).iter().any(declines)
    }

    /// Whether all whom a decision can have named say the label.
    fn covers(&mut self, op: &Ident, label: &Ident, source: &Source, decided: &Ident, flow: &Flow) {
        let Some(asked) = flow.decided.get(&decided.to_string()) else { return };
        let role = |it: &Source| match it {
            Source::Role(role) | Source::Scattered(role, _) => Some(*role),
            Source::Decided(_) => None,
        };
        let all_say_it = match source {
            Source::Decided(other) => decided == other || *asked == *source,
            other => role(other) == Some(1) || role(other) == role(asked),
        };
        if !all_say_it {
            let what = format!(
                "deadlock: `{op}` waits for `{label}` from all of `{decided}`, but others say it: say \
                 it `among {decided}`"
            );
            self.errors.at(decided, what);
        }
    }

    /// Notes that a step is among those that a decision named.
    fn among(&mut self, decided: &Ident, flow: &Flow) {
        if flow.decided.contains_key(&decided.to_string()) {
            self.facts.named.insert(decided.to_string());
        } else {
            let what = format!(
                "no earlier `decide` on every way here decides `{decided}`: its devices are not known yet"
            );
            self.errors.at(decided, what);
        }
    }

    /// The role that decides or writes.
    fn decider(&mut self, named: Option<&Ident>) -> u8 {
        match named {
            Some(role) => self.role(role, Some(false)),
            None => {
                let name = self.session.decider();
                self.roles.iter().position(|it| it.0 == name).unwrap_or(0) as u8
            }
        }
    }

    /// The place of a role that has to be one device, or many.
    fn role(&mut self, role: &Ident, needs_many: Option<bool>) -> u8 {
        let Some(place) = self.roles.iter().position(|it| role == &it.0) else {
            let known: Vec<_> = self.roles.iter().map(|it| format!("`{}`", it.0)).collect();
            let what = format!("there is no role `{role}`: there are {}", known.join(", "));
            self.errors.at(role, what);
            return 0;
        };
        match (needs_many, self.roles.get(place)) {
            (Some(true), Some((_, false))) => {
                let what = format!("`{role}` is one device: a role of `many` stands here");
                self.errors.at(role, what);
            }
            (Some(false), Some((_, true))) => {
                let what = format!(
                    "`{role}` is many devices: one says or decides this, so name a role of `one`"
                );
                self.errors.at(role, what);
            }
            _ => {}
        }
        place as u8
    }
}
