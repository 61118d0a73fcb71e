//! Step 2: `counter` 1.0.0 is published, installed for the account, and run by all devices.

use super::{await_each, await_manifests, demand, is_active};
use crate::demo::Fault;
use crate::demo::session::Session;
use crate::demo::timeline::Timeline;
use crate::demo::world::{World, args};

/// What the account lets in: 2.x too, but a hard fork still needs its own consent.
const REQUIREMENT: &str = ">=1.0.0, <3";

/// Runs the step.
pub fn run(world: &mut World, timeline: &Timeline) -> Result<(), Fault> {
    let repository = world.file("counter-1.0.0.repository");
    let publisher = &world.publisher;
    publisher.tell(&["account", "create", "--name", "publisher"])?;
    publisher.tell(&["repository", "create", "--protocol", "counter", "--name", "counter"])?;
    publisher.tell(&args([&"repository", &"release", &world.modules.v1_0]))?;
    publisher.tell(&args([&"repository", &"export", &repository]))?;
    timeline.note("the publisher, an account like any other, released counter 1.0.0");

    let install = args([
        &"installer",
        &"app",
        &"counter",
        &"install",
        &"--repository",
        &repository,
        &"--requirement",
        &REQUIREMENT,
        &"--policy",
        &"minor",
        &"--module",
        &world.modules.v1_0,
    ]);
    world.device(0)?.tell(&install)?;
    let everyone = world.everyone();
    await_each(world, &everyone, is_active("1.0.0"))?;
    timeline.note("counter 1.0.0 is active on every device; the module came over the wire");

    await_manifests(world, 0, &everyone, "1.0.0")?;
    let session = Session::start(world, &everyone)?;
    demand(&session.spoken, "1.0.0", "the version spoken")?;
    let finished = session.run_through(world)?;
    timeline.note(format!("a session of all devices: {}", finished.outcome));
    Ok(())
}
