//! Step 4: a session on 1.1.0 stays open, and a device that is not in it dies.

use super::demand;
use crate::demo::Fault;
use crate::demo::session::Session;
use crate::demo::timeline::Timeline;
use crate::demo::world::World;

/// Runs the step.
pub fn run(world: &mut World, timeline: &Timeline) -> Result<(), Fault> {
    let members = world.upgraded();
    let session = Session::start(world, &members)?;
    demand(&session.spoken, "1.1.0", "the version spoken")?;
    // The first has added its number; all but the last do: the session waits for that one.
    for member in members.iter().skip(1).take(members.len().saturating_sub(2)) {
        session.add(world, *member)?;
    }
    for member in &members {
        let device = world.device(*member)?;
        session.await_arrival(device)?;
        demand(&session.status(device)?, "active", "the status of the held session")?;
    }
    timeline.note("a session on 1.1.0 is open and waits for one number");
    world.held = Some(session);

    let late = world.late();
    let device = world.device_mut(late)?;
    device.kill()?;
    timeline.note(format!("{} was killed", device.name()));
    Ok(())
}
