//! What of a session type liars and certificates are about: decisions, and the votes for them.

use aura_choreography::{
    GlobalType, Label, LabelSet,
    global::{Branch, Step},
};

/// The labels of all votes for certified decisions, those of parts included.
pub(super) fn labels(global: &GlobalType) -> LabelSet {
    let mut votes = LabelSet::default();
    visit(global.steps, "", &mut |prefix, step| {
        if let Step::Decide { yes, certified: true, .. } = step
            && let Some((label, _)) = global.parse_label(&format!("{prefix}{yes}Vote"))
        {
            votes = votes.with(label);
        }
    });
    votes
}

/// What each decision says when it works, and when it does not.
pub(super) fn decisions(global: &GlobalType) -> Vec<(Label, Label)> {
    let mut decisions = Vec::new();
    let label = |prefix: &str, name: &str| global.parse_label(&format!("{prefix}{name}"));
    visit(global.steps, "", &mut |prefix, step| {
        if let Step::Decide { yes, no, .. } = step
            && let (Some((yes, _)), Some((no, _))) = (label(prefix, yes), label(prefix, no))
        {
            decisions.push((yes, no));
        }
    });
    decisions
}

fn visit(steps: &[Step], prefix: &str, see: &mut dyn FnMut(&str, &Step)) {
    for step in steps {
        see(prefix, step);
        match step {
            Step::Sub { op, session, .. } => {
                visit(session.steps, &format!("{prefix}{op}/"), see);
            }
            Step::Choice { branches, .. } => {
                for Branch { steps, .. } in *branches {
                    visit(steps, prefix, see);
                }
            }
            _ => {}
        }
    }
}
