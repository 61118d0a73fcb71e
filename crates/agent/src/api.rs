//! What can be asked of a running device, and what it answers: the words of the control socket.
//!
//! All of it is plain data that travels as JSON. Field names once published stay. Digests, ids and
//! tickets are hexadecimal text.

mod keys;
mod recovery;
mod revert;

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::AgentError;

pub use keys::{DerivedKey, Keys, Lock, Locks, ThresholdSet};
pub use recovery::{
    Guardian, Guardians, RecoveryApproved, RecoveryCancelled, RecoveryCompleted, RecoveryNudged,
    RecoveryRequested, RecoveryRow, RecoverySetUp, RecoveryStatus, RecoveryVetoed,
};
pub use revert::VersionReverted;

/// One request to a running device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Command {
    /// What this device is, runs and knows.
    Status,
    /// The devices of the account.
    Devices,
    /// An invitation for one more device.
    Invite {
        /// For how long it can be used, in seconds.
        valid_seconds: u64,
        /// The device whose seat the new one gets, by name or id; none for one device more.
        #[serde(default)]
        replaces: Option<String>,
    },
    /// Send a device away, by decision of the account. The persons at m devices say so.
    Revoke {
        /// Which device, by name or id.
        device: String,
    },
    /// Let a device leave in order: it helps first to give the account's keys to those who stay. The persons
    /// at m devices say so.
    Remove {
        /// Which device, by name or id.
        device: String,
    },
    /// Set how many devices it takes. The persons at m devices say so.
    SetThreshold {
        /// Votes that decide.
        votes: u16,
        /// Shares that use the account's keys; as many as votes where it is not said.
        #[serde(default)]
        shares: Option<u16>,
    },
    /// Who holds which lock.
    Locks,
    /// Install an app, by decision of the account.
    Install(InstallRequest),
    /// Run a release on this device, inside the installed requirement and policy.
    Upgrade(UpgradeRequest),
    /// What is installed under an alias.
    App {
        /// The alias.
        alias: String,
    },
    /// Propose that the account activates a release.
    Propose(ProposeRequest),
    /// Take an activation back, by decision of the account. The persons at m devices say so.
    Revert {
        /// The app's alias.
        alias: String,
    },
    /// Where the proposals stand.
    Proposals {
        /// Only those of this app.
        alias: Option<String>,
    },
    /// Begin a session.
    StartSession(StartRequest),
    /// Begin a session of a protocol that is built into the participants' programs; its name stands in
    /// the place of the alias.
    StartBuiltIn(StartRequest),
    /// Derive the account's key for a purpose, together with as many devices as are needed.
    DeriveKey {
        /// What the key is for. The same text leads to the same key, whichever devices derive it.
        context: String,
    },
    /// Say something to a session on this device.
    Signal {
        /// The session's id.
        session: String,
        /// What to say.
        input: Vec<u8>,
    },
    /// Where a session stands.
    Session {
        /// The session's id.
        session: String,
    },
    /// All sessions that this device takes part in.
    Sessions,
    /// The ledger's units and entries, oldest first.
    Log {
        /// How many of the newest at most.
        limit: usize,
    },
    /// Let what the account came to so far stand for all units, by decision of the account.
    Snapshot,
    /// Drop the units that the newest snapshot stands for.
    Compact,
    /// Take the system's clock for right, however far it is ahead of this device's own.
    TrustClock,
    /// Ask that the account goes on without its lost devices.
    RequestRecovery {
        /// The printed code.
        code: Secret,
        /// The devices that stay beside the one that is asked, by name or id.
        keep: Vec<String>,
    },
    /// Who may recover the account, and what was asked for.
    RecoveryStatus,
    /// Do not let a recovery be granted, by decision of the account. The persons at m devices say so.
    VetoRecovery {
        /// The request, by the beginning of its id; needed where there is more than one.
        request: Option<String>,
    },
    /// Recover the account as it was asked for, once the time is over.
    CompleteRecovery {
        /// The printed code.
        code: Secret,
        /// The request, by the beginning of its id; needed where there is more than one.
        request: Option<String>,
    },
    /// The account's guardians.
    Guardians,
    /// An invitation for one more guardian.
    AddGuardian {
        /// For how long it can be used, in seconds.
        valid_seconds: u64,
    },
    /// Let the account's guardians be those who recover it. The persons at m devices say so.
    SetUpRecovery {
        /// How many of them it takes; more than half where it is not said.
        #[serde(default)]
        needed: Option<u16>,
        /// How long each waits after its person approved, in seconds.
        delay_seconds: u64,
    },
    /// An invitation for a new device that guardians let in when they recover the account.
    InviteRecovered {
        /// For how long it can be used, in seconds.
        valid_seconds: u64,
    },
    /// As a guardian, ask that the account goes on without its lost devices.
    AskGuardians {
        /// The devices that stay, by name or id.
        keep: Vec<String>,
        /// The new devices, by the beginnings of their ids; all that asked where there is none.
        new: Vec<String>,
    },
    /// As a guardian, approve a request: its person confirmed whose devices the new ones are.
    ApproveRecovery {
        /// The request, by the beginning of its id; needed where there is more than one.
        request: Option<String>,
    },
    /// Ask guardians for an answer.
    NudgeGuardians {
        /// The request, by the beginning of its id; needed where there is more than one.
        request: Option<String>,
    },
    /// Take a request back.
    CancelRecovery {
        /// The request, by the beginning of its id; needed where there is more than one.
        request: Option<String>,
    },
    /// Whether guardians have recovered the account.
    CompleteByGuardians {
        /// The request, by the beginning of its id; needed where there is more than one.
        request: Option<String>,
    },
    /// A piece of the ledger as its authors encoded it, for [`crate::copy::LedgerCopy`].
    Copy {
        /// How many entries are there already.
        entries: usize,
        /// How many units are there already.
        units: usize,
        /// How many bytes are there already of what stands for units that are gone.
        #[serde(default)]
        base: usize,
    },
}

