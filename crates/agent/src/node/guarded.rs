//! Recovery by guardians: what they ask for, what their persons say of it, and the entry that they sign when
//! each one's own time is over (decision 0151).
//!
//! Invariants:
//! - INV-A19: a guardian signs a recovery only after its person approved it, as many guardians as needed
//!   approved the same, its own clock says that its time is over, and no objection that counts was seen.

use std::collections::{BTreeMap, BTreeSet};

use aura_journal::{
    Event, RecoveryWords,
    control::{
        Configuration, ControlMessage, Entry, RecoveryRequest, RecoveryRole, RecoverySays,
        RecoveryWord, Role, RosterEntry, is_recovery_signature, sign_recovery,
    },
};
use aura_protocol_core::{DeviceId, Digest, UnixTime};

use crate::{
    api::{
        Command, RecoveryApproved, RecoveryCancelled, RecoveryCompleted, RecoveryNudged,
        RecoveryRequested, RecoveryVetoed, Response,
    },
    error::{AgentError, Whose},
    node::{
        Entropy, Node, RequestId,
        joins::Seat,
        recovery::{ENDED_ROWS, NEWCOMER_ROWS},
    },
};

impl Node {
    /// What persons say of guardians and of recoveries; anything else only reads.
    pub(super) fn recovery_command(
        &mut self,
        id: RequestId,
        command: Command,
        entropy: [u8; 32],
    ) -> Result<Option<Response>, AgentError> {
        match command {
            Command::AddGuardian { valid_seconds } => {
                self.invite_as(id, valid_seconds, Seat::Guardian, entropy);
                Ok(None)
            }
            Command::InviteRecovered { valid_seconds } => {
                self.check_guardian()?;
                self.invite_as(id, valid_seconds, Seat::Recovered, entropy);
                Ok(None)
            }
            Command::SetUpRecovery { needed, delay_seconds } => {
                let rng = &mut Entropy::new(entropy).into_rng();
                self.set_up_recovery(needed, delay_seconds, rng).map(Some)
            }
            Command::AskGuardians { keep, new } => {
                self.recovery_asked(&keep, &new, entropy).map(Some)
            }
            Command::ApproveRecovery { request } => {
                self.approve_recovery(request.as_deref()).map(Some)
            }
            Command::NudgeGuardians { request } => {
                self.nudge_guardians(request.as_deref()).map(Some)
            }
            Command::CancelRecovery { request } => {
                self.cancel_recovery(request.as_deref()).map(Some)
            }
            Command::CompleteByGuardians { request } => {
                self.completed_by_guardians(request.as_deref()).map(Some)
            }
            Command::RequestRecovery { code, keep } => {
                self.request_recovery(&code.0, &keep, entropy).map(Some)
            }
            Command::VetoRecovery { request } => self.veto_recovery(id, request.as_deref()),
            Command::CompleteRecovery { code, request } => {
                self.complete_recovery(&code.0, request.as_deref()).map(Some)
            }
            read => self.read_command(&read).map(Some),
        }
    }

    /// The time by this device's own clock, where it does not doubt it.
    pub(super) fn sure_time(&self) -> Option<UnixTime> {
        self.wall.doubt().is_none().then_some(self.now)
    }

    /// Whether guardians recover the account.
    pub(super) fn has_guardians(&self) -> bool {
        let (_, config) = self.ledger.chain().recovers_from();
        matches!(config.recovery, RecoveryRole::Guardians { .. })
    }

    fn check_guardian(&self) -> Result<(), AgentError> {
        if self.role_guardians().contains(&self.me) {
            return Ok(());
        }
        Err(AgentError::new(
            "NotAGuardian",
            "this device is none of the guardians that recover the account",
            Whose::Caller,
            "say it at a guardian's device; `aura guardian list` names them",
        ))
    }

    fn check_sure(&self) -> Result<(), AgentError> {
        match self.sure_time() {
            Some(_) => Ok(()),
            None => Err(AgentError::new(
                "ClockUnsure",
                "this device doubts its clock, and cannot tell when the time is over",
                Whose::Machine,
                "see `aura status`; set the clock right, or say `aura device trust-clock`",
            )),
        }
    }

