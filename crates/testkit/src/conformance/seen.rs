//! What a script asked, in the words of session types.

use aura_choreography::{Ask, GlobalType, LabelSet, Reply};
use aura_protocol_core::session_type::Observed;

/// The instructions among `asks`, whose answers were `log`. What a device asks for itself is none.
pub(super) fn observed(global: &GlobalType, asks: &[Ask], log: &[Reply]) -> Vec<Observed> {
    let mut seen = Vec::new();
    // A wait in which the person said something goes on: asked again, it is the same wait.
    let mut open: Option<&Ask> = None;
    for (index, ask) in asks.iter().enumerate() {
        let goes_on = open == Some(ask);
        match ask {
            Ask::Write { label, .. } => seen.push(Observed::Sent(global.label_text(*label, 0))),
            Ask::Pause { epochs } => seen.push(Observed::Paused(*epochs)),
            Ask::Await { want, unless, .. } => {
                if !goes_on {
                    let names = |it: LabelSet| it.iter().map(|it| global.label_text(it, 0));
                    let labels = names(want.labels)
                        .chain(unless.iter().flat_map(|it| names(it.labels)))
                        .collect();
                    seen.push(Observed::Awaited(labels));
                }
                open = matches!(log.get(index), Some(Reply::Signal(_))).then_some(ask);
            }
            _ => {}
        }
    }
    seen
}

/// Where the end of the session may lie: before any of the things that were said last.
pub(super) fn place_of_end(seen: &[Observed]) -> impl Iterator<Item = usize> {
    let said = seen.iter().rev().take_while(|it| matches!(it, Observed::Sent(_))).count();
    (seen.len() - said..=seen.len()).rev()
}