/// Something that no log and no error shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(<redacted>)")
    }
}

/// Installs an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallRequest {
    /// What to call it.
    pub alias: String,
    /// The exported chain of its repository.
    pub repository: PathBuf,
    /// Which versions to accept.
    pub requirement: String,
    /// `manual`, `patch` or `minor`.
    pub policy: String,
    /// The version to begin with; the highest that the requirement allows otherwise.
    pub version: Option<String>,
    /// The module's file; fetched from peers otherwise.
    pub module: Option<PathBuf>,
}

/// Runs a release on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeRequest {
    /// The app's alias.
    pub alias: String,
    /// The version.
    pub version: String,
    /// The exported chain of its repository.
    pub repository: PathBuf,
    /// The module's file; fetched from peers otherwise.
    pub module: Option<PathBuf>,
}

/// Proposes a release to the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposeRequest {
    /// The app's alias.
    pub alias: String,
    /// The version.
    pub version: String,
    /// The exported chain of its repository.
    pub repository: PathBuf,
    /// The module's file; fetched from peers otherwise.
    pub module: Option<PathBuf>,
    /// The migration module's file; fetched from peers otherwise.
    pub migration: Option<PathBuf>,
    /// No device votes before this time, in Unix seconds.
    pub not_before: Option<u64>,
    /// For how long the proposal stands, in seconds.
    pub valid_seconds: u64,
    /// How long sessions of the old version may go on after activation, in seconds.
    pub grace_seconds: u64,
}

/// Begins a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRequest {
    /// The app's alias.
    pub alias: String,
    /// The other participants, by name or device id; everybody when empty.
    pub with: Vec<String>,
    /// What every participant's protocol is started with.
    pub params: Vec<u8>,
    /// What to say to the session on this device at once.
    pub input: Option<Vec<u8>>,
}

/// The answer to a [`Command`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Response {
    /// To [`Command::Status`].
    Status(Box<Status>),
    /// To [`Command::Devices`].
    Devices(Devices),
    /// To [`Command::Invite`], [`Command::AddGuardian`] and [`Command::InviteRecovered`].
    Ticket(TicketIssued),
    /// To [`Command::Install`], [`Command::Upgrade`] and [`Command::App`].
    App(App),
    /// To [`Command::Propose`].
    Proposed(Proposed),
    /// To [`Command::Proposals`].
    Proposals(Proposals),
    /// To [`Command::StartSession`] and [`Command::StartBuiltIn`].
    Started(Started),
    /// To [`Command::DeriveKey`].
    Key(DerivedKey),
    /// To [`Command::Signal`] and [`Command::Session`].
    Session(Session),
    /// To [`Command::Sessions`].
    Sessions(Sessions),
    /// To [`Command::Log`].
    Log(Log),
    /// To [`Command::Copy`].
    Piece(Piece),
    /// To [`Command::Snapshot`].
    SnapshotTaken(SnapshotTaken),
    /// To [`Command::Compact`].
    Compacted(Compacted),
    /// To [`Command::Revoke`] and [`Command::Remove`].
    DeviceLeft(DeviceLeft),
    /// To [`Command::SetThreshold`].
    ThresholdSet(ThresholdSet),
    /// To [`Command::Locks`].
    Locks(Locks),
    /// To [`Command::TrustClock`].
    ClockTrusted(ClockTrusted),
    /// To [`Command::RequestRecovery`] and [`Command::AskGuardians`].
    RecoveryRequested(RecoveryRequested),
    /// To [`Command::RecoveryStatus`].
    RecoveryStatus(RecoveryStatus),
    /// To [`Command::Revert`].
    VersionReverted(VersionReverted),
    /// To [`Command::VetoRecovery`].
    RecoveryVetoed(RecoveryVetoed),
    /// To [`Command::CompleteRecovery`] and [`Command::CompleteByGuardians`].
    RecoveryCompleted(RecoveryCompleted),
    /// To [`Command::Guardians`].
    Guardians(Guardians),
    /// To [`Command::SetUpRecovery`].
    RecoverySetUp(RecoverySetUp),
    /// To [`Command::ApproveRecovery`].
    RecoveryApproved(RecoveryApproved),
    /// To [`Command::NudgeGuardians`].
    RecoveryNudged(RecoveryNudged),
    /// To [`Command::CancelRecovery`].
    RecoveryCancelled(RecoveryCancelled),
}

