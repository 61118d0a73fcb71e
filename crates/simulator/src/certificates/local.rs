//! One device's step, asked of the voter that devices run.

use std::collections::{BTreeMap, BTreeSet};

use aura_crypto::{HpkeSecretKey, SecretKey};
use aura_journal::control::{
    ChainError, Configuration, ControlChain, ControlMessage, Denied, Entry, EntryBody, EntryPolicy,
    Genesis, Lock, Phase, Role, RosterEntry, Slot, UpgradePolicy, Verdict, Vote, VoteRecord, Voter,
    VoterOutput,
};
use aura_protocol_core::{AppId, DeviceId, Digest};
use rustc_hash::FxHashMap;

use super::VIEWS;

/// One of the two values that are proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// The first.
    A,
    /// The second.
    B,
}

impl Value {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    pub(super) const fn bit(self) -> u8 {
        match self {
            Self::A => 1,
            Self::B => 2,
        }
    }
}

/// A device's vote record at the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Memory {
    /// The newest view that it took part in.
    pub view: u8,
    /// What it prepared there.
    pub prepared: Option<Value>,
    /// What it committed last, and in which view.
    pub lock: Option<(u8, Value)>,
}

/// A vote that leaves a device, and the record that binds it from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cast {
    /// The record.
    pub memory: Memory,
    /// The phase of the vote; the view is the record's.
    pub phase: Phase,
    /// What it is for; none for a change of view without a lock.
    pub value: Option<Value>,
}

/// What of the votes there are can make a difference to a device in one view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Board {
    /// For each view, the values (as bits) that a quorum prepared.
    pub prepared: [u8; VIEWS as usize],
    /// The values (as bits) that anybody prepared in the device's own view.
    pub begun: u8,
    /// The highest view that enough devices entered for others to follow; 0 for none.
    pub entered: u8,
}

impl Board {
    fn is_part_of(&self, whole: &Self) -> bool {
        let quorums = self.prepared.iter().zip(&whole.prepared);
        quorums.chain([(&self.begun, &whole.begun)]).all(|(part, whole)| part & whole == *part)
            && self.entered <= whole.entered
    }
}

/// Something that a voter may be shown or not.
#[derive(Debug, Clone, Copy)]
enum Shown {
    /// A quorum that prepared a value in a view.
    Quorum(u8, Value),
    /// One device that prepared a value in the voter's own view.
    One(Value),
}

/// What a voter is asked with.
#[derive(Debug, Clone, Copy)]
struct Asked {
    memory: Memory,
    proposed: u8,
    has_key: bool,
}

/// An account of N devices of which m decide, and what its first device answers.
#[derive(Debug)]
pub struct Local {
    chain: ControlChain,
    keys: Vec<SecretKey>,
    values: [Entry; 2],
    votes: BTreeMap<(Phase, u8, Value, u8), ControlMessage>,
    known: FxHashMap<(Memory, Board, bool), Vec<Cast>>,
    answers: FxHashMap<(Memory, bool), BTreeSet<(Board, Cast)>>,
}

struct Wants([Option<Digest>; 2]);

impl EntryPolicy for Wants {
    fn check(&self, _: &Slot, value: &Entry) -> Verdict {
        let hash = value.hash();
        if self.0.contains(&Some(hash)) {
            return Verdict::Accept;
        }
        let (code, reason) = ("NotWanted".to_owned(), "not wanted now".to_owned());
        Verdict::Deny(Denied { code, reason })
    }
}

