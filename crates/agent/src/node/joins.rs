//! Letting new devices in: invitations, and the requests that redeem them.

use aura_crypto::PublicKey;
use aura_journal::control::{ChainError, Entry, EntryBody, ReAdmit, Role, RosterEntry};
use aura_protocol_core::{DeviceId, Digest, UnixTime};
use aura_transport::{PeerAddr, PeerId};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    api::{Response, TicketIssued},
    error::{AgentError, Whose},
    join::JoinRequest,
    node::{Effect, Node, RequestId, control::Intent, recovery::SEAT_ROWS},
    ticket::Ticket,
};

/// Most requests to join that wait for the account's decision.
const JOINS_MAX: usize = 64;

/// What this device remembers of an invitation: never the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Invitation {
    expires: UnixTime,
    /// The unit key of the device that redeemed it.
    used_by: Option<PublicKey>,
    /// The device whose seat it is for.
    replaces: Option<DeviceId>,
}

/// What an invitation is for, where it is not for a device that votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub(super) enum Seat {
    /// A guardian.
    Guardian,
    /// A new device that guardians let in when they recover the account.
    Recovered,
}

impl Node {
    /// An invitation for something else than a device that votes.
    pub(super) fn invite_as(
        &mut self,
        id: RequestId,
        valid_seconds: u64,
        seat: Seat,
        secret: [u8; 32],
    ) {
        let name = Ticket::secret_id(&secret);
        self.recoveries.seats.insert(name, seat);
        self.keep(&format!("{SEAT_ROWS}{name}"), &seat);
        self.invite(id, valid_seconds, None, secret);
    }

    /// Strangers may ask to join while an invitation has not expired, also one that has been used:
    /// whoever comes with it is to be told so.
    pub(super) fn has_open_invitation(&self) -> bool {
        self.invitations.values().any(|it| self.now <= it.expires)
            || self
                .intents
                .iter()
                .any(|it| matches!(it, Intent::AddDevice { .. } | Intent::ReAdmit { .. }))
    }

    pub(super) fn invite(
        &mut self,
        id: RequestId,
        valid_seconds: u64,
        replaces: Option<DeviceId>,
        secret: [u8; 32],
    ) {
        let chain = self.ledger.chain();
        let expires = self.now.saturating_add(valid_seconds);
        let direct = self.addresses.iter().filter_map(|it| it.parse().ok()).collect();
        let ticket = Ticket {
            account: chain.account(),
            generation: chain.next_slot().generation,
            k: chain.height(),
            head: chain.head(),
            inviter: PeerAddr::new(PeerId(self.transport_key), direct),
            secret,
            expires,
        };
        let name = Ticket::secret_id(&secret);
        let invitation = Invitation { expires, used_by: None, replaces };
        self.leaving.extend(replaces);
        self.invitations.insert(name, invitation);
        self.keep(&format!("ticket/{name}"), &invitation);
        let issued = TicketIssued { ticket: ticket.to_text(), expires: expires.0 };
        self.out.push(Effect::Answer { id, result: Ok(Response::Ticket(issued)) });
    }

    pub(super) fn join_requested(&mut self, id: RequestId, request: &JoinRequest) {
        let ticket = Ticket::secret_id(&request.secret);
        let seat = self.recoveries.seats.get(&ticket).copied();
        if let Err(error) = self.check_join(ticket, request, seat) {
            self.log(format!("a request to join was refused: {error}"));
            self.out.push(Effect::AnswerJoin { id, result: Err(error) });
            return;
        }
        if self.ledger.chain().config().roster.contains_key(&request.entry.device) {
            // It was let in before, but did not hear of it.
            let entries = self.ledger.chain().entries().to_vec();
            self.out.push(Effect::AnswerJoin { id, result: Ok(entries) });
            return;
        }
        let under_way = self
            .intents
            .iter()
            .filter(|it| matches!(it, Intent::AddDevice { .. } | Intent::ReAdmit { .. }));
        if JOINS_MAX <= under_way.count() {
            let next = "wait a little, and run the same command again";
            let message = "too many devices are joining at this moment";
            let result = Err(AgentError::new("Busy", message, Whose::Nobody, next));
            self.out.push(Effect::AnswerJoin { id, result });
            return;
        }
        let used_by = Some(request.entry.unit_key);
        let mut replaces = None;
        if let Some(Seat::Recovered) = seat {
            let error = self.newcomer(request.entry.clone());
            self.out.push(Effect::AnswerJoin { id, result: Err(error) });
            return;
        }
        if let Some(invitation) = self.invitations.get_mut(&ticket) {
            invitation.used_by = used_by;
            let invitation = *invitation;
            replaces = invitation.replaces;
            self.keep(&format!("ticket/{ticket}"), &invitation);
        }
        let entry = seated(&request.entry, seat);
        self.intents.push_back(match replaces {
            Some(device) => {
                self.leaving.insert(device);
                Intent::ReAdmit { readmit: Box::new(self.readmit(device, entry)), id }
            }
            None => Intent::AddDevice { entry: Box::new(entry), id },
        });
    }

