//! The way back from a lost majority: requests to recover the account, the time that they wait, vetoes, and
//! the step into the next generation (`02-ledger`, section 5, "Ways out").
//!
//! Invariants:
//! - INV-A17: this device signs no recovery before the role's time is over by its own clock, counted from when
//!   it first saw the request, across restarts; nor one that it saw vetoed.

use std::collections::{BTreeMap, BTreeSet};

use aura_crypto::SecretKey;
use aura_journal::{
    Event, Stored,
    control::{
        ChainError, Configuration, ControlMessage, RecoveryRequest, RecoveryRole, RosterEntry,
        sign_recovery,
    },
    sync::{self, SyncMessage},
};
use aura_protocol_core::{DeviceId, Digest, UnixTime};

use crate::{
    api::{
        RecoveryCompleted, RecoveryRequested, RecoveryRow, RecoveryStatus, RecoveryVetoed, Response,
    },
    error::{AgentError, Whose},
    node::{Effect, Node, RequestId, control::Intent, joins::Seat, restore::prefixed},
    recovery_code::RecoveryCode,
};

/// What the rows of the store begin with that say when a request was first seen.
const ROWS: &str = "recovery/";
/// What the rows begin with that say when a request was over here.
pub(super) const ENDED_ROWS: &str = "recovery-ended/";
/// What the rows begin with that hold new devices which wait for the account's recovery.
pub(super) const NEWCOMER_ROWS: &str = "newcomer/";
/// What the rows begin with that say what invitations are for.
pub(super) const SEAT_ROWS: &str = "seat/";

/// What this device knows of requests to recover the account.
#[derive(Debug, Default)]
pub(super) struct Recoveries {
    /// When each was first seen, by this device's clock.
    pub(super) seen: BTreeMap<Digest, UnixTime>,
    /// Those that the person here does not want.
    pub(super) unwanted: BTreeSet<Digest>,
    /// Those that came to nothing here: somebody objected, or whoever asked took them back.
    pub(super) ended: BTreeMap<Digest, UnixTime>,
    /// How often an answer was asked for, as far as it was said in the log.
    pub(super) nudged: BTreeMap<Digest, u32>,
    /// New devices that want into the account when it is recovered.
    pub(super) newcomers: BTreeMap<DeviceId, RosterEntry>,
    /// What invitations are for that are not for devices that vote.
    pub(super) seats: BTreeMap<Digest, Seat>,
}

impl Recoveries {
    pub(super) fn restore(stored: &Stored) -> Result<Self, AgentError> {
        Ok(Self {
            seen: prefixed(stored, ROWS)?,
            ended: prefixed(stored, ENDED_ROWS)?,
            newcomers: prefixed(stored, NEWCOMER_ROWS)?,
            seats: prefixed(stored, SEAT_ROWS)?,
            ..Self::default()
        })
    }
}

impl Node {
    /// Remembers when requests were first seen, and tells of them.
    pub(super) fn note_requests(&mut self) {
        let open = self.ledger.recovery_requests().map(|(id, _)| id);
        let new: Vec<Digest> = open.filter(|it| !self.recoveries.seen.contains_key(it)).collect();
        for request in new {
            let now = self.now;
            self.recoveries.seen.insert(request, now);
            self.keep(&format!("{ROWS}{request}"), &now);
            let who = match self.has_guardians() {
                true => "a guardian",
                false => "somebody with the recovery code",
            };
            self.log(format!(
                "{who} asks that the account goes on without some of its devices: \
                 see `aura recovery status`, and say `aura recovery veto {}` if you do not want that",
                request.short()
            ));
        }
    }

    pub(super) fn recovery_delay(&self) -> u64 {
        self.ledger.chain().recovers_from().1.recovery.delay_seconds()
    }

    /// The code's key, if it alone may recover the account.
    fn recovery_key(&self, code: &str) -> Result<SecretKey, AgentError> {
        let key = RecoveryCode::from_text(code)?.key();
        let next = "use the code that was printed when the account was created";
        match &self.ledger.chain().recovers_from().1.recovery {
            RecoveryRole::Keys { keys, threshold: 1, .. } if keys.contains(&key.public()) => {
                Ok(key)
            }
            RecoveryRole::Keys { .. } => Err(AgentError::new(
                "WrongRecoveryCode",
                "this code does not recover this account",
                Whose::Caller,
                next,
            )),
            RecoveryRole::Guardians { .. } => Err(AgentError::new(
                "GuardedAccount",
                "guardians recover this account, and the printed code does not any more",
                Whose::Caller,
                "ask a guardian; `aura guardian list` names them",
            )),
            RecoveryRole::Nobody => Err(AgentError::new(
                "NoRecoveryRole",
                "this account was created without a recovery code",
                Whose::Caller,
                "bring back as many devices as decide",
            )),
        }
    }