impl Local {
    /// An account of so many devices.
    ///
    /// # Errors
    /// [`ChainError`] when `m` of `devices` is no configuration.
    pub fn found(devices: u8, m: u8) -> Result<Self, ChainError> {
        let seed = |number: u8, purpose: &str| {
            *Digest::tagged("modelled device", &[purpose.as_bytes(), &[number]]).as_bytes()
        };
        let key = |number: u8, purpose: &str| SecretKey::from_seed(seed(number, purpose));
        let entry = |number: u8| RosterEntry {
            device: DeviceId::derive(key(number, "unit").public().as_bytes()),
            role: Role::Voter,
            unit_key: key(number, "unit").public(),
            vote_key: key(number, "vote").public(),
            hpke_key: HpkeSecretKey::from_seed(seed(number, "hpke")).public(),
            transport_key: key(number, "transport").public(),
        };
        let keys: Vec<SecretKey> = (0..devices).map(|it| key(it, "vote")).collect();
        let genesis = Genesis { nonce: [7; 32], name: "model".to_owned(), first: entry(0) };
        let mut chain = ControlChain::found(genesis, &key(0, "vote"))?;
        let mut config = Configuration::with_defaults((0..devices).map(entry));
        config.m = u16::from(m);
        let body = EntryBody::Reconfigure(Box::new(config));
        let first = chain.certify_alone(Entry { past: Vec::new(), body }, &key(0, "vote"))?;
        chain.append(first)?;
        let value = |number: u8| {
            let (app, policy) = (AppId::from_bytes([number; 32]), UpgradePolicy::Minor);
            Entry { past: Vec::new(), body: EntryBody::SetUpgradePolicy { app, policy } }
        };
        let (values, votes) = ([value(1), value(2)], BTreeMap::new());
        let (known, answers) = (FxHashMap::default(), FxHashMap::default());
        let mut local = Self { chain, keys, values, votes, known, answers };
        local.votes = local.sign_all();
        Ok(local)
    }

    /// Every vote that may be shown, by the place of its voter from behind.
    fn sign_all(&self) -> BTreeMap<(Phase, u8, Value, u8), ControlMessage> {
        let mut votes = BTreeMap::new();
        for (by, key) in (0_u8..).zip(self.keys.iter().rev()) {
            for phase in [Phase::Prepare, Phase::NewView] {
                for (view, value) in (0..VIEWS).flat_map(|it| Value::BOTH.map(|value| (it, value)))
                {
                    let hash = self.entry(value).hash();
                    let vote = Vote::sign(self.slot(), phase, u64::from(view), hash, key);
                    votes.insert((phase, view, value, by), ControlMessage::Vote(Box::new(vote)));
                }
            }
        }
        votes
    }

