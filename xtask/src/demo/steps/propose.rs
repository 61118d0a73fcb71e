//! Step 5: two bad modules are refused, each for its own reason; the real one is proposed.

use std::path::Path;

use serde_json::Value;

use crate::demo::aura::NoAnswer;
use crate::demo::timeline::Timeline;
use crate::demo::world::{World, args};
use crate::demo::{Fault, files, hostile};

/// Runs the step.
pub fn run(world: &mut World, timeline: &Timeline) -> Result<(), Fault> {
    // Taken before the real release: the rogue publisher signs another 2.0.0 with the same keys.
    let rogue = world.outsider("rogue-publisher");
    files::copy_folder(world.publisher.store(), rogue.store())?;

    let repository = world.file("counter-2.0.0.repository");
    let real = world.modules.v2_0.clone();
    let release = |module: &Path| {
        args([&"repository", &"release", &module, &"--migration", &world.modules.migration])
    };
    world.publisher.tell(&release(&real))?;
    world.publisher.tell(&args([&"repository", &"export", &repository]))?;

    let tampered = world.file("tampered.wasm");
    files::write(&tampered, &files::with_one_byte_flipped(files::read(&real)?))?;
    let code = refusal(world, &repository, &tampered, "DigestMismatch")?;
    timeline.note(format!("a module with one flipped byte was refused: {code}"));

    let hostile = world.file("hostile.wasm");
    let hostile_repository = world.file("hostile-2.0.0.repository");
    files::write(&hostile, &hostile::importing_module(&files::read(&real)?)?)?;
    let mut hostile_release = release(&hostile);
    hostile_release.push("--danger-unchecked".into());
    rogue.tell(&hostile_release)?;
    rogue.tell(&args([&"repository", &"export", &hostile_repository]))?;
    let other = refusal(world, &hostile_repository, &hostile, "ImportNotAllowed")?;
    timeline.note(format!("a released module with an import was refused: {other}"));
    world.facts.refused = vec![code, other];

    let answer = world.device(0)?.tell(&proposal(world, &repository, &real))?;
    let id = world.device(0)?.text(&answer, "/proposal")?;
    timeline.note(format!("counter 2.0.0 is proposed as {id}"));
    Ok(())
}

fn proposal(world: &World, repository: &Path, module: &Path) -> Vec<std::ffi::OsString> {
    args([
        &"upgrade",
        &"propose",
        &"counter",
        &"--version",
        &"2.0.0",
        &"--repository",
        &repository,
        &"--module",
        &module,
        &"--migration",
        &world.modules.migration,
    ])
}

/// Proposes a bad module and gives the code with which it is refused, which must be `expected`.
fn refusal(
    world: &World,
    repository: &Path,
    module: &Path,
    expected: &str,
) -> Result<String, Fault> {
    let device = world.device(0)?;
    let code = match device.ask(&proposal(world, repository, module)) {
        Err(NoAnswer::Refused { code, .. }) if code == expected => code,
        Err(other) => return Err(device.fault(format!("not refused with {expected}: {other}"))),
        Ok(_) => return Err(device.fault(format!("accepted what is {expected}"))),
    };
    let status = device.tell(&["upgrade", "status", "counter"])?;
    let proposals = status.get("proposals").and_then(Value::as_array).map(Vec::len);
    if proposals != Some(0) {
        return Err(device.fault(format!("the refused module left a proposal: {status}")));
    }
    Ok(code)
}
