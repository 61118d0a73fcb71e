//! Step 2: `counter` 1.0.0 is published, installed for the account, and run by all devices.

use std::path::Path;
use std::thread;

use super::{await_each, await_manifests, demand, is_active};
use crate::demo::Fault;
use crate::demo::session::Session;
use crate::demo::timeline::Timeline;
use crate::demo::world::{World, args};
use crate::web::serve::Server;

/// What the account lets in: 2.x too, but a hard fork still needs its own consent.
const REQUIREMENT: &str = ">=1.0.0, <3";

/// Runs the step.
pub fn run(world: &mut World, timeline: &Timeline) -> Result<(), Fault> {
    let repository = world.file("counter-1.0.0.repository");
    let publisher = &world.publisher;
    publisher.tell(&["account", "create", "--name", "publisher"])?;
    publisher.tell(&["repository", "create", "--protocol", "counter", "--name", "counter"])?;
    let module = &world.modules.v1_0;
    // This host's own address means something to devices of this host alone.
    let elsewhere = world.device(0)?.is_elsewhere();
    let url = if elsewhere { format!("file://{}", module.display()) } else { serve(module)? };
    publisher.tell(&args([&"repository", &"release", &world.modules.v1_0, &"--url", &url]))?;
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
    ]);
    world.device(0)?.tell(&install)?;
    let everyone = world.everyone();
    await_each(world, &everyone, is_active("1.0.0"))?;
    // Nobody was given a file: where the first device had it from, the release says.
    timeline.note(format!("counter 1.0.0 is active on every device; {url} gave it to the first"));

    await_manifests(world, 0, &everyone, "1.0.0")?;
    let session = Session::start(world, &everyone)?;
    demand(&session.spoken, "1.0.0", "the version spoken")?;
    let finished = session.run_through(world)?;
    timeline.note(format!("a session of all devices: {}", finished.outcome));
    Ok(())
}

/// Serves the folder of a module on this machine until the demo ends; gives the module's location.
fn serve(module: &Path) -> Result<String, Fault> {
    let fault = |what: String| Fault::new(format!("{} cannot be served: {what}", module.display()));
    let (Some(folder), Some(name)) = (module.parent(), module.file_name()) else {
        return Err(fault("it is no file".to_owned()));
    };
    let server = Server::open(folder.to_owned(), 0).map_err(|it| fault(it.to_string()))?;
    let url = format!("http://{}/{}", server.address(), name.to_string_lossy());
    thread::spawn(move || {
        if let Err(error) = server.run() {
            eprintln!("demo: modules are not served any more: {error}");
        }
    });
    Ok(url)
}
