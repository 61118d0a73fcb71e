//! Step 3: all but two devices take 1.1.0 by themselves; all still run one session together.

use super::{await_manifests, demand};
use crate::demo::Fault;
use crate::demo::session::Session;
use crate::demo::timeline::Timeline;
use crate::demo::world::{World, args};

/// Runs the step.
pub fn run(world: &mut World, timeline: &Timeline) -> Result<(), Fault> {
    let repository = world.file("counter-1.1.0.repository");
    let publisher = &world.publisher;
    publisher.tell(&args([&"repository", &"release", &world.modules.v1_1]))?;
    publisher.tell(&args([&"repository", &"export", &repository]))?;
    let upgrade = args([
        &"installer",
        &"app",
        &"counter",
        &"upgrade",
        &"--version",
        &"1.1.0",
        &"--repository",
        &repository,
        &"--module",
        &world.modules.v1_1,
    ]);
    let upgraded = world.upgraded();
    for member in &upgraded {
        world.device(*member)?.tell(&upgrade)?;
    }
    await_manifests(world, 0, &upgraded, "1.1.0")?;
    timeline.note(format!("{} devices run 1.1.0, two stay on 1.0.0", upgraded.len()));

    let everyone = world.everyone();
    let session = Session::start(world, &everyone)?;
    demand(&session.spoken, "1.0.0", "the version spoken")?;
    for (index, member) in everyone.iter().enumerate() {
        let name = world.device(*member)?.name();
        let run = session.run_of(name).unwrap_or("not said");
        if !upgraded.contains(&index) {
            demand(run, "1.0.0", &format!("the version that {name} runs"))?;
        }
    }
    let finished = session.run_through(world)?;
    let runs: Vec<_> = session.runs.iter().map(|(name, it)| format!("{name} {it}")).collect();
    timeline.note(format!("one session, spoken 1.0.0 ({}): {}", runs.join(", "), finished.outcome));
    Ok(())
}
