//! Units and entries become changes.
//!
//! A unit's change is a function of the unit and its causal past, an entry's of the chain up to it and
//! the closure of its past. So all replicas write the same changes, in whatever order things came.

mod entries;
mod past;
mod proposals;
mod records;
mod sessions;
mod standing;
mod units;

use std::collections::BTreeMap;

use aura_journal::{Ledger, unit::UnitBody};
use aura_protocol_core::{AccountId, DeviceId, Digest, Epoch};

pub(crate) use entries::Waits;

use crate::{
    compile::{
        entries::{Container, Control},
        past::{AuthorId, Clock, NodeId, Past},
        proposals::Proposals,
        records::Records,
        sessions::Sessions,
        units::Authors,
    },
    engine::{Actor, Compiled, Draft, OPS_PER_CHANGE_MAX, Object, Op, Scalar},
};

/// What was compiled so far, as far as what comes next needs it.
#[derive(Debug)]
pub(crate) struct Compiler {
    account: AccountId,
    /// From where on an author's units are left out: from its fork on.
    forked: BTreeMap<DeviceId, u64>,
    past: Past,
    authors: Authors,
    sessions: Sessions,
    proposals: Proposals,
    records: Records,
    control: Control,
    changes: Vec<Compiled>,
    /// The height of the snapshot whose base everything rests on; none where nothing is left out.
    since: Option<u64>,
    /// Where the op counters of that base end.
    offset: u64,
}

/// An author signed two units for one place, and one of them was compiled before the other came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fork {
    pub(crate) author: DeviceId,
    pub(crate) seq: u64,
}

/// What the ledger says of a unit that its causal past does not show.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told {
    /// Whether it is left out for a cut.
    pub(crate) is_cut_off: bool,
    /// Where the quorum clock stood in what it rests on, if that is told to everybody.
    pub(crate) epoch: Option<Epoch>,
}

/// What a unit's change is made of.
struct Scope<'a> {
    /// Where the quorum clock stood in what the unit rests on.
    epoch: Option<Epoch>,
    unit: Digest,
    body: &'a UnitBody,
    author: AuthorId,
    clock: &'a Clock,
    past: &'a Past,
    /// The place that the unit will have.
    node: NodeId,
    /// Who made the containers.
    control: Actor,
}

impl Scope<'_> {
    /// Whether the unit came after a deadline, by the rule of the fold.
    fn is_overdue(&self, until: Option<Epoch>) -> bool {
        until.is_some_and(|until| self.epoch.is_some_and(|it| until <= it))
    }

    fn container(&self, container: Container) -> Object {
        container.object(self.control)
    }
}

/// A key that one actor alone writes, with the op that is there now.
#[derive(Debug, Clone, Copy, Default)]
struct Cell(Option<Op>);

impl Cell {
    fn over(&self) -> &[Op] {
        self.0.as_slice()
    }

    fn set(&mut self, draft: &mut Draft, object: Object, key: impl AsRef<str>, value: Scalar) {
        self.0 = Some(draft.put(object, key, value, self.over()));
    }

    fn text(&mut self, draft: &mut Draft, object: Object, key: impl AsRef<str>, text: String) {
        self.set(draft, object, key, Scalar::Text(text));
    }

    fn clear(&mut self, draft: &mut Draft, object: Object, key: impl AsRef<str>) {
        draft.delete(object, key, self.over());
        self.0 = None;
    }
}

impl Compiler {
    /// `forked` are the forks that are known already.
    pub(crate) fn new(account: AccountId, forked: BTreeMap<DeviceId, u64>) -> Self {
        Self {
            account,
            forked,
            past: Past::default(),
            authors: Authors::default(),
            sessions: Sessions::default(),
            proposals: Proposals::default(),
            records: Records::default(),
            control: Control::new(account),
            changes: Vec::new(),
            since: None,
            offset: 0,
        }
    }

    /// Whether the base stands for a unit.
    pub(crate) fn is_below(&self, ledger: &Ledger, unit: &Digest) -> bool {
        self.since.is_some_and(|k| ledger.segment(unit).is_some_and(|it| it <= k))
    }

    /// Where the quorum clock stood in what a unit rests on. None of one whose author had not heard of the
    /// snapshot that the document begins with: of that not everybody can tell.
    pub(crate) fn epoch(&self, ledger: &Ledger, unit: &Digest, config: u64) -> Option<Epoch> {
        let mut snapshots = ledger.chain().snapshots().iter();
        let base = snapshots.find(|it| Some(it.k) == self.since);
        let may_tell = base.is_none_or(|it| it.config <= config);
        if may_tell { ledger.clock_before(unit) } else { None }
    }

