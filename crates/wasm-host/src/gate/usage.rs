//! How near a module comes to each limit, so that its author learns of it before a device refuses it.

use std::collections::BTreeMap;

use crate::refused::Refused;

/// How near a module comes to one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// What is limited; the same word that a refusal uses.
    pub rule: &'static str,
    /// The most that was found.
    pub found: u64,
    /// How much is allowed.
    pub limit: u64,
}

/// The most that was found so far, by rule.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<&'static str, (u64, u64)>);

impl Tally {
    /// Notes `found`, or refuses the module.
    pub(super) fn within(
        &mut self,
        rule: &'static str,
        found: impl Into<u64>,
        limit: u64,
    ) -> Result<(), Refused> {
        let found = found.into();
        let most = self.0.entry(rule).or_insert((0, limit));
        most.0 = most.0.max(found);
        Refused::unless_within(rule, found, limit)
    }

    pub(super) fn usage(&self) -> Vec<Usage> {
        self.0
            .iter()
            .map(|(rule, (found, limit))| Usage { rule, found: *found, limit: *limit })
            .collect()
    }
}
