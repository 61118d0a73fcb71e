//! The ledger: one door in, and what comes of what came through it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    marker::PhantomData,
    sync::Arc,
};

use aura_protocol_core::{AccountId, DecodeError, DeviceId, Digest};

pub use crate::dag::PeerTag;
use crate::{
    announced::Announced,
    control::{Appended, CertifiedEntry, ChainError, ControlChain, EntryBody},
    dag::{
        Accounts, Check, Dag, Held, Moved, Need, OPEN_SEGMENT, Refusals, Segments, Trust, Waiting,
        check, check_size, read,
    },
    encoded::{Encoded, NamedUnit, decoded},
    error::{Reject, RestoreError},
    event::{Event, EventKind},
    fold::{
        Change, Fold, Lowered, Place, PlaceKey, Proved, Skips, Sources,
        state::{Position, RecordId},
    },
    scheme::{Strict, UnitScheme},
    snapshot::{Computed, Settled},
    store::{StoreBatch, Stored},
    subscribe::{Filter, Finality, SubscriptionId, Subscriptions},
    unit::Unit,
};

/// Whose account units are on after a restart: who had sent them is not stored.
const RESTORED: PeerTag = PeerTag([0; 32]);

/// A cut by an entry: its height, of whom, and the last unit that counts.
type Cut = (u64, DeviceId, (u64, Digest));

/// What became of a unit that breaks no rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It is in the ledger, and so are those that had been waiting for it: all of them, in the order
    /// in which they were added.
    Applied(Vec<Digest>),
    /// As before, and it proves that its author has signed two units for one place, or did so earlier
    /// than was known. The fold leaves out what that author wrote from there on.
    Fork {
        /// Who has forked.
        author: DeviceId,
        /// The place that is taken twice.
        seq: u64,
        /// What was added, as in [`Self::Applied`].
        applied: Vec<Digest>,
    },
    /// It was there already, or a snapshot stands for the units at its place.
    Duplicate,
    /// It waits, in the ring of the peer that sent it, for what it rests on.
    Parked,
}

/// An account's ledger in memory: the units, the control chain, and the state that they make.
///
/// Pure: it reads no clock, draws nothing at random and does no I/O. What it accepted since the last
/// [`Self::take_batch`] is the caller's to store.
///
/// A device's is a `Ledger`: its units are signed strictly. Only simulations name another scheme.
#[derive(Debug)]
pub struct Ledger<S = Strict> {
    /// Shared until it grows: simulations have many ledgers of one chain.
    pub(crate) chain: Arc<ControlChain>,
    pub(crate) dag: Dag,
    pub(crate) accounts: Accounts,
    pub(crate) segments: Segments,
    pub(crate) skips: Skips,
    pub(crate) waiting: Waiting,
    pub(crate) refusals: Refusals,
    proved: Proved,
    pub(crate) announced: Announced,
    pub(crate) fold: Fold,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) batch: StoreBatch,
    /// What stands for the units that are gone here.
    pub(crate) base: Option<Settled>,
    pub(crate) computed: Computed,
    /// While a batch is imported: how the order of the fold has changed since it began.
    unfolded: Option<Change>,
    /// The units whose event cannot be read here.
    pub(crate) unread: BTreeMap<Digest, u8>,
    /// What entries close over that name more than is here: what is still to come may show a fork.
    pub(crate) settling: BTreeMap<PlaceKey, Digest>,
    scheme: PhantomData<fn() -> S>,
}

impl Ledger {
    /// The ledger of a chain, without any unit. Its entries are part of the first batch.
    #[must_use]
    pub fn new(chain: ControlChain) -> Self {
        Self::with_scheme(chain)
    }

    /// The ledger that a store holds. Nothing of it is part of a batch or of the record changes.
    ///
    /// The store's checksums have shown that the units are those that were accepted once under these names.
    /// So they are not decoded, hashed and verified again; how they rest on each other is.
    ///
    /// # Errors
    /// [`RestoreError`] when what is stored is not a ledger.
    pub fn restore(stored: &Stored) -> Result<Self, RestoreError> {
        let chain = ControlChain::from_entries(stored.entries.iter().cloned())?;
        let base = match &stored.base {
            Some(bytes) => Some(Settled::of(&chain, bytes.clone()).map_err(RestoreError::Base)?),
            None => None,
        };
        Self::restore_above(chain.into(), base, &stored.units)
    }
}

