//! Guardians: people who help to bring the account back. They come in by a ticket of their own, hold shares of
//! the account's keys beside those of its devices, and become who recovers it (decision 0150).
//!
//! Invariants:
//! - INV-A18: a device gives guardians shares, and votes for them as those who recover the account, only after
//!   the person there said so, and for the change only once whoever recovers the account now had their time.

use std::collections::BTreeSet;

use aura_coordination::choreography::resharing::{Sharings, Side, Terms};
use aura_crypto::{DualRng, Holders};
use aura_distribution::consent::WantedGuardians;
use aura_journal::control::{Configuration, Entry, EntryBody, RecoveryRole};
use aura_protocol_core::{DeviceId, Digest, SessionId, UnixTime};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    api::{Guardian, Guardians, RecoverySetUp, Response},
    error::{AgentError, Whose},
    node::{Node, control::Intent, resharing::Target},
};

/// The row of the store that holds what the person here wants of guardians.
pub(super) const ROW: &str = "guardians";
/// How long the account's guardians and devices have to have been the same before they get shares, in seconds.
const QUIET_SECONDS: u64 = 2;

/// Who is to recover the account, as the person here said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Wish {
    threshold: u16,
    delay_seconds: u64,
    /// Since when, by this device's clock.
    since: UnixTime,
}

impl Wish {
    fn is(&self, threshold: u16, delay_seconds: u64) -> bool {
        (self.threshold, self.delay_seconds) == (threshold, delay_seconds)
    }
}

impl Node {
    /// Whether this device is in the account to bring it back, and for nothing else.
    pub(super) fn is_guardian(&self) -> bool {
        self.ledger.chain().config().is_guardian(&self.me)
    }

    pub(super) fn guardians(&self) -> BTreeSet<DeviceId> {
        self.ledger.chain().config().guardians().map(|it| it.device).collect()
    }

    /// The guardians that can recover the account: those of the role that are still there.
    pub(super) fn role_guardians(&self) -> BTreeSet<DeviceId> {
        let config = self.ledger.chain().recovers_from().1;
        let keys = config.recovery_keys();
        config.guardians().filter(|it| keys.contains(&it.vote_key)).map(|it| it.device).collect()
    }

    /// The person here wants the account's guardians to be those who recover it.
    pub(super) fn set_up_recovery(
        &mut self,
        needed: Option<u16>,
        delay_seconds: u64,
        rng: &mut DualRng,
    ) -> Result<Response, AgentError> {
        let count = self.guardians().len();
        let most = u16::try_from(count).unwrap_or(u16::MAX);
        if count == 0 {
            return Err(AgentError::new(
                "NoGuardians",
                "the account has no guardians yet",
                Whose::Caller,
                "invite some with `aura guardian add`",
            ));
        }
        let threshold = needed.unwrap_or(most / 2 + 1);
        let least = most.min(2);
        if threshold < least || most < threshold {
            return Err(AgentError::new(
                "BadThreshold",
                format!("{threshold} of {most} guardians cannot be: choose {least} to {most}"),
                Whose::Caller,
                "see `aura guardian list`",
            ));
        }
        if self.keys().is_none() {
            self.make_sole_keys(rng)?;
        }
        let since = match self.guarding.filter(|it| it.is(threshold, delay_seconds)) {
            Some(wish) => wish.since,
            None => self.now,
        };
        let wish = Wish { threshold, delay_seconds, since };
        self.guarding = Some(wish);
        self.keep(ROW, &wish);
        self.reshare_at_once();
        let due = self.role_due(&wish);
        Ok(Response::RecoverySetUp(RecoverySetUp {
            guardians_needed: threshold,
            guardians_of: count,
            guardians_delay_seconds: delay_seconds,
            not_before: due.0,
            votes_needed: self.ledger.chain().config().m,
        }))
    }

    /// From when on this device votes for it: whoever recovers the account now has their time.
    fn role_due(&self, wish: &Wish) -> UnixTime {
        wish.since.saturating_add(self.ledger.chain().config().recovery.delay_seconds())
    }

