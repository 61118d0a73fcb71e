//! A session type as its author wrote it: names are still the author's tokens.

use syn::{Attribute, Ident, Path, Type, Visibility};

/// The role of the device that opened the session.
pub(crate) const OPENER: &str = "Opener";
/// The role of every participant.
pub(crate) const ALL: &str = "All";

/// `session! { … }`
pub(crate) struct Session {
    /// Where the runtime is.
    pub(crate) runtime: Path,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) name: Ident,
    pub(crate) ttl: Option<u32>,
    pub(crate) roles: Vec<Role>,
    pub(crate) labels: Vec<Message>,
    pub(crate) steps: Vec<Step>,
}

/// `Name: many`
pub(crate) struct Role {
    pub(crate) name: Ident,
    pub(crate) many: bool,
}

/// `Name(Payload)`
pub(crate) struct Message {
    pub(crate) docs: Vec<Attribute>,
    pub(crate) name: Ident,
    pub(crate) payload: Type,
}

/// One step; of a `rec`, `op` is the mark's name.
pub(crate) struct Step {
    pub(crate) docs: Vec<Attribute>,
    pub(crate) op: Ident,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    Write(Write),
    Each(Each),
    Gather(Gather),
    Scatter(Scatter),
    Decide(Box<Decide>),
    Choice(Box<Choice>),
    Rec { within: u32 },
    Sub(Box<Sub>),
    Pause { epochs: u32 },
}

/// `write op: Label by Role;`
pub(crate) struct Write {
    pub(crate) label: Ident,
    pub(crate) by: Option<Ident>,
}

/// `each op: Label among Decided | Decline;`
pub(crate) struct Each {
    pub(crate) label: Ident,
    pub(crate) group: Group,
    pub(crate) no: Option<Ident>,
}

/// Who says something.
pub(crate) enum Group {
    /// A role; `All` when none is named.
    Role(Option<Ident>),
    /// Those that a decision named.
    Decided(Ident),
}

/// `gather op: Label[quorum] within n;`
pub(crate) struct Gather {
    pub(crate) label: Ident,
    pub(crate) quorum: Quorum,
    pub(crate) within: Option<u32>,
}

/// Of how many.
pub(crate) enum Quorum {
    Threshold,
    All,
    Among(Ident),
    Count(u8),
}

/// `scatter op: From -> To: Label;`
pub(crate) struct Scatter {
    pub(crate) label: Ident,
    pub(crate) from: Ident,
    pub(crate) to: Ident,
}

/// `on Label[quorum] within n`
pub(crate) struct On {
    pub(crate) label: Ident,
    pub(crate) quorum: Quorum,
    pub(crate) within: u32,
}

/// `decide op: on … => Yes | No unless Veto;`
pub(crate) struct Decide {
    pub(crate) certified: bool,
    pub(crate) by: Option<Ident>,
    pub(crate) on: On,
    pub(crate) yes: Ident,
    pub(crate) no: Ident,
    pub(crate) unless: Option<Ident>,
}

/// `choice op: on … { … } | No;`
pub(crate) struct Choice {
    pub(crate) by: Option<Ident>,
    pub(crate) on: Option<On>,
    pub(crate) branches: Vec<Branch>,
    pub(crate) no: Option<Ident>,
}

/// `Label => …`
pub(crate) struct Branch {
    pub(crate) label: Ident,
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
}

/// How a branch goes on.
pub(crate) enum End {
    /// With the step after the choice.
    Join,
    /// At a mark.
    Continue(Ident),
    /// Not at all.
    Stop,
}

/// `sub op: path { Child: Parent } finally op: Label;`
pub(crate) struct Sub {
    pub(crate) session: Path,
    pub(crate) roles: Vec<(Ident, Ident)>,
    pub(crate) last: Option<(Ident, Ident)>,
}

impl Session {
    /// The declared roles after `Opener` and `All`, with their places.
    pub(crate) fn role_names(&self) -> Vec<(String, bool)> {
        let fixed = [(OPENER.to_string(), false), (ALL.to_string(), true)];
        let declared = self.roles.iter().map(|it| (it.name.to_string(), it.many));
        fixed.into_iter().chain(declared).collect()
    }

    /// The name of the role that decides where none is named.
    pub(crate) fn decider(&self) -> String {
        let first = self.roles.iter().find(|it| !it.many);
        first.map_or_else(|| OPENER.to_string(), |it| it.name.to_string())
    }

    /// The message of a name.
    pub(crate) fn message(&self, name: &Ident) -> Option<&Message> {
        self.labels.iter().find(|it| it.name == *name)
    }
}

impl Step {
    pub(crate) const fn is_mark(&self) -> bool {
        matches!(self.kind, Kind::Rec { .. })
    }
}

/// Every step of a text, branches included, in its order.
pub(crate) fn all_steps(steps: &[Step]) -> Vec<&Step> {
    let mut all = Vec::new();
    collect(steps, &mut all);
    all
}

fn collect<'a>(steps: &'a [Step], all: &mut Vec<&'a Step>) {
    for step in steps {
        all.push(step);
        if let Kind::Choice(choice) = &step.kind {
            choice.branches.iter().for_each(|it| collect(&it.steps, all));
        }
    }
}
