//! What a document shows, as JSON: the same tree, without the pages and buckets that keep its maps
//! small, with records under their apps and lists as lists.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    engine::{Place, Scalar, Shown},
    text,
};

/// Keys whose texts are lists.
const LISTS: [&str; 4] = ["addresses", "participants", "steps", "capabilities"];

type Tree = BTreeMap<String, Place>;

/// The whole document.
pub(crate) fn value(mut root: Tree) -> Value {
    let sessions = merged(take(&mut root, "sessions"));
    let records = merged(take(&mut root, "records"));
    let devices: Map<String, Value> = take(&mut root, "devices").into_iter().map(device).collect();
    let roster = take(&mut root, "roster").into_iter().map(|it| member(&devices, it)).collect();
    let mut shown = plain(root);
    shown.insert("roster".to_owned(), roster);
    shown.insert("devices".to_owned(), Value::Object(devices));
    shown.insert("sessions".to_owned(), sessions.into_iter().map(session).collect());
    let apps = shown.entry("apps").or_insert_with(|| json!({}));
    for (key, place) in records {
        // The key of a record may hold slashes, what stands before it does not.
        let mut parts = key.splitn(3, '/');
        let mut part = || parts.next().unwrap_or_default();
        let at = [part(), "records", part(), part()];
        let conflict = conflict(&place);
        insert(apps, &at, shown_value("", place.value));
        if let Some(others) = conflict {
            let [app, _, schema, key] = at;
            insert(apps, &[app, "conflicts", schema, key], others);
        }
    }
    Value::Object(shown)
}

/// The map at a key.
fn take(tree: &mut Tree, key: &str) -> Tree {
    match tree.remove(key).map(|it| it.value) {
        Some(Shown::Map(map)) => map,
        _ => Tree::new(),
    }
}

/// All that stands in the maps of a map.
fn merged(pages: Tree) -> Tree {
    let inner = pages.into_values().filter_map(|it| match it.value {
        Shown::Map(map) => Some(map),
        Shown::Scalar(_) => None,
    });
    inner.flatten().collect()
}

fn plain(tree: Tree) -> Map<String, Value> {
    tree.into_iter()
        .map(|(key, place)| {
            let value = shown_value(&key, place.value);
            (key, value)
        })
        .collect()
}

/// A device, with the versions that it runs as lists.
fn device((id, place): (String, Place)) -> (String, Value) {
    let Shown::Map(mut map) = place.value else { return (id, Value::Null) };
    let runs = take(&mut map, "runs").into_iter().map(|(app, place)| match place.value {
        Shown::Scalar(Scalar::Text(versions)) => (app, list(&versions)),
        other => (app, shown_value("", other)),
    });
    let runs: Map<String, Value> = runs.collect();
    let mut shown = plain(map);
    shown.insert("runs".to_owned(), Value::Object(runs));
    (id, Value::Object(shown))
}

/// A device of the roster, with the name that it gave itself, if it did.
fn member(devices: &Map<String, Value>, (id, place): (String, Place)) -> (String, Value) {
    let name = devices.get(&id).and_then(|it| it.get("name")).cloned();
    let role = shown_value("", place.value);
    (id, json!({ "role": role, "name": name }))
}

/// A session, with the numbers of messages by device. It timed out if anybody said so and its opener said
/// nothing else.
fn session((id, place): (String, Place)) -> (String, Value) {
    let Shown::Map(map) = place.value else { return (id, Value::Null) };
    let mut messages = Map::new();
    let mut shown = Map::new();
    let mut timed_out = Vec::new();
    for (key, value) in plain(map) {
        if let Some(device) = key.strip_prefix("messages ") {
            messages.insert(device.to_owned(), value);
        } else if let Some(device) = key.strip_prefix("timed out ") {
            timed_out.push(json!(device));
        } else {
            shown.insert(key, value);
        }
    }
    if !timed_out.is_empty() {
        if shown.get("status").is_some_and(|it| it == "open") {
            shown.insert("status".to_owned(), json!("timed out"));
        }
        shown.insert("timed_out".to_owned(), Value::Array(timed_out));
    }
    shown.insert("messages".to_owned(), Value::Object(messages));
    (id, Value::Object(shown))
}

fn shown_value(key: &str, value: Shown) -> Value {
    match value {
        Shown::Map(map) => Value::Object(plain(map)),
        Shown::Scalar(Scalar::Text(text)) if LISTS.contains(&key) => list(&text),
        Shown::Scalar(scalar) => scalar_value(&scalar),
    }
}

fn scalar_value(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Text(text) => json!(text),
        Scalar::Bytes(bytes) => json!(text::hex(bytes)),
        Scalar::Number(number) => json!(number),
        Scalar::Yes => json!(true),
    }
}

fn list(text: &str) -> Value {
    text.split(", ").filter(|it| !it.is_empty()).collect()
}

/// What was written at the same time, and does not count so far.
fn conflict(place: &Place) -> Option<Value> {
    let others: Vec<Value> = place.others.iter().map(scalar_value).collect();
    if others.is_empty() { None } else { Some(Value::Array(others)) }
}

/// Puts a value at a path, with maps on the way.
fn insert(into: &mut Value, path: &[&str], value: Value) {
    let Some((key, rest)) = path.split_first() else {
        *into = value;
        return;
    };
    if let Value::Object(map) = into {
        let inner = map.entry((*key).to_owned()).or_insert_with(|| json!({}));
        insert(inner, rest, value);
    }
}