    /// Asks that the account goes on with this device and those named.
    pub(super) fn request_recovery(
        &mut self,
        code: &str,
        keep: &[String],
        nonce: [u8; 32],
    ) -> Result<Response, AgentError> {
        let key = self.recovery_key(code)?;
        let mut kept: BTreeSet<DeviceId> = [self.me].into();
        for device in keep {
            kept.insert(self.device_named(device)?);
        }
        let chain = self.ledger.chain();
        let announced = self.ledger.announced(&self.ledger.heads()).unwrap_or_default();
        let now = chain.config().with_vote_keys(&announced);
        let entries = now.roster.values().filter(|it| kept.contains(&it.device)).cloned();
        let defaults = Configuration::with_defaults(entries);
        let Configuration { t_sign, t_dkd, recovery, group_key, .. } = now;
        let next = Configuration { t_sign, t_dkd, recovery, group_key, ..defaults };
        next.validate().map_err(|error| {
            let next = "keep at least one device that votes";
            AgentError::new("BadConfiguration", error, Whose::Caller, next)
        })?;
        let request = RecoveryRequest::new(chain, next, nonce, &key);
        let id = request.id();
        let message = ControlMessage::RequestRecovery(Box::new(request));
        if self.author(None, Event::Control(message)).is_none() {
            let what = "this device can write nothing into the ledger";
            return Err(AgentError::new("NotWritten", what, Whose::Machine, "see its log"));
        }
        self.note_requests();
        let ready_at = self.now.saturating_add(self.recovery_delay());
        let keep = kept.into_iter().map(|it| self.device_name(it)).collect();
        let request = id.to_string();
        let requested = RecoveryRequested { request, keep, ready_at: ready_at.0 };
        Ok(Response::RecoveryRequested(requested))
    }

    /// Where the recovery of the account stands.
    pub(super) fn recovery_status(&self) -> RecoveryStatus {
        let chain = self.ledger.chain();
        let role = match &chain.recovers_from().1.recovery {
            RecoveryRole::Nobody => "nobody".to_string(),
            RecoveryRole::Keys { keys, threshold, .. } => {
                format!("{threshold} of {} keys", keys.len())
            }
            RecoveryRole::Guardians { threshold, .. } => {
                format!("{threshold} of {} guardians", self.role_guardians().len())
            }
        };
        let delay = self.recovery_delay();
        let requests =
            self.open_requests().map(|(id, request)| self.recovery_row(id, request, delay));
        RecoveryStatus {
            generation: chain.generation(),
            frozen_at: chain.frozen().map(|it| it.slot.k),
            recovery_role: role,
            delay_seconds: delay,
            recovery_requests: requests.collect(),
            new_devices: self.newcomers_waiting(),
            keys_are_back: self.granted_recovery().is_none(),
            objections_before: self.recovery_round(),
        }
    }

    fn newcomers_waiting(&self) -> Vec<String> {
        let roster = &self.ledger.chain().config().roster;
        let waiting = self.recoveries.newcomers.keys().filter(|it| !roster.contains_key(it));
        waiting.map(ToString::to_string).collect()
    }

    pub(super) fn recovery_row(
        &self,
        id: Digest,
        request: &RecoveryRequest,
        delay: u64,
    ) -> RecoveryRow {
        let seen = self.recoveries.seen.get(&id).copied().unwrap_or(self.now);
        let guarded = self.has_guardians();
        let agreed = self.vault.as_ref().and_then(|it| it.store.agreed(id));
        let ready_at = if guarded { agreed } else { Some(seen.saturating_add(delay)) };
        let voters = request.next.voters().map(|it| it.device);
        let is_new = |it: &DeviceId| !self.ledger.chain().config().roster.contains_key(it);
        let (new, keep): (Vec<DeviceId>, Vec<DeviceId>) = voters.partition(is_new);
        let words = self.ledger.recovery_words(&id);
        let named = |devices: BTreeSet<DeviceId>| -> Vec<String> {
            devices.into_iter().map(|it| self.device_name(it)).collect()
        };
        RecoveryRow {
            request: id.to_string(),
            keep: keep.into_iter().map(|it| self.device_name(it)).collect(),
            new: new.iter().map(ToString::to_string).collect(),
            votes: request.next.m,
            ready_at: ready_at.map_or(0, |it| it.0),
            ready: ready_at.is_some_and(|it| it <= self.now),
            approvals: named(self.approvals(&id)),
            approvals_needed: if guarded { self.approvals_needed() } else { 0 },
            signed: named(words.signatures.keys().copied().collect()),
            objections: named(words.objections.clone()),
        }
    }

    /// The request that a text names; the only one where it names none.
    pub(super) fn request_named(&self, name: Option<&str>) -> Result<Digest, AgentError> {
        let open = self.open_requests().map(|(id, _)| id);
        let named = |it: &Digest| name.is_none_or(|name| it.to_string().starts_with(name));
        let found: Vec<Digest> = open.filter(named).collect();
        match found.as_slice() {
            [request] => Ok(*request),
            [] => Err(AgentError::new(
                "NoRecoveryRequest",
                "there is no such request to recover the account",
                Whose::Caller,
                "see `aura recovery status`; ask with `aura recovery request`",
            )),
            _ => Err(AgentError::new(
                "ManyRecoveryRequests",
                "there is more than one request to recover the account",
                Whose::Caller,
                "name one of them, as `aura recovery status` shows it",
            )),
        }
    }