    /// The same, and says what comes next.
    pub(super) fn recovery_asked(
        &mut self,
        keep: &[String],
        new: &[String],
        nonce: [u8; 32],
    ) -> Result<Response, AgentError> {
        let id = self.ask_guardians(keep, new, nonce)?;
        self.note_requests();
        let row = self.open_requests().find(|it| it.0 == id);
        let row = row.map(|(id, it)| self.recovery_row(id, it, self.recovery_delay()));
        let keep = row.into_iter().flat_map(|it| it.keep.into_iter().chain(it.new)).collect();
        let ready_at = self.now.saturating_add(self.recovery_delay());
        let request = id.to_string();
        Ok(Response::RecoveryRequested(RecoveryRequested { request, keep, ready_at: ready_at.0 }))
    }

    /// A guardian asks that the account goes on with these devices and new ones.
    pub(super) fn ask_guardians(
        &mut self,
        keep: &[String],
        new: &[String],
        nonce: [u8; 32],
    ) -> Result<Digest, AgentError> {
        self.check_guardian()?;
        let chain = self.ledger.chain();
        let (_, now) = chain.recovers_from();
        let mut entries: BTreeMap<DeviceId, RosterEntry> =
            now.guardians().map(|it| (it.device, it.clone())).collect();
        for name in keep {
            let device = self.device_named(name)?;
            if let Some(entry) = now.roster.get(&device) {
                entries.insert(device, entry.clone());
            }
        }
        for entry in self.newcomers_named(new)? {
            entries.insert(entry.device, entry);
        }
        let defaults = Configuration::with_defaults(entries.into_values());
        let Configuration { t_sign, t_dkd, recovery, group_key, .. } = now.clone();
        let next = Configuration { t_sign, t_dkd, recovery, group_key, ..defaults };
        next.validate().map_err(|error| {
            let next =
                "let a new device ask with a ticket of `aura recovery invite`, or --keep one";
            AgentError::new("BadConfiguration", error, Whose::Caller, next)
        })?;
        let own = now.roster.get(&self.me).map(|it| it.vote_key);
        let key = self.vote_keys.of(own).ok_or_else(no_key)?;
        let request = RecoveryRequest::new(chain, next, nonce, key);
        let id = request.id();
        self.write(ControlMessage::RequestRecovery(Box::new(request)))?;
        Ok(id)
    }

    /// The new devices that these texts name by the beginnings of their ids; all that asked where there is no text.
    fn newcomers_named(&self, new: &[String]) -> Result<Vec<RosterEntry>, AgentError> {
        if new.is_empty() {
            return Ok(self.recoveries.newcomers.values().cloned().collect());
        }
        let mut found = Vec::new();
        for text in new {
            let mut fits = self
                .recoveries
                .newcomers
                .values()
                .filter(|it| it.device.to_string().starts_with(text));
            match (fits.next(), fits.next()) {
                (Some(entry), None) => found.push(entry.clone()),
                _ => {
                    return Err(AgentError::new(
                        "UnknownDevice",
                        format!("`{text}` is not the beginning of one new device's id"),
                        Whose::Caller,
                        "see `aura recovery status` for the devices that asked",
                    ));
                }
            }
        }
        Ok(found)
    }

    fn write(&mut self, message: ControlMessage) -> Result<(), AgentError> {
        if self.author(None, Event::Control(message)).is_some() {
            return Ok(());
        }
        let what = "this device can write nothing into the ledger";
        Err(AgentError::new("NotWritten", what, Whose::Machine, "see its log"))
    }

    fn word(&mut self, request: Digest, says: RecoverySays) -> Result<(), AgentError> {
        self.write(ControlMessage::Recovery(Box::new(RecoveryWord { request, says })))
    }

