//! Step 8: every process stops; what the stores hold is read without any of them.

use serde_json::Value;

use super::{await_same_state, demand};
use crate::demo::Fault;
use crate::demo::timeline::Timeline;
use crate::demo::world::World;

/// Runs the step.
pub fn run(world: &mut World, timeline: &Timeline) -> Result<(), Fault> {
    let everyone = world.everyone();
    let root = await_same_state(world, &everyone)?;
    for device in world.devices_mut().iter_mut().rev() {
        device.stop()?;
    }
    timeline.note("every process stopped when asked");
    for index in everyone {
        let device = world.device(index)?;
        let status = device.tell(&["status"])?;
        if flag_at(&status, "running") != Some(false) {
            return Err(device.fault("the store is still being served"));
        }
        let active = device.text(&status, "/active/counter")?;
        let own = device.text(&status, "/state_root")?;
        let verified = device.tell(&["ledger", "verify"])?;
        if flag_at(&verified, "ok") != Some(true) {
            return Err(device.fault(format!("the ledger does not verify: {verified}")));
        }
        let recomputed = device.text(&verified, "/state_root")?;
        let named = |what: &str| format!("{what} of {}", device.name());
        demand(&active, "2.0.0", &named("the active version"))?;
        demand(&own, &root, &named("the state root"))?;
        demand(&recomputed, &root, &named("the recomputed state root"))?;
        world.facts.active = Some(active);
        world.facts.state_root = Some(own);
        world.facts.devices += 1;
    }
    timeline.note(format!("every store verifies and has the state root {root}"));
    Ok(())
}

fn flag_at(answer: &Value, field: &str) -> Option<bool> {
    answer.get(field)?.as_bool()
}