    /// The changes since the last call, each after those that it rests on.
    pub(crate) fn take_changes(&mut self) -> Vec<Compiled> {
        std::mem::take(&mut self.changes)
    }

    /// How many changes there are to take.
    pub(crate) fn pending(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn forked(&self) -> &BTreeMap<DeviceId, u64> {
        &self.forked
    }

    /// Compiles a unit whose parents were compiled, or leaves it out where it is cut off. A unit that was
    /// compiled already changes nothing.
    pub(crate) fn unit(&mut self, unit: Digest, body: &UnitBody, told: Told) -> Result<(), Fork> {
        if self.past.contains(&unit) {
            return Ok(());
        }
        let author = self.past.author(body.author);
        let excluded =
            told.is_cut_off || self.forked.get(&body.author).is_some_and(|from| *from <= body.seq);
        if !excluded && body.seq < self.authors.next_seq(author) {
            return Err(Fork { author: body.author, seq: body.seq });
        }
        let parents: Vec<NodeId> = body.parents().filter_map(|it| self.past.id(&it)).collect();
        let clock = self.past.clock_of(&parents);
        let below = self.past.with_changes(&parents);
        let change = if excluded {
            None
        } else {
            self.change((unit, told.epoch), body, author, &clock, &below)
        };
        let outcome = match change {
            Some(change) => {
                let hash = change.hash();
                self.changes.push(change);
                Ok(hash)
            }
            None => Err(below),
        };
        if !excluded {
            self.authors.saw(author, body.seq);
        }
        self.past.add(unit, author, body.seq, clock, outcome);
        Ok(())
    }

    fn change(
        &mut self,
        (unit, epoch): (Digest, Option<Epoch>),
        body: &UnitBody,
        author: AuthorId,
        clock: &Clock,
        below: &[NodeId],
    ) -> Option<Compiled> {
        let start = start_of(self.offset, body.lamport.0)?;
        let mut draft = Draft::new(actor_of(self.account, body.author), start);
        let node = self.past.len();
        let control = self.control.actor();
        let scope = Scope { epoch, unit, body, author, clock, past: &self.past, node, control };
        units::compile(
            &scope,
            &mut draft,
            &mut self.authors,
            &mut self.sessions,
            &mut self.proposals,
            &mut self.records,
        );
        if draft.is_empty() {
            return None;
        }
        let mut deps = self.past.changes(below);
        if deps.is_empty() {
            deps.push(self.control.genesis()?);
        }
        let change = draft.finish(self.authors.next_change(author), &deps)?;
        self.authors.changed(author);
        Some(change)
    }
}

/// Where the op counters of a unit at this height begin, if those of its change fit.
fn start_of(offset: u64, lamport: u64) -> Option<u64> {
    let start = lamport.checked_mul(OPS_PER_CHANGE_MAX)?.checked_add(offset)?;
    let end = start.checked_add(OPS_PER_CHANGE_MAX)?;
    (end <= crate::engine::OP_COUNTER_MAX).then_some(start)
}

/// The actor that a device's changes are by.
fn actor_of(account: AccountId, device: DeviceId) -> Actor {
    actor(&[account.as_bytes(), device.as_bytes()])
}

/// The first half of a hash: as long as Automerge's own actors, which it keeps without allocating.
fn actor(parts: &[&[u8]]) -> Actor {
    let digest = Digest::tagged("aura document actor v1", parts);
    let mut actor = Actor::default();
    for (to, from) in actor.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    actor
}

#[cfg(test)]
mod tests {
    use aura_crypto::{HpkeSecretKey, SecretKey};
    use aura_journal::{
        Event, Ledger,
        control::{ControlChain, Genesis, Role, RosterEntry},
        event::DeviceMetadata,
        unit::UNIT_VERSION,
    };
    use aura_protocol_core::{Lamport, Manifest};

    use super::*;
    use crate::engine::{Engine, OP_COUNTER_MAX, Shown};

    fn founded() -> Ledger {
        let key = |purpose: u8| SecretKey::from_seed([purpose; 32]);
        let first = RosterEntry {
            device: DeviceId::derive(key(1).public().as_bytes()),
            role: Role::Voter,
            unit_key: key(1).public(),
            vote_key: key(2).public(),
            hpke_key: HpkeSecretKey::from_seed([3; 32]).public(),
            transport_key: key(4).public(),
        };
        let genesis = Genesis { nonce: [9; 32], name: "ours".to_owned(), first };
        Ledger::new(ControlChain::found(genesis, &key(2)).unwrap())
    }

