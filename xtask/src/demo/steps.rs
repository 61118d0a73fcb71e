//! The main job, one file a step.

mod account;
mod activate;
mod catch_up;
mod hold;
mod install;
mod propose;
mod soft_fork;
mod verify;

use std::time::Duration;

use serde_json::Value;

use super::Fault;
use super::deadline;
use super::timeline::Timeline;
use super::world::World;

/// How long the devices may take to agree on something, on a busy machine of two cores.
const AGREE_LIMIT: Duration = Duration::from_secs(120);

/// One step of the main job.
#[derive(Debug)]
pub struct Step {
    /// Its name for programs.
    pub key: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it does.
    pub run: fn(&mut World, &Timeline) -> Result<(), Fault>,
}

/// All steps, in order.
pub const STEPS: [Step; 8] = [
    Step { key: "account", title: "make one account of all devices", run: account::run },
    Step { key: "install", title: "install counter 1.0.0 and run it", run: install::run },
    Step { key: "soft_fork", title: "soft fork 1.1.0 on all but two", run: soft_fork::run },
    Step { key: "hold", title: "hold a session on 1.1.0, kill a device", run: hold::run },
    Step { key: "propose", title: "refuse bad modules, propose 2.0.0", run: propose::run },
    Step { key: "activate", title: "activate 2.0.0, finish on 1.1.0", run: activate::run },
    Step { key: "catch_up", title: "restart the killed device", run: catch_up::run },
    Step { key: "verify", title: "stop all, read every store offline", run: verify::run },
];

/// Waits until `holds` for the status of each of `members`; its error says what is missing.
fn await_each(
    world: &mut World,
    members: &[usize],
    holds: impl Fn(&Value) -> Result<(), String>,
) -> Result<(), Fault> {
    for member in members {
        world.device_mut(*member)?.await_status(AGREE_LIMIT, &holds)?;
    }
    Ok(())
}

/// Waits until `viewer` has heard that each of `members` can run a version of `counter`: whoever
/// starts a session negotiates with what the ledger tells it of the others.
fn await_manifests(
    world: &World,
    viewer: usize,
    members: &[usize],
    version: &str,
) -> Result<(), Fault> {
    let viewer = world.device(viewer)?;
    let names: Result<Vec<&str>, Fault> =
        members.iter().map(|it| Ok(world.device(*it)?.name())).collect();
    let names = names?;
    let mut missing = String::new();
    let found = deadline::until(AGREE_LIMIT, || {
        let heard = viewer.ask(&["device", "list"]).map_err(|it| it.to_string());
        match heard.and_then(|list| names.iter().try_for_each(|it| lists(&list, it, version))) {
            Ok(()) => Some(()),
            Err(reason) => {
                missing = reason;
                None
            }
        }
    });
    let waited = AGREE_LIMIT.as_secs();
    found.ok_or_else(|| viewer.fault(format!("still not after {waited} s: {missing}")))
}

/// Says that a list of devices has the device `name` able to run a version of `counter`.
fn lists(list: &Value, name: &str, version: &str) -> Result<(), String> {
    let rows = list.get("devices").and_then(Value::as_array);
    let row = rows.into_iter().flatten().find(|it| text_at(it, "/name").as_deref() == Ok(name));
    match row {
        Some(row) => offers(version)(row).map_err(|_| format!("{name} has no counter {version}")),
        None => Err(format!("{name} is not in its list of devices")),
    }
}

/// Waits until `members` all have the same state: what one wrote last has reached the others.
/// Gives the state root.
fn await_same_state(world: &mut World, members: &[usize]) -> Result<String, Fault> {
    let Some((first, others)) = members.split_first() else {
        return Err(Fault::new("there are no devices to compare"));
    };
    let root = |status: &Value| match status.get("settled").and_then(Value::as_bool) {
        Some(true) => text_at(status, "/state_root"),
        _ => Err("it still has something to do".to_owned()),
    };
    let mut seen = world.device_mut(*first)?.await_status(AGREE_LIMIT, root)?;
    for _ in 0..members.len() {
        let before = seen.clone();
        for member in others {
            let aim = before.clone();
            world.device_mut(*member)?.await_status(AGREE_LIMIT, |status| {
                let own = root(status)?;
                if own == aim { Ok(()) } else { Err(format!("state root {own} is not {aim}")) }
            })?;
        }
        // The first may have learnt something from the others meanwhile.
        seen = world.device_mut(*first)?.await_status(AGREE_LIMIT, root)?;
        if seen == before {
            return Ok(seen);
        }
    }
    Err(Fault::new("the devices' state never came to rest"))
}

/// Says that a version of `counter` is active.
fn is_active(version: &'static str) -> impl Fn(&Value) -> Result<(), String> {
    move |status| {
        let active = text_at(status, "/active/counter")?;
        let wrong = format!("counter {active} is active, not {version}");
        if active == version { Ok(()) } else { Err(wrong) }
    }
}

/// Says that a device offers a version of `counter` in its manifest.
fn offers(version: &str) -> impl Fn(&Value) -> Result<(), String> {
    move |status| {
        let offered = status.pointer("/manifest/counter").and_then(Value::as_array);
        let has = offered.is_some_and(|it| it.iter().any(|it| it == version));
        if has { Ok(()) } else { Err(format!("its manifest has no counter {version}: {status}")) }
    }
}

fn text_at(answer: &Value, field: &str) -> Result<String, String> {
    let text = answer.pointer(field).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| format!("the answer has no text at {field}"))
}

/// Demands that what was seen is what the main job says.
fn demand(seen: &str, expected: &str, what: &str) -> Result<(), Fault> {
    if seen == expected {
        return Ok(());
    }
    Err(Fault::new(format!("{what} is {seen:?}, not {expected:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_step_has_its_own_name() {
        let keys: std::collections::BTreeSet<_> = STEPS.iter().map(|it| it.key).collect();
        assert_eq!(keys.len(), STEPS.len());
        assert!(STEPS.iter().all(|it| it.title.chars().count() <= 50), "the table is that wide");
    }

    #[test]
    fn an_active_version_is_read_from_the_status() {
        let status = json!({"active": {"counter": "1.0.0"}});
        assert_eq!(is_active("1.0.0")(&status), Ok(()));
        let error = is_active("2.0.0")(&status).unwrap_err();
        assert_eq!(error, "counter 1.0.0 is active, not 2.0.0");
        assert!(is_active("1.0.0")(&json!({})).is_err());
    }

    #[test]
    fn a_manifest_is_read_from_the_status() {
        let status = json!({"manifest": {"counter": ["1.0.0", "1.1.0"]}});
        assert_eq!(offers("1.1.0")(&status), Ok(()));
        assert!(offers("2.0.0")(&status).is_err());
    }

    #[test]
    fn what_a_device_knows_of_another_is_read_from_its_list() {
        let list = json!({"devices": [{"name": "bert", "manifest": {"counter": ["1.0.0"]}}]});
        assert_eq!(lists(&list, "bert", "1.0.0"), Ok(()));
        assert_eq!(lists(&list, "bert", "1.1.0"), Err("bert has no counter 1.1.0".into()));
        assert_eq!(lists(&list, "cleo", "1.0.0"), Err("cleo is not in its list of devices".into()));
    }

    #[test]
    fn what_is_not_as_told_is_a_fault() {
        assert_eq!(demand("1.1.0", "1.1.0", "the version"), Ok(()));
        let fault = demand("1.0.0", "1.1.0", "the version").unwrap_err();
        assert_eq!(fault.to_string(), "the version is \"1.0.0\", not \"1.1.0\"");
    }
}
