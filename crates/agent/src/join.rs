//! Joining an account: the request, and the joiner's side of the exchange.
//!
//! The joiner dials the inviter on the sync protocol, opens a channel that says `Join`, and sends its
//! roster entry with the ticket's secret. Once the account has certified the new roster, the inviter
//! sends the whole chain; the joiner verifies it from genesis, and that it leads through the head that
//! the ticket names.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use aura_crypto::{Context, Domain, Signature, SignatureError};
use aura_journal::{
    Ledger, LedgerStore as _, StoreBatch,
    control::{CertifiedEntry, ControlChain, RosterEntry},
    store::DiskStore,
};
use aura_protocol_core::{AccountId, Digest, decode, encode, limits::FRAME_BYTES_MAX};
use aura_transport::TransportError;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;

use crate::{
    account::{make_private, refuse_existing},
    driver::{ChannelKind, Network, store_error},
    error::{AgentError, Whose},
    identity::Identity,
    node::Roster,
    text::printable,
    ticket::Ticket,
};

/// Largest encoded reply, in bytes.
const JOIN_REPLY_BYTES_MAX: usize = 4096;
/// The account's guardians have not let the device in yet.
pub(crate) const RECOVERY_WAITS: &str = "RecoveryWaits";
/// How long the account may take to decide. It waits for people's devices.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(330);
/// Largest encoded request, in bytes.
pub const JOIN_REQUEST_BYTES_MAX: usize = 1024;

/// What a new device brings.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct JoinRequest {
    /// The account that it wants to join.
    pub account: AccountId,
    /// The ticket's secret.
    pub secret: [u8; 32],
    /// The device.
    pub entry: RosterEntry,
    /// By its unit key, over ticket and entry: nobody enrols another's keys.
    pub signature: Signature,
}

/// How the account answers.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum JoinReply {
    /// It is in; this many entries follow, one a frame.
    Accepted {
        /// How many.
        entries: u64,
    },
    /// It is not.
    Refused {
        /// The stable name of the reason.
        code: String,
        /// The reason, for people.
        message: String,
        /// What to do next.
        next: String,
    },
}

impl JoinRequest {
    /// The request of a new device that holds `ticket`.
    #[must_use]
    pub fn new(ticket: &Ticket, identity: &Identity) -> Self {
        let entry = identity.roster_entry();
        let body = signed_body(&ticket.secret, &entry);
        let signature = identity.unit.sign(&context(ticket.account), &body);
        Self { account: ticket.account, secret: ticket.secret, entry, signature }
    }

    /// Whether the device that is to be enrolled made this request.
    ///
    /// # Errors
    /// [`SignatureError`] when it did not.
    pub fn verify(&self) -> Result<(), SignatureError> {
        let body = signed_body(&self.secret, &self.entry);
        self.entry.unit_key.verify(&context(self.account), &body, &self.signature)
    }
}

fn signed_body(secret: &[u8; 32], entry: &RosterEntry) -> Vec<u8> {
    let ticket: Digest = Ticket::secret_id(secret);
    encode(&(ticket, entry))
}

const fn context(account: AccountId) -> Context {
    Context { domain: Domain::JoinRequest, account, epoch: 0 }
}

/// A device has joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Joined {
    /// The account's id.
    pub account: String,
    /// The device's id.
    pub device: String,
    /// The device's name.
    pub name: String,
    /// The height of the account's chain.
    pub k: u64,
}

/// Joins the account that `ticket` invites to, as a new device in `dir`. When it is interrupted, the
/// same call goes on with the same device.
///
/// # Errors
/// `BadTicket`, `StoreExists`, `Unreachable`, whatever the inviter answers (such as `TicketUsed`),
/// and `BadChain` when what it sends does not verify.
pub async fn join(
    dir: &Path,
    ticket: &str,
    name: &str,
    bind: SocketAddr,
) -> Result<Joined, AgentError> {
    let ticket = Ticket::from_text(ticket)?;
    if dir.join("ledger.redb").exists() {
        refuse_existing(dir)?;
    }
    let begun = dir.join("identity").exists();
    let identity = if begun { Identity::load(dir)? } else { Identity::generate(name)? };
    if !begun {
        // Saved before it is enrolled: a device in the roster whose keys are lost would be worse.
        make_private(dir)?;
        identity.save(dir)?;
    }
    match ask(&ticket, &identity, bind).await {
        Ok(chain) => settle(dir, &ticket, &identity, chain),
        Err(refused) => {
            if !begun && refused.whose == Whose::Caller {
                forget(dir);
            }
            Err(refused)
        }
    }
}

/// A refusal is final: the next ticket may be for another account, with other keys.
fn forget(dir: &Path) {
    let file = dir.join("identity");
    if let Err(error) = fs::remove_file(&file) {
        tracing::warn!("{} is left behind: {error}", file.display());
    }
    // A folder that holds anything else stays.
    if let Err(error) = fs::remove_dir(dir) {
        tracing::debug!("{} is left behind: {error}", dir.display());
    }
}