    /// The person at this guardian confirmed whose devices the new ones are: its time begins.
    pub(super) fn approve_recovery(
        &mut self,
        request: Option<&str>,
    ) -> Result<Response, AgentError> {
        let id = self.request_named(request)?;
        self.check_guardian()?;
        self.check_sure()?;
        let delay = self.recovery_delay();
        let others: Vec<Digest> =
            self.open_requests().map(|it| it.0).filter(|it| *it != id).collect();
        let (now, vault) = (self.now, self.vault.as_mut());
        let store = &mut vault.ok_or_else(no_key)?.store;
        // A person's last word counts.
        others.iter().for_each(|it| store.withdraw(*it));
        store.set_recovery_delay(delay);
        store.observe_time(now);
        let ready_at = store.agree(id).map_err(|error| {
            AgentError::new(
                "AnotherRecovery",
                error,
                Whose::Caller,
                "one recovery runs at a time: see `aura recovery status`",
            )
        })?;
        self.keep_vault();
        if !self.ledger.recovery_words(&id).approvals.contains(&self.me) {
            self.word(id, RecoverySays::Approve)?;
        }
        let approvals = self.approvals(&id).len();
        Ok(Response::RecoveryApproved(RecoveryApproved {
            approved_request: id.to_string(),
            approvals,
            approvals_needed: self.approvals_needed(),
            ready_at: ready_at.0,
        }))
    }

    /// The guardians that approved a request.
    pub(super) fn approvals(&self, request: &Digest) -> BTreeSet<DeviceId> {
        let words = self.ledger.recovery_words(request);
        self.role_guardians().intersection(&words.approvals).copied().collect()
    }

    /// How many have to approve: one more, if there are as many, after somebody objected to an earlier request.
    pub(super) fn approvals_needed(&self) -> usize {
        let threshold = self.ledger.chain().recovers_from().1.recovery.threshold();
        let needed = usize::from(threshold.unwrap_or_default());
        let more = usize::from(0 < self.recovery_round());
        needed.saturating_add(more).min(self.role_guardians().len().max(needed))
    }

    pub(super) fn recovery_round(&self) -> u32 {
        self.vault.as_ref().map_or(0, |it| it.store.recovery_round())
    }

    /// The person here does not want a recovery by guardians. While nobody objected before, that is its end.
    pub(super) fn object_to_recovery(&mut self, id: Digest) -> Result<Response, AgentError> {
        self.word(id, RecoverySays::Object)?;
        let k = self.ledger.chain().height();
        let vetoed_request = id.to_string();
        Ok(Response::RecoveryVetoed(RecoveryVetoed { vetoed_request, k }))
    }

    /// Whoever asked takes it back.
    pub(super) fn cancel_recovery(
        &mut self,
        request: Option<&str>,
    ) -> Result<Response, AgentError> {
        let id = self.request_named(request)?;
        if !self.is_own_request(&id, self.me) {
            return Err(AgentError::new(
                "NotYours",
                "another guardian asked for this recovery",
                Whose::Caller,
                "object to it with `aura recovery veto`, or let that guardian take it back",
            ));
        }
        self.word(id, RecoverySays::Cancel)?;
        self.note_requests();
        Ok(Response::RecoveryCancelled(RecoveryCancelled { cancelled_request: id.to_string() }))
    }

    /// Whether a request is by this device's key.
    fn is_own_request(&self, request: &Digest, device: DeviceId) -> bool {
        let (_, config) = self.ledger.chain().recovers_from();
        let key = config.roster.get(&device).map(|it| it.vote_key);
        let mut requests = self.ledger.recovery_requests();
        requests.any(|it| it.0 == *request && Some(it.1.key) == key)
    }

    /// Asks the guardians that have said nothing for an answer.
    pub(super) fn nudge_guardians(
        &mut self,
        request: Option<&str>,
    ) -> Result<Response, AgentError> {
        let id = self.request_named(request)?;
        self.word(id, RecoverySays::Nudge)?;
        let approved = self.approvals(&id);
        let silent = self.role_guardians().into_iter().filter(|it| !approved.contains(it));
        let nudged = silent.map(|it| self.device_name(it)).collect();
        Ok(Response::RecoveryNudged(RecoveryNudged { nudged, nudged_request: id.to_string() }))
    }