    /// The seat stays as it is.
    fn readmit(&self, device: DeviceId, mut entry: RosterEntry) -> ReAdmit {
        let old = self.ledger.chain().config().roster.get(&device);
        entry.role = old.map_or(entry.role, |it| it.role);
        ReAdmit { device, entry }
    }

    fn check_join(
        &self,
        ticket: Digest,
        request: &JoinRequest,
        seat: Option<Seat>,
    ) -> Result<(), AgentError> {
        let refuse = |code: &str, message: &str, next: &str| {
            Err(AgentError::new(code, message, Whose::Caller, next))
        };
        let again = "ask for a new one: `aura device invite` on a device of the account";
        if request.account != self.ledger.account() {
            return refuse("WrongTicket", "the ticket is for another account", again);
        }
        let Some(invitation) = self.invitations.get(&ticket) else {
            return refuse("UnknownTicket", "this device did not issue the ticket", again);
        };
        if invitation.used_by.is_some_and(|it| it != request.entry.unit_key) {
            return refuse("TicketUsed", "the ticket has been used by another device", again);
        }
        if invitation.used_by.is_none() && invitation.expires < self.now {
            return refuse("TicketExpired", "the ticket has expired", again);
        }
        if request.verify().is_err() {
            return refuse("BadJoinRequest", "the request is not by the device it enrols", again);
        }
        match invitation.replaces {
            Some(device) => {
                let body =
                    EntryBody::ReAdmit(Box::new(self.readmit(device, request.entry.clone())));
                self.check_value(body)
            }
            None => self.check_entry(&seated(&request.entry, seat)),
        }
    }

    /// What no configuration could hold must not become a proposal.
    fn check_entry(&self, entry: &RosterEntry) -> Result<(), AgentError> {
        let bad = |reason: &dyn std::fmt::Display| {
            let next = "join with a new identity";
            Err(AgentError::new("BadJoinRequest", reason, Whose::Caller, next))
        };
        if let Some(known) = self.ledger.chain().config().roster.get(&entry.device) {
            let same = known == entry;
            return if same { Ok(()) } else { bad(&"a device of this id is in the account") };
        }
        match self.with_device(entry, &self.ledger.heads()) {
            Some(body) => self.check_value(body),
            None => bad(&"this device is not up to date yet"),
        }
    }

    fn check_value(&self, body: EntryBody) -> Result<(), AgentError> {
        let bad = |reason: &dyn std::fmt::Display| {
            let next = "join with a new identity";
            Err(AgentError::new("BadJoinRequest", reason, Whose::Caller, next))
        };
        let value = Entry { past: Vec::new(), body };
        match self.ledger.chain().check_next(&value) {
            Ok(()) => Ok(()),
            Err(ChainError::Configuration(error)) => bad(&error),
            Err(error) => bad(&error),
        }
    }
}

/// The entry in the role that the invitation is for.
fn seated(entry: &RosterEntry, seat: Option<Seat>) -> RosterEntry {
    let role = match seat {
        Some(Seat::Guardian) => Role::Guardian,
        Some(Seat::Recovered) | None => entry.role,
    };
    RosterEntry { role, ..entry.clone() }
}
