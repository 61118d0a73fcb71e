//! Which messages of a session type are votes for a certified decision.

use aura_choreography::{
    GlobalType, LabelSet,
    global::{Branch, Step},
};

/// The labels of all votes, those of parts included.
pub(super) fn labels(global: &GlobalType) -> LabelSet {
    let mut paths = Vec::new();
    collect(global.steps, "", &mut paths);
    let parsed = paths.iter().filter_map(|it| global.parse_label(it));
    parsed.fold(LabelSet::default(), |set, (label, _)| set.with(label))
}

fn collect(steps: &[Step], prefix: &str, paths: &mut Vec<String>) {
    for step in steps {
        match step {
            Step::Decide { yes, certified: true, .. } => paths.push(format!("{prefix}{yes}Vote")),
            Step::Sub { op, session, .. } => {
                collect(session.steps, &format!("{prefix}{op}/"), paths);
            }
            Step::Choice { branches, .. } => {
                for Branch { steps, .. } in *branches {
                    collect(steps, prefix, paths);
                }
            }
            _ => {}
        }
    }
}
