//! Names: plain, unique, and such that every generated item has one of its own.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::Ident;

use crate::{
    error::Errors,
    expand::{flow, names},
    model::{ALL, Kind, OPENER, Session, Step, all_steps},
};

/// Longest name, in bytes; as in the canonical text.
const WORD_BYTES_MAX: usize = 64;
/// Most steps; as in the canonical text.
const STEPS_MAX: usize = 512;
/// Deepest nesting of branches; as in the canonical text.
const NESTING_MAX: usize = 15;
/// Most labels, votes included.
const LABELS_MAX: usize = 128;
/// What every state offers beside its own step: the trait `Steps`.
const AT_EVERY_STATE: [&str; 12] = [
    "params",
    "params_bytes",
    "session",
    "participants",
    "invoke",
    "read",
    "list",
    "peek",
    "epoch",
    "signal",
    "log",
    "cx",
];

pub(super) fn check(session: &Session, errors: &mut Errors) {
    plain(&session.name, errors);
    roles(session, errors);
    messages(session, errors);
    steps(session, errors);
    if depth(&session.steps) > NESTING_MAX {
        let what = format!("branches are nested deeper than {NESTING_MAX}: make a `sub` of them");
        errors.at(&session.name, what);
    } else {
        generated(session, errors);
    }
}

/// A name as the canonical text can have it.
fn plain(name: &Ident, errors: &mut Errors) {
    let text = name.to_string();
    let is_word = text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
    if !is_word || WORD_BYTES_MAX < text.len() {
        let what = format!("a name is at most {WORD_BYTES_MAX} of the letters `A-Z a-z 0-9 _`");
        errors.at(name, what);
    }
}

fn roles(session: &Session, errors: &mut Errors) {
    let mut known = vec![OPENER.to_string(), ALL.to_string()];
    for role in &session.roles {
        plain(&role.name, errors);
        let name = role.name.to_string();
        if known.contains(&name) {
            let always = if name == OPENER || name == ALL { ", as in every session" } else { "" };
            errors.at(&role.name, format!("there is a role `{name}` already{always}"));
        }
        known.push(name);
    }
}

fn messages(session: &Session, errors: &mut Errors) {
    let mut known: Vec<&Ident> = Vec::new();
    for message in &session.labels {
        plain(&message.name, errors);
        if known.contains(&&message.name) {
            errors.at(&message.name, format!("`{}` is declared twice", message.name));
        }
        known.push(&message.name);
    }
    for (decide, yes) in certified(session) {
        let vote = names::vote(yes);
        if let Some(message) = session.message(&vote) {
            let what = format!(
                "`{vote}` is what devices vote with on the certified `{decide}`: name the message \
                 otherwise"
            );
            errors.at(&message.name, what);
        }
    }
    let votes = certified(session).count();
    if LABELS_MAX < session.labels.len() + votes {
        let what = format!("a session has at most {LABELS_MAX} messages, votes included");
        errors.at(&session.name, what);
    }
}

/// The certified decisions, and what is said when they work.
fn certified(session: &Session) -> impl Iterator<Item = (&Ident, &Ident)> {
    all_steps(&session.steps).into_iter().filter_map(|it| match &it.kind {
        Kind::Decide(decide) if decide.certified => Some((&it.op, &decide.yes)),
        _ => None,
    })
}

fn steps(session: &Session, errors: &mut Errors) {
    let steps = all_steps(&session.steps);
    if steps.iter().all(|it| it.is_mark()) {
        errors.at(&session.name, "a session has steps: declare what happens after `msg { … }`");
    }
    if STEPS_MAX < steps.len() {
        errors.at(&session.name, format!("a session has at most {STEPS_MAX} steps: use a `sub`"));
    }
    let (mut ops, mut marks): (Vec<&Ident>, Vec<&Ident>) = (Vec::new(), Vec::new());
    for step in steps {
        plain(&step.op, errors);
        let known = if step.is_mark() { &mut marks } else { &mut ops };
        if known.contains(&&step.op) {
            let what = if step.is_mark() { "mark" } else { "step" };
            errors.at(&step.op, format!("there is a {what} `{}` already", step.op));
        }
        known.push(&step.op);
        if !step.is_mark() {
            reserved(&step.op, errors);
        }
        if let Kind::Sub(sub) = &step.kind {
            let last = sub.last.iter().map(|it| &it.0);
            for op in last {
                plain(op, errors);
                if ops.contains(&op) {
                    errors.at(op, format!("there is a step `{op}` already"));
                }
                ops.push(op);
            }
        }
    }
}

