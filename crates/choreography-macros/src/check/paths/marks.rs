//! Marks, and who goes back to them.

use std::collections::BTreeMap;

use syn::Ident;

use crate::{check::Mark, error::Errors};

/// The marks of a text so far.
#[derive(Default)]
pub(super) struct Marks<'a> {
    declared: Vec<Declared<'a>>,
}

struct Declared<'a> {
    name: &'a Ident,
    within: u32,
    by: Option<u8>,
}

impl<'a> Marks<'a> {
    pub(super) fn declare(&mut self, name: &'a Ident, within: u32) {
        self.declared.push(Declared { name, within, by: None });
    }

    /// Notes that a role may go back to a mark.
    pub(super) fn continued(&mut self, mark: &Ident, passed: bool, by: u8, errors: &mut Errors) {
        let found = self.declared.iter_mut().find(|it| it.name == mark);
        let Some(declared) = found.filter(|_| passed) else {
            let what =
                format!("there is no `rec {mark}` on this way before: one goes back, never ahead");
            errors.at(mark, what);
            return;
        };
        if declared.by.is_some_and(|other| other != by) {
            let what = format!(
                "another role goes back to `{mark}` already, and one device has to know how long it \
                 went round: give both choices the same `by`"
            );
            errors.at(mark, what);
        }
        declared.by = Some(by);
    }

    pub(super) fn finish(self, errors: &mut Errors) -> BTreeMap<String, Mark> {
        let mut marks = BTreeMap::new();
        for (index, it) in self.declared.into_iter().enumerate() {
            let Some(by) = it.by else {
                let what = format!("no branch continues `{}`: delete the mark", it.name);
                errors.at(it.name, what);
                continue;
            };
            marks.insert(it.name.to_string(), Mark { index: index as u8, within: it.within, by });
        }
        marks
    }
}
