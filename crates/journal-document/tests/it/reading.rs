//! A plain Automerge program: it knows Automerge, and nothing of this crate.

use std::collections::BTreeMap;

use automerge::{Automerge, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, Value};

/// What a plain program sees at a key: all values that stand there, the one that it shows last.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Map(BTreeMap<String, Vec<Seen>>),
    Text(String),
    Bytes(Vec<u8>),
    Number(u64),
    Other(String),
}

pub fn open(bytes: &[u8]) -> Automerge {
    Automerge::load(bytes).unwrap()
}

pub fn heads(doc: &Automerge) -> Vec<[u8; 32]> {
    let mut heads: Vec<[u8; 32]> = doc.get_heads().iter().map(|it| it.0).collect();
    heads.sort_unstable();
    heads
}

pub fn see(doc: &Automerge) -> BTreeMap<String, Vec<Seen>> {
    see_map(doc, &ROOT)
}

fn see_map(doc: &Automerge, object: &ObjId) -> BTreeMap<String, Vec<Seen>> {
    doc.keys(object)
        .map(|key| {
            let all = doc.get_all(object, key.as_str()).unwrap();
            let seen = all.into_iter().map(|(value, id)| see_value(doc, &value, &id)).collect();
            (key, seen)
        })
        .collect()
}

fn see_value(doc: &Automerge, value: &Value<'_>, id: &ObjId) -> Seen {
    match value {
        Value::Object(ObjType::Map) => Seen::Map(see_map(doc, id)),
        Value::Scalar(scalar) => match scalar.as_ref() {
            ScalarValue::Str(text) => Seen::Text(text.to_string()),
            ScalarValue::Bytes(bytes) => Seen::Bytes(bytes.clone()),
            ScalarValue::Uint(number) => Seen::Number(*number),
            other => Seen::Other(format!("{other:?}")),
        },
        other => Seen::Other(format!("{other:?}")),
    }
}

impl Seen {
    /// What is shown at a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |seen, key| match seen {
            Self::Map(map) => map.get(*key)?.last(),
            _ => None,
        })
    }

    pub fn map(&self) -> &BTreeMap<String, Vec<Self>> {
        match self {
            Self::Map(map) => map,
            other => panic!("not a map: {other:?}"),
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            other => panic!("not a text: {other:?}"),
        }
    }
}

/// The records that a plain program sees, by their whole key.
pub fn records(doc: &Automerge) -> BTreeMap<String, Vec<Seen>> {
    let buckets = see(doc)["records"][0].map().clone();
    buckets.into_values().flat_map(|it| it[0].map().clone()).collect()
}

/// The sessions that a plain program sees, by id.
pub fn sessions(doc: &Automerge) -> BTreeMap<String, Seen> {
    let pages = see(doc)["sessions"][0].map().clone();
    let all = pages.into_values().flat_map(|it| it[0].map().clone());
    all.map(|(id, seen)| (id, seen.last().unwrap().clone())).collect()
}
