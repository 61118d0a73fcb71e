//! What a control entry does to the state.

use crate::{
    control::{ActivateVersion, Configuration, EntryBody, Install, RevertVersion},
    fold::{
        Fold, Sources,
        proved::ProvedRelease,
        state::{ActiveVersion, AppState, PublishedRelease},
        undo::{Marks, Undo},
    },
};

impl Fold {
    pub(super) fn entry(&mut self, sources: Sources<'_>, k: u64, undo: &mut Vec<Undo>) {
        let index = usize::try_from(k).ok();
        let Some(entry) = index.and_then(|it| sources.chain.entries().get(it)) else { return };
        match &entry.value.body {
            EntryBody::Genesis(_) => {}
            EntryBody::Reconfigure(_)
            | EntryBody::Revoke(_)
            | EntryBody::ReAdmit(_)
            | EntryBody::Rekeyed(_)
            | EntryBody::Recover(_) => {
                let index = sources.chain.config_after(self.config);
                if let Some((index, next)) =
                    index.and_then(|it| Some((it, sources.chain.config_at(it)?)))
                {
                    self.reconfigure(index, next, undo);
                }
            }
            EntryBody::Snapshot(_) => self.snapshot(undo),
            EntryBody::VetoRecovery { .. } => {}
            EntryBody::Install(install) => {
                if let Some(proved) = sources.proved.install(k) {
                    self.install(k, install, proved, undo);
                }
            }
            EntryBody::SetUpgradePolicy { app, policy } => {
                if let Some(state) = self.state.apps.get_mut(app) {
                    undo.push(Undo::App(*app, Some(Box::new(state.clone()))));
                    state.policy = *policy;
                }
            }
            EntryBody::ActivateVersion(activation) => {
                let proved = sources.proved.proposal(&activation.proposal);
                self.activate(k, activation, proved, undo);
            }
            EntryBody::RevertVersion(revert) => self.revert(k, revert, undo),
            EntryBody::Release(release) => {
                self.state.releases.push(PublishedRelease { k, release: (**release).clone() });
                undo.push(Undo::Released);
            }
        }
    }

    /// Devices that left the roster no longer count for what is still open.
    fn reconfigure(&mut self, index: u64, next: &Configuration, undo: &mut Vec<Undo>) {
        undo.push(Undo::Reconfigured(self.config));
        self.config = index;
        let open = self.state.proposals.values_mut().filter(|it| it.activated_at.is_none());
        for proposal in open {
            undo.push(Undo::Marked(proposal.unit, Marks::of(proposal)));
            proposal.acknowledged.retain(|device| next.roster.contains_key(device));
            proposal.ready.retain(|device, _| next.roster.contains_key(device));
            proposal.declined.retain(|device, _| next.roster.contains_key(device));
        }
    }

    /// Sessions that have ended are forgotten: what they wrote stands in the records, and that they were
    /// there in the root over all of them. A configuration of the same roster begins.
    pub(crate) fn snapshot(&mut self, undo: &mut Vec<Undo>) {
        undo.push(Undo::Reconfigured(self.config));
        self.config = self.config.saturating_add(1);
        let sessions = &mut self.state.sessions;
        let ended: Vec<_> = sessions.extract_if(.., |_, it| it.closed_by.is_some()).collect();
        let before = self.state.ended.clone();
        for (_, session) in &ended {
            self.state.ended.push(session);
        }
        undo.push(Undo::Ended(Box::new((before, ended))));
    }

    fn install(&mut self, k: u64, install: &Install, proved: &ProvedRelease, undo: &mut Vec<Undo>) {
        if self.state.apps.contains_key(&install.app) {
            tracing::warn!(k, app = %install.app, "installation ignored: it is installed already");
            return;
        }
        let state = AppState {
            install: install.clone(),
            installed_at: k,
            policy: install.policy,
            active: active(k, None, proved),
            history: Vec::new(),
            activations: Vec::new(),
            reverts: Vec::new(),
        };
        undo.push(Undo::App(install.app, self.state.apps.insert(install.app, state).map(Box::new)));
    }

    fn activate(
        &mut self,
        k: u64,
        activation: &ActivateVersion,
        proved: Option<&ProvedRelease>,
        undo: &mut Vec<Undo>,
    ) {
        let Some(app) = self.state.apps.get_mut(&activation.app) else {
            tracing::warn!(k, app = %activation.app, "activation ignored: the app is not installed");
            return;
        };
        undo.push(Undo::App(activation.app, Some(Box::new(app.clone()))));
        app.activations.push((k, activation.clone()));
        // The entry may be here before the unit that it names; it is folded again when that comes.
        let Some(proved) = proved else { return };
        let release = &proved.release;
        if release.version != activation.version || release.module.digest != activation.digest {
            tracing::warn!(k, app = %activation.app, "activation of another version than proposed");
            return;
        }
        let next = active(k, Some(activation.proposal), proved);
        app.history.push(std::mem::replace(&mut app.active, next));
        if let Some(proposal) = self.state.proposals.get_mut(&activation.proposal) {
            undo.push(Undo::Marked(activation.proposal, Marks::of(proposal)));
            proposal.activated_at = Some(k);
        }
    }
}

impl Fold {
    /// The version before the activation is active again.
    fn revert(&mut self, k: u64, revert: &RevertVersion, undo: &mut Vec<Undo>) {
        let Some(app) = self.state.apps.get_mut(&revert.app) else {
            tracing::warn!(k, app = %revert.app, "revert ignored: the app is not installed");
            return;
        };
        let before = app.before().filter(|(activation, before)| {
            let named = (revert.activation, revert.version, revert.digest);
            named == (*activation, before.version, before.digest)
        });
        // The activation may be of a proposal that is not here yet; it is folded again when that comes.
        let Some((_, before)) = before else {
            tracing::warn!(k, app = %revert.app, "revert of something else than the active version");
            return;
        };
        let next = ActiveVersion { k, ..before.clone() };
        undo.push(Undo::App(revert.app, Some(Box::new(app.clone()))));
        app.reverts.push((k, *revert));
        app.history.push(std::mem::replace(&mut app.active, next));
    }
}

fn active(
    k: u64,
    proposal: Option<aura_protocol_core::Digest>,
    proved: &ProvedRelease,
) -> ActiveVersion {
    let release = proved.release.clone();
    ActiveVersion {
        version: release.version,
        digest: release.module.digest,
        schema: release.descriptor.schema,
        k,
        proposal,
        release,
    }
}
