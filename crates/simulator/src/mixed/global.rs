//! A session type that was read at run time, as the runtime knows types.

use aura_choreography::{
    GlobalType, Layout,
    global::{Branch, End, GroupType, LabelType, OnType, QuorumType, RoleType, Step},
};
use aura_protocol_core::session_type::{self as read, SessionType, vote_label};

use super::said::NEVER;

/// Keeps a value for ever: types are static data to the runtime.
fn keep<T>(values: Vec<T>) -> &'static [T] {
    Vec::leak(values)
}

pub(super) fn word(text: &str) -> &'static str {
    String::leak(text.to_owned())
}

fn opt(text: Option<&String>) -> Option<&'static str> {
    text.map(|it| word(it))
}

/// The type as static data. A condition without a deadline gets one that nobody reaches.
pub(super) fn leak(session: &SessionType) -> GlobalType {
    let role =
        |it: &read::Role| RoleType { name: word(&it.name), many: it.arity == read::Arity::Many };
    let label = |it: &read::LabelType| {
        let layout: &'static Layout = Box::leak(Box::new(Layout::leaf(word(&it.layout))));
        LabelType { name: word(&it.name), layout }
    };
    let mut votes = Vec::new();
    votes_of(&session.body, &mut votes);
    GlobalType {
        name: word(&session.name),
        ttl: session.ttl,
        roles: keep(session.roles.iter().map(role).collect()),
        labels: keep(session.labels.iter().map(label).collect()),
        votes: keep(votes),
        steps: steps(&session.body),
    }
}

fn votes_of(steps: &[read::Step], votes: &mut Vec<&'static str>) {
    for step in steps {
        match step {
            read::Step::Decide { certified: true, yes, .. } => votes.push(word(&vote_label(yes))),
            read::Step::Choice { branches, .. } => {
                branches.iter().for_each(|it| votes_of(&it.body, votes));
            }
            _ => {}
        }
    }
}

fn steps(steps: &[read::Step]) -> &'static [Step] {
    keep(steps.iter().map(step).collect())
}

fn step(step: &read::Step) -> Step {
    match step {
        read::Step::Write { op, label, by } => {
            Step::Write { op: word(op), label: word(label), by: word(by) }
        }
        read::Step::Each { op, label, among, no } => Step::Each {
            op: word(op),
            label: word(label),
            among: match among {
                read::Group::Role(role) => GroupType::Role(word(role)),
                read::Group::Decided(label) => GroupType::Decided(word(label)),
            },
            no: opt(no.as_ref()),
        },
        read::Step::Gather { op, label, quorum: count, within } => Step::Gather {
            op: word(op),
            label: word(label),
            quorum: quorum(count),
            within: *within,
        },
        read::Step::Scatter { op, label, from, to } => {
            Step::Scatter { op: word(op), label: word(label), from: word(from), to: word(to) }
        }
        read::Step::Decide { op, by, on: condition, yes, no, certified, unless } => Step::Decide {
            op: word(op),
            by: word(by),
            on: on(condition),
            yes: word(yes),
            no: word(no),
            certified: *certified,
            unless: opt(unless.as_ref()),
        },
        read::Step::Choice { op, by, on: condition, branches, no } => Step::Choice {
            op: word(op),
            by: word(by),
            on: condition.as_ref().map(on),
            branches: keep(branches.iter().map(branch).collect()),
            no: opt(no.as_ref()),
        },
        read::Step::Rec { name, within } => Step::Rec { name: word(name), within: *within },
        read::Step::Sub { op, session, roles, finally } => Step::Sub {
            op: word(op),
            session: Box::leak(Box::new(leak(session))),
            roles: keep(roles.iter().map(|it| (word(&it.0), word(&it.1))).collect()),
            last: opt(finally.as_ref()),
        },
        read::Step::Pause { op, epochs } => Step::Pause { op: word(op), epochs: *epochs },
    }
}

fn branch(branch: &read::Branch) -> Branch {
    let end = match &branch.end {
        read::BranchEnd::Join => End::Join,
        read::BranchEnd::Continue(mark) => End::Continue(word(mark)),
        read::BranchEnd::Stop => End::Stop,
    };
    Branch { label: word(&branch.label), steps: steps(&branch.body), end }
}

fn on(on: &read::Condition) -> OnType {
    OnType {
        label: word(&on.label),
        quorum: quorum(&on.quorum),
        within: on.within.unwrap_or(NEVER),
    }
}

fn quorum(quorum: &read::Quorum) -> QuorumType {
    match quorum {
        read::Quorum::Threshold => QuorumType::Threshold,
        read::Quorum::All => QuorumType::All,
        read::Quorum::Among(label) => QuorumType::Among(word(label)),
        read::Quorum::Count(count) => QuorumType::Count(u8::try_from(*count).unwrap_or(u8::MAX)),
    }
}
