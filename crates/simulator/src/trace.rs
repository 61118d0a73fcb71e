//! What happened in a run, for people and tools: text, JSON, and a Mermaid sequence diagram.

use std::fmt::Write as _;

use aura_choreography::Dev;
use serde::Serialize;

/// What happened in a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Trace {
    /// How many devices took part.
    pub devices: u8,
    /// What happened, in order.
    pub entries: Vec<Entry>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When.
    pub at: u64,
    /// Where.
    pub dev: u8,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened at a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// It said something.
    Said {
        /// The message.
        message: String,
        /// What it carries.
        body: String,
    },
    /// It heard something.
    Heard {
        /// Of whom.
        from: u8,
        /// The message.
        message: String,
        /// What it carries.
        body: String,
        /// Whether it took it.
        taken: bool,
    },
    /// A deadline passed.
    Timer,
    /// The person there said something.
    Signal,
    /// The power went.
    Crash {
        /// In the middle of what, if that was it.
        torn: Option<&'static str>,
    },
    /// It is back.
    Restart,
    /// The session ended.
    Ended {
        /// How.
        how: String,
    },
}

impl Trace {
    pub(crate) fn push(&mut self, at: u64, dev: Dev, what: What) {
        self.entries.push(Entry { at, dev: dev.0, what });
    }

    /// One line each.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Entry { at, dev, what } in &self.entries {
            // Writing into a string does not fail.
            let _written = match what {
                What::Said { message, body } => {
                    writeln!(text, "{at:>5}  {dev} says {message} {body}")
                }
                What::Heard { from, message, body, taken } => {
                    let verb = if *taken { "hears" } else { "refuses" };
                    writeln!(text, "{at:>5}  {dev} {verb} {message} {body} from {from}")
                }
                What::Timer => writeln!(text, "{at:>5}  {dev} is woken by its clock"),
                What::Signal => writeln!(text, "{at:>5}  {dev} gets a signal"),
                What::Crash { torn: None } => writeln!(text, "{at:>5}  {dev} crashes"),
                What::Crash { torn: Some(when) } => {
                    writeln!(text, "{at:>5}  {dev} crashes {when}")
                }
                What::Restart => writeln!(text, "{at:>5}  {dev} restarts"),
                What::Ended { how } => writeln!(text, "{at:>5}  {dev} ended: {how}"),
            };
        }
        text
    }

    /// A Mermaid sequence diagram.
    #[must_use]
    pub fn diagram(&self) -> String {
        let mut text = String::from("sequenceDiagram\n");
        for dev in 0..self.devices {
            let _written = writeln!(text, "    participant d{dev} as device {dev}");
        }
        for Entry { at, dev, what } in &self.entries {
            let mut note =
                |what: &str| writeln!(text, "    Note over d{dev}: {at}: {}", plain(what));
            let _written = match what {
                What::Said { message, .. } => note(&format!("says {message}")),
                What::Heard { from, message, taken, .. } => {
                    let arrow = if *taken { "->>" } else { "--x" };
                    writeln!(text, "    d{from}{arrow}d{dev}: {at}: {}", plain(message))
                }
                What::Timer => note("woken"),
                What::Signal => note("signal"),
                What::Crash { torn } => note(&format!("crash {}", torn.unwrap_or_default())),
                What::Restart => note("restart"),
                What::Ended { how } => note(&format!("ended, {how}")),
            };
        }
        text
    }
}

/// Without what a diagram would read as its own.
fn plain(text: &str) -> String {
    text.replace('#', " round ").replace(';', ",").replace('\n', " ")
}