fn reserved(op: &Ident, errors: &mut Errors) {
    if op == "certified" {
        errors.at(op, "no step is called `certified`: `decide certified` has a meaning of its own");
    }
    if AT_EVERY_STATE.iter().any(|it| op == it) {
        let what = format!("every state has a method `{op}` already: name the step otherwise");
        errors.at(op, what);
    }
}

fn depth(steps: &[Step]) -> usize {
    let of_step = |step: &Step| match &step.kind {
        Kind::Choice(it) => it.branches.iter().map(|it| depth(&it.steps)).max().unwrap_or(0),
        _ => 0,
    };
    1 + steps.iter().map(of_step).max().unwrap_or(0)
}

/// Every generated type and constant, and the token that it is called after.
fn generated(session: &Session, errors: &mut Errors) {
    let at = &session.name;
    let fixed = |name: &str| (Ident::new(name, at.span()), at.clone());
    let mut types: Vec<_> = ["Start", "Ready", "Finished", "Roles"].map(fixed).into();
    let mut consts: Vec<_> = ["GLOBAL", "LABELS", "TTL"].map(fixed).into();
    consts.extend(session.labels.iter().map(|it| (names::label(&it.name), it.name.clone())));
    consts.extend(session.labels.iter().map(|it| (names::said(&it.name), it.name.clone())));
    for step in all_steps(&session.steps) {
        match &step.kind {
            Kind::Decide(it) if it.certified => {
                consts.push((names::label(&names::vote(&it.yes)), it.yes.clone()));
            }
            Kind::Choice(_) => {
                types.push((names::chosen(&step.op), step.op.clone()));
                types.push((names::to_choose(&step.op), step.op.clone()));
            }
            Kind::Sub(_) => consts.push((names::base(&step.op), step.op.clone())),
            _ => {}
        }
    }
    let mut states: Vec<Ident> = Vec::new();
    for site in flow::sites(session) {
        let is_fixed = site.state == "Start" || site.state == "Ready";
        // All ways to a state lead to the same one.
        if !is_fixed && !states.contains(&site.state) {
            types.push((site.state.clone(), site.step.op.clone()));
            states.push(site.state);
        }
    }
    unique(&consts, errors);
    unique(&types, errors);
    for message in &session.labels {
        if let Some(name) = hidden(message.payload.to_token_stream(), &types) {
            let what = format!(
                "the session's module has a `{name}` of its own: write `super::{name}`, or rename one"
            );
            errors.at(&message.payload, what);
        }
    }
}

fn unique(items: &[(Ident, Ident)], errors: &mut Errors) {
    let mut known: BTreeMap<String, &Ident> = BTreeMap::new();
    for (item, token) in items {
        let is_named_twice = known.get(&item.to_string()).is_some_and(|it| *it != token);
        if is_named_twice {
            let what = format!("the item `{item}` made of this name exists already: rename it");
            errors.at(token, what);
        }
        known.insert(item.to_string(), token);
    }
}

/// A generated type that a payload names without a path, and so cannot mean.
fn hidden(payload: TokenStream, types: &[(Ident, Ident)]) -> Option<Ident> {
    let mut is_in_path = false;
    for token in payload {
        match token {
            TokenTree::Ident(it) => {
                if !is_in_path && types.iter().any(|known| known.0 == it) {
                    return Some(it);
                }
                is_in_path = false;
            }
            TokenTree::Punct(it) => is_in_path = it.as_char() == ':',
            TokenTree::Group(it) => {
                if let Some(name) = hidden(it.stream(), types) {
                    return Some(name);
                }
                is_in_path = false;
            }
            TokenTree::Literal(_) => is_in_path = false,
        }
    }
    None
}
