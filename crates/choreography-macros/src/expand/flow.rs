//! The states of a session: one before every step.

use proc_macro2::Span;
use syn::Ident;

use super::names;
use crate::model::{Branch, End, Kind, Session, Step};

/// A step, the state that it leaves, and where it leads.
pub(crate) struct Site<'a> {
    pub(crate) state: Ident,
    pub(crate) step: &'a Step,
    /// The marks right before it.
    pub(crate) marks: Vec<&'a Ident>,
    pub(crate) next: Next,
    /// Where its branches lead.
    pub(crate) branches: Vec<Next>,
}

/// Where something leads.
#[derive(Clone)]
pub(crate) struct Next {
    pub(crate) state: Ident,
    /// The mark, if that is back.
    pub(crate) back: Option<Ident>,
}

impl Next {
    const fn to(state: Ident) -> Self {
        Self { state, back: None }
    }
}

/// All steps with their states, in the order of the text.
pub(crate) fn sites(session: &Session) -> Vec<Site<'_>> {
    let mut walk = Walk { sites: Vec::new(), marks: Vec::new() };
    let start = Ident::new("Start", Span::call_site());
    walk.steps(&session.steps, start, &Next::to(ready()));
    walk.sites
}

fn ready() -> Ident {
    Ident::new("Ready", Span::call_site())
}

struct Walk<'a> {
    sites: Vec<Site<'a>>,
    marks: Vec<(&'a Ident, Ident)>,
}

impl<'a> Walk<'a> {
    fn steps(&mut self, steps: &'a [Step], first: Ident, end: &Next) {
        let (mut state, mut marks) = (first, Vec::new());
        let last = steps.iter().rposition(|it| !it.is_mark());
        for (index, step) in steps.iter().enumerate() {
            if step.is_mark() {
                self.marks.push((&step.op, state.clone()));
                marks.push(&step.op);
                continue;
            }
            let next =
                if Some(index) == last { end.clone() } else { Next::to(names::after(&step.op)) };
            let site = self.sites.len();
            self.sites.push(Site {
                state,
                step,
                marks: std::mem::take(&mut marks),
                next: next.clone(),
                branches: Vec::new(),
            });
            if let Kind::Choice(choice) = &step.kind {
                let leads: Vec<_> =
                    choice.branches.iter().map(|it| self.branch(&step.op, it, &next)).collect();
                if let Some(site) = self.sites.get_mut(site) {
                    site.branches = leads;
                }
            }
            state = next.state;
        }
    }

    fn branch(&mut self, op: &Ident, branch: &'a Branch, after: &Next) -> Next {
        let end = match &branch.end {
            End::Join => after.clone(),
            End::Stop => Next::to(ready()),
            End::Continue(mark) => {
                let found = self.marks.iter().find(|it| it.0 == mark);
                let state = found.map_or_else(ready, |it| it.1.clone());
                Next { state, back: Some(mark.clone()) }
            }
        };
        if branch.steps.iter().all(Step::is_mark) {
            return end;
        }
        let first = names::branch(op, &branch.label);
        self.steps(&branch.steps, first.clone(), &end);
        Next::to(first)
    }
}
