//! Step 7: the device that was away comes back, catches up, and takes part.

use super::{await_each, await_manifests, demand, is_active};
use crate::demo::Fault;
use crate::demo::session::Session;
use crate::demo::timeline::Timeline;
use crate::demo::world::World;

/// Runs the step.
pub fn run(world: &mut World, timeline: &Timeline) -> Result<(), Fault> {
    let late = world.late();
    let device = world.device_mut(late)?;
    device.start()?;
    timeline.note(format!("{} runs again", device.name()));
    await_each(world, &[late], is_active("2.0.0"))?;
    timeline.note("it has the chain entry, the module and the migrated records");

    // The late device opens the session, so that nobody can have run it for it.
    let mut members = world.everyone();
    members.rotate_right(1);
    await_manifests(world, late, &members, "2.0.0")?;
    let session = Session::start(world, &members)?;
    demand(&session.spoken, "2.0.0", "the version spoken")?;
    let finished = session.run_through(world)?;
    timeline.note(format!("it opened a session on 2.0.0: {}", finished.outcome));
    world.facts.late_device_caught_up = true;
    Ok(())
}