    /// The slot that is voted on.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.chain.next_slot()
    }

    /// The chain before it.
    #[must_use]
    pub const fn chain(&self) -> &ControlChain {
        &self.chain
    }

    /// The vote keys of its devices.
    #[must_use]
    pub fn keys(&self) -> &[SecretKey] {
        &self.keys
    }

    /// A value as the voter knows it.
    #[must_use]
    pub const fn entry(&self, value: Value) -> &Entry {
        let [a, b] = &self.values;
        match value {
            Value::A => a,
            Value::B => b,
        }
    }

    /// Everything that a device with this record may vote next, seeing any part of the board. Without
    /// a vote key that is nothing, as the voter itself says.
    pub fn casts(&mut self, memory: Memory, board: Board, has_key: bool) -> Vec<Cast> {
        if let Some(known) = self.known.get(&(memory, board, has_key)) {
            return known.clone();
        }
        if !self.answers.contains_key(&(memory, has_key)) {
            let answers = self.ask(memory, has_key);
            self.answers.insert((memory, has_key), answers);
        }
        let answers = self.answers.get(&(memory, has_key));
        let seen = answers.into_iter().flatten().filter(|(it, _)| it.is_part_of(&board));
        let casts: BTreeSet<Cast> = seen.map(|(_, cast)| *cast).collect();
        let casts: Vec<Cast> = casts.into_iter().collect();
        self.known.insert((memory, board, has_key), casts.clone());
        casts
    }

    /// The first vote of a voter with this record for each part of a board that it can tell from
    /// others. What it votes after the first, it votes as well when it is asked again.
    fn ask(&self, memory: Memory, has_key: bool) -> BTreeSet<(Board, Cast)> {
        let mut answers = BTreeSet::new();
        let quorums = (0..=memory.view).flat_map(|view| Value::BOTH.map(|it| (view, it)));
        let shown: Vec<Shown> = quorums
            .map(|(view, value)| Shown::Quorum(view, value))
            .chain(Value::BOTH.map(Shown::One))
            .collect();
        for proposed in 1..4 {
            let voter = self.voter(memory, proposed);
            let asked = Asked { memory, proposed, has_key };
            self.show(asked, voter, Board::default(), &shown, &mut answers);
        }
        let both = Value::A.bit() | Value::B.bit();
        let mut late = self.voter(memory, both);
        late.time_out();
        let cast = self.poll(&mut late, both, has_key);
        answers.extend(cast.map(|it| (Board::default(), it)));
        for entered in memory.view + 1..VIEWS {
            let mut voter = self.voter(memory, both);
            self.observe(&mut voter, Phase::NewView, entered, Value::A, self.quorum());
            let cast = self.poll(&mut voter, both, has_key);
            answers.extend(cast.map(|it| (Board { entered, ..Board::default() }, it)));
        }
        answers
    }

    /// Shows the voter every part of what is left to show, and asks it with every wish.
    fn show(
        &self,
        asked: Asked,
        voter: Voter,
        board: Board,
        left: &[Shown],
        answers: &mut BTreeSet<(Board, Cast)>,
    ) {
        let Some((first, left)) = left.split_first() else {
            for wanted in (0..4).filter(|it| it & asked.proposed == *it) {
                let cast = self.poll(&mut voter.clone(), wanted, asked.has_key);
                answers.extend(cast.map(|it| (board, it)));
            }
            return;
        };
        let mut more = voter.clone();
        let mut shown = board;
        let own = shown.prepared.get_mut(usize::from(asked.memory.view)).map_or(0, |it| *it);
        let useful = match *first {
            Shown::Quorum(view, value) => {
                if let Some(quorums) = shown.prepared.get_mut(usize::from(view)) {
                    *quorums |= value.bit();
                }
                self.observe(&mut more, Phase::Prepare, view, value, self.quorum());
                true
            }
            Shown::One(value) => {
                shown.begun |= value.bit();
                self.observe(&mut more, Phase::Prepare, asked.memory.view, value, 1);
                own & value.bit() == 0
            }
        };
        if useful {
            self.show(asked, more, shown, left, answers);
        }
        self.show(asked, voter, board, left, answers);
    }

    fn quorum(&self) -> u8 {
        u8::try_from(self.chain.config().m).unwrap_or(u8::MAX)
    }

    /// A voter that starts again with this record, and finds these values.
    fn voter(&self, memory: Memory, proposed: u8) -> Voter {
        let mut voter = Voter::new(Some(self.record(memory)));
        for value in Value::BOTH.into_iter().filter(|it| proposed & it.bit() != 0) {
            let (slot, value) = (self.slot(), Box::new(self.entry(value).clone()));
            let message = ControlMessage::Propose { slot, view: 0, value };
            voter.observe(&self.chain, DeviceId::from_bytes([0; 32]), &message);
        }
        voter
    }

    /// Shows a voter the votes of so many devices.
    fn observe(&self, voter: &mut Voter, phase: Phase, view: u8, value: Value, count: u8) {
        for vote in (0..count).filter_map(|by| self.votes.get(&(phase, view, value, by))) {
            voter.observe(&self.chain, DeviceId::from_bytes([0; 32]), vote);
        }
    }

    fn poll(&self, voter: &mut Voter, wanted: u8, has_key: bool) -> Option<Cast> {
        let hash = |it: Value| (wanted & it.bit() != 0).then(|| self.entry(it).hash());
        let key = self.keys.first().filter(|_| has_key);
        let outputs = voter.poll(&self.chain, &Wants(Value::BOTH.map(hash)), key);
        outputs.into_iter().find_map(|it| match it {
            VoterOutput::Vote { record, vote } => self.read(&record, &vote),
            _ => None,
        })
    }

    /// The record as the voter keeps it.
    fn record(&self, memory: Memory) -> VoteRecord {
        let hash = |it| self.entry(it).hash();
        let lock = memory.lock.map(|(view, it)| Lock { view: u64::from(view), value: hash(it) });
        let prepared = memory.prepared.map(hash);
        VoteRecord { slot: self.slot(), view: u64::from(memory.view), prepared, lock }
    }

    /// A vote and its record as the model keeps them; none beyond the views that are explored.
    #[must_use]
    pub fn read(&self, record: &VoteRecord, vote: &Vote) -> Option<Cast> {
        let view = u8::try_from(record.view).ok().filter(|it| *it < VIEWS)?;
        let prepared = record.prepared.and_then(|it| self.which(it));
        let lock =
            record.lock.and_then(|it| Some((u8::try_from(it.view).ok()?, self.which(it.value)?)));
        let memory = Memory { view, prepared, lock };
        Some(Cast { memory, phase: vote.phase, value: self.which(vote.value) })
    }

    fn which(&self, hash: Digest) -> Option<Value> {
        Value::BOTH.into_iter().find(|it| self.entry(*it).hash() == hash)
    }
}
