//! The account's state, as the fold over its units and entries makes it.

use std::collections::{BTreeMap, BTreeSet};

use aura_protocol_core::{
    AppId, DeviceId, Digest, Epoch, Lamport, Outcome, ProtocolName, ProtocolVersion, Record,
    RecordKey, SchemaId, SessionId,
};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    control::{ActivateVersion, Install, Release, RevertVersion, UpgradePolicy, merkle::Mountains},
    encoded::decoded,
    event::{DeviceMetadata, Event, OpenSession, ProposeUpgrade, Receipt},
    unit::Unit,
};

/// What a record is known by: one key may hold one record of each layout.
pub type RecordId = (AppId, SchemaId, RecordKey);

/// Everything that the ledger says, at the newest point that is known here.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct AccountState {
    /// What each device last said of itself, and in which unit.
    pub metadata: BTreeMap<DeviceId, (Digest, DeviceMetadata)>,
    /// The installed apps.
    pub apps: BTreeMap<AppId, AppState>,
    /// The well-proved proposals, by the unit that made them. Ill-proved ones are listed nowhere.
    pub proposals: BTreeMap<Digest, ProposalState>,
    /// The sessions, but for those that had ended at the last snapshot.
    pub sessions: BTreeMap<SessionId, SessionState>,
    /// Sessions that do not begin as parts of others, and why.
    pub refused_children: BTreeMap<SessionId, String>,
    /// The newest write of each record that closed sessions wrote, deletions included.
    pub records: BTreeMap<RecordId, RawRecord>,
    /// The releases that this account itself has published, oldest first.
    pub releases: Vec<PublishedRelease>,
    /// The sessions that had ended at a snapshot.
    pub ended: EndedSessions,
}

/// Sessions that nobody keeps any more: how many, and a root over them, with which whoever kept one can
/// show it.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct EndedSessions(Mountains);

impl EndedSessions {
    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.0.count()
    }

    /// The root of the Merkle mountain range over (session, the unit that closed it), in the order of the
    /// snapshots and, in each, of the ids.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.0.root()
    }

    pub(crate) fn push(&mut self, session: &SessionState) {
        let closed_by = session.closed_by.unwrap_or(Digest::ZERO);
        let parts: [&[u8]; 2] = [session.id.as_bytes(), closed_by.as_bytes()];
        self.0.push(Digest::tagged("aura ended session v1", &parts));
    }
}

/// An installed app.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AppState {
    /// The decision to install it.
    pub install: Install,
    /// The height of that decision.
    pub installed_at: u64,
    /// Which upgrades devices may take by themselves: the last one decided.
    pub policy: UpgradePolicy,
    /// The version that new sessions run.
    pub active: ActiveVersion,
    /// The versions that were active before, oldest first.
    pub history: Vec<ActiveVersion>,
    /// All decided activations with their heights, oldest first.
    pub activations: Vec<(u64, ActivateVersion)>,
    /// The activations that were taken back, with the heights of those decisions, oldest first.
    pub reverts: Vec<(u64, RevertVersion)>,
}

impl AppState {
    /// The versions that have been active, oldest first. One that is active again stands there again.
    pub fn versions(&self) -> impl DoubleEndedIterator<Item = &ActiveVersion> {
        self.history.iter().chain([&self.active])
    }

    /// The versions that led to the one that is active from height `k` on, each installed or activated
    /// and not taken back by then, oldest first.
    #[must_use]
    pub fn lineage(&self, k: u64) -> Vec<&ActiveVersion> {
        let mut lineage = Vec::new();
        for version in self.versions().take_while(|it| it.k <= k) {
            if self.reverts.iter().any(|(at, _)| *at == version.k) {
                lineage.pop();
            } else {
                lineage.push(version);
            }
        }
        lineage
    }

    /// The activation by which the active version came, and the version that was active before it: what
    /// taking it back leads to. None for the version that was installed.
    #[must_use]
    pub fn before(&self) -> Option<(u64, &ActiveVersion)> {
        let lineage = self.lineage(self.active.k);
        let [.., before, active] = lineage.as_slice() else { return None };
        Some((active.k, before))
    }

    /// The activation by which the active version came; none for the version that was installed.
    #[must_use]
    pub fn activation(&self) -> Option<&ActivateVersion> {
        let (k, _) = self.before()?;
        self.activations.iter().find(|(at, _)| *at == k).map(|(_, it)| it)
    }

    /// The decision that took back the activation at height `k`, with its height.
    #[must_use]
    pub fn reverted(&self, k: u64) -> Option<&(u64, RevertVersion)> {
        self.reverts.iter().find(|(_, it)| it.activation == k)
    }
}

