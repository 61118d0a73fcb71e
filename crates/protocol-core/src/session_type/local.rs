//! Projection: what one device does in a session.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{
    ALL, Arity, Branch, BranchEnd, Condition, Group, OPENER, Quorum, SessionType, Step, vote_label,
};

/// What one device does in a session, sub-sessions flattened: their labels and marks carry the prefix
/// `op/`, their roles are replaced by the session's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalType {
    /// The steps.
    pub steps: Vec<Local>,
}

/// One step of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local {
    /// It sends one event, or one to each member of a role.
    Send {
        /// What it sends.
        label: String,
        /// The role to whose members it sends one each; without it, one event to everyone.
        to: Option<String>,
        /// The decision whose payload must name this device; otherwise it sends nothing.
        among: Option<String>,
        /// What it may send instead, and go on.
        no: Option<String>,
    },
    /// It waits, and gives up (the session stalls here) at the deadline.
    Await(Wait),
    /// It waits, if it has to, then sends one branch's label. At the deadline it sends the label of
    /// the branch that ends in [`LocalEnd::Abort`].
    Decide {
        /// What it waits for.
        on: Option<Wait>,
        /// What it can send.
        branches: Vec<LocalBranch>,
    },
    /// It waits for one branch's label from the decider, and gives up at the deadline.
    Follow {
        /// The role that decides.
        by: String,
        /// What can come.
        branches: Vec<LocalBranch>,
        /// What this device may send meanwhile to have the session ended.
        signal: Option<String>,
        /// What the decider waited for. Where a decision's payload says who does something, this
        /// device refuses one that names other devices than those, or fewer.
        on: Option<Wait>,
        /// For how many epochs it waits; without it, for ever.
        within: Option<u32>,
    },
    /// A mark to which a branch can go back.
    Rec {
        /// The mark's name.
        name: String,
    },
    /// A sub-session. A branch that stops leads to its end, one that aborts to the end of everything.
    Sub {
        /// Its steps.
        steps: Vec<Local>,
    },
    /// From here on it owes this label: it sends it when the outermost session ends, however that
    /// ends; what it owes last it sends first.
    Finally {
        /// What it will send.
        label: String,
    },
    /// It waits for some epochs.
    Pause {
        /// For how many.
        epochs: u32,
    },
}

/// What a device waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// What must have been sent. Of a scattered label, only what is addressed to this device counts.
    pub label: String,
    /// By how many.
    pub quorum: Quorum,
    /// Who sends it.
    pub from: Group,
    /// A signal that ends the wait instead.
    pub unless: Option<String>,
    /// For how many epochs it waits; without it, for ever.
    pub within: Option<u32>,
}

/// One way to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalBranch {
    /// The decision's label.
    pub label: String,
    /// What this device does then.
    pub steps: Vec<Local>,
    /// What comes after that.
    pub end: LocalEnd,
}

/// What comes after a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalEnd {
    /// The step after the choice.
    Join,
    /// The step after a mark.
    Continue(String),
    /// The end of the enclosing session.
    Stop,
    /// The end of everything: the session was aborted.
    Abort,
}

impl SessionType {
    /// What a device does of which `plays` says whether it plays a role. Roles are those of this
    /// session; every device plays [`ALL`], without being asked.
    #[must_use]
    pub fn project(&self, plays: &dyn Fn(&str) -> bool) -> LocalType {
        let mut scope = Scope {
            session: self,
            prefix: String::new(),
            roles: BTreeMap::new(),
            ttl: self.ttl,
            plays,
            senders: BTreeMap::new(),
            addressed: BTreeMap::new(),
        };
        LocalType { steps: scope.steps(&self.body) }
    }
}

/// One session while it is projected.
struct Scope<'a> {
    session: &'a SessionType,
    prefix: String,
    /// This session's roles in terms of the outermost session's; itself where missing.
    roles: BTreeMap<String, String>,
    /// How long a device waits for another.
    ttl: Option<u32>,
    plays: &'a dyn Fn(&str) -> bool,
    /// Who sent a label last on this path.
    senders: BTreeMap<&'a str, Group>,
    /// To which role a scattered label goes.
    addressed: BTreeMap<&'a str, String>,
}

impl<'a> Scope<'a> {
    fn label(&self, label: &str) -> String {
        format!("{}{label}", self.prefix)
    }

    fn role(&self, role: &str) -> String {
        self.roles.get(role).cloned().unwrap_or_else(|| role.to_string())
    }

    /// Whether this device plays a role of the outermost session.
    fn plays(&self, role: &str) -> bool {
        role == ALL || (self.plays)(role)
    }

    fn group(&self, group: &Group) -> Group {
        match group {
            Group::Role(role) => Group::Role(self.role(role)),
            Group::Decided(label) => Group::Decided(self.label(label)),
        }
    }

    fn steps(&mut self, steps: &'a [Step]) -> Vec<Local> {
        let mut out = Vec::new();
        for step in steps {
            self.step(step, &mut out);
        }
        out
    }

