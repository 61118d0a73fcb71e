//! Messages: each has one use, and what a use needs.

use std::collections::BTreeMap;

use syn::{Ident, Type};

use crate::{
    error::Errors,
    model::{Choice, End, Kind, On, Session, all_steps},
};

/// How a message is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Message,
    Scattered,
    Outcome,
    Abort,
    Decline,
    Veto,
    Last,
}

impl Use {
    const fn text(self) -> &'static str {
        match self {
            Self::Message => "said in an ordinary step",
            Self::Scattered => "scattered",
            Self::Outcome => "what a decision or a choice leads to",
            Self::Abort => "what is said when a decision fails",
            Self::Decline => "what a device says that does not take part in a step",
            Self::Veto => "what stops a decision",
            Self::Last => "said finally",
        }
    }
}

struct Labels<'a, 'e> {
    session: &'a Session,
    errors: &'e mut Errors,
    uses: BTreeMap<String, Use>,
}

pub(super) fn check(session: &Session, errors: &mut Errors) {
    let mut labels = Labels { session, errors, uses: BTreeMap::new() };
    for step in all_steps(&session.steps) {
        labels.step(&step.op, &step.kind);
    }
    for message in &session.labels {
        if !labels.uses.contains_key(&message.name.to_string()) {
            let what = format!("no step says `{}`: delete it, or add the step", message.name);
            labels.errors.at(&message.name, what);
        }
    }
}

impl Labels<'_, '_> {
    fn step(&mut self, op: &Ident, kind: &Kind) {
        match kind {
            Kind::Write(it) => self.uses(&it.label, Use::Message),
            Kind::Each(it) => {
                self.uses(&it.label, Use::Message);
                if let Some(no) = &it.no {
                    self.uses(no, Use::Decline);
                    self.is_reason(no);
                }
            }
            Kind::Scatter(it) => self.uses(&it.label, Use::Scattered),
            Kind::Gather(it) => self.known(&it.label),
            Kind::Decide(it) => {
                self.on(&it.on);
                self.uses(&it.yes, Use::Outcome);
                self.aborts(&it.no);
                if let Some(veto) = &it.unless {
                    self.uses(veto, Use::Veto);
                }
            }
            Kind::Choice(it) => self.choice(op, it),
            Kind::Sub(it) => {
                if let Some((_, label)) = &it.last {
                    self.uses(label, Use::Last);
                }
            }
            Kind::Rec { .. } | Kind::Pause { .. } => {}
        }
    }

    fn choice(&mut self, op: &Ident, choice: &Choice) {
        if choice.branches.is_empty() {
            self.errors.at(op, "a choice has branches: `Label => { … }`");
        }
        if let Some(on) = &choice.on {
            self.on(on);
        }
        for branch in &choice.branches {
            self.uses(&branch.label, Use::Outcome);
            if let (End::Continue(mark), None) = (&branch.end, &choice.no) {
                let what =
                    "how long one may go round is bounded: say what is said then, `} | Abort;`";
                self.errors.at(mark, what);
            }
        }
        match (&choice.on, &choice.no) {
            (_, Some(no)) => self.aborts(no),
            (Some(on), None) => {
                let what = format!(
                    "`{}` may not be there in time: say what is said then, `}} | Abort;`",
                    on.label
                );
                self.errors.at(&on.label, what);
            }
            (None, None) => {}
        }
    }

    fn on(&mut self, on: &On) {
        self.known(&on.label);
    }

    fn known(&mut self, label: &Ident) {
        if self.session.message(label).is_none() {
            let what =
                format!("`{label}` is no message of this session: declare it in `msg {{ … }}`");
            self.errors.at(label, what);
        }
    }

    fn uses(&mut self, label: &Ident, how: Use) {
        self.known(label);
        let before = self.uses.insert(label.to_string(), how);
        let what = match (before, how) {
            (None, _)
            | (Some(Use::Message), Use::Message)
            | (Some(Use::Scattered), Use::Scattered)
            | (Some(Use::Abort), Use::Abort)
            | (Some(Use::Decline), Use::Decline)
            | (Some(Use::Veto), Use::Veto) => return,
            (Some(Use::Outcome), Use::Outcome) => {
                format!("`{label}` is decided elsewhere: each way has a message of its own")
            }
            (Some(Use::Last), Use::Last) => {
                format!("`{label}` is said finally for another part: each has a message of its own")
            }
            (Some(before), how) => format!(
                "`{label}` is {} already, and here it is {}: declare another message",
                before.text(),
                how.text()
            ),
        };
        self.errors.at(label, what);
    }

    fn aborts(&mut self, label: &Ident) {
        self.uses(label, Use::Abort);
        self.is_reason(label);
    }

    fn is_reason(&mut self, label: &Ident) {
        let Some(message) = self.session.message(label) else { return };
        let is_reason = match &message.payload {
            Type::Path(it) => it.path.segments.last().is_some_and(|it| it.ident == "Reason"),
            _ => false,
        };
        if !is_reason {
            let what = format!("`{label}` says why something failed: it carries a `Reason`");
            self.errors.at(&message.payload, what);
        }
    }
}