    /// Whether the account has been recovered; if not, what it waits for.
    pub(super) fn completed_by_guardians(
        &self,
        request: Option<&str>,
    ) -> Result<Response, AgentError> {
        let chain = self.ledger.chain();
        if self.ledger.recovery_requests().next().is_none() && 0 < chain.generation() {
            return Ok(Response::RecoveryCompleted(RecoveryCompleted {
                generation: chain.generation(),
                k: chain.height(),
                devices_left: chain.config().voters().count(),
            }));
        }
        let id = self.request_named(request)?;
        let (found, needed) = (self.approvals(&id).len(), self.approvals_needed());
        if found < needed {
            return Err(AgentError::new(
                "TooFewApprovals",
                format!("{found} of the {needed} guardians that it takes have approved"),
                Whose::Nobody,
                "let more guardians say `aura recovery approve`; `aura recovery nudge` asks them",
            ));
        }
        let ready_at = self.vault.as_ref().and_then(|it| it.store.agreed(id));
        let waits = ready_at.map_or(0, |it| it.0.saturating_sub(self.now.0));
        Err(AgentError::new(
            "TooEarly",
            match waits {
                0 => "other guardians' time is not over, or they are not connected".to_string(),
                seconds => format!("this guardian waits for {seconds} more seconds"),
            },
            Whose::Nobody,
            "guardians sign by themselves when their time is over: run the same command again then",
        ))
    }

    /// Everything that follows from what was said of requests: objections that count, signatures, the entry.
    pub(super) fn pump_recovery(&mut self) {
        if !self.has_guardians() {
            return;
        }
        let open: Vec<Digest> = self.open_requests().map(|it| it.0).collect();
        for id in &open {
            let words = self.ledger.recovery_words(id);
            self.hear_nudges(id, &words);
            self.hear_end(*id, &words);
        }
        let open: Vec<Digest> = self.open_requests().map(|it| it.0).collect();
        for id in open {
            self.sign_when_ripe(id);
            if self.assemble(id) {
                return;
            }
        }
        self.forget_words();
    }

    /// The requests that may still lead to something here.
    pub(super) fn open_requests(&self) -> impl Iterator<Item = (Digest, &RecoveryRequest)> {
        let requests = self.ledger.recovery_requests();
        requests.filter(|it| !self.recoveries.ended.contains_key(&it.0))
    }

    fn hear_nudges(&mut self, id: &Digest, words: &RecoveryWords) {
        let count: u32 = words.nudges.values().sum();
        let heard = self.recoveries.nudged.entry(*id).or_default();
        let is_new = *heard < count;
        *heard = count;
        let waits = self.role_guardians().contains(&self.me) && !words.approvals.contains(&self.me);
        if is_new && waits {
            self.log(format!(
                "an answer is waited for: `aura recovery approve {0}` or `aura recovery veto {0}`",
                id.short()
            ));
        }
    }

    /// A request is over when whoever asked takes it back, and by the first objection of all.
    fn hear_end(&mut self, id: Digest, words: &RecoveryWords) {
        let cancelled = words.cancelled.iter().any(|it| self.is_own_request(&id, *it));
        let (_, config) = self.ledger.chain().recovers_from();
        let objects = words.objections.iter().any(|it| config.roster.contains_key(it));
        let counts = objects && self.recovery_round() == 0;
        if !cancelled && !counts {
            return;
        }
        if counts && let Some(vault) = &mut self.vault {
            vault.store.observe_veto(0);
        }
        if let Some(vault) = &mut self.vault {
            vault.store.withdraw(id);
        }
        self.keep_vault();
        let now = self.now;
        self.recoveries.ended.insert(id, now);
        self.keep(&format!("{ENDED_ROWS}{id}"), &now);
        let why = if cancelled { "whoever asked took it back" } else { "somebody objected" };
        self.log(format!("nothing comes of recovery {}: {why}", id.short()));
    }

