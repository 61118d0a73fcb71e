//! What the macro would write into the code of one session type, as static tables.

use std::collections::{BTreeMap, BTreeSet};

use aura_choreography::{
    GlobalType, Label, RoleIx,
    global::{End, GroupType, QuorumType, Step},
};

use super::said::NEVER;

/// What the events of a label carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carries {
    Said,
    /// The receiver's place, then what is said to it.
    Addressed,
    Reason,
    Vote,
    Exit,
}

/// A label with the prefixes of the parts around it.
#[derive(Debug, Clone)]
pub(super) struct Labelled {
    pub(super) name: String,
    pub(super) layout: String,
    pub(super) carries: Carries,
}

/// A mark that a choice goes back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) name: &'static str,
    pub(super) by: RoleIx,
}

/// The branches of a choice, and those that go back.
pub(super) type Ways = (&'static [Label], &'static [(Label, u8, u32)]);

/// One session type, or that of a part.
pub(super) struct Known {
    pub(super) global: &'static GlobalType,
    pub(super) marks: Vec<Mark>,
    pub(super) choices: BTreeMap<&'static str, Ways>,
    pub(super) parts: BTreeMap<&'static str, PartOf>,
    /// Decisions whose payload says who does something.
    pub(super) naming: BTreeSet<&'static str>,
    carries: BTreeMap<&'static str, Carries>,
}

/// A part: its type, where its labels begin, and who plays its roles.
pub(super) struct PartOf {
    pub(super) known: Known,
    pub(super) base: u16,
    pub(super) roles: &'static [(&'static str, RoleIx)],
}

/// The place of a role.
pub(super) fn role(global: &GlobalType, name: &str) -> RoleIx {
    match name {
        "Opener" => RoleIx::OPENER,
        "All" => RoleIx::ALL,
        _ => {
            let found = global.roles.iter().position(|it| it.name == name);
            RoleIx(found.and_then(|it| u8::try_from(it + 2).ok()).unwrap_or(RoleIx::OPENER.0))
        }
    }
}

/// The place of a label of this type itself.
pub(super) fn label(global: &GlobalType, name: &str) -> Label {
    let mut own = global.labels.iter().map(|it| it.name).chain(global.votes.iter().copied());
    let found = own.position(|it| it == name).and_then(|it| u16::try_from(it).ok());
    Label(found.unwrap_or(u16::MAX))
}

impl Known {
    pub(super) fn new(global: &'static GlobalType) -> Self {
        let mut known = Self {
            global,
            marks: Vec::new(),
            choices: BTreeMap::new(),
            parts: BTreeMap::new(),
            naming: BTreeSet::new(),
            carries: BTreeMap::new(),
        };
        known.marks_of(global.steps);
        let mut base = global.labels.len() + global.votes.len();
        known.steps(global.steps, &mut base);
        known
    }

    fn marks_of(&mut self, steps: &'static [Step]) {
        for step in steps {
            match step {
                Step::Rec { name, .. } => self.marks.push(Mark { name, by: RoleIx::OPENER }),
                Step::Choice { by, branches, .. } => {
                    for branch in *branches {
                        self.marks_of(branch.steps);
                        if let End::Continue(back) = branch.end {
                            let by = role(self.global, by);
                            let found = self.marks.iter_mut().filter(|it| it.name == back);
                            found.for_each(|it| it.by = by);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn steps(&mut self, steps: &'static [Step], base: &mut usize) {
        for step in steps {
            self.step(step, base);
        }
    }

    fn step(&mut self, step: &'static Step, base: &mut usize) {
        match step {
            Step::Each { among, no, .. } => {
                if let GroupType::Decided(label) = among {
                    self.naming.insert(label);
                }
                self.reason(*no);
            }
            Step::Gather { quorum, .. } => self.quorum(quorum),
            Step::Scatter { label, .. } => {
                self.carries.insert(label, Carries::Addressed);
            }
            Step::Decide { on, no, .. } => {
                self.quorum(&on.quorum);
                self.reason(Some(no));
            }
            Step::Choice { op, on, branches, no, .. } => {
                on.iter().for_each(|it| self.quorum(&it.quorum));
                self.reason(*no);
                let label = |name| label(self.global, name);
                let all = branches.iter().map(|it| label(it.label)).collect();
                let back = branches.iter().filter_map(|it| match it.end {
                    End::Continue(mark) => Some((label(it.label), self.mark(mark)?, NEVER)),
                    End::Join | End::Stop => None,
                });
                let ways: Ways = (Vec::leak(all), Vec::leak(back.collect()));
                self.choices.insert(op, ways);
                branches.iter().for_each(|it| self.steps(it.steps, base));
            }
            Step::Sub { op, session, roles, last } => {
                if let Some(last) = last {
                    self.carries.insert(last, Carries::Exit);
                }
                let mapped = roles.iter().map(|it| (it.0, role(self.global, it.1))).collect();
                let known = Self::new(session);
                let first = u16::try_from(*base).unwrap_or(u16::MAX);
                *base += usize::from(session.label_count());
                self.parts.insert(op, PartOf { known, base: first, roles: Vec::leak(mapped) });
            }
            Step::Write { .. } | Step::Rec { .. } | Step::Pause { .. } => {}
        }
    }

    /// The number of a mark, in the order of the text.
    pub(super) fn mark(&self, name: &str) -> Option<u8> {
        let found = self.marks.iter().position(|it| it.name == name)?;
        u8::try_from(found).ok()
    }

    fn reason(&mut self, label: Option<&'static str>) {
        self.carries.extend(label.map(|it| (it, Carries::Reason)));
    }

    fn quorum(&mut self, quorum: &QuorumType) {
        if let QuorumType::Among(label) = quorum {
            self.naming.insert(label);
        }
    }

    /// Every label, in the order of their numbers.
    pub(super) fn labels(&self, prefix: &str, into: &mut Vec<Labelled>) {
        for label in self.global.labels {
            let carries = self.carries.get(label.name).copied().unwrap_or(Carries::Said);
            let layout = label.layout.head.to_owned();
            into.push(Labelled { name: format!("{prefix}{}", label.name), layout, carries });
        }
        for vote in self.global.votes {
            let layout = "vote of a decision".to_owned();
            into.push(Labelled { name: format!("{prefix}{vote}"), layout, carries: Carries::Vote });
        }
        let mut parts: Vec<(&&str, &PartOf)> = self.parts.iter().collect();
        parts.sort_by_key(|it| it.1.base);
        for (op, part) in parts {
            part.known.labels(&format!("{prefix}{op}/"), into);
        }
    }
}