    /// What the person here wants of guardians, for this device's votes.
    pub(super) fn wanted_guardians(&self) -> Option<WantedGuardians> {
        let wish = self.guarding?;
        let shared = self.shared_with_guardians(wish.threshold);
        Some(WantedGuardians {
            threshold: wish.threshold,
            delay_seconds: wish.delay_seconds,
            is_due: self.role_due(&wish) <= self.now,
            shared: shared.map(|(_, name, guardians)| (name, guardians)).collect(),
        })
    }

    /// The sessions in which guardians got shares of the keys that are certified, with the sharings' names.
    fn shared_with_guardians(
        &self,
        threshold: u16,
    ) -> impl Iterator<Item = (SessionId, Digest, BTreeSet<DeviceId>)> {
        // In the configuration in force: with another roster, guardians get other shares.
        let config = self.ledger.chain().next_slot().config;
        let known = self.resharing.known.iter();
        known.filter_map(move |(session, it)| {
            let to = &it.terms.to;
            let is_new = it.terms.lock.epoch == config;
            if !is_new || (to.holders, to.threshold) != (Holders::Guardians, threshold) {
                return None;
            }
            let (_, reshared) = self.reshared(*session)?;
            Some((*session, reshared.agreed.name, to.devices.keys().copied().collect()))
        })
    }

    /// Whether what the person here wants of guardians is so.
    fn is_guarded_as_wanted(&self, wish: &Wish) -> bool {
        let config = self.ledger.chain().config();
        match &config.recovery {
            RecoveryRole::Guardians { threshold, delay_seconds, keys, .. } => {
                wish.is(*threshold, *delay_seconds)
                    && config.guardians().map(|it| it.vote_key).collect::<BTreeSet<_>>() == *keys
            }
            _ => false,
        }
    }

    /// Gives guardians their shares, and wants them certified.
    pub(super) fn pump_guardians(&mut self) {
        let Some(wish) = self.guarding else { return };
        if self.is_guarded_as_wanted(&wish) {
            self.guarding = None;
            self.batch.local.push((ROW.to_string(), None));
            self.log(format!(
                "{} of the account's guardians recover it from now on, after {} seconds",
                wish.threshold, wish.delay_seconds
            ));
            return;
        }
        let guardians = self.guardians();
        let mut shared = self.shared_with_guardians(wish.threshold);
        let session = shared.find(|it| it.2 == guardians).map(|it| it.0);
        drop(shared);
        let Some(session) = session else { return };
        let wanted = |it: &Intent| matches!(it, Intent::Guard { .. });
        if !self.intents.iter().any(wanted) {
            self.intents.push_back(Intent::Guard { session });
        }
    }

    /// The entry by which guardians become those who recover the account.
    pub(super) fn guarded_by(&self, session: SessionId) -> Option<Entry> {
        let wish = self.guarding?;
        let mut shared = self.shared_with_guardians(wish.threshold);
        let sharing = shared.find(|it| it.0 == session).map(|it| it.1)?;
        // The same for everybody who wants it, so that all propose one value.
        let past = vec![self.ledger.state().sessions.get(&session)?.closed_by?];
        let current = self.ledger.chain().config();
        let next = current.with_vote_keys(&self.ledger.announced(&past).ok()?);
        let keys = next.guardians().map(|it| it.vote_key).collect();
        let Wish { threshold, delay_seconds, .. } = wish;
        let recovery = RecoveryRole::Guardians { keys, threshold, delay_seconds, sharing };
        let body = EntryBody::Reconfigure(Box::new(Configuration { recovery, ..next }));
        Some(Entry { past, body })
    }

    /// Whether it is decided, or has no use any more.
    pub(super) fn is_guard_met(&self, session: SessionId) -> bool {
        self.guarded_by(session).is_none()
    }

