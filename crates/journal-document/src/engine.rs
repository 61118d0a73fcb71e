//! The only file that names Automerge: changes are written here, and the document is read here.
//!
//! Nothing here reads Automerge bytes. Changes are built from parts, so what reaches Automerge was
//! thought of in this crate.

use std::collections::BTreeMap;

use automerge::{
    ActorId, Automerge, Change, ChangeHash, ExpandedChange, ObjId, ObjType, ROOT, ReadDoc,
    ScalarValue, Value, legacy,
};

use crate::error::DocumentError;

/// How many op counters each Lamport height has: the change of a unit at height n begins at n times
/// this. A manifest of the most apps that replaces one of as many others takes 517.
pub(crate) const OPS_PER_CHANGE_MAX: u64 = 640;
/// Where op counters end. Automerge keeps them in 32 bits and fails at the end of these; what is left
/// above is for whoever edits a copy.
pub(crate) const OP_COUNTER_MAX: u64 = u32::MAX as u64 - (1 << 28);

/// The name of a change.
pub(crate) type Hash = [u8; 32];
/// The name of an actor.
pub(crate) type Actor = [u8; 16];

/// An op, by its counter and who made it. An object is known by the op that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Op {
    pub(crate) counter: u64,
    pub(crate) actor: Actor,
}

/// The map that an op writes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Object {
    Root,
    Made(Op),
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    Text(String),
    Bytes(Vec<u8>),
    Number(u64),
    Yes,
}

/// A change that is being written.
#[derive(Debug)]
pub(crate) struct Draft {
    actor: Actor,
    start: u64,
    ops: Vec<legacy::Op>,
}

/// A change.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    change: Change,
}

/// What a document shows at one place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shown {
    Map(BTreeMap<String, Place>),
    Scalar(Scalar),
}

/// A key of a map: what it holds, and what was written into it at the same time and did not win.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    pub(crate) value: Shown,
    pub(crate) others: Vec<Scalar>,
}

/// The document itself.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    doc: Automerge,
}

impl Draft {
    /// Begins a change whose ops are counted from `start` on.
    pub(crate) const fn new(actor: Actor, start: u64) -> Self {
        Self { actor, start, ops: Vec::new() }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The counter of the next op.
    pub(crate) fn next(&self) -> u64 {
        self.start.saturating_add(self.ops.len() as u64)
    }

    /// Makes a map at a key, instead of what these ops put there.
    pub(crate) fn make(&mut self, object: Object, key: impl AsRef<str>, over: &[Op]) -> Op {
        self.push(object, key, over, legacy::OpType::Make(ObjType::Map))
    }

    /// Puts a value at a key, instead of what these ops put there.
    pub(crate) fn put(
        &mut self,
        object: Object,
        key: impl AsRef<str>,
        value: Scalar,
        over: &[Op],
    ) -> Op {
        self.push(object, key, over, legacy::OpType::Put(value.into()))
    }

    /// Takes away what these ops put at a key, and nothing else.
    pub(crate) fn delete(&mut self, object: Object, key: impl AsRef<str>, over: &[Op]) {
        if !over.is_empty() {
            self.push(object, key, over, legacy::OpType::Delete);
        }
    }

    fn push(
        &mut self,
        object: Object,
        key: impl AsRef<str>,
        over: &[Op],
        action: legacy::OpType,
    ) -> Op {
        let op = Op { counter: self.next(), actor: self.actor };
        let pred: Vec<legacy::OpId> = over.iter().map(Into::into).collect();
        let obj = match &object {
            Object::Root => legacy::ObjectId::Root,
            Object::Made(op) => legacy::ObjectId::Id(op.into()),
        };
        let key = legacy::Key::Map(key.as_ref().into());
        self.ops.push(legacy::Op { action, obj, key, pred: pred.into(), insert: false });
        op
    }

    /// The `seq`th change of its actor, from 1, after these. None where its counters do not fit.
    pub(crate) fn finish(self, seq: u64, deps: &[Hash]) -> Option<Compiled> {
        if OP_COUNTER_MAX < self.next() {
            return None;
        }
        let change = Change::from(ExpandedChange {
            operations: self.ops,
            actor_id: ActorId::from(self.actor),
            hash: None,
            seq,
            start_op: self.start.try_into().ok()?,
            time: 0,
            message: None,
            deps: deps.iter().copied().map(ChangeHash).collect(),
            extra_bytes: Vec::new(),
            author: None,
        });
        Some(Compiled { change })
    }
}

impl Compiled {
    pub(crate) fn hash(&self) -> Hash {
        self.change.hash().0
    }
}

impl From<&Op> for legacy::OpId {
    fn from(op: &Op) -> Self {
        Self(op.counter, ActorId::from(op.actor))
    }
}

impl From<Scalar> for ScalarValue {
    fn from(value: Scalar) -> Self {
        match value {
            Scalar::Text(text) => Self::Str(text.into()),
            Scalar::Bytes(bytes) => Self::Bytes(bytes),
            Scalar::Number(number) => Self::Uint(number),
            Scalar::Yes => Self::Boolean(true),
        }
    }
}

impl Engine {
    pub(crate) fn new() -> Self {
        Self { doc: Automerge::new() }
    }

