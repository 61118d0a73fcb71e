//! Sessions of `counter` as the demo runs them: everybody adds a number and all learn the sum.

use std::time::Duration;

use serde_json::Value;

use super::Fault;
use super::deadline;
use super::device::Device;
use super::world::World;

/// How long an event may take to reach every participant of a session on a busy machine.
const SESSION_LIMIT: Duration = Duration::from_secs(90);

/// A session that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// The version its participants speak.
    pub spoken: String,
    /// Which version each participant runs, by its name.
    pub runs: Vec<(String, String)>,
    /// The participants, by their place in the account. The first opened it.
    members: Vec<usize>,
}

impl Session {
    /// Starts a session among `members`, opened by the first, who adds its number at once.
    pub fn start(world: &World, members: &[usize]) -> Result<Self, Fault> {
        let (opener, others) = members.split_first().ok_or_else(|| Fault::new("nobody to ask"))?;
        let opener = world.device(*opener)?;
        let names: Result<Vec<&str>, Fault> =
            others.iter().map(|it| Ok(world.device(*it)?.name())).collect();
        let names = names?.join(",");
        let number = members.first().map(|it| number_of(*it).to_string()).unwrap_or_default();
        let start = ["session", "start", "counter", "--with", &names, "--input", &number];
        let answer = opener.tell(&start)?;
        let id = opener.text(&answer, "/session")?;
        let spoken = opener.text(&answer, "/spoken")?;
        Ok(Self { id, spoken, runs: runs_of(&answer), members: members.to_vec() })
    }

    /// The version that the participant `name` runs.
    pub fn run_of(&self, name: &str) -> Option<&str> {
        self.runs.iter().find(|(it, _)| it == name).map(|(_, version)| version.as_str())
    }

    /// One participant adds its number, once the session has reached it.
    pub fn add(&self, world: &World, member: usize) -> Result<(), Fault> {
        let device = world.device(member)?;
        self.await_arrival(device)?;
        device.tell(&["session", "signal", &self.id, &number_of(member).to_string()])?;
        Ok(())
    }

    /// Waits until the session is known to a participant.
    pub fn await_arrival(&self, device: &Device) -> Result<(), Fault> {
        let mut reason = String::new();
        let arrived =
            deadline::until(SESSION_LIMIT, || match device.ask(&["session", "show", &self.id]) {
                Ok(_) => Some(()),
                Err(error) => {
                    reason = error.to_string();
                    None
                }
            });
        arrived.ok_or_else(|| device.fault(format!("the session never reached it: {reason}")))
    }

    /// Where the session stands for one participant, without waiting.
    pub fn status(&self, device: &Device) -> Result<String, Fault> {
        let answer = device.tell(&["session", "show", &self.id])?;
        device.text(&answer, "/status")
    }

    /// Waits until every participant knows the sum; the answer is what they all say.
    pub fn finish(&self, world: &World) -> Result<Finished, Fault> {
        let seconds = SESSION_LIMIT.as_secs().to_string();
        let expected = format!("sum={}", self.members.iter().map(|it| number_of(*it)).sum::<u64>());
        let mut version = None;
        let mut outcomes = Vec::new();
        for member in &self.members {
            let device = world.device(*member)?;
            let answer = device.tell(&["session", "show", &self.id, "--wait", &seconds])?;
            let status = device.text(&answer, "/status")?;
            let outcome = device.text(&answer, "/outcome").unwrap_or_default();
            if status != "completed" || outcome.split_whitespace().next() != Some(&expected) {
                return Err(device.fault(format!(
                    "the session is {status} with {outcome:?}, not completed with {expected}"
                )));
            }
            outcomes.push(outcome);
            version.get_or_insert(device.text(&answer, "/version")?);
        }
        let version = version.unwrap_or_default();
        Ok(Finished { version, outcome: outcomes.into_iter().next().unwrap_or_default() })
    }

    /// The others add their numbers, and everybody learns the sum.
    pub fn run_through(&self, world: &World) -> Result<Finished, Fault> {
        for member in self.members.iter().skip(1) {
            self.add(world, *member)?;
        }
        self.finish(world)
    }
}

/// What a finished session came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The version the opener ran it on.
    pub version: String,
    /// The opener's result as people read it.
    pub outcome: String,
}

/// The number a device adds: powers of two, so that a sum tells who is in it.
fn number_of(member: usize) -> u64 {
    u32::try_from(member).ok().and_then(|it| 1_u64.checked_shl(it)).unwrap_or(0)
}

fn runs_of(answer: &Value) -> Vec<(String, String)> {
    let runs = answer["runs"].as_object().into_iter().flatten();
    runs.filter_map(|(name, version)| Some((name.clone(), version.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_tells_who_is_in_it() {
        assert_eq!((0..5).map(number_of).collect::<Vec<_>>(), [1, 2, 4, 8, 16]);
    }

    #[test]
    fn the_versions_that_run_are_read_by_name() {
        let answer = serde_json::json!({"runs": {"anna": "1.1.0", "emil": "1.0.0"}});
        let session = Session {
            id: "a1".into(),
            spoken: "1.0.0".into(),
            runs: runs_of(&answer),
            members: vec![0, 4],
        };
        assert_eq!(session.run_of("emil"), Some("1.0.0"));
        assert_eq!(session.run_of("nobody"), None);
        assert_eq!(runs_of(&serde_json::json!({})), []);
    }
}
