//! Records in the document: one key for each, which any device may write.
//!
//! A write replaces those that its device had seen. Writes at the same time stay side by side, as
//! Automerge has it, until an entry closes over them: its change takes away all but the one that counts
//! in the order of the fold. It takes away and writes nothing, so a later write is never under it.

use std::collections::{BTreeMap, BTreeSet};

use aura_journal::{AccountState, Ledger, RecordId, event::RecordPut};
use aura_protocol_core::{Digest, Lamport};

use crate::{
    compile::{
        Scope,
        entries::Container,
        past::{AuthorId, Clock, NodeId, Past},
    },
    engine::{Actor, Draft, Object, Op, Scalar},
    text,
};

/// Into how many maps the records are divided: a write into one map of all would cost Automerge time in
/// proportion to their number.
pub(crate) const BUCKETS: u64 = 256;
/// The counter of the op that made the first of them.
pub(crate) const BUCKET_FIRST: u64 = 1 + Container::ALL.len() as u64;

/// The records that were written.
#[derive(Debug, Default)]
pub(crate) struct Records(BTreeMap<RecordId, Written>);

/// What is known of a record.
#[derive(Debug, Default)]
struct Written {
    /// What stands in the base, which every unit has seen.
    base: Option<Op>,
    writes: Writes,
}

/// All writes of a record, oldest first, by author. Old ones stay: a late unit may have seen no newer.
type Writes = BTreeMap<AuthorId, Vec<Write>>;

#[derive(Debug, Clone, Copy)]
struct Write {
    seq: u64,
    node: NodeId,
    /// What it put; none where it deleted the record.
    put: Option<Op>,
    /// Whether an entry's change took it away.
    is_settled: bool,
}

impl Records {
    /// Puts what stands in a base.
    pub(super) fn stand(&mut self, draft: &mut Draft, control: Actor, state: &AccountState) {
        for (id, raw) in state.records.iter().filter(|(_, it)| !it.deleted) {
            let (object, key) = place(control, id);
            let put = draft.put(object, key, content(&raw.record.bytes), &[]);
            self.0.entry(id.clone()).or_default().base = Some(put);
        }
    }

    pub(crate) fn write(
        &mut self,
        scope: &Scope<'_>,
        draft: &mut Draft,
        id: RecordId,
        put: &RecordPut,
    ) {
        let (object, key) = place(scope.control, &id);
        let Written { base, writes } = self.0.entry(id).or_default();
        let seen = newest(writes, scope.past, scope.clock);
        let over: Vec<Op> = match seen.as_slice() {
            [] => base.iter().copied().collect(),
            seen => seen.iter().filter_map(|(_, it)| it.put).collect(),
        };
        let put = match &put.bytes {
            Some(bytes) => Some(draft.put(object, key, content(bytes), &over)),
            None => {
                draft.delete(object, key, &over);
                None
            }
        };
        let write = Write { seq: scope.body.seq, node: scope.node, put, is_settled: false };
        writes.entry(scope.author).or_default().push(write);
    }

    /// Takes away, of what was written at the same time, all that does not count where `clock` ends.
    pub(crate) fn settle(
        &mut self,
        draft: &mut Draft,
        control: Actor,
        past: &Past,
        clock: &Clock,
        ledger: &Ledger,
        touched: &BTreeSet<RecordId>,
    ) {
        for id in touched {
            let Some(writes) = self.0.get_mut(id).map(|it| &mut it.writes) else { continue };
            let seen = newest(writes, past, clock);
            let position = |write: &Write| position(ledger, past, write);
            let Some((winner, last)) = seen.iter().max_by_key(|(_, it)| position(it)) else {
                continue;
            };
            let (winner, last) = (*winner, last.seq);
            let losers = || seen.iter().filter(|(author, it)| (*author, it.seq) != (winner, last));
            let over: Vec<Op> =
                losers().filter(|(_, it)| !it.is_settled).filter_map(|(_, it)| it.put).collect();
            let (object, key) = place(control, id);
            draft.delete(object, key, &over);
            for (author, loser) in losers() {
                let writes = writes.get_mut(author).into_iter().flatten();
                writes.filter(|it| it.seq == loser.seq).for_each(|it| it.is_settled = true);
            }
        }
    }
}

/// The writes that this past shows: of each author the last one in it, without those that another one
/// had seen.
fn newest(writes: &Writes, past: &Past, clock: &Clock) -> Vec<(AuthorId, Write)> {
    let mut found = Vec::new();
    for (author, writes) in writes {
        let count = clock.count(*author);
        let seen = writes.partition_point(|it| it.seq < count);
        found.extend(seen.checked_sub(1).and_then(|it| writes.get(it)).map(|it| (*author, *it)));
    }
    let nodes = past.newest(found.iter().map(|(_, it)| it.node).collect());
    found.retain(|(_, it)| nodes.contains(&it.node));
    found
}

/// The place of a write in the order of the fold.
fn position(ledger: &Ledger, past: &Past, write: &Write) -> (u64, Lamport, Digest) {
    let unit = past.node(write.node).map_or(Digest::ZERO, |it| it.unit);
    let lamport = ledger.unit(&unit).map_or(Lamport(0), |it| it.body.lamport);
    (ledger.segment(&unit).unwrap_or(u64::MAX), lamport, unit)
}

/// The map and the key of a record.
fn place(control: Actor, id: &RecordId) -> (Object, String) {
    let (app, schema, key) = id;
    let (app, schema) = (text::id(app.as_bytes()), text::id(schema.as_bytes()));
    let key = format!("{app}/{schema}/{}", text::shown(&key.0));
    let bucket = Digest::of(key.as_bytes()).as_bytes().first().map_or(0, |it| u64::from(*it));
    let counter = BUCKET_FIRST.saturating_add(bucket % BUCKETS);
    (Object::Made(Op { counter, actor: control }), key)
}

fn content(bytes: &[u8]) -> Scalar {
    match text::readable(bytes) {
        Some(text) => Scalar::Text(text.to_owned()),
        None => Scalar::Bytes(bytes.to_vec()),
    }
}
