//! Taking an activation back: the version before it is active again, and what was written since is kept.
//!
//! It is decided when the persons at m devices have said so. A wish is forgotten when it is met, when it
//! cannot be, and when the device is started again.

use aura_distribution::consent::revert_of;
use aura_journal::AppState;
use aura_protocol_core::{AppId, Digest};

use crate::{
    api::{Response, VersionReverted},
    error::{AgentError, Whose},
    node::{Node, RequestId, control::Intent},
};

impl Node {
    /// Remembers that the person here wants the active version of an app to be taken back.
    pub(super) fn want_revert(
        &mut self,
        id: RequestId,
        alias: &str,
    ) -> Result<Option<Response>, AgentError> {
        let app = self.app_of(alias)?;
        let known = self.ledger.state().apps.get(&app);
        let revert = known.map(revert_of).transpose().map_err(|denied| {
            AgentError::new(
                denied.code,
                denied.reason,
                Whose::Caller,
                "see `aura status`; `aura upgrade propose` leads to a later version",
            )
        })?;
        if let Some(revert) = revert {
            self.unwanted_activations.insert((app, revert.activation));
            self.intents.push_back(Intent::Revert { app, activation: revert.activation, id });
        }
        Ok(None)
    }

    /// Whether this activation is not the one of the active version any more.
    pub(super) fn is_past(&self, app: AppId, activation: u64) -> bool {
        let before = self.ledger.state().apps.get(&app).and_then(|it| it.before());
        before.is_none_or(|(k, _)| k != activation)
    }

    /// What became of the wish to take back an activation that is past: it was, or a later version came.
    pub(super) fn reverted(&mut self, app: AppId, activation: u64) -> Result<Response, AgentError> {
        self.unwanted_activations.remove(&(app, activation));
        let alias = self.alias(app);
        let known = self.ledger.state().apps.get(&app);
        let Some(known) = known.filter(|it| it.reverted(activation).is_some()) else {
            return Err(AgentError::new(
                "Superseded",
                format_args!(
                    "a later version of {alias} was activated before enough persons had said so"
                ),
                Whose::Nobody,
                "say it again to take that one back first",
            ));
        };
        let (version, k) = (known.active.version.to_string(), known.active.k);
        Ok(Response::VersionReverted(VersionReverted { alias, version, k }))
    }

    /// Brings the records of apps whose version was taken back to the layout of the one before.
    pub(super) fn swap_reverted(&mut self) {
        let apps = self.ledger.state().apps.iter();
        let is_back = |it: &AppState| it.reverts.last().is_some_and(|(k, _)| *k == it.active.k);
        let taken_back = apps.filter(|(_, it)| is_back(it));
        let due: Vec<AppId> =
            taken_back.map(|(app, _)| *app).filter(|it| !self.records_ready(*it)).collect();
        for app in due {
            self.swap_records(app);
        }
    }

    /// Whether a session of a version that was taken back began while that was active. None where the
    /// version has not been active yet.
    pub(super) fn began_before_revert(
        &self,
        app: AppId,
        major: u16,
        opened_by: &Digest,
    ) -> Option<bool> {
        let known = self.ledger.state().apps.get(&app)?;
        let of_major = known.versions().rev().find(|it| it.version.major == major)?;
        let (k, _) = known.reverted(of_major.k)?;
        let entry = self.ledger.chain().entry(*k)?;
        let past = self.ledger.closure(&entry.value.past).ok()?;
        Some(past.contains(opened_by))
    }
}
