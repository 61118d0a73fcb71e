//! Proposals in the document, with what each device said of them.
//!
//! Every device's last word is shown. Whether it still counts is for the roster to say.

use std::collections::BTreeMap;

use aura_journal::{
    control::{ChainProof, EntryBody, Release},
    event::{ProposeUpgrade, Receipt},
};
use aura_protocol_core::{AccountId, AppId, Digest};

use crate::{
    compile::{
        Cell, Scope,
        entries::Container,
        past::{AuthorId, Clock},
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
    seq: u64,
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
        let proposals = scope.container(Container::Proposals);
        let object = Object::Made(draft.make(proposals, scope.unit.to_string(), &[]));
        let mut put = |key: &str, text: String| draft.put(object, key, Scalar::Text(text), &[]);
        put("app", proposal.app.to_string());
        put("proposed_by", scope.body.author.to_string());
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
        let made = Proposal {
            object,
            release,
            author: scope.author,
            seq: scope.body.seq,
            acknowledged_object: make("acknowledged"),
            ready_object: make("ready"),
            declined_object: make("declined"),
            words: BTreeMap::new(),
        };
        self.0.insert(scope.unit, made);
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
        clock.covers(self.author, self.seq)
    }
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
