//! Letting what the account came to stand for its units: taking snapshots, dropping units, and beginning with
//! what another device kept.

use aura_journal::{
    control::EntryBody,
    sync::{self, BaseInbox, BasePart, Gathered},
};
use aura_protocol_core::{DeviceId, UnixTime};

use crate::{
    api::{Compacted, Response, SnapshotTaken},
    error::{AgentError, Whose},
    node::{Effect, Node, RequestId, control::Intent, sessions::Waiting},
};

/// How long a device that sends a base may be silent before another one is listened to, in seconds.
const SILENT_SECONDS_MAX: u64 = 20;

/// A base on its way here, and who sends it.
#[derive(Debug)]
pub(super) struct Incoming {
    from: DeviceId,
    heard: UnixTime,
    inbox: BaseInbox,
}

impl Node {
    pub(super) fn ask_for_snapshot(&mut self, id: RequestId) {
        let known = self.ledger.chain().snapshots().len();
        self.intents.push_back(Intent::Snapshot { known, id: Some(id) });
    }

    /// What the newest snapshot is.
    pub(super) fn snapshot_taken(&self) -> Result<Response, AgentError> {
        let chain = self.ledger.chain();
        let entry = chain.snapshots().last().and_then(|it| chain.entry(it.k));
        match entry.map(|it| (it.slot.k, &it.value.body)) {
            Some((k, EntryBody::Snapshot(it))) => Ok(Response::SnapshotTaken(SnapshotTaken {
                k,
                base: it.base.to_string(),
                base_bytes: it.bytes,
            })),
            _ => Err(refused("NoSnapshot", &"the account has no snapshot", Whose::Caller)),
        }
    }

    /// Drops what the newest snapshot stands for.
    pub(super) fn compact(&mut self) -> Result<Response, AgentError> {
        let unfinished = self.ledger.state().apps.keys().find(|it| !self.records_ready(**it));
        if let Some(app) = unfinished {
            let message = format!("`{}` is not yet as the account decided", self.app_alias(*app));
            return Err(refused("UpgradeUnderWay", &message, Whose::Nobody));
        }
        let compacted = self.ledger.compact(self.now);
        let compacted = compacted.map_err(|it| refused(it.code(), &it, Whose::Nobody))?;
        self.units_replaced();
        let aura_journal::snapshot::Compacted { k, dropped, units, .. } = compacted;
        self.log(format!("{dropped} units are dropped: the snapshot at {k} stands for them"));
        Ok(Response::Compacted(Compacted { k, dropped, units }))
    }

    /// After a snapshot everybody writes once, so that all know that nobody needs what lies below it.
    pub(super) fn answer_snapshot(&mut self) {
        let Some(point) = self.ledger.chain().snapshots().last().copied() else { return };
        let me = self.me;
        let config = self.ledger.last_config(me).unwrap_or_default();
        let enrolled = self.ledger.chain().config().roster.contains_key(&me);
        let may = enrolled && self.ledger.check_author(me).is_ok();
        if may && config < point.config && !self.ledger.needs(point.k) {
            self.publish_again();
        }
    }

    pub(super) fn base_wanted(&mut self, from: DeviceId, k: u64, at: u64) {
        if let Some(message) = sync::base_part(&self.ledger, k, at) {
            self.out.push(Effect::Send { to: from, message });
        }
    }

    pub(super) fn base_arrived(&mut self, from: DeviceId, part: BasePart) {
        let now = self.now;
        let is_silent = |it: &Incoming| it.heard.saturating_add(SILENT_SECONDS_MAX) < now;
        if self.incoming.as_ref().is_none_or(|it| it.from != from && is_silent(it)) {
            self.incoming = Some(Incoming { from, heard: now, inbox: BaseInbox::default() });
        }
        let Some(incoming) = self.incoming.as_mut().filter(|it| it.from == from) else { return };
        match incoming.inbox.take(&self.ledger, part) {
            Gathered::Want(message) => {
                incoming.heard = now;
                self.out.push(Effect::Send { to: from, message });
            }
            Gathered::Whole(bytes) => {
                self.incoming = None;
                self.adopt_base(from, bytes);
            }
            Gathered::Ignored => {}
        }
    }

    pub(super) fn forget_incoming(&mut self, device: DeviceId) {
        self.incoming.take_if(|it| it.from == device);
    }

    fn adopt_base(&mut self, from: DeviceId, bytes: Vec<u8>) {
        let own = self.ledger.next_seq(self.me);
        match self.ledger.adopt(self.me, bytes) {
            Ok(it) => {
                if self.ledger.next_seq(self.me) != own {
                    self.went_back();
                }
                self.log(format!("this device goes on from the snapshot at {}", it.k));
                self.units_replaced();
                let me = self.me;
                let open = self.ledger.state().sessions.values().filter(|it| {
                    it.outcome.is_none()
                        && it.open.agreement.runs.contains_key(&me)
                        && !self.sessions.contains_key(&it.id)
                });
                self.unjudged = Waiting::of(open.map(|it| it.id));
                self.stir_all();
                self.greet.insert(from);
            }
            Err(error @ aura_journal::SnapshotError::Unknown) => {
                self.offended(from, &format!("it sent a bad base: {error}"));
            }
            Err(error) => self.log(format!("a snapshot is not taken: {error}")),
        }
    }

    /// The units that are here have other places than before, and all of them were looked at.
    pub(super) fn units_replaced(&mut self) {
        self.offered = self.ledger.len();
        self.pushed = self.ledger.len();
        self.sources.clear();
    }
}

fn refused(code: &str, message: &dyn std::fmt::Display, whose: Whose) -> AgentError {
    let next = "keep the devices running and connected, and try again";
    AgentError::new(code, message, whose, next)
}
