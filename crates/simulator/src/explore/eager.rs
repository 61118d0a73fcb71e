//! Events delivered one by one into what each device has heard: exactly what a session does.

use std::collections::BTreeSet;

use aura_choreography::{Ask, Dev, Event, Want};

use super::{
    ExploreError,
    code::{Code, How, Stage},
    ledger::{Ledger, matches},
};

/// Most different things that a session keeps of one device under one label in one round.
const VARIANTS_MAX: usize = 2;

/// Where the code and what it has heard have come to, and the lists of what it had said in between.
pub(super) struct Reached {
    pub(super) node: u32,
    pub(super) view: Vec<u32>,
    pub(super) torn: Vec<u32>,
}

/// Adds an event to what was heard. By author, label and round, and then as it came: of nothing else
/// the order matters. Says whether it is kept.
pub(super) fn hear(ledger: &Ledger, view: &mut Vec<u32>, number: u32) -> bool {
    let Some(event) = ledger.events.get(number) else { return false };
    let place = |it: &Event| (it.author, it.label, it.round);
    let rank = |it: &u32| ledger.events.get(*it).map(place);
    let begin = view.partition_point(|it| rank(it) < Some(place(event)));
    let end = view.partition_point(|it| rank(it) <= Some(place(event)));
    let alike = view.get(begin..end).unwrap_or_default();
    if VARIANTS_MAX <= alike.len() || alike.contains(&number) {
        return false;
    }
    view.insert(end, number);
    true
}

/// Runs the code as far as what it has heard allows. A `fresh` node is one whose words nobody knows
/// yet.
pub(super) fn drive(
    code: &mut Code<'_>,
    mut node: u32,
    mut view: Vec<u32>,
    mut fresh: bool,
) -> Result<Reached, ExploreError> {
    let mut torn = Vec::new();
    while let Some(it) = code.node(node) {
        let (dev, sent) = (it.dev, it.sent);
        if fresh {
            torn.extend(&it.torn);
        }
        for event in code.ledger.list(sent) {
            hear(&code.ledger, &mut view, *event);
        }
        let Some(events) = answer(code, node, dev, &view) else { break };
        let Some(next) = code.go_on(node, How::Took(events.into()))? else { break };
        if fresh && code.node(next).is_some_and(|it| it.sent != sent) {
            torn.push(sent);
        }
        (node, fresh) = (next, true);
    }
    Ok(Reached { node, view, torn })
}

/// What a session answers at once.
fn answer(code: &Code<'_>, node: u32, dev: Dev, view: &[u32]) -> Option<Vec<u32>> {
    let Stage::Waits(ask) = &code.node(node)?.stage else { return None };
    let ledger = &code.ledger;
    match ask {
        Ask::Await { want, unless, .. } => unless
            .and_then(|it| satisfy(ledger, &it, dev, view))
            .or_else(|| satisfy(ledger, want, dev, view)),
        Ask::Peek(want) => Some(first_of_each(ledger, want, dev, view)),
        _ => None,
    }
}

fn first_of_each(ledger: &Ledger, want: &Want, dev: Dev, view: &[u32]) -> Vec<u32> {
    let by_author = ledger.by_author(want, dev, view);
    by_author.values().filter_map(|it| it.first().copied()).collect()
}

fn satisfy(ledger: &Ledger, want: &Want, dev: Dev, view: &[u32]) -> Option<Vec<u32>> {
    let count = usize::from(want.count);
    if !want.same {
        let first = first_of_each(ledger, want, dev, view);
        return (count <= first.len()).then_some(first);
    }
    let matching = || {
        let of = |it: &u32| ledger.events.get(*it).map(|event| (*it, event));
        view.iter().filter_map(of).filter(|(_, event)| matches(want, dev, event))
    };
    let bodies: BTreeSet<_> = matching().map(|(_, it)| (it.label, &it.body)).collect();
    bodies.into_iter().find_map(|body| {
        let said: Vec<u32> =
            matching().filter(|(_, it)| (it.label, &it.body) == body).map(|(it, _)| it).collect();
        (count <= said.len()).then(|| said.into_iter().take(1).collect())
    })
}
