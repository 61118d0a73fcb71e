//! Step 6: a quorum is ready, 2.0.0 is certified; what began on 1.1.0 ends on 1.1.0.

use serde_json::Value;

use super::{AGREE_LIMIT, await_each, await_manifests, demand, is_active};
use crate::demo::Fault;
use crate::demo::session::Session;
use crate::demo::timeline::Timeline;
use crate::demo::world::World;

/// Runs the step.
pub fn run(world: &mut World, timeline: &Timeline) -> Result<(), Fault> {
    let limit = AGREE_LIMIT.as_secs().to_string();
    let proposer = world.device(0)?;
    let wait = ["upgrade", "status", "counter", "--wait", "Active", "--timeout", &limit];
    let status = proposer.tell(&wait)?;
    let ready = ready_devices(&status);
    let away = world.device(world.late())?.name();
    if ready.iter().any(|it| it == away) {
        return Err(proposer.fault(format!("{away} is said to be ready, but it is not running")));
    }
    timeline.note(format!("ready with a receipt: {}", ready.join(", ")));
    let present = world.present();
    await_each(world, &present, is_active("2.0.0"))?;
    timeline.note("ActivateVersion is certified, the records are migrated");

    await_manifests(world, 0, &present, "2.0.0")?;
    let session = Session::start(world, &present)?;
    demand(&session.spoken, "2.0.0", "the version spoken")?;
    let finished = session.run_through(world)?;
    timeline.note(format!("a new session on 2.0.0: {}", finished.outcome));

    let held = world.held.take().ok_or_else(|| Fault::new("no session is held"))?;
    let last = world.upgraded().pop().ok_or_else(|| Fault::new("nobody holds the session"))?;
    held.add(world, last)?;
    let finished = held.finish(world)?;
    demand(&finished.version, "1.1.0", "the version of the held session")?;
    timeline.note(format!("the held session finished on 1.1.0: {}", finished.outcome));
    world.facts.pinned_session_version = Some(finished.version);
    Ok(())
}

/// The devices that the active proposal counts as ready.
fn ready_devices(status: &Value) -> Vec<String> {
    let proposals = status["proposals"].as_array().into_iter().flatten();
    let active = proposals.filter(|it| it["state"] == "Active");
    let names = active.filter_map(|it| it["ready"].as_array()).flatten();
    names.filter_map(|it| it.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_active_proposal_counts() {
        let status = json!({"proposals": [
            {"state": "Failed", "ready": ["emil"]},
            {"state": "Active", "ready": ["anna", "bert"]},
        ]});
        assert_eq!(ready_devices(&status), ["anna", "bert"]);
        assert_eq!(ready_devices(&json!({})), Vec::<String>::new());
    }
}
