//! What an entry has closed over, the document shows as the ledger's fold has it.

use std::collections::{BTreeMap, BTreeSet};

use aura_journal::control::UpgradePolicy;
use aura_journal::{AccountState, Ledger, SessionStatus, control::EntryBody};
use aura_journal_document::Document;
use aura_protocol_core::DeviceId;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{agreement::scrambled, history::*, support::*};

/// Lets the quorum decide something over all that there is.
pub fn close_all(ledger: &mut Ledger) {
    let (devices, _) = account(5);
    let body = EntryBody::SetUpgradePolicy { app: app(), policy: UpgradePolicy::Manual };
    let entry = certify(ledger.chain(), &devices, ledger.heads(), body);
    ledger.import_entry(entry).unwrap();
}

pub fn records(state: &AccountState) -> Value {
    let mut records: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for ((_, schema, key), raw) in &state.records {
        if !raw.deleted {
            let text = String::from_utf8(raw.record.bytes.clone()).unwrap();
            records.entry(schema.to_string()).or_default().insert(key.to_string(), text);
        }
    }
    json!(records)
}

fn sessions(state: &AccountState) -> Value {
    let mut sessions = BTreeMap::new();
    for session in state.sessions.values() {
        let status = match session.status {
            SessionStatus::Pending | SessionStatus::Active => "open",
            SessionStatus::Completed => "completed",
            SessionStatus::Aborted => "aborted",
            SessionStatus::TimedOut => "timed out",
        };
        let opener = session.opener.to_string();
        let parent = session.parent.map(|(it, _)| it.to_string());
        sessions.insert(
            session.id.to_string(),
            json!([status, opener, session.messages.len(), parent]),
        );
    }
    for (id, reason) in &state.refused_children {
        sessions.insert(id.to_string(), json!(["refused", reason]));
    }
    json!(sessions)
}

fn shown_sessions(shown: &Value) -> Value {
    let sessions = shown["sessions"].as_object().unwrap().iter().map(|(id, it)| {
        let messages = it["messages"].as_object().unwrap().values();
        let messages: u64 = messages.map(|it| it.as_u64().unwrap()).sum();
        let shown = if it["status"] == "refused" {
            json!([it["status"], it["reason"]])
        } else {
            json!([it["status"], it["opener"], messages, it.get("part_of")])
        };
        (id.clone(), shown)
    });
    Value::Object(sessions.collect())
}

/// What the devices that never left said of each proposal.
fn words(state: &AccountState, stayed: &BTreeSet<DeviceId>) -> Value {
    let mut words = BTreeMap::new();
    for (unit, it) in &state.proposals {
        let acknowledged: Vec<_> =
            it.acknowledged.intersection(stayed).map(ToString::to_string).collect();
        let ready: Vec<_> =
            it.ready.keys().filter(|it| stayed.contains(it)).map(ToString::to_string).collect();
        let declined: Vec<_> =
            it.declined.keys().filter(|it| stayed.contains(it)).map(ToString::to_string).collect();
        words.insert(unit.to_string(), json!([acknowledged, ready, declined, it.activated_at]));
    }
    json!(words)
}

fn shown_words(shown: &Value, state: &AccountState, stayed: &BTreeSet<DeviceId>) -> Value {
    let names: BTreeSet<String> = stayed.iter().map(ToString::to_string).collect();
    let mut words = BTreeMap::new();
    for unit in state.proposals.keys() {
        let it = &shown["proposals"][unit.to_string()];
        let who = |key: &str| -> Vec<String> {
            it[key].as_object().unwrap().keys().filter(|it| names.contains(*it)).cloned().collect()
        };
        let activated = it.get("activated_at");
        words.insert(
            unit.to_string(),
            json!([who("acknowledged"), who("ready"), who("declined"), activated]),
        );
    }
    json!(words)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// INV-DOC3: once an entry has closed over everything, the document shows the records of the fold
    /// and nothing beside them, and at all times sessions, devices, apps and proposals as it has them.
    #[test]
    fn closed_is_as_folded((history, order, entries_at) in scrambled()) {
        let mut ledger = scramble(&history, &order, &entries_at);
        let mut document = Document::of(&ledger).unwrap();
        let before = document.to_json();
        prop_assert_eq!(shown_sessions(&before), sessions(ledger.state()));
        close_all(&mut ledger);
        let _update = document.update(&ledger).unwrap();
        let (shown, state) = (document.to_json(), ledger.state());
        let app_shown = shown["apps"].get(app().to_string());
        let records_shown = app_shown.and_then(|it| it.get("records")).cloned();
        prop_assert_eq!(records_shown.unwrap_or_else(|| json!({})), records(state));
        prop_assert_eq!(app_shown.and_then(|it| it.get("conflicts")), None);
        prop_assert_eq!(shown_sessions(&shown), sessions(state));
        let names: BTreeMap<_, _> =
            state.metadata.iter().map(|(id, (_, it))| (id.to_string(), it.name.clone())).collect();
        let names_shown: BTreeMap<_, _> = shown["devices"].as_object().unwrap().iter()
            .map(|(id, it)| (id.clone(), it["name"].as_str().unwrap().to_owned())).collect();
        prop_assert_eq!(names_shown, names);
        let configs = (0..=ledger.chain().config_index()).map(|it| ledger.chain().config_at(it).unwrap());
        let stayed: BTreeSet<DeviceId> = configs.skip(1)
            .map(|it| it.roster.keys().copied().collect::<BTreeSet<_>>())
            .reduce(|a, b| &a & &b).unwrap();
        prop_assert_eq!(shown_words(&shown, state, &stayed), words(state, &stayed));
        for (id, installed) in &state.apps {
            let it = &shown["apps"][id.to_string()];
            prop_assert_eq!(it["version"].as_str().unwrap(), installed.active.version.to_string());
            prop_assert_eq!(it["active_since"].as_u64().unwrap(), installed.active.k);
            prop_assert_eq!(it["history"].as_object().unwrap().len(), installed.history.len());
        }
        let roster: BTreeSet<String> =
            ledger.chain().config().roster.keys().map(ToString::to_string).collect();
        let roster_shown: BTreeSet<String> =
            shown["roster"].as_object().unwrap().keys().cloned().collect();
        prop_assert_eq!(roster_shown, roster);
        prop_assert_eq!(shown["account"]["height"].as_u64().unwrap(), ledger.chain().height());
    }
}