/// What goes over the socket in return, as one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The command was carried out.
    Ok(Response),
    /// It was not.
    Error(AgentError),
}

/// What a device is, runs and knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The account's id.
    pub account: String,
    /// The account's name.
    pub account_name: String,
    /// This device's id.
    pub device: String,
    /// This device's name.
    pub name: String,
    /// Whether a process runs it at this moment.
    pub running: bool,
    /// Where it can be reached.
    pub addresses: Vec<String>,
    /// Devices in the account.
    pub devices: usize,
    /// Votes that certify a decision.
    pub m: u16,
    /// Devices that are connected.
    pub peers: usize,
    /// Alias → active version.
    pub active: BTreeMap<String, String>,
    /// Alias → versions that this device can run.
    pub manifest: BTreeMap<String, Vec<String>>,
    /// The ledger's size.
    pub ledger: LedgerSize,
    /// BLAKE3 over the control head and every app's records.
    pub state_root: String,
    /// Alias → root over its records.
    pub app_roots: BTreeMap<String, String>,
    /// Alias → number of records.
    pub records: BTreeMap<String, usize>,
    /// Alias → why this device does not run the app any more.
    pub blocked: BTreeMap<String, String>,
    /// The account's keys, and how this device keeps its share.
    pub keys: Keys,
    /// This device's own clock.
    #[serde(default)]
    pub clock: Clock,
    /// Whether nothing is under way: no migration, fetch or vote.
    pub settled: bool,
}

/// A device's own clock, by which it votes for what depends on the time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// In seconds since 1970. It never goes back.
    pub time: u64,
    /// Whether the device votes by it.
    pub sure: bool,
    /// Why not.
    pub why: String,
}

/// The system's clock was taken for right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockTrusted {
    /// Where the device's clock was, in seconds since 1970.
    pub before: u64,
    /// Where it is now.
    pub now: u64,
}

/// How much a ledger holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerSize {
    /// Units.
    pub units: usize,
    /// Entries of the control chain.
    pub entries: u64,
    /// The control chain's head.
    pub head: String,
    /// What another version of the program wrote.
    #[serde(default)]
    pub parked: Parked,
}

/// Units of a newer version of the program. Those of a newer minor version are kept, sent on, and read once
/// this device is upgraded; those of a newer major version are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// Units that are kept and mean nothing here yet.
    pub units: usize,
    /// How many of each kind of event, by the kind's number.
    pub kinds: BTreeMap<u8, usize>,
    /// Formats of units that were refused since this device was started.
    pub formats: Vec<u16>,
    /// The height of a decision of a newer version: this device decides no more until it can read it.
    pub decision: Option<u64>,
    /// What to do about it; empty where there are none.
    pub next: String,
}

/// The devices of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    /// One row each.
    pub devices: Vec<DeviceRow>,
}