/// A version from the point on where it was activated.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ActiveVersion {
    /// The version.
    pub version: ProtocolVersion,
    /// The module that it is.
    pub digest: Digest,
    /// The layout of its records.
    pub schema: SchemaId,
    /// The height of the decision.
    pub k: u64,
    /// The unit that proposed it; none for the version that came with the installation.
    pub proposal: Option<Digest>,
    /// The proved release.
    pub release: Release,
}

/// A proposal to activate a release.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProposalState {
    /// The unit that made it.
    pub unit: Digest,
    /// Who made it.
    pub author: DeviceId,
    /// What it says.
    pub proposal: ProposeUpgrade,
    /// The release that it proves.
    pub release: Release,
    /// The head of the repository's chain after that release.
    pub repository_head: Digest,
    /// The devices that have seen it and fetch its modules.
    pub acknowledged: BTreeSet<DeviceId>,
    /// The devices that could activate at once.
    pub ready: BTreeMap<DeviceId, Receipt>,
    /// The devices that cannot or will not, each with the code and the reason. The last word of a
    /// device counts: it is in `ready` or here, never in both.
    pub declined: BTreeMap<DeviceId, (String, String)>,
    /// The height of the entry that activated it.
    pub activated_at: Option<u64>,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum SessionStatus {
    /// It was opened, and nobody has written into it.
    Pending,
    /// A participant has written into it.
    Active,
    /// Its opener closed it, and its records count.
    Completed,
    /// Its opener gave it up, and it wrote nothing.
    Aborted,
    /// The quorum clock came to its deadline before its opener had closed it, and it wrote nothing.
    TimedOut,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SessionState {
    /// Its id.
    pub id: SessionId,
    /// The session that it is a part of, and as which part of it.
    pub parent: Option<(SessionId, u64)>,
    /// Who opened it.
    pub opener: DeviceId,
    /// How it was opened.
    pub open: OpenSession,
    /// The unit that opened it.
    pub opened_by: Digest,
    /// The epoch at which it is over, if it has a deadline. A snapshot has it in the unit that opened it.
    #[borsh(skip)]
    pub until: Option<Epoch>,
    /// Where it stands.
    pub status: SessionStatus,
    /// The units with its participants' messages, in fold order.
    pub messages: Vec<Digest>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The unit that closed it.
    pub closed_by: Option<Digest>,
}

/// The place of a unit in the order of the fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Position {
    /// The height of the entry that first closes over it; `u64::MAX` while none does.
    pub segment: u64,
    /// Its causal height.
    pub lamport: Lamport,
    /// Its name.
    pub unit: Digest,
}

/// The newest write of a record.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RawRecord {
    /// The record; without content where it was deleted.
    pub record: Record,
    /// Where the write stands in the fold. The last one counts.
    pub position: Position,
    /// Whether the write deleted it. A reader who wants what exists leaves these out.
    pub deleted: bool,
}

/// A release that this account has published.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PublishedRelease {
    /// The height of the entry.
    pub k: u64,
    /// The release.
    pub release: Release,
}

impl SessionState {
    /// A session that was opened just now.
    pub(crate) fn new(
        id: SessionId,
        parent: Option<(SessionId, u64)>,
        opened_by: Digest,
        opener: DeviceId,
        open: &OpenSession,
    ) -> Self {
        Self {
            id,
            parent,
            opener,
            open: open.clone(),
            opened_by,
            until: None,
            status: SessionStatus::Pending,
            messages: Vec::new(),
            outcome: None,
            closed_by: None,
        }
    }
}

impl AccountState {
    /// Reads the deadlines of sessions in the units that opened them, where the state was read from a
    /// snapshot.
    pub(crate) fn read_deadlines<'a>(&mut self, kept: impl Iterator<Item = &'a [u8]>) {
        let opened_by: BTreeMap<Digest, SessionId> =
            self.sessions.values().map(|it| (it.opened_by, it.id)).collect();
        for bytes in kept {
            let Some(session) = opened_by.get(&Unit::hash_of(bytes)) else { continue };
            if let Some(Event::OpenUntil(opening)) = decoded(bytes).map(|it| it.event)
                && let Some(session) = self.sessions.get_mut(session)
            {
                session.until = Some(opening.until);
            }
        }
    }

    /// The release that this account published under that name and version.
    #[must_use]
    pub fn release(
        &self,
        protocol: &ProtocolName,
        version: ProtocolVersion,
    ) -> Option<&PublishedRelease> {
        self.releases
            .iter()
            .find(|it| it.release.protocol == *protocol && it.release.version == version)
    }
}
