//! Step 1: the first device makes the account, the others join by ticket.

use serde_json::Value;

use super::await_each;
use crate::demo::Fault;
use crate::demo::timeline::Timeline;
use crate::demo::world::{World, args};

/// Runs the step.
pub fn run(world: &mut World, timeline: &Timeline) -> Result<(), Fault> {
    let founder = world.device_mut(0)?;
    let name = founder.name().to_owned();
    let made = founder.tell(&["account", "create", "--name", &name])?;
    let account = founder.text(&made, "/account")?;
    founder.start()?;
    timeline.note(format!("{name} made the account {account}"));
    for index in world.everyone().into_iter().skip(1) {
        join(world, index, &account)?;
        timeline.note(format!("{} joined", world.device(index)?.name()));
    }
    let votes = votes_needed(world.count());
    let everyone = world.everyone();
    await_each(world, &everyone, |status| {
        let seen = status.get("m").and_then(Value::as_u64);
        if seen == Some(votes) { Ok(()) } else { Err(format!("m is {seen:?}, not {votes}")) }
    })?;
    timeline.note(format!("{votes} of {} decide", world.count()));
    let mut keys = std::collections::BTreeSet::new();
    await_each(world, &everyone, |status| {
        let share = status.pointer("/keys/share").and_then(Value::as_bool);
        if share == Some(true) { Ok(()) } else { Err("it holds no share of the keys".to_owned()) }
    })?;
    for index in world.everyone() {
        let device = world.device(index)?;
        keys.insert(device.text(&device.tell(&["status"])?, "/keys/group_key")?);
    }
    match keys.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [key] => timeline.note(format!("they made the group key {key}, and nobody holds it")),
        several => {
            let found = several.len();
            return Err(world.device(0)?.fault(format!("the devices know {found} group keys")));
        }
    }
    Ok(())
}

/// One device joins with a ticket of the founder's, and is served from then on.
fn join(world: &mut World, index: usize, account: &str) -> Result<(), Fault> {
    let founder = world.device(0)?;
    let invitation = founder.tell(&["device", "invite"])?;
    let ticket = founder.text(&invitation, "/ticket")?;
    let device = world.device_mut(index)?;
    let name = device.name().to_owned();
    let mut join = args([&"device", &"join", &ticket, &"--name", &name]);
    join.extend(device.bind());
    let joined = device.tell(&join)?;
    let joined = device.text(&joined, "/account")?;
    if joined != account {
        return Err(device.fault(format!("it joined {joined}, not {account}")));
    }
    device.start()
}

/// The votes that an account of so many devices needs by default, from four devices on: enough to
/// survive one device that speaks with two tongues.
fn votes_needed(devices: usize) -> u64 {
    (devices as u64 + 2).div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_of_five_decide() {
        let needed: Vec<_> = (4..=9).map(votes_needed).collect();
        assert_eq!(needed, [3, 4, 4, 5, 5, 6]);
    }
}