    /// INV-A19.
    fn sign_when_ripe(&mut self, id: Digest) {
        let words = self.ledger.recovery_words(&id);
        let is_due = self.role_guardians().contains(&self.me)
            && self.approvals_needed() <= self.approvals(&id).len();
        let Some(now) = self.sure_time().filter(|_| is_due) else { return };
        let Some(vault) = &mut self.vault else { return };
        vault.store.observe_time(now);
        if vault.store.check_agreed(id).is_err() {
            return;
        }
        let Some((generation, value)) = self.granted_entry(&id) else { return };
        let chain = self.ledger.chain();
        let own = chain.recovers_from().1.roster.get(&self.me).map(|it| it.vote_key);
        let slot = chain.recovery_slot(generation);
        // What it signed before the account decided something else is for a slot that is no more.
        let signed = words.signatures.get(&self.me);
        if signed.is_some_and(|it| is_recovery_signature(&slot, &value, &it.0, &it.1)) {
            return;
        }
        let Some(key) = self.vote_keys.of(own) else { return };
        let (key, signature) = (key.public(), sign_recovery(&slot, &value, key));
        if self.word(id, RecoverySays::Sign { key: Box::new(key), signature }).is_ok() {
            self.log(format!("this guardian signs recovery {}", id.short()));
        }
    }

    /// The entry that grants a request: the same for all guardians, whenever they sign.
    fn granted_entry(&self, id: &Digest) -> Option<(u64, Entry)> {
        let unit = self.ledger.recovery_request_unit(id)?;
        let mut open = self.open_requests();
        let (_, request) = open.find(|it| it.0 == *id)?;
        Some((request.generation, request.granted(vec![unit])))
    }

    /// Goes on in the next generation, once enough guardians signed. Says whether it did.
    fn assemble(&mut self, id: Digest) -> bool {
        let Some((generation, value)) = self.granted_entry(&id) else { return false };
        let chain = self.ledger.chain();
        let (_, config) = chain.recovers_from();
        // After an objection the one more that has to approve has to have waited too.
        let (keys, needed) = (config.recovery_keys(), self.approvals_needed());
        let slot = chain.recovery_slot(generation);
        let words = self.ledger.recovery_words(&id);
        let signed = words.signatures.values().filter(|(key, signature)| {
            keys.contains(key) && is_recovery_signature(&slot, &value, key, signature)
        });
        let votes: BTreeMap<_, _> = signed.copied().collect();
        if votes.len() < needed {
            return false;
        }
        let entry = chain.recovered(value, generation, votes);
        let k = entry.slot.k;
        match self.ledger.import_entry(entry) {
            Ok(_) => {
                self.generation_began(k);
                true
            }
            Err(error) => {
                self.log(format!("recovery {} cannot be taken: {error}", id.short()));
                false
            }
        }
    }

    /// Forgets what this guardian's person agreed to, where nothing can come of it any more.
    fn forget_words(&mut self) {
        let granted = self.granted_recovery().map(|it| it.request);
        let open: BTreeSet<Digest> = self.open_requests().map(|it| it.0).collect();
        let Some(vault) = &mut self.vault else { return };
        let is_over = |it: &Digest| !open.contains(it) && Some(*it) != granted;
        let over: Vec<Digest> = self.recoveries.seen.keys().copied().filter(is_over).collect();
        let mut changed = false;
        for id in over {
            changed |= vault.store.agreed(id).is_some();
            vault.store.withdraw(id);
        }
        if changed {
            self.keep_vault();
        }
    }

    /// A new device that asked with a ticket for the account's recovery waits until guardians let it in.
    pub(super) fn newcomer(&mut self, mut entry: RosterEntry) -> AgentError {
        entry.role = Role::Voter;
        let device = entry.device;
        if self.recoveries.newcomers.insert(device, entry.clone()) != Some(entry.clone()) {
            self.keep(&format!("{}{device}", NEWCOMER_ROWS), &entry);
            self.log(format!("device {device} asks to be let in when the account is recovered"));
        }
        AgentError::new(
            crate::join::RECOVERY_WAITS,
            format!("the account's guardians decide whether device {device} is let in"),
            Whose::Nobody,
            "tell them this id in person; run the same command again when the account is recovered",
        )
    }
}

fn no_key() -> AgentError {
    AgentError::new(
        "NoKeys",
        "this device holds no keys to recover the account with",
        Whose::Machine,
        "see `aura status`",
    )
}