    /// Opens the session in which guardians get shares, when they are wanted and everybody is there.
    pub(super) fn share_with_guardians_when_due(&mut self) {
        let Some(wish) = self.guarding else { return };
        let Some(keys) = self.keys() else { return };
        let (from, sharings) = (Side::of(keys), Sharings::of(keys));
        let guardians = self.guardians();
        if self.shared_with_guardians(wish.threshold).any(|it| it.2 == guardians) {
            return;
        }
        let fits = guardians.len().min(2) <= usize::from(wish.threshold)
            && usize::from(wish.threshold) <= guardians.len();
        if !fits {
            return;
        }
        let is_quiet = wish.since.saturating_add(QUIET_SECONDS) <= self.now;
        let is_free = self.resharing.due <= self.now && !self.makes_keys() && !self.reshares();
        let target = Target { holders: guardians, shares: wish.threshold };
        if !is_quiet || !is_free || self.hindered(&from, &target).is_some() {
            return;
        }
        self.resharing.due = self.now.saturating_add(super::resharing::RETRY_SECONDS);
        let to = from.guardians(&target.holders, target.shares);
        let Ok(view) = self.lock_view() else { return };
        let Some(terms) = self.resharing_terms(view, from, sharings, to) else { return };
        self.open_resharing(&terms, &target);
    }

    /// Whether the guardians of these terms are those of the account, as the person here wants them where
    /// this device is to deal.
    pub(super) fn wants_guardians(&self, terms: &Terms) -> bool {
        self.guarding.is_some_and(|it| it.threshold == terms.to.threshold)
    }

    /// Whether these could be terms by which the account's guardians get shares at this moment.
    pub(super) fn guards_next(&self, terms: &Terms) -> bool {
        terms.to == terms.from.guardians(&self.guardians(), terms.to.threshold)
    }

    /// A guardian leaves only if enough are left.
    pub(super) fn check_guardian_leaves(&self, device: DeviceId) -> Result<(), AgentError> {
        let role = self.role_guardians();
        let needed = self.ledger.chain().config().recovery.threshold().unwrap_or_default();
        if !role.contains(&device) || usize::from(needed) < role.len() {
            return Ok(());
        }
        Err(AgentError::new(
            "TooFewGuardians",
            format!(
                "{needed} guardians recover the account, and with this one gone fewer are left"
            ),
            Whose::Caller,
            "add another one first, and say `aura recovery setup` again",
        ))
    }

    /// The account's guardians, for people.
    pub(super) fn guardian_list(&self) -> Guardians {
        let config = self.ledger.chain().config();
        let role = self.role_guardians();
        let rows = config.guardians().map(|entry| Guardian {
            guardian: entry.device.to_string(),
            name: self.device_name(entry.device),
            this: entry.device == self.me,
            connected: entry.device == self.me || self.peers.contains(&entry.device),
            recovers: role.contains(&entry.device),
        });
        let is_guarded = matches!(config.recovery, RecoveryRole::Guardians { .. });
        let needed = config.recovery.threshold().filter(|_| is_guarded).unwrap_or_default();
        let waits = self.guarding.map(|it| self.role_due(&it).0);
        Guardians {
            guardians: rows.collect(),
            needed,
            delay_seconds: config.recovery.delay_seconds(),
            wanted_not_before: waits,
        }
    }

    /// What a guardian's device is not asked: it has no part in the account's life.
    pub(super) fn not_for_guardians() -> AgentError {
        AgentError::new(
            "GuardianOnly",
            "this device guards the account, and has no other part in it",
            Whose::Caller,
            "say it at a device of the account; see `aura recovery --help` for what a guardian does",
        )
    }

    /// The name of the sharing that this device's part of the keys is certified under.
    pub(super) fn certified_sharing(&self) -> Option<Digest> {
        let config = self.ledger.chain().config();
        match &config.recovery {
            RecoveryRole::Guardians { sharing, .. } if self.is_guardian() => Some(*sharing),
            _ if self.is_guardian() => None,
            _ => config.group_key.map(|it| it.1),
        }
    }
}