    /// A unit by a device of this number, that says what it is called.
    fn named(ledger: &Ledger, author: u8, seq: u64, prev: Option<Digest>, name: &str) -> UnitBody {
        let author = DeviceId::from_bytes([author; 32]);
        let (addresses, manifest) = (Vec::new(), Manifest::empty(author));
        UnitBody {
            version: UNIT_VERSION,
            account: ledger.account(),
            config: 0,
            author,
            seq,
            lamport: Lamport(seq.saturating_add(1)),
            prev,
            deps: Vec::new(),
            session: None,
            event: Event::PublishManifest(DeviceMetadata {
                name: name.to_owned(),
                addresses,
                manifest,
            }),
        }
    }

    fn name(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn begun(ledger: &Ledger, forked: BTreeMap<DeviceId, u64>) -> Compiler {
        let mut compiler = Compiler::new(ledger.account(), forked);
        assert_eq!(compiler.next_entry(ledger), Waits::No);
        assert_eq!(compiler.next_entry(ledger), Waits::Yes);
        compiler
    }

    fn names(compiler: &mut Compiler) -> Vec<String> {
        let mut engine = Engine::new();
        engine.apply(compiler.take_changes()).unwrap();
        let Shown::Map(devices) = engine.read().remove("devices").unwrap().value else { panic!() };
        let names = devices.into_values().map(|it| match it.value {
            Shown::Map(mut device) => match device.remove("name").unwrap().value {
                Shown::Scalar(Scalar::Text(name)) => name,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        });
        names.collect()
    }

    /// INV-DOC6: from a fork on its author is left out, and everybody else's changes go on.
    #[test]
    fn an_author_is_left_out_from_its_fork_on() {
        let ledger = founded();
        let first = named(&ledger, 1, 0, None, "first");
        let second = named(&ledger, 1, 1, Some(name("first")), "second");
        let twin = named(&ledger, 1, 1, Some(name("first")), "twin");
        let mut compiler = begun(&ledger, BTreeMap::new());
        assert_eq!(compiler.unit(name("first"), &first, Told::default()), Ok(()));
        assert_eq!(compiler.unit(name("second"), &second, Told::default()), Ok(()));
        assert_eq!(compiler.unit(name("second"), &second, Told::default()), Ok(()));
        let fork = Fork { author: first.author, seq: 1 };
        assert_eq!(compiler.unit(name("twin"), &twin, Told::default()), Err(fork));
        // Anew with the fork known, in any order.
        let mut other = named(&ledger, 2, 0, None, "other");
        other.deps = vec![name("second")];
        other.lamport = Lamport(3);
        let orders = [["second", "twin"], ["twin", "second"]];
        let heads = orders.map(|order| {
            let mut compiler = begun(&ledger, BTreeMap::from([(fork.author, fork.seq)]));
            assert_eq!(compiler.unit(name("first"), &first, Told::default()), Ok(()));
            for unit in order {
                let body = if unit == "twin" { &twin } else { &second };
                assert_eq!(compiler.unit(name(unit), body, Told::default()), Ok(()));
            }
            assert_eq!(compiler.unit(name("other"), &other, Told::default()), Ok(()));
            assert_eq!(compiler.pending(), 3);
            let last = compiler.changes.last().unwrap().hash();
            assert_eq!(names(&mut compiler), ["first", "other"]);
            last
        });
        assert_eq!(heads[0], heads[1]);
    }

    /// INV-DOC5: heights whose op counters Automerge could not keep are left out, and so is nothing
    /// below.
    #[test]
    fn heights_end_before_op_counters_do() {
        let ledger = founded();
        let highest = OP_COUNTER_MAX / OPS_PER_CHANGE_MAX - 1;
        assert_eq!(highest, 6_291_454);
        for (height, changes) in [(highest, 1), (highest + 1, 0), (1 << 32, 0), (u64::MAX, 0)] {
            let mut compiler = begun(&ledger, BTreeMap::new());
            let mut body = named(&ledger, 1, 0, None, "high");
            body.lamport = Lamport(height);
            assert_eq!(compiler.unit(name("high"), &body, Told::default()), Ok(()));
            let mut next = named(&ledger, 1, 1, Some(name("high")), "low");
            next.lamport = Lamport(2);
            assert_eq!(compiler.unit(name("low"), &next, Told::default()), Ok(()));
            assert_eq!(compiler.pending(), 2 + changes, "{height}");
            assert_eq!(names(&mut compiler), ["low"]);
        }
    }
}