    /// The person here does not want a request to be granted.
    pub(super) fn veto_recovery(
        &mut self,
        id: RequestId,
        request: Option<&str>,
    ) -> Result<Option<Response>, AgentError> {
        let request = self.request_named(request)?;
        let votes = !self.is_guardian();
        if votes {
            self.recoveries.unwanted.insert(request);
        }
        if !self.has_guardians() {
            self.intents.push_back(Intent::Veto { request, id: Some(id) });
            return Ok(None);
        }
        // Its word is heard at once; with enough others it is the account's.
        if votes {
            self.intents.push_back(Intent::Veto { request, id: None });
        }
        self.object_to_recovery(request).map(Some)
    }

    pub(super) fn vetoed(&self, request: Digest) -> Response {
        let k = self.ledger.chain().height();
        Response::RecoveryVetoed(RecoveryVetoed { vetoed_request: request.to_string(), k })
    }

    /// Signs the recovery that was asked for, once its time is over, and goes on in the next generation.
    pub(super) fn complete_recovery(
        &mut self,
        code: &str,
        request: Option<&str>,
    ) -> Result<Response, AgentError> {
        let key = self.recovery_key(code)?;
        let id = self.request_named(request)?;
        let found = self.ledger.recovery_requests().find(|(it, _)| *it == id);
        let granted = found.map(|(_, it)| (it.generation, it.granted(self.ledger.heads())));
        let seen = self.recoveries.seen.get(&id).copied();
        let (Some((generation, value)), Some(seen)) = (granted, seen) else {
            return Err(refused(&"it is not open any more"));
        };
        if self.wall.doubt().is_some() {
            return Err(AgentError::new(
                "ClockUnsure",
                "this device doubts its clock, and cannot tell whether the time is over",
                Whose::Machine,
                "see `aura status`; set the clock right, or say `aura device trust-clock`",
            ));
        }
        let ready_at = seen.saturating_add(self.recovery_delay());
        if self.now < ready_at {
            return Err(AgentError::new(
                "TooEarly",
                format!("the request waits for {} more seconds", ready_at.0 - self.now.0),
                Whose::Nobody,
                "run the same command again then: the other devices may veto it until then",
            ));
        }
        let chain = self.ledger.chain();
        let signature = sign_recovery(&chain.recovery_slot(generation), &value, &key);
        let entry = chain.recovered(value, generation, [(key.public(), signature)].into());
        let k = entry.slot.k;
        self.ledger.import_entry(entry).map_err(|error| refused(&error))?;
        self.generation_began(k);
        let devices_left = self.ledger.chain().config().roster.len();
        Ok(Response::RecoveryCompleted(RecoveryCompleted { generation, k, devices_left }))
    }

    /// The chain goes on from below `k` in another generation: what was looked at has other places.
    pub(super) fn generation_began(&mut self, k: u64) {
        let (generation, height) = (self.ledger.chain().generation(), k);
        self.log(format!("the account was recovered: generation {generation} begins at {height}"));
        self.noted = self.noted.min(usize::try_from(k).unwrap_or(usize::MAX));
        if let Some(vault) = &mut self.vault {
            vault.store.recovered();
            self.keep_vault();
        }
        self.units_replaced();
        self.voter.advance(self.ledger.chain());
        self.stir_all();
    }

    /// An entry of a peer has no place here, though the peer may have broken no rule. Says whether that is
    /// so.
    pub(super) fn is_excused(&mut self, from: DeviceId, error: &ChainError) -> bool {
        match error {
            ChainError::WrongGeneration { expected, found, .. } if found < expected => {
                // It has not heard of the recovery yet.
                for message in sync::entries_above(&self.ledger, *found) {
                    self.out.push(Effect::Send { to: from, message });
                }
            }
            ChainError::WrongGeneration { .. } => {
                self.greet.insert(from);
            }
            ChainError::Conflict { .. } => self.tell_conflict(),
            ChainError::Frozen { .. } | ChainError::Vetoed | ChainError::BelowBase { .. } => {
                self.log(format!("an entry of device {} is not taken: {error}", from.short()));
            }
            _ => return false,
        }
        true
    }

    /// Shows everybody the two certificates, so that all stop.
    fn tell_conflict(&mut self) {
        let Some(evidence) = self.ledger.chain().frozen().cloned() else { return };
        if self.told_conflict == Some(evidence.value.hash()) {
            return;
        }
        self.told_conflict = Some(evidence.value.hash());
        self.log(format!(
            "two values are certified at {}: devices signed twice. Nothing is decided any more until the \
             account is recovered",
            evidence.slot.k
        ));
        let own = self.ledger.chain().entry(evidence.slot.k).cloned();
        let both: Vec<_> = own.into_iter().chain([evidence]).collect();
        for to in self.peers.clone() {
            let message = SyncMessage::Entries(both.clone());
            self.out.push(Effect::Send { to, message });
        }
    }
}

fn refused(error: &dyn std::fmt::Display) -> AgentError {
    let next = "see `aura recovery status`, and ask anew";
    AgentError::new("NotRecovered", error, Whose::Caller, next)
}
