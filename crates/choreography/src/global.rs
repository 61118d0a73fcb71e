//! The declared type of a session, as data that exists at compile time.
//!
//! The same tree as [`aura_protocol_core::session_type::SessionType`], in types that a static can
//! hold; its canonical text travels in a module's descriptor.

use alloc::string::String;

use crate::{Label, Layout};

/// A session type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlobalType {
    /// Its name.
    pub name: &'static str,
    /// How many epochs a device waits for others at one step; for ever without.
    pub ttl: Option<u32>,
    /// The declared roles, beside `Opener` and `All`.
    pub roles: &'static [RoleType],
    /// Its declared messages, in the order of their labels.
    pub labels: &'static [LabelType],
    /// The messages that certified decisions vote with (`<Yes>Vote`), whose labels come after the
    /// declared ones and before those of parts. They are not declared, so they are not in the text.
    pub votes: &'static [&'static str],
    /// What happens.
    pub steps: &'static [Step],
}

/// A declared role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleType {
    /// Its name.
    pub name: &'static str,
    /// Whether it is several devices.
    pub many: bool,
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelType {
    /// Its name.
    pub name: &'static str,
    /// What it carries.
    pub layout: &'static Layout,
}

/// A group of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupType {
    /// A role.
    Role(&'static str),
    /// Those that the decision with this label named.
    Decided(&'static str),
}

/// How many of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuorumType {
    /// `[threshold]`
    Threshold,
    /// `[all]`
    All,
    /// `[among Label]`: every one that the decision named.
    Among(&'static str),
    /// `[3]`
    Count(u8),
}

/// What a decision or choice waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnType {
    /// The message.
    pub label: &'static str,
    /// Of how many.
    pub quorum: QuorumType,
    /// For how many epochs.
    pub within: u32,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// One device says it.
    Write {
        /// The step.
        op: &'static str,
        /// The message.
        label: &'static str,
        /// Who.
        by: &'static str,
    },
    /// Every device of a group says it.
    Each {
        /// The step.
        op: &'static str,
        /// The message.
        label: &'static str,
        /// Who.
        among: GroupType,
        /// What a device says instead that does not take part; the session goes on.
        no: Option<&'static str>,
    },
    /// Every device waits for a quorum.
    Gather {
        /// The step.
        op: &'static str,
        /// The message.
        label: &'static str,
        /// Of how many.
        quorum: QuorumType,
        /// For how many epochs; for ever without.
        within: Option<u32>,
    },
    /// One message from each of a role to each of another.
    Scatter {
        /// The step.
        op: &'static str,
        /// The message.
        label: &'static str,
        /// From whom.
        from: &'static str,
        /// To whom.
        to: &'static str,
    },
    /// One device decides.
    Decide {
        /// The step.
        op: &'static str,
        /// Who.
        by: &'static str,
        /// On what.
        on: OnType,
        /// What is said when it works.
        yes: &'static str,
        /// What is said when it does not.
        no: &'static str,
        /// Whether a quorum has to have seen the same.
        certified: bool,
        /// What stops it.
        unless: Option<&'static str>,
    },
    /// One device chooses how it goes on.
    Choice {
        /// The step.
        op: &'static str,
        /// Who.
        by: &'static str,
        /// On what.
        on: Option<OnType>,
        /// The ways.
        branches: &'static [Branch],
        /// What is said when there is none.
        no: Option<&'static str>,
    },
    /// A state that a choice can go back to.
    Rec {
        /// Its name.
        name: &'static str,
        /// For how many epochs.
        within: u32,
    },
    /// Another session type as a part.
    Sub {
        /// The step.
        op: &'static str,
        /// The part's type.
        session: &'static GlobalType,
        /// Which of its roles are which of ours.
        roles: &'static [(&'static str, &'static str)],
        /// What is said whatever happens, once the part is through.
        last: Option<&'static str>,
    },
    /// Epochs pass.
    Pause {
        /// The step.
        op: &'static str,
        /// How many.
        epochs: u32,
    },
}

/// One way of a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// What is said.
    pub label: &'static str,
    /// What happens then.
    pub steps: &'static [Step],
    /// How it goes on.
    pub end: End,
}

/// How a way goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With the step after the choice.
    Join,
    /// At the state of this name.
    Continue(&'static str),
    /// The session is over.
    Stop,
}

impl GlobalType {
    /// A label as it is written in a ledger: `Commit`, `lock/Request` of a part, `Vote#2` in a later
    /// round. Empty when there is no such label.
    #[must_use]
    pub fn label_text(&self, label: Label, round: u32) -> String {
        let mut text = String::new();
        if self.write_label(label.0, &mut text) && round != 0 {
            text.push_str(&alloc::format!("#{round}"));
        }
        text
    }

    /// The label and the round that [`Self::label_text`] wrote.
    #[must_use]
    pub fn parse_label(&self, text: &str) -> Option<(Label, u32)> {
        let (path, round) = match text.split_once('#') {
            None => (text, 0),
            // One text a round: no sign, no leading zeros, and nothing for the first.
            Some((path, digits)) if digits.starts_with(|it: char| ('1'..='9').contains(&it)) => {
                (path, digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some((Label(self.find_label(path)?), round))
    }

    /// How many labels there are, those of parts included.
    #[must_use]
    pub fn label_count(&self) -> u16 {
        let mut count = self.own_count();
        parts(self.steps, &mut |_, part| {
            count += part.label_count();
            true
        });
        count
    }

    /// Declared messages and votes.
    const fn own_count(&self) -> u16 {
        (self.labels.len() + self.votes.len()) as u16
    }

    fn own_names(&self) -> impl Iterator<Item = &'static str> {
        self.labels.iter().map(|it| it.name).chain(self.votes.iter().copied())
    }

    fn write_label(&self, label: u16, text: &mut String) -> bool {
        if let Some(own) = self.own_names().nth(usize::from(label)) {
            text.push_str(own);
            return true;
        }
        let mut rest = label - self.own_count();
        let mut found = false;
        parts(self.steps, &mut |op, part| {
            let count = part.label_count();
            if rest < count {
                text.push_str(op);
                text.push('/');
                found = part.write_label(rest, text);
                return false;
            }
            rest -= count;
            true
        });
        found
    }

    fn find_label(&self, path: &str) -> Option<u16> {
        let Some((step, inner)) = path.split_once('/') else {
            return self.own_names().position(|it| it == path).map(|it| it as u16);
        };
        let (mut base, mut found) = (self.own_count(), None);
        parts(self.steps, &mut |op, part| {
            if op == step {
                found = part.find_label(inner).map(|it| base + it);
                return false;
            }
            base += part.label_count();
            true
        });
        found
    }
}

/// Visits the parts of a type in the order of its text, until `visit` says no.
fn parts(
    steps: &'static [Step],
    visit: &mut dyn FnMut(&'static str, &'static GlobalType) -> bool,
) -> bool {
    steps.iter().all(|step| match step {
        Step::Sub { op, session, .. } => visit(op, session),
        Step::Choice { branches, .. } => branches.iter().all(|it| parts(it.steps, visit)),
        _ => true,
    })
}