async fn ask(
    ticket: &Ticket,
    identity: &Identity,
    bind: SocketAddr,
) -> Result<ControlChain, AgentError> {
    let network = Network::bind(*identity.transport_seed, bind, Roster::default()).await?;
    let answered = tokio::time::timeout(ANSWER_TIMEOUT, converse(&network, ticket, identity)).await;
    network.close().await;
    match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Err(unreachable(&error)),
        Err(_) => Err(unreachable(&"no answer")),
    }
}

async fn converse(
    network: &Network,
    ticket: &Ticket,
    identity: &Identity,
) -> Result<Result<ControlChain, AgentError>, TransportError> {
    let session = network.connect(&ticket.inviter).await?;
    let mut channel = session.open().await?;
    channel.send(ChannelKind::Join.to_frame()).await?;
    let request = JoinRequest::new(ticket, identity);
    channel.send(encode(&request).into()).await?;
    let first = channel.recv().await?;
    let Some(reply) = first.and_then(|it| decode(&it, JOIN_REPLY_BYTES_MAX).ok()) else {
        return Ok(Err(bad_chain(&"it answered with something else")));
    };
    let count = match reply {
        JoinReply::Refused { code, message, next } => {
            let waits = ["NoQuorum", RECOVERY_WAITS].contains(&code.as_str());
            let whose = if waits { Whose::Nobody } else { Whose::Caller };
            // Whoever answers chose the words, and may not be whom the ticket names.
            let [code, message, next] =
                [code, message, next].map(|it| printable(&it, JOIN_REPLY_BYTES_MAX));
            return Ok(Err(AgentError::new(code, message, whose, next)));
        }
        JoinReply::Accepted { entries } => entries,
    };
    let mut entries = Vec::new();
    while (entries.len() as u64) < count {
        let frame = channel.recv().await?;
        let entry = frame.and_then(|it| decode::<CertifiedEntry>(&it, FRAME_BYTES_MAX).ok());
        let Some(entry) = entry else {
            return Ok(Err(bad_chain(&"its chain breaks off")));
        };
        entries.push(entry);
    }
    Ok(check_chain(ticket, identity, entries))
}

/// The chain must be whole, pass through the ticket's head, and end with this device in it.
fn check_chain(
    ticket: &Ticket,
    identity: &Identity,
    entries: Vec<CertifiedEntry>,
) -> Result<ControlChain, AgentError> {
    let chain = ControlChain::from_entries(entries).map_err(|error| bad_chain(&error))?;
    if chain.account() != ticket.account {
        return Err(bad_chain(&"its chain is another account's"));
    }
    if chain.head_at(ticket.k) != Some(ticket.head) {
        return Err(bad_chain(&"its chain is not the one that the ticket names"));
    }
    let entry = identity.roster_entry();
    // Which role it has is the invitation's to say.
    let role = chain.config().roster.get(&entry.device).map_or(entry.role, |it| it.role);
    if chain.config().roster.get(&entry.device) != Some(&RosterEntry { role, ..entry }) {
        return Err(bad_chain(&"its chain does not let this device in"));
    }
    Ok(chain)
}

fn settle(
    dir: &Path,
    ticket: &Ticket,
    identity: &Identity,
    chain: ControlChain,
) -> Result<Joined, AgentError> {
    let joined = Joined {
        account: chain.account().to_string(),
        device: identity.device().to_string(),
        name: identity.name.clone(),
        k: chain.height(),
    };
    // Where to find the first other device; it knows the rest.
    let inviter = chain.config().device_with_transport_key(ticket.inviter.id.as_bytes());
    let seed = inviter.map(|inviter| {
        let addresses: Vec<String> =
            ticket.inviter.direct.iter().map(ToString::to_string).collect();
        (format!("seed/{}", inviter.device), Some(encode(&addresses)))
    });
    let local = seed.into_iter().collect();
    let batch = StoreBatch { local, ..Ledger::new(chain).take_batch() };
    let mut store = DiskStore::create(dir).map_err(|error| store_error(&error))?;
    store.commit(&batch).map_err(|error| store_error(&error))?;
    Ok(joined)
}

fn unreachable(error: &dyn std::fmt::Display) -> AgentError {
    AgentError::new(
        "Unreachable",
        format!("the inviting device cannot be reached: {error}"),
        Whose::Nobody,
        "see that it is running and that its invitation is still open, and run the same command again",
    )
}

fn bad_chain(what: &dyn std::fmt::Display) -> AgentError {
    AgentError::new(
        "BadChain",
        format!("the inviting device is not to be trusted: {what}"),
        Whose::Peer,
        "ask another device of the account for an invitation",
    )
}
