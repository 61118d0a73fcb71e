//! Proposals in the document, with what each device said of them.
//!
//! Every device's last word is shown. Whether it still counts is for the roster to say.

use std::collections::BTreeMap;

use aura_journal::{
    control::{ChainProof, EntryBody, Release},
    event::{ProposeUpgrade, Receipt},
};
use aura_protocol_core::{AccountId, AppId, DeviceId, Digest};

use crate::{
    compile::{
        Cell, Scope,
        entries::Container,
        past::{AuthorId, Clock},
        standing::Standing,
    },
    engine::{Draft, Object, Scalar},
    text,
};

/// The proposals that prove a release.
#[derive(Debug, Default)]
pub(crate) struct Proposals(BTreeMap<Digest, Proposal>);

/// A proposal that proves a release.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) object: Object,
    pub(crate) release: Release,
    author: AuthorId,
    /// The place of the unit that made it; none where a base has it, which every unit has seen.
    seq: Option<u64>,
    acknowledged_object: Object,
    ready_object: Object,
    declined_object: Object,
    words: BTreeMap<AuthorId, Words>,
}

/// What one device said.
#[derive(Debug, Default)]
struct Words {
    acknowledged: bool,
    ready: Cell,
    declined: Cell,
}

impl Proposals {
    pub(crate) fn propose(
        &mut self,
        scope: &Scope<'_>,
        draft: &mut Draft,
        proposal: &ProposeUpgrade,
    ) {
        let Some(release) = released(&proposal.release, proposal.app) else { return };
        if release.module.digest != proposal.digest {
            return;
        }
        let made = Made {
            unit: scope.unit,
            device: scope.body.author,
            author: scope.author,
            seq: Some(scope.body.seq),
            proposals: scope.container(Container::Proposals),
        };
        self.show(&made, draft, proposal, release);
    }

    fn show(
        &mut self,
        made: &Made,
        draft: &mut Draft,
        proposal: &ProposeUpgrade,
        release: Release,
    ) -> &mut Proposal {
        let object = Object::Made(draft.make(made.proposals, made.unit.to_string(), &[]));
        let mut put = |key: &str, text: String| draft.put(object, key, Scalar::Text(text), &[]);
        put("app", proposal.app.to_string());
        put("proposed_by", made.device.to_string());
        put("from", proposal.from.to_string());
        put("version", release.version.to_string());
        put("module", proposal.digest.to_string());
        put("schema", release.descriptor.schema.to_string());
        put("notes", release.notes.clone());
        put("steps", text::list(&proposal.steps));
        put("capabilities", text::list(proposal.capabilities.iter()));
        let mut put = |key: &str, number: u64| draft.put(object, key, Scalar::Number(number), &[]);
        put("expires", proposal.expires.0);
        put("grace_seconds", proposal.grace_seconds);
        if let Some(not_before) = proposal.not_before {
            put("not_before", not_before.0);
        }
        let mut make = |key: &str| Object::Made(draft.make(object, key, &[]));
        let shown = Proposal {
            object,
            release,
            author: made.author,
            seq: made.seq,
            acknowledged_object: make("acknowledged"),
            ready_object: make("ready"),
            declined_object: make("declined"),
            words: BTreeMap::new(),
        };
        self.0.entry(made.unit).insert_entry(shown).into_mut()
    }

    /// Shows the proposals that a base keeps.
    pub(super) fn stand(&mut self, standing: &mut Standing<'_>) {
        for (unit, state) in &standing.base.state().proposals {
            let made = Made {
                unit: *unit,
                device: state.author,
                author: standing.past.author(state.author),
                seq: None,
                proposals: Container::Proposals.object(standing.control),
            };
            let shown = self.show(&made, standing.draft, &state.proposal, state.release.clone());
            for device in &state.acknowledged {
                shown.words.entry(standing.past.author(*device)).or_default().acknowledged = true;
                let object = shown.acknowledged_object;
                standing.draft.put(object, device.to_string(), Scalar::Yes, &[]);
            }
            for (device, receipt) in &state.ready {
                let words = shown.words.entry(standing.past.author(*device)).or_default();
                let (object, root) = (shown.ready_object, receipt.post_root.to_string());
                words.ready.text(standing.draft, object, device.to_string(), root);
            }
            for (device, (code, reason)) in &state.declined {
                let words = shown.words.entry(standing.past.author(*device)).or_default();
                let (object, reason) = (shown.declined_object, format!("{code}: {reason}"));
                words.declined.text(standing.draft, object, device.to_string(), reason);
            }
            if let Some(k) = state.activated_at {
                let (object, k) = (shown.object, Scalar::Number(k));
                standing.draft.put(object, "activated_at", k, &[]);
            }
        }
    }

    pub(crate) fn acknowledge(&mut self, scope: &Scope<'_>, draft: &mut Draft, of: &Digest) {
        let Some(proposal) = self.0.get_mut(of).filter(|it| it.is_in(scope.clock)) else { return };
        let words = proposal.words.entry(scope.author).or_default();
        if !words.acknowledged {
            words.acknowledged = true;
            let device = scope.body.author.to_string();
            draft.put(proposal.acknowledged_object, device, Scalar::Yes, &[]);
        }
    }

    pub(crate) fn ready(
        &mut self,
        scope: &Scope<'_>,
        draft: &mut Draft,
        of: &Digest,
        receipt: &Receipt,
    ) {
        let Some(proposal) = self.0.get_mut(of).filter(|it| it.is_in(scope.clock)) else { return };
        let words = proposal.words.entry(scope.author).or_default();
        let device = scope.body.author.to_string();
        words.declined.clear(draft, proposal.declined_object, &device);
        words.ready.text(draft, proposal.ready_object, &device, receipt.post_root.to_string());
    }

    pub(crate) fn decline(
        &mut self,
        scope: &Scope<'_>,
        draft: &mut Draft,
        of: &Digest,
        reason: &str,
    ) {
        let Some(proposal) = self.0.get_mut(of).filter(|it| it.is_in(scope.clock)) else { return };
        let words = proposal.words.entry(scope.author).or_default();
        let device = scope.body.author.to_string();
        words.ready.clear(draft, proposal.ready_object, &device);
        words.declined.text(draft, proposal.declined_object, &device, reason.to_owned());
    }

    /// The proposal that this unit made, if this past knows it.
    pub(crate) fn known(&self, unit: &Digest, clock: &Clock) -> Option<&Proposal> {
        self.0.get(unit).filter(|it| it.is_in(clock))
    }
}

impl Proposal {
    fn is_in(&self, clock: &Clock) -> bool {
        self.seq.is_none_or(|seq| clock.covers(self.author, seq))
    }
}

/// Who made a proposal, in which unit, and where proposals are.
struct Made {
    unit: Digest,
    device: DeviceId,
    author: AuthorId,
    seq: Option<u64>,
    proposals: Object,
}

/// The release of `app` that a proof ends in.
fn released(proof: &ChainProof, app: AppId) -> Option<Release> {
    proved(proof, app).map(|(_, release)| release)
}

/// The release of `app` that a proof ends in, and the account that published it.
pub(crate) fn proved(proof: &ChainProof, app: AppId) -> Option<(AccountId, Release)> {
    let proved = proof.verify().ok()?;
    let EntryBody::Release(release) = proved.entry.body else { return None };
    let is_same = AppId::derive(proved.account, &release.protocol) == app;
    is_same.then_some((proved.account, *release))
}
