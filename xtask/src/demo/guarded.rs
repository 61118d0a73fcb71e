//! `cargo xtask demo recovery`: an account loses two of three devices, and comes back with guardians.
//!
//! Seven processes on loopback, asked through the `aura` command as persons would: three devices, three
//! guardians, and a new device.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::aura::{Aura, NoAnswer};
use super::deadline;
use super::device::Device;
use super::timeline::Timeline;
use super::{Fault, Stopped};

/// How long these guardians wait, in seconds. Nobody should choose so little: it is there to be watched.
const DELAY_SECONDS: u64 = 15;
/// How long devices may take to come to an agreement on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);
/// What the derived key is for.
const CONTEXT: &str = "photos";
/// How many steps there are.
const STEPS: usize = 6;

/// What the demo has shown.
#[derive(Debug, Default)]
pub struct Shown {
    group_key: String,
    key: String,
    generation: u64,
}

impl Shown {
    /// As one JSON object.
    pub fn json(&self, stopped: Option<&Stopped>) -> Value {
        json!({
            "ok": stopped.is_none(),
            "fault": stopped.map(ToString::to_string),
            "delay_seconds": DELAY_SECONDS,
            "short_delay_for_the_demo": true,
            "group_key": self.group_key,
            "generation": self.generation,
            "same_key": stopped.is_none(),
        })
    }
}

/// The people in it.
struct Cast {
    devices: Vec<Device>,
    guardians: Vec<Device>,
    new: Device,
    /// With which the new device asks to be let in.
    ticket: String,
}

/// Plays it in `dir`.
pub fn play(binary: PathBuf, dir: &std::path::Path) -> (Shown, Result<(), Stopped>) {
    let aura = Aura::new(binary);
    let all = |names: [&str; 3]| -> Vec<Device> {
        names.map(|it| Device::new(aura.clone(), dir, it)).into()
    };
    let mut cast = Cast {
        devices: all(["phone", "laptop", "tablet"]),
        guardians: all(["mother", "brother", "friend"]),
        new: Device::new(aura.clone(), dir, "new-phone"),
        ticket: String::new(),
    };
    let timeline = Timeline::start();
    let mut shown = Shown::default();
    let mut steps = Steps { timeline: &timeline, number: 0 };
    let outcome = steps.play(&mut cast, &mut shown);
    (shown, outcome)
}

struct Steps<'a> {
    timeline: &'a Timeline,
    number: usize,
}

impl Steps<'_> {
    fn play(&mut self, cast: &mut Cast, shown: &mut Shown) -> Result<(), Stopped> {
        let timeline = self.timeline;
        self.step("make an account of three devices", || account(cast, timeline, shown))?;
        self.step("take three guardians", || guardians(cast, timeline))?;
        self.step("lose two devices", || lose(cast, timeline))?;
        self.step("too few guardians do nothing", || too_few(cast, timeline))?;
        self.step("two of three bring it back", || recover(cast, timeline, shown))?;
        self.step("the same keys", || same_keys(cast, timeline, shown))
    }

    fn step(
        &mut self,
        title: &'static str,
        run: impl FnOnce() -> Result<(), Fault>,
    ) -> Result<(), Stopped> {
        self.number += 1;
        let number = self.number;
        self.timeline.begin(number, STEPS, title);
        let start = Instant::now();
        let outcome = run();
        self.timeline.end(outcome.is_ok(), start.elapsed());
        outcome.map_err(|fault| Stopped { step: title, number, fault })
    }
}

impl Cast {
    fn first(&self) -> Result<&Device, Fault> {
        self.devices.first().ok_or_else(|| Fault::new("there are no devices"))
    }

    fn guardian(&self, index: usize) -> Result<&Device, Fault> {
        self.guardians.get(index).ok_or_else(|| Fault::new("there are too few guardians"))
    }
}

/// A device joins with a ticket, and runs.
fn join(device: &mut Device, ticket: &str) -> Result<(), Fault> {
    let name = device.name().to_owned();
    device.tell(&["device", "join", ticket, "--name", &name])?;
    device.start()
}

