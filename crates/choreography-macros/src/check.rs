//! What a session type has to be, beyond its grammar; and what only a look at the whole text tells.

mod labels;
mod names;
mod paths;

use std::collections::{BTreeMap, BTreeSet};

use syn::Result;

use crate::{error::Errors, model::Session};

/// What a look at the whole text tells.
#[derive(Default)]
pub(crate) struct Facts {
    /// Who says what a step waits for, by the step's name.
    pub(crate) sources: BTreeMap<String, Source>,
    /// Who says a message, where that is the same group wherever it is said.
    pub(crate) said: BTreeMap<String, Option<Source>>,
    /// The decisions whose devices a later step is `among`.
    pub(crate) named: BTreeSet<String>,
    /// The marks, by name.
    pub(crate) marks: BTreeMap<String, Mark>,
}

/// Who says a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// All of a role.
    Role(u8),
    /// Those that a decision named.
    Decided(String),
    /// All of a role, to each of another.
    Scattered(u8, u8),
}

/// A state that a choice goes back to.
pub(crate) struct Mark {
    /// Its place among the marks, in the order of the text.
    pub(crate) index: u8,
    /// For how many epochs.
    pub(crate) within: u32,
    /// The role that may go back to it.
    pub(crate) by: u8,
}

/// Checks everything.
///
/// # Errors
/// Everything that is wrong, each at its token.
pub(crate) fn check(session: &Session) -> Result<Facts> {
    let mut errors = Errors::default();
    names::check(session, &mut errors);
    labels::check(session, &mut errors);
    let facts = paths::check(session, &mut errors);
    errors.or(facts)
}