/// One device of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// Its id.
    pub device: String,
    /// Its name; empty before it has published one.
    pub name: String,
    /// `voter`, `reader` or `guardian`.
    pub role: String,
    /// Whether it is the one that answers.
    pub this: bool,
    /// Whether it is connected to the one that answers.
    pub connected: bool,
    /// How well it keeps to the rules, as this device sees it since it was started: 64 at best. With 0 it is
    /// not heard for a while.
    #[serde(default)]
    pub score: u32,
    /// The height of the entry that put its vote key in force; 0 for the one that the account began with.
    pub vote_key_since: u64,
    /// Whether it has announced the vote key that it uses next. Without one it keeps the one that it has.
    pub next_vote_key: bool,
    /// Alias → versions that it can run.
    pub manifest: BTreeMap<String, Vec<String>>,
}

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketIssued {
    /// The text to hand to the new device. A secret until it is used.
    pub ticket: String,
    /// Until when it can be used, in Unix seconds.
    pub expires: u64,
}

/// An installed app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// The app's id.
    pub app: String,
    /// Its alias.
    pub alias: String,
    /// The protocol's name in its repository.
    pub protocol: String,
    /// The repository's account.
    pub repository: String,
    /// Which versions the account accepts.
    pub requirement: String,
    /// Which upgrades devices may take by themselves.
    pub policy: String,
    /// The active version.
    pub active: String,
    /// The active module.
    pub digest: String,
    /// The versions that this device can run.
    pub runs: Vec<String>,
}

/// A proposal was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// The proposal's id: the unit that proposed it.
    pub proposal: String,
}

/// Where the proposals stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposals {
    /// One row each, oldest first.
    pub proposals: Vec<Proposal>,
}

/// Where one proposal stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Its id.
    pub proposal: String,
    /// The app's alias.
    pub alias: String,
    /// The version that is active when it is made.
    pub from: String,
    /// The version proposed.
    pub version: String,
    /// The state on this device, such as `AwaitingQuorum`, `Active` or `Failed`.
    pub state: String,
    /// Why it failed; empty otherwise.
    pub reason: String,
    /// Names of the devices that signalled ready.
    pub ready: Vec<String>,
    /// Names of the devices that declined, with their reasons.
    pub declined: BTreeMap<String, String>,
    /// How many ready devices activate it.
    pub needed: u16,
}

/// A session began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its id.
    pub session: String,
    /// The version that is spoken.
    pub spoken: String,
    /// Participant's name → the version that it runs.
    pub runs: BTreeMap<String, String>,
}

/// Secret bytes in hexadecimal digits. Never printed by mistake, and wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretHex(String);

impl SecretHex {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        // The room that is taken at once is never moved: no copy stays behind.
        let mut digits = String::with_capacity(64);
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                digits.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        Self(digits)
    }

    /// The digits: a secret.
    #[must_use]
    pub fn danger_digits(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretHex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHex(<redacted>)")
    }
}

impl Drop for SecretHex {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// Where a session stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub session: String,
    /// The session that it runs as a part of, if it does.
    pub part_of: Option<String>,
    /// The app's alias.
    pub alias: String,
    /// `pending`, `active`, `stalled`, `completed`, `aborted`, `left` or `failed`. A stalled session waits
    /// for the quorum clock longer than it should, and goes on when enough devices are awake. One that
    /// was aborted ended so for everybody; one that was left, at this device only: it gave up.
    pub status: String,
    /// The version that is spoken.
    pub spoken: String,
    /// The version that this device runs in it.
    pub version: String,
    /// The result as text, or why there is none; empty while it goes on.
    pub outcome: String,
    /// Names of the participants.
    pub participants: Vec<String>,
    /// Names of the participants whose events have arrived.
    pub heard: Vec<String>,
}

/// All sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// One row each.
    pub sessions: Vec<Session>,
}

/// The ledger as a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Control entries and units.
    pub lines: Vec<LogLine>,
}

/// One entry or unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// `entry` or `unit`.
    pub what: String,
    /// The height of an entry, the lamport time of a unit.
    pub at: u64,
    /// The hash.
    pub hash: String,
    /// The author's name; empty for an entry.
    pub author: String,
    /// What it says, in a few words.
    pub says: String,
}

/// A piece of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Entries and units, encoded, in hexadecimal digits.
    pub piece: String,
    /// Whether the ledger had no more at that moment.
    pub whole: bool,
}

/// What the account came to stands for all units before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotTaken {
    /// The height of the decision.
    pub k: u64,
    /// The digest of what it came to.
    pub base: String,
    /// How long that is, in bytes.
    pub base_bytes: u64,
}

/// Units were dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacted {
    /// The height of the snapshot that stands for them.
    pub k: u64,
    /// How many.
    pub dropped: usize,
    /// How many came after it, and stay.
    pub units: usize,
}

/// A device has left the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceLeft {
    /// Its id.
    pub device: String,
    /// What it was called.
    pub name: String,
    /// The height of the account's chain after that.
    pub k: u64,
}