fn account(cast: &mut Cast, timeline: &Timeline, shown: &mut Shown) -> Result<(), Fault> {
    let mut devices = cast.devices.iter_mut();
    let founder = devices.next().ok_or_else(|| Fault::new("there are no devices"))?;
    let name = founder.name().to_owned();
    let made = founder.tell(&[
        "account",
        "create",
        "--name",
        &name,
        "--recovery-delay",
        &DELAY_SECONDS.to_string(),
    ])?;
    timeline.note(format!("{name} made the account {}", founder.text(&made, "/account")?));
    founder.start()?;
    for device in devices {
        let invitation = founder.tell(&["device", "invite"])?;
        join(device, &founder.text(&invitation, "/ticket")?)?;
        timeline.note(format!("{} joined", device.name()));
    }
    for device in &mut cast.devices {
        device.await_status(LIMIT, |it| match share(it) {
            (Some(true), Some(2)) => Ok(()),
            other => Err(format!("its share of the keys is {other:?}")),
        })?;
    }
    let first = cast.first()?;
    shown.group_key = first.text(&first.tell(&["status"])?, "/keys/group_key")?;
    shown.key = derive(first)?;
    timeline.note(format!("group key {}, which nobody holds", shown.group_key));
    timeline.note(format!("2 of 3 derive the key for `{CONTEXT}`"));
    Ok(())
}

fn share(status: &Value) -> (Option<bool>, Option<u64>) {
    let at = |field| status.pointer(field);
    (at("/keys/share").and_then(Value::as_bool), at("/m").and_then(Value::as_u64))
}

fn derive(device: &Device) -> Result<String, Fault> {
    let derived = deadline::until(LIMIT, || device.ask(&["key", "derive", CONTEXT]).ok());
    let derived = derived.ok_or_else(|| device.fault("it derives no key"))?;
    device.text(&derived, "/key")
}

fn guardians(cast: &mut Cast, timeline: &Timeline) -> Result<(), Fault> {
    for guardian in &mut cast.guardians {
        let first = cast.devices.first().ok_or_else(|| Fault::new("there are no devices"))?;
        let invitation = first.tell(&["guardian", "add"])?;
        join(guardian, &first.text(&invitation, "/ticket")?)?;
        timeline.note(format!("{} guards the account, and votes on nothing", guardian.name()));
    }
    let delay = DELAY_SECONDS.to_string();
    for device in cast.devices.iter().take(2) {
        device.tell(&["recovery", "setup", "--guardians", "2", "--delay", &delay])?;
    }
    timeline
        .note("two of three persons said `recovery setup`; the printed code had its time first");
    let first = cast.first()?;
    wait_for(first, &["guardian", "list"], |it| {
        let rows = it.get("guardians").and_then(Value::as_array);
        let ready = |it: &&Value| it.get("recovers").and_then(Value::as_bool) == Some(true);
        match rows.map(|it| it.iter().filter(ready).count()) {
            Some(3) => Ok(()),
            found => Err(format!("{found:?} of the guardians recover the account")),
        }
    })?;
    timeline.note(format!(
        "2 of 3 guardians recover it from now on, after {DELAY_SECONDS} seconds \
         (SHORT FOR THE DEMO: three days unless told otherwise)"
    ));
    Ok(())
}

/// Asks until the answer is as wanted.
fn wait_for(
    device: &Device,
    args: &[&str],
    holds: impl Fn(&Value) -> Result<(), String>,
) -> Result<(), Fault> {
    let mut missing = String::new();
    let found = deadline::until(LIMIT, || {
        match device.ask(args).map_err(|it| it.to_string()).and_then(|it| holds(&it)) {
            Ok(()) => Some(()),
            Err(reason) => {
                missing = reason;
                None
            }
        }
    });
    found.ok_or_else(|| device.fault(format!("still not after {} s: {missing}", LIMIT.as_secs())))
}

fn lose(cast: &mut Cast, timeline: &Timeline) -> Result<(), Fault> {
    for device in cast.devices.iter_mut().skip(1) {
        device.stop()?;
        std::fs::remove_dir_all(device.store())
            .map_err(|error| device.fault(format!("its store cannot be removed ({error})")))?;
        timeline.note(format!("{} is lost, with its store", device.name()));
    }
    let first = cast.first()?;
    match first.ask(&["key", "derive", CONTEXT]) {
        Err(NoAnswer::Refused { code, message }) => {
            timeline.note(format!("{} alone: {code}: {message}", first.name()));
            Ok(())
        }
        other => Err(first.fault(format!("one device of three derived a key: {other:?}"))),
    }
}