    fn step(&mut self, step: &'a Step, out: &mut Vec<Local>) {
        match step {
            Step::Write { label, by, .. } => {
                self.write(label, by, out);
            }
            Step::Each { label, among, no, .. } => {
                let group = self.group(among);
                let no = no.as_ref().map(|it| self.label(it));
                let sent = self.label(label);
                match &group {
                    Group::Role(role) if self.plays(role) => {
                        out.push(Local::Send { label: sent, to: None, among: None, no });
                    }
                    Group::Role(_) => {}
                    Group::Decided(decided) => {
                        let among = Some(decided.clone());
                        out.push(Local::Send { label: sent, to: None, among, no });
                    }
                }
                self.senders.insert(label, group);
            }
            Step::Gather { label, quorum, within, .. } => {
                let addressed = self.addressed.get(label.as_str());
                if addressed.is_none_or(|to| self.plays(to)) {
                    out.push(Local::Await(self.wait(label, quorum, *within)));
                }
            }
            Step::Scatter { label, from, to, .. } => {
                let (from, to) = (self.role(from), self.role(to));
                if self.plays(&from) {
                    let label = self.label(label);
                    out.push(Local::Send { label, to: Some(to.clone()), among: None, no: None });
                }
                self.senders.insert(label, Group::Role(from));
                self.addressed.insert(label, to);
            }
            Step::Decide { by, on, yes, no, certified, unless, .. } => {
                let votes = if *certified { self.votes(yes) } else { Vec::new() };
                let branch = |label: &str, end| LocalBranch {
                    label: self.label(label),
                    steps: votes.clone(),
                    end,
                };
                let branches = [branch(yes, LocalEnd::Join), branch(no, LocalEnd::Abort)].to_vec();
                out.push(self.decision(by, Some(on), unless.as_deref(), branches));
            }
            Step::Choice { by, on, branches, no, .. } => {
                let mut ways: Vec<_> = branches.iter().map(|it| self.branch(it)).collect();
                ways.extend(no.iter().map(|no| LocalBranch {
                    label: self.label(no),
                    steps: Vec::new(),
                    end: LocalEnd::Abort,
                }));
                out.push(self.decision(by, on.as_ref(), None, ways));
            }
            Step::Rec { name, .. } => out.push(Local::Rec { name: self.label(name) }),
            Step::Sub { op, session, roles, finally } => {
                out.push(Local::Sub { steps: self.child(op, session, roles) });
                out.extend(finally.iter().map(|it| Local::Finally { label: self.label(it) }));
            }
            Step::Pause { epochs, .. } => out.push(Local::Pause { epochs: *epochs }),
        }
    }

    fn write(&mut self, label: &'a str, by: &str, out: &mut Vec<Local>) {
        let by = self.role(by);
        let writes = self.plays(&by);
        self.senders.insert(label, Group::Role(by));
        if writes {
            out.push(Local::Send { label: self.label(label), to: None, among: None, no: None });
        } else {
            out.push(Local::Await(self.wait(label, &Quorum::Count(1), self.ttl)));
        }
    }

    fn wait(&self, label: &str, quorum: &Quorum, within: Option<u32>) -> Wait {
        let senders = || self.senders.get(label).cloned();
        let (quorum, from) = match quorum {
            Quorum::Among(decided) => {
                let decided = self.label(decided);
                (Quorum::Among(decided.clone()), Group::Decided(decided))
            }
            other => {
                let from = senders().unwrap_or_else(|| Group::Role(self.role(ALL)));
                (other.clone(), from)
            }
        };
        Wait { label: self.label(label), quorum, from, unless: None, within }
    }

    /// A decision, at the decider and elsewhere.
    fn decision(
        &self,
        by: &str,
        on: Option<&Condition>,
        unless: Option<&str>,
        branches: Vec<LocalBranch>,
    ) -> Local {
        let by = self.role(by);
        let unless = unless.map(|it| self.label(it));
        let on = on.map(|on| self.wait(&on.label, &on.quorum, on.within));
        if self.plays(&by) {
            let on = on.map(|on| Wait { unless, ..on });
            return Local::Decide { on, branches };
        }
        Local::Follow { by, branches, signal: unless, on, within: self.ttl }
    }

    /// The votes after a certified decision: everyone sends one and waits for a threshold.
    fn votes(&self, yes: &str) -> Vec<Local> {
        let label = vote_label(yes);
        let wait = self.wait(&label, &Quorum::Threshold, self.ttl);
        let wait = Wait { from: Group::Role(self.role(ALL)), ..wait };
        [
            Local::Send { label: self.label(&label), to: None, among: None, no: None },
            Local::Await(wait),
        ]
        .to_vec()
    }

    fn branch(&mut self, branch: &'a Branch) -> LocalBranch {
        let end = match &branch.end {
            BranchEnd::Join => LocalEnd::Join,
            BranchEnd::Continue(rec) => LocalEnd::Continue(self.label(rec)),
            BranchEnd::Stop => LocalEnd::Stop,
        };
        LocalBranch { label: self.label(&branch.label), steps: self.steps(&branch.body), end }
    }

    fn child(&self, op: &str, session: &'a SessionType, mapped: &[(String, String)]) -> Vec<Local> {
        let roles = child_roles(self.session, session, mapped, |it| self.role(it));
        let mut scope = Scope {
            session,
            prefix: format!("{}{op}/", self.prefix),
            roles,
            ttl: session.ttl,
            plays: self.plays,
            senders: BTreeMap::new(),
            addressed: BTreeMap::new(),
        };
        scope.steps(&session.body)
    }
}

/// Which role of the outermost session each role of a sub-session is; `outer` says it of the parent's.
/// Where nothing is mapped, one device is the parent's default decider and many are everyone.
pub(super) fn child_roles(
    parent: &SessionType,
    child: &SessionType,
    mapped: &[(String, String)],
    outer: impl Fn(&str) -> String,
) -> BTreeMap<String, String> {
    let by_default = |arity| match arity {
        Arity::One => outer(parent.default_decider()),
        Arity::Many => outer(ALL),
    };
    let fixed = [(OPENER, Arity::One), (ALL, Arity::Many)];
    let declared = child.roles.iter().map(|it| (it.name.as_str(), it.arity));
    let mut roles: BTreeMap<String, String> = fixed
        .into_iter()
        .chain(declared)
        .map(|(name, arity)| (name.to_string(), by_default(arity)))
        .collect();
    roles.extend(mapped.iter().map(|(inner, of_parent)| (inner.clone(), outer(of_parent))));
    roles
}