    /// Adds changes, each after those that it rests on.
    pub(crate) fn apply(&mut self, changes: Vec<Compiled>) -> Result<(), DocumentError> {
        self.apply_raw(changes.into_iter().map(|it| it.change).collect())
    }

    fn apply_raw(&mut self, changes: Vec<Change>) -> Result<(), DocumentError> {
        let refused = |error| DocumentError::Refused { what: format!("{error}") };
        self.doc.apply_changes(changes).map_err(refused)
    }

    /// The changes that no other rests on, sorted.
    pub(crate) fn heads(&self) -> Vec<Hash> {
        let mut heads: Vec<Hash> = self.doc.get_heads().into_iter().map(|it| it.0).collect();
        heads.sort_unstable();
        heads
    }

    /// The document's bytes. Automerge writes changes in the order in which they came, so they are put
    /// into one order first: by start, which is greater than that of all they rest on, then by actor.
    pub(crate) fn save(&self) -> Result<Vec<u8>, DocumentError> {
        let mut changes = self.doc.get_changes(&[]);
        changes.sort_by(|a, b| (a.start_op(), a.actor_id()).cmp(&(b.start_op(), b.actor_id())));
        let mut canonical = Self::new();
        canonical.apply_raw(changes)?;
        Ok(canonical.doc.save())
    }

    /// What the document shows.
    pub(crate) fn read(&self) -> BTreeMap<String, Place> {
        self.read_map(&ROOT)
    }

    fn read_map(&self, object: &ObjId) -> BTreeMap<String, Place> {
        let range = self.doc.map_range(object, ..);
        range
            .filter_map(|item| {
                let key = item.key.to_string();
                let others = if item.conflict { self.others(object, &key) } else { Vec::new() };
                let value = self.read_value(item.value.clone().into(), &item.id())?;
                Some((key, Place { value, others }))
            })
            .collect()
    }

    fn read_value(&self, value: Value<'_>, id: &ObjId) -> Option<Shown> {
        match value {
            Value::Object(_) => Some(Shown::Map(self.read_map(id))),
            Value::Scalar(scalar) => read_scalar(&scalar).map(Shown::Scalar),
        }
    }

    /// What is at a key besides what is shown there, the winner last in Automerge's order.
    fn others(&self, object: &ObjId, key: &str) -> Vec<Scalar> {
        let mut all = self.doc.get_all(object, key).unwrap_or_default();
        all.pop();
        let scalars = all.iter().filter_map(|(value, _)| match value {
            Value::Scalar(scalar) => read_scalar(scalar),
            Value::Object(_) => None,
        });
        scalars.collect()
    }
}

/// The kinds of values that this crate writes.
fn read_scalar(value: &ScalarValue) -> Option<Scalar> {
    match value {
        ScalarValue::Str(text) => Some(Scalar::Text(text.to_string())),
        ScalarValue::Bytes(bytes) => Some(Scalar::Bytes(bytes.clone())),
        ScalarValue::Uint(number) => Some(Scalar::Number(*number)),
        ScalarValue::Boolean(true) => Some(Scalar::Yes),
        _ => None,
    }
}