fn too_few(cast: &mut Cast, timeline: &Timeline) -> Result<(), Fault> {
    let guardian = cast.guardian(0)?;
    let invitation = guardian.tell(&["recovery", "invite"])?;
    let ticket = guardian.text(&invitation, "/ticket")?;
    let name = cast.new.name().to_owned();
    match cast.new.ask(&["device", "join", &ticket, "--name", &name]) {
        Err(NoAnswer::Refused { code, message }) if code == "RecoveryWaits" => {
            timeline.note(format!("{name} asks to be let in: {message}"));
        }
        other => return Err(cast.new.fault(format!("it was not told to wait: {other:?}"))),
    }
    cast.ticket.clone_from(&ticket);
    let guardian = cast.guardian(0)?;
    guardian.tell(&["recovery", "request", "--keep", cast.first()?.name()])?;
    guardian.tell(&["recovery", "approve"])?;
    let name = guardian.name();
    timeline.note(format!("{name} asks for the recovery, and approves it"));
    wait_for(guardian, &["recovery", "status"], |it| match request(it)?.get("ready") {
        Some(Value::Bool(true)) => Ok(()),
        _ => Err("its time is not over".to_owned()),
    })?;
    match guardian.ask(&["recovery", "complete"]) {
        Err(NoAnswer::Refused { code, message }) if code == "TooFewApprovals" => {
            timeline.note(format!("{name} alone, its time being over: {code}: {message}"));
            Ok(())
        }
        other => Err(guardian.fault(format!("one guardian of three was enough: {other:?}"))),
    }
}

fn recover(cast: &mut Cast, timeline: &Timeline, shown: &mut Shown) -> Result<(), Fault> {
    let second = cast.guardian(1)?;
    wait_for(second, &["recovery", "status"], |it| {
        match request(it)?.get("approvals").and_then(Value::as_array) {
            Some(approvals) if !approvals.is_empty() => Ok(()),
            _ => Err("it saw no approval".to_owned()),
        }
    })?;
    second.tell(&["recovery", "approve"])?;
    timeline.note(format!("{} approves too; its own clock runs", second.name()));
    match second.ask(&["recovery", "complete"]) {
        Err(NoAnswer::Refused { code, message }) if code == "TooEarly" => {
            timeline.note(format!("{}: {code}: {message}", second.name()));
        }
        other => return Err(second.fault(format!("it did not wait: {other:?}"))),
    }
    for device in [cast.first()?, cast.guardian(0)?] {
        wait_for(device, &["recovery", "status"], |it| match generation(it) {
            Some(1) => Ok(()),
            found => Err(format!("the generation is {found:?}")),
        })?;
    }
    shown.generation = 1;
    timeline.note("both signed: the account goes on in generation 1, without the lost devices");
    let ticket = cast.ticket.clone();
    join(&mut cast.new, &ticket)?;
    timeline.note(format!("{} is let in", cast.new.name()));
    for device in [cast.first()?, &cast.new] {
        wait_for(device, &["recovery", "status"], |it| {
            match it.get("keys_are_back").and_then(Value::as_bool) {
                Some(true) => Ok(()),
                _ => Err("the devices have no keys yet".to_owned()),
            }
        })?;
    }
    timeline.note("the guardians gave both devices new shares; nobody ever held the key");
    Ok(())
}

/// The only request to recover the account.
fn request(status: &Value) -> Result<&Value, String> {
    let row = status.pointer("/recovery_requests/0");
    row.ok_or_else(|| "it saw no request".to_owned())
}

fn generation(status: &Value) -> Option<u64> {
    status.get("generation").and_then(Value::as_u64)
}

fn same_keys(cast: &Cast, timeline: &Timeline, shown: &Shown) -> Result<(), Fault> {
    for device in [cast.first()?, &cast.new] {
        let group_key = device.text(&device.tell(&["status"])?, "/keys/group_key")?;
        if group_key != shown.group_key {
            return Err(device.fault(format!("the group key is {group_key} now")));
        }
        if derive(device)? != shown.key {
            return Err(device.fault("it derives another key"));
        }
        timeline.note(format!("{} derives the key for `{CONTEXT}` that it was", device.name()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_status_says_is_read() {
        let status = json!({"generation": 1, "m": 2, "keys": {"share": true}});
        assert_eq!(generation(&status), Some(1));
        assert_eq!(share(&status), (Some(true), Some(2)));
        assert_eq!(share(&json!({})), (None, None));
    }

    #[test]
    fn the_object_says_that_the_wait_is_short() {
        let stopped = Stopped { step: "lose two devices", number: 3, fault: Fault::new("no") };
        let said = Shown::default().json(Some(&stopped));
        assert_eq!(said.pointer("/short_delay_for_the_demo"), Some(&json!(true)));
        assert_eq!(said.pointer("/ok"), Some(&json!(false)));
    }
}