impl<S: UnitScheme> Ledger<S> {
    /// [`Ledger::new`], whose units are signed by this scheme.
    #[must_use]
    pub fn with_scheme(chain: impl Into<Arc<ControlChain>>) -> Self {
        let chain = chain.into();
        let batch = StoreBatch { entries: chain.entries().to_vec(), ..StoreBatch::default() };
        let mut ledger = Self::above(chain, None);
        ledger.fold_everything();
        ledger.batch = batch;
        ledger
    }

    /// [`Ledger::restore`], of a chain that was read already.
    ///
    /// # Errors
    /// As [`Ledger::restore`].
    pub fn restore_units(
        chain: impl Into<Arc<ControlChain>>,
        units: &[NamedUnit],
    ) -> Result<Self, RestoreError> {
        Self::restore_above(chain.into(), None, units)
    }

    fn restore_above(
        chain: Arc<ControlChain>,
        base: Option<Settled>,
        units: &[NamedUnit],
    ) -> Result<Self, RestoreError> {
        let mut ledger = Self::above(chain, base);
        ledger.dag.reserve(units.len());
        for (index, unit) in units.iter().enumerate() {
            let refused = |reject| RestoreError::Unit { index, reject };
            let malformed = || refused(Reject::Malformed(DecodeError::Malformed));
            let parts = Encoded::of(unit.bytes()).ok_or_else(malformed)?;
            let (expected, found) = (ledger.account(), parts.account());
            if expected != found {
                return Err(refused(Reject::Account { expected, found }));
            }
            if ledger.dag.contains(&unit.name()) {
                return Err(RestoreError::Order { index });
            }
            let Self { dag, chain, segments, .. } = &ledger;
            let verdict = check::<S>(dag, chain, segments, &parts, Trust::Verified);
            let payer = match verdict.map_err(refused)? {
                Check::Ready | Check::Fork => None,
                Check::Account => Some(RESTORED),
                // Its configuration is one that a recovery has left.
                Check::Wait(_) if 0 < ledger.chain.generation() => continue,
                Check::Wait(_) | Check::Settled => return Err(RestoreError::Order { index }),
            };
            ledger.link(unit, payer);
        }
        ledger.fold_everything();
        Ok(ledger)
    }

    /// A ledger of which nothing is read yet but the chain, and what stands for units that are gone.
    pub(crate) fn above(chain: Arc<ControlChain>, base: Option<Settled>) -> Self {
        let mut ledger = Self {
            chain,
            dag: base.as_ref().map(Settled::dag).unwrap_or_default(),
            accounts: Accounts::default(),
            segments: Segments::default(),
            skips: Skips::default(),
            waiting: Waiting::default(),
            refusals: Refusals::default(),
            proved: Proved::default(),
            announced: Announced::default(),
            fold: Fold::default(),
            subscriptions: Subscriptions::default(),
            batch: StoreBatch::default(),
            base,
            computed: Computed::default(),
            unfolded: None,
            unread: BTreeMap::new(),
            settling: BTreeMap::new(),
            scheme: PhantomData,
        };
        let from = ledger.base.as_ref().map_or(0, |it| it.k().saturating_add(1));
        if let Some(base) = &ledger.base {
            base.segments(&mut ledger.segments);
            ledger.skips.below(base.forks());
            ledger.proved.below(base.state());
        }
        for entry in ledger.chain.entries() {
            ledger.proved.entry(entry);
            if let Some(it) = entry.value.body.cut() {
                ledger.skips.cut(entry.slot.k, it.device, (it.last_seq, it.last_hash));
            }
            if from <= entry.slot.k {
                ledger.segments.close(&ledger.dag, entry.slot.k, &entry.value.past);
            }
        }
        ledger
    }

    /// The fold as it stands before the first place.
    pub(crate) fn empty_fold(&self) -> Fold {
        self.base.as_ref().map(Settled::fold).unwrap_or_default()
    }

    pub(crate) fn fold_everything(&mut self) {
        self.fold = self.empty_fold();
        let units = self.dag.arrivals().iter().filter(|it| self.counts(it));
        let mut added: Vec<Place> =
            units.map(|unit| self.place(*unit, self.segments.of(unit))).collect();
        let from = self.base.as_ref().map_or(0, |it| it.k().saturating_add(1));
        let entries = self.chain.entries().iter().map(|it| it.slot.k);
        added.extend(entries.filter(|k| from <= *k).map(Place::Entry));
        self.refold(Change { added, ..Change::default() });
        self.fold.take_touched();
        self.batch = StoreBatch::default();
    }

