//! What the demo came to: a table for people, one JSON object for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use super::Stopped;
use super::steps::Step;
use super::world::Facts;

/// The time of each step so far.
#[derive(Debug, Default)]
pub struct Summary {
    steps: Vec<(&'static str, &'static str, Duration)>,
}

impl Summary {
    /// A step took this long.
    pub fn took(&mut self, step: &Step, time: Duration) {
        self.steps.push((step.key, step.title, time));
    }

    /// The table.
    pub fn table(&self, facts: &Facts) -> String {
        let mut text =
            String::from("\n step                                                     time\n");
        for (index, (_, title, time)) in self.steps.iter().enumerate() {
            text.push_str(&format!(" {}  {title:<50} {:>6.1} s\n", index + 1, time.as_secs_f64()));
        }
        let total: Duration = self.steps.iter().map(|it| it.2).sum();
        text.push_str(&format!("    {:<50} {:>6.1} s\n\n", "all", total.as_secs_f64()));
        let word = |it: &Option<String>| it.clone().unwrap_or_else(|| "unknown".to_owned());
        let rows = [
            ("devices that agree", facts.devices.to_string()),
            ("active version of counter", word(&facts.active)),
            ("state root on every device", word(&facts.state_root)),
            ("refused", facts.refused.join(", ")),
            ("held session finished on", word(&facts.pinned_session_version)),
            ("late device caught up", facts.late_device_caught_up.to_string()),
        ];
        for (name, value) in rows {
            text.push_str(&format!(" {name:<28} {value}\n"));
        }
        text.trim_end().to_owned()
    }

    /// The object, in one line.
    pub fn json(&self, facts: &Facts, stopped: Option<&Stopped>) -> Result<String> {
        let steps_ms = self.steps.iter().map(|(key, _, time)| (*key, time.as_millis())).collect();
        let report = Report {
            ok: stopped.is_none(),
            devices: facts.devices,
            active: Active { counter: facts.active.as_deref() },
            state_root: facts.state_root.as_deref(),
            refused: &facts.refused,
            pinned_session_version: facts.pinned_session_version.as_deref(),
            late_device_caught_up: facts.late_device_caught_up,
            steps_ms,
            failed: stopped.map(|it| Failed {
                step: it.step,
                device: it.fault.device.as_deref(),
                reason: &it.fault.reason,
            }),
        };
        serde_json::to_string(&report).context("the summary cannot be written as JSON")
    }
}

/// The object. Names once published stay.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    devices: usize,
    active: Active<'a>,
    state_root: Option<&'a str>,
    refused: &'a [String],
    pinned_session_version: Option<&'a str>,
    late_device_caught_up: bool,
    steps_ms: BTreeMap<&'a str, u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<Failed<'a>>,
}

#[derive(Serialize)]
struct Active<'a> {
    counter: Option<&'a str>,
}

#[derive(Serialize)]
struct Failed<'a> {
    step: &'a str,
    device: Option<&'a str>,
    reason: &'a str,
}

#[cfg(test)]
mod tests {
    use super::super::Fault;
    use super::*;
    use serde_json::{Value, json};

    fn facts() -> Facts {
        Facts {
            devices: 5,
            active: Some("2.0.0".into()),
            state_root: Some("ab12".into()),
            refused: vec!["DigestMismatch".into(), "ImportNotAllowed".into()],
            pinned_session_version: Some("1.1.0".into()),
            late_device_caught_up: true,
        }
    }

    fn summary() -> Summary {
        Summary { steps: vec![("account", "make one account", Duration::from_millis(1234))] }
    }

    #[test]
    fn the_object_has_the_fields_that_were_published() {
        let object: Value = serde_json::from_str(&summary().json(&facts(), None).unwrap()).unwrap();
        let expected = json!({
            "ok": true, "devices": 5, "active": {"counter": "2.0.0"}, "state_root": "ab12",
            "refused": ["DigestMismatch", "ImportNotAllowed"], "pinned_session_version": "1.1.0",
            "late_device_caught_up": true, "steps_ms": {"account": 1234},
        });
        assert_eq!(object, expected);
        assert_eq!(summary().json(&facts(), None).unwrap().lines().count(), 1);
    }

    #[test]
    fn a_failure_is_in_the_object_too() {
        let fault = Fault::on("dora", "never ready");
        let stopped = Stopped { step: "account", number: 1, fault };
        let line = summary().json(&Facts::default(), Some(&stopped)).unwrap();
        let object: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["ok"], false);
        let failed = json!({"step": "account", "device": "dora", "reason": "never ready"});
        assert_eq!(object["failed"], failed);
        assert_eq!(object["active"]["counter"], Value::Null, "nothing is claimed");
    }

    #[test]
    fn the_table_has_the_time_of_each_step() {
        let table = summary().table(&facts());
        assert!(table.contains("make one account") && table.contains("1.2 s"), "{table}");
        assert!(table.contains("DigestMismatch, ImportNotAllowed"), "{table}");
    }
}