    /// Whose ledger it is.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.chain.account()
    }

    /// The control chain.
    #[must_use]
    pub fn chain(&self) -> &ControlChain {
        &self.chain
    }

    /// The control chain, to share.
    #[must_use]
    pub const fn shared_chain(&self) -> &Arc<ControlChain> {
        &self.chain
    }

    /// Takes a unit from a peer.
    ///
    /// # Errors
    /// [`Reject`], naming the first rule that it breaks; nothing of it is kept then.
    pub fn import(&mut self, from: PeerTag, bytes: &[u8]) -> Result<Outcome, Reject> {
        let outcome = self.import_quietly(from, bytes);
        if let Err(reject) = &outcome {
            tracing::warn!(peer = ?from, code = reject.code(), %reject, "unit refused");
        }
        outcome
    }

    /// Takes units from a peer, one after the other, and brings the state up to date once, after the
    /// last. A device that was away brings many units that sort before what is here: one by one, each
    /// would have all that follows folded again.
    pub fn import_all<'a>(
        &mut self,
        from: PeerTag,
        units: impl IntoIterator<Item = &'a [u8]>,
    ) -> Vec<Result<Outcome, Reject>> {
        self.unfolded = Some(Change::default());
        let outcomes = units.into_iter().map(|bytes| self.import(from, bytes)).collect();
        if let Some(change) = self.unfolded.take() {
            self.refold(change);
        }
        outcomes
    }

    fn import_quietly(&mut self, from: PeerTag, bytes: &[u8]) -> Result<Outcome, Reject> {
        check_size(bytes)?;
        let hash = Unit::hash_of(bytes);
        if self.dag.contains(&hash) || self.dag.held(&hash).is_some() {
            return Ok(Outcome::Duplicate);
        }
        if self.waiting.contains(from, &hash) {
            return Ok(Outcome::Parked);
        }
        let unit = read(self.account(), hash, bytes)?;
        self.judge(from, unit)
    }

    /// Checks a unit, and does with it what comes of that.
    fn judge(&mut self, from: PeerTag, unit: NamedUnit) -> Result<Outcome, Reject> {
        let verdict = self.check(&unit)?;
        let (author, seq) = (unit.encoded().author(), unit.encoded().seq());
        match verdict {
            Check::Wait(need) => {
                self.waiting.park(from, unit, need)?;
                Ok(Outcome::Parked)
            }
            Check::Ready => Ok(Outcome::Applied(self.accept(unit, None))),
            Check::Fork => {
                let name = unit.name();
                tracing::warn!(%author, seq, unit = %name, "two units by one author for one place");
                let applied = self.accept(unit, None);
                Ok(Outcome::Fork { author, seq, applied })
            }
            Check::Settled => Ok(Outcome::Duplicate),
            Check::Account => {
                if !self.accounts.has_room(from, author, unit.bytes().len()) {
                    return Err(Reject::Frozen { author, seq });
                }
                Ok(Outcome::Applied(self.accept(unit, Some(from))))
            }
        }
    }

    fn check(&self, unit: &NamedUnit) -> Result<Check, Reject> {
        let Self { dag, chain, segments, .. } = self;
        check::<S>(dag, chain, segments, &unit.encoded(), Trust::Verify)
    }

    /// Takes a decision, and then the units that had been waiting for its configuration. With a recovery,
    /// what was decided in the generation before it from its height on counts no more, nor what was written
    /// under configurations that began there.
    ///
    /// # Errors
    /// As [`ControlChain::append`].
    pub fn import_entry(&mut self, entry: CertifiedEntry) -> Result<Appended, ChainError> {
        let (before, generation) = (self.chain.config_index(), self.chain.generation());
        let k = entry.slot.k;
        if let EntryBody::Recover(_) = &entry.value.body
            && self.base.as_ref().is_some_and(|it| k <= it.k())
            && generation < entry.slot.generation
        {
            return Err(ChainError::BelowBase { k });
        }
        let was_frozen = self.chain.frozen().is_some();
        match Arc::make_mut(&mut self.chain).append(entry.clone()) {
            Ok(Appended::Duplicate) => return Ok(Appended::Duplicate),
            Err(error @ ChainError::Conflict { .. }) => {
                tracing::error!(k, "two values are certified for one slot: the chain is frozen");
                if !was_frozen {
                    self.batch.entries.push(entry);
                }
                return Err(error);
            }
            appended => appended?,
        };
        if generation != self.chain.generation() {
            self.batch.entries.push(entry);
            self.follow();
            return Ok(Appended::New);
        }
        self.proved.entry(&entry);
        let moved = self.segments.close(&self.dag, k, &entry.value.past);
        let cut = entry.value.body.cut().map(|it| (k, it.device, (it.last_seq, it.last_hash)));
        let mut change = self.reorder(None, &moved, cut);
        change.added.push(Place::Entry(k));
        self.refold(change);
        self.batch.entries.push(entry);
        let newest = self.chain.config_index();
        if before != newest {
            let needs = self.waiting.configs_up_to(newest);
            self.release(needs.into());
        }
        Ok(Appended::New)
    }

    /// Adds a unit that passed every check, and then what had been waiting for it.
    pub(crate) fn accept(&mut self, unit: NamedUnit, payer: Option<PeerTag>) -> Vec<Digest> {
        let hash = unit.name();
        self.add(unit, payer);
        let mut applied = vec![hash];
        if self.waiting.len() != 0 {
            applied.extend(self.release([Need::Unit(hash)].into()));
        }
        applied
    }

    /// Checks again what had been waiting for these, and for what that brings in.
    pub(crate) fn release(&mut self, mut needs: VecDeque<Need>) -> Vec<Digest> {
        let mut applied = Vec::new();
        while let Some(need) = needs.pop_front() {
            for (peer, unit) in self.waiting.take(need) {
                let hash = unit.name();
                // Two peers may have sent it.
                if self.dag.contains(&hash) {
                    continue;
                }
                match self.release_one(peer, unit) {
                    Ok(true) => {
                        applied.push(hash);
                        needs.push_back(Need::Unit(hash));
                    }
                    Ok(false) => {}
                    Err(reject) => {
                        tracing::warn!(?peer, unit = %hash, code = reject.code(), %reject, "waiting unit refused");
                        self.refusals.push(peer, reject);
                    }
                }
            }
        }
        applied
    }

    /// Whether a unit that was waiting is added now.
    fn release_one(&mut self, peer: PeerTag, unit: NamedUnit) -> Result<bool, Reject> {
        let (author, seq) = (unit.encoded().author(), unit.encoded().seq());
        let payer = match self.check(&unit)? {
            Check::Ready | Check::Fork => None,
            Check::Account if self.accounts.has_room(peer, author, unit.bytes().len()) => {
                Some(peer)
            }
            Check::Account => return Err(Reject::Frozen { author, seq }),
            Check::Wait(need) => return self.waiting.park(peer, unit, need).map(|()| false),
            Check::Settled => return Ok(false),
        };
        self.add(unit, payer);
        Ok(true)
    }

    fn add(&mut self, unit: NamedUnit, payer: Option<PeerTag>) {
        let again = self.activation_of(&unit);
        let mut change = self.link(&unit, payer);
        change.again = again;
        self.refold(change);
        tracing::trace!(unit = %unit.name(), "unit accepted");
        self.batch.units.push(unit);
    }

    /// The entry that named this proposal before it was here.
    fn activation_of(&self, unit: &NamedUnit) -> Option<Place> {
        if unit.encoded().kind() != Some(EventKind::ProposeUpgrade) {
            return None;
        }
        let names = |entry: &&CertifiedEntry| {
            matches!(&entry.value.body,
                EntryBody::ActivateVersion(it) if it.proposal == unit.name())
        };
        self.chain.entries().iter().find(names).map(|entry| Place::Entry(entry.slot.k))
    }

    /// Adds a unit to everything but the fold, and says how the order of the fold changes. Who pays for
    /// it, if it is taken on account.
    pub(crate) fn link(&mut self, new: &NamedUnit, payer: Option<PeerTag>) -> Change {
        let (hash, unit) = (new.name(), new.encoded());
        if unit.kind() == Some(EventKind::ProposeUpgrade) {
            self.prove(hash, new.bytes());
        }
        if !unit.is_read::<S>() {
            self.unread.insert(hash, unit.tag());
        }
        if unit.kind() == Some(EventKind::Control)
            && let Some(body) = decoded(new.bytes())
        {
            self.announced.unit(hash, &body);
        }
        if let Some(peer) = payer {
            self.accounts.take(peer, unit.author(), hash, unit.bytes());
        }
        self.dag.insert(new, &self.chain, payer.is_some());
        if !unit.is_tick() {
            self.publish(Finality::Tentative, &hash);
        }
        if payer.is_none() {
            let settled = self.accounts.rest(&self.dag, &unit);
            if !settled.is_empty() {
                self.dag.settled(&settled, Some(hash));
            }
        }
        let moved = self.segments.arrive(&self.dag, hash);
        self.reorder(Some(hash), &moved, None)
    }

    /// Looks at a proposal.
    fn prove(&mut self, hash: Digest, bytes: &[u8]) {
        if let Some(body) = decoded(bytes)
            && let Event::ProposeUpgrade(proposal) = &body.event
        {
            self.proved.unit(hash, body.author, proposal);
        }
    }

    /// Takes note of units that an entry closes over, of a cut, and of what both and a new unit mean for
    /// what the fold leaves out. Says how the order of the fold changes.
    fn reorder(&mut self, new: Option<Digest>, moved: &[Moved], cut: Option<Cut>) -> Change {
        self.settle_closed(moved);
        let (before, lowered) = self.look_for_forks(new, moved, cut);
        let was = before.as_ref().unwrap_or(&self.skips);
        let mut change = Change::default();
        for Moved { unit, from, to } in moved {
            self.settling.remove(&PlaceKey::from(&self.place(*unit, *from)));
            let Some(body) = self.folded(unit) else { continue };
            // A unit that is new here leaves no place.
            if Some(*unit) != new && !was.skips(unit, &body, *from) {
                change.removed.insert(PlaceKey::from(&self.place(*unit, *from)));
            }
            if !self.skips.skips(unit, &body, *to) {
                let taken = self.place(*unit, *to);
                change.added.push(taken);
                self.settling.insert(PlaceKey::from(&taken), *unit);
            }
        }
        let stays = new.filter(|new| !moved.iter().any(|it| it.unit == *new));
        if let Some(new) = stays.filter(|it| self.counts(it)) {
            change.added.push(self.place(new, OPEN_SEGMENT));
        }
        if !lowered.is_empty() {
            let moved: BTreeSet<Digest> = moved.iter().map(|it| it.unit).chain(new).collect();
            change.removed.extend(self.left_out(was, &lowered, &moved));
        }
        self.publish_settled();
        change
    }

    /// What an entry closes over is on nobody's account.
    fn settle_closed(&mut self, moved: &[Moved]) {
        let settled: Vec<Digest> = moved
            .iter()
            .map(|it| it.unit)
            .filter(|it| self.accounts.settle(&self.dag, *it))
            .collect();
        if !settled.is_empty() {
            self.dag.settled(&settled, None);
        }
    }

    /// Brings what is left out up to date. Returns what was before, if it changed, and where.
    fn look_for_forks(
        &mut self,
        new: Option<Digest>,
        moved: &[Moved],
        cut: Option<Cut>,
    ) -> (Option<Skips>, Vec<Lowered>) {
        let mut next = None;
        let mut lowered = Vec::new();
        for unit in moved.iter().map(|it| it.unit).chain(new) {
            let Some(body) = self.dag.held(&unit).map(Held::unit) else { continue };
            let (author, seq) = (body.author(), body.seq());
            let chain = self.dag.chain_of(&author);
            let Some(chain) = chain.filter(|it| it.fork().is_some_and(|it| it <= seq)) else {
                continue;
            };
            let skips = next.get_or_insert_with(|| self.skips.clone());
            let segment = |unit: &Digest| self.segments.of(unit);
            lowered.extend(skips.look(author, seq, chain, segment));
        }
        if let Some((k, device, last)) = cut {
            let skips = next.get_or_insert_with(|| self.skips.clone());
            lowered.push(skips.cut(k, device, last));
        }
        (next.map(|it| std::mem::replace(&mut self.skips, it)), lowered)
    }

    /// The places of units that the fold leaves out now and did not before, but for those in `except`.
    fn left_out(
        &self,
        was: &Skips,
        lowered: &[Lowered],
        except: &BTreeSet<Digest>,
    ) -> BTreeSet<PlaceKey> {
        let mut left = BTreeSet::new();
        for Lowered { author, from, until } in lowered {
            let chain = self.dag.chain_of(author).into_iter();
            for unit in chain.flat_map(|it| it.between(*from, *until)) {
                let segment = self.segments.of(&unit);
                let counted = |body: &Encoded<'_>| !was.skips(&unit, body, segment);
                let body = self.folded(&unit).filter(|_| !except.contains(&unit));
                if body.filter(counted).is_some_and(|it| self.skips.skips(&unit, &it, segment)) {
                    left.insert(PlaceKey::from(&self.place(unit, segment)));
                }
            }
        }
        left
    }

    /// A unit that can have a place in the fold. Ticks have none: they change no state, and there are
    /// many of them.
    pub(crate) fn folded(&self, unit: &Digest) -> Option<Encoded<'_>> {
        self.dag.held(unit).map(Held::unit).filter(|it| !it.is_tick())
    }

    /// Whether the state is made of this unit: it is here, is no tick, and stands neither beyond a fork
    /// of its author nor beyond a cut. In a segment that is closed this is final; in the open one a late
    /// fork proof can change it.
    #[must_use]
    pub fn counts(&self, unit: &Digest) -> bool {
        let segment = self.segments.of(unit);
        self.folded(unit).is_some_and(|it| !self.skips.skips(unit, &it, segment))
    }

    /// The devices that have signed two units for one place, and the lowest such place of each.
    #[must_use]
    pub fn forks(&self) -> BTreeMap<DeviceId, u64> {
        let forks = self.dag.authors().iter().map(|(author, it)| Some((*author, it.fork()?)));
        forks.flatten().collect()
    }

    /// The units whose event this build cannot read, each with the tag of its kind. They are kept and sent on,
    /// and mean nothing here; a build that can read them finds them when it opens the store (INV-J60).
    #[must_use]
    pub const fn unread(&self) -> &BTreeMap<Digest, u8> {
        &self.unread
    }

    /// Whether a unit is kept only in case somebody rests on it: its author has forked. It is not to be
    /// sent to others.
    #[must_use]
    pub fn is_on_account(&self, unit: &Digest) -> bool {
        self.accounts.contains(unit)
    }

    fn place(&self, unit: Digest, segment: u64) -> Place {
        let lamport = self.dag.lamport(&unit).unwrap_or_default();
        Place::Unit(Position { segment, lamport, unit })
    }

    pub(crate) fn sources(&self) -> Sources<'_> {
        let Self { dag, chain, proved, unread, .. } = self;
        Sources { dag, chain, proved, unread }
    }

    fn refold(&mut self, change: Change) {
        if let Some(unfolded) = &mut self.unfolded {
            return unfolded.merge(change);
        }
        let Self { dag, chain, proved, unread, fold, .. } = self;
        fold.change(Sources { dag, chain, proved, unread }, change);
    }

    /// The records that changed since the last call.
    pub fn take_record_changes(&mut self) -> Vec<RecordId> {
        self.fold.take_touched()
    }

    /// The entries and units that were accepted since the last call, for the caller to store.
    pub fn take_batch(&mut self) -> StoreBatch {
        std::mem::take(&mut self.batch)
    }

    /// Units that had been waiting and then broke a rule since the last call, by who sent them.
    pub fn take_refusals(&mut self) -> Vec<(PeerTag, Reject)> {
        self.refusals.take()
    }

    /// How many units wait for others.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Drops what a peer sent and what still waits.
    pub fn forget_peer(&mut self, peer: PeerTag) {
        self.waiting.forget(peer);
    }

    /// Begins a stream of units: first those that are here, then those to come.
    pub fn subscribe(&mut self, filter: Filter) -> SubscriptionId {
        let dag = &self.dag;
        self.subscriptions.subscribe(filter, |it| dag.arrival(it))
    }

    /// The units of the stream since the last call, in the order in which they became visible.
    pub fn poll(&mut self, subscription: SubscriptionId) -> Vec<Digest> {
        let dag = &self.dag;
        self.subscriptions.poll(subscription, |it| dag.arrival(it))
    }

    /// Ends a stream.
    pub fn unsubscribe(&mut self, subscription: SubscriptionId) {
        self.subscriptions.unsubscribe(subscription);
    }

    /// The subscriptions that got something since the last call and were not polled since.
    pub fn take_woken(&mut self) -> BTreeSet<SubscriptionId> {
        self.subscriptions.take_woken()
    }
}
