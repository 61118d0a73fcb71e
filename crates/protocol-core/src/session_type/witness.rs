//! The run that shows why two versions cannot be mixed, for people and for a simulator.

use alloc::{
    boxed::Box,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

/// One of two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The older one.
    Old,
    /// The newer one.
    New,
}

/// Why a change is hard.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Witness {
    /// A run in which devices of both versions take part goes wrong.
    Mixed(Box<Run>),
    /// One version goes wrong by itself, without any fault: nothing can be said of a mix.
    Alone {
        /// Which one.
        side: Side,
        /// The run.
        run: Box<Run>,
    },
    /// The two versions pause differently, and nothing shows that everybody waits long enough for those
    /// who still rest.
    Rests {
        /// The session's name.
        session: String,
        /// Which version may give up.
        side: Side,
        /// What it waits for.
        label: String,
        /// After how many epochs that may come.
        after: u32,
        /// For how many epochs it waits.
        within: u32,
    },
    /// There are more runs than are followed; none of those that were followed went wrong.
    BoundReached {
        /// The most moves that are followed.
        moves: usize,
        /// The most states that are kept.
        states: usize,
    },
    /// The new version has no session of this name any more.
    Dropped {
        /// The session's name.
        session: String,
    },
    /// One version has two different sessions of this name.
    Ambiguous {
        /// The session's name.
        session: String,
    },
}

/// A run, and how it goes wrong. No complete run with fewer moves does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The session's name.
    pub session: String,
    /// Which devices play each role of the session.
    pub roles: Vec<(String, Vec<u8>)>,
    /// The threshold of all devices.
    pub threshold: u32,
    /// Which version each device runs.
    pub versions: [Side; 3],
    /// What happens, in order.
    pub schedule: Vec<Move>,
    /// How it goes wrong.
    pub fault: Fault,
}

/// Something that one device does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The device.
    pub device: u8,
    /// What it does.
    pub action: Action,
}

/// What a device does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It sends one event to everyone, or one to each of these.
    Sends {
        /// What.
        label: String,
        /// To whom, if not to everyone.
        to: Option<Vec<u8>>,
    },
    /// The person at it declines, and it says so instead; it follows the session.
    Declines {
        /// What it does not send.
        label: String,
        /// What it sends.
        says: String,
    },
    /// It has seen enough of what it waited for.
    Sees {
        /// What.
        label: String,
        /// From whom.
        from: Vec<u8>,
    },
    /// It decides.
    Decides {
        /// What.
        label: String,
        /// The devices that its payload names, where a later step uses them.
        devices: Option<Vec<u8>>,
    },
    /// It learns of a decision and follows it.
    Follows {
        /// Which.
        label: String,
    },
    /// Its time is up, and it ends the session.
    TimesOut {
        /// What it waited for.
        awaited: String,
        /// What it sends.
        label: String,
    },
    /// Its time is up, and it ends for itself alone.
    GivesUp {
        /// What it waited for.
        awaited: String,
    },
}

/// How a run goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A device waits for what never comes. Without a deadline it waits for ever, with one it gives up
    /// where a run of one version would not, and not only because somebody declined.
    Waits {
        /// The device.
        device: u8,
        /// What it waits for: any of these.
        labels: Vec<String>,
        /// From how many devices.
        needs: u8,
        /// From whom it has not come, and why.
        missing: Vec<MissingEvent>,
    },
    /// A device can signal that the session must end, and the decider, which waits for that signal,
    /// cannot read it.
    Unheard {
        /// The device.
        device: u8,
        /// The decider.
        decider: u8,
        /// The signal.
        label: String,
    },
    /// Some devices finish and others do not.
    EndsDiffer {
        /// How each device ends.
        ends: [End; 3],
    },
    /// All finish, but one never learned of a decision that another went by.
    Unlearned {
        /// The decision.
        decision: Decision,
        /// Who never learned of it.
        device: u8,
    },
}

/// A decision that a device went by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Its label.
    pub label: String,
    /// A device that went by it.
    pub device: u8,
}

/// An event that does not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingEvent {
    /// From whom.
    pub from: u8,
    /// Why.
    pub why: WhyMissing,
}

/// Why an event does not come.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyMissing {
    /// The device's version does not send it in this run.
    NeverSends,
    /// It was sent, and the waiting device's version cannot read it.
    OtherLayout,
    /// Something else was decided, which the waiting device's version does not know.
    Decides {
        /// What was decided.
        label: String,
    },
    /// It was decided, but names devices that a decision of the waiting device's version cannot rest
    /// on, or too few.
    Refused {
        /// What was decided.
        label: String,
    },
    /// The person at the device declined.
    Declined,
    /// The device waits itself, and would send it later.
    Waits,
}

/// How a device ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// It came to the end.
    Finished,
    /// It learned, or decided, that the session is aborted.
    Aborted,
    /// It waited in vain until its time was up.
    GaveUp,
}

impl Side {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Old => "old",
            Self::New => "new",
        })
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mixed(run) => write!(f, "{run}"),
            Self::Alone { side, run } => {
                write!(f, "the {side} version goes wrong by itself:\n{run}")
            }
            Self::Rests { session, side, label, after, within } => write!(
                f,
                "the two versions of `{session}` pause differently: {label} may come after {after} \
                 epochs, and the {side} version waits {within}"
            ),
            Self::BoundReached { moves, states } => write!(
                f,
                "not shown safe within {moves} moves and {states} states: split the session"
            ),
            Self::Dropped { session } => {
                write!(f, "the new version has no session `{session}` any more")
            }
            Self::Ambiguous { session } => {
                write!(f, "one version has two sessions called `{session}`")
            }
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Run {
    /// The run in words, a line a move; the last lines say how it goes wrong.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .schedule
            .iter()
            .map(|it| alloc::format!("{} {}", self.device(it.device), it.action))
            .collect();
        match &self.fault {
            Fault::Waits { device, labels, needs, missing } => {
                let labels = labels.join(" or ");
                let who = self.device(*device);
                lines.push(match needs {
                    1 => alloc::format!("{who} waits for {labels}"),
                    _ => alloc::format!("{who} waits for {labels} of {needs} devices"),
                });
                lines.extend(missing.iter().map(|it| {
                    alloc::format!("{} {}", self.device(it.from), it.why.in_words(&labels))
                }));
            }
            Fault::Unheard { device, decider, label } => lines.push(alloc::format!(
                "{} can send {label}, and {}, which waits for it, cannot read it",
                self.device(*device),
                self.device(*decider)
            )),
            Fault::EndsDiffer { ends } => {
                lines.extend(ends.iter().zip(0_u8..).map(|(end, device)| {
                    let end = match end {
                        End::Finished => "finishes",
                        End::Aborted => "aborts",
                        End::GaveUp => "gives up",
                    };
                    alloc::format!("{} {end}", self.device(device))
                }));
            }
            Fault::Unlearned { decision, device } => lines.push(alloc::format!(
                "{} finishes without learning of {}, by which {} goes",
                self.device(*device),
                decision.label,
                self.device(decision.device)
            )),
        }
        lines
    }

    fn device(&self, device: u8) -> String {
        match self.versions.get(usize::from(device)) {
            Some(side) => alloc::format!("device {device} ({side})"),
            None => alloc::format!("device {device}"),
        }
    }
}

impl WhyMissing {
    fn in_words(&self, labels: &str) -> String {
        match self {
            Self::NeverSends => alloc::format!("never sends {labels}"),
            Self::OtherLayout => "sent it with another layout".to_string(),
            Self::Decides { label } => alloc::format!("decided {label}, which it cannot read"),
            Self::Refused { label } => {
                alloc::format!("decided {label} with devices that it cannot accept")
            }
            Self::Declined => alloc::format!("declined to send {labels}"),
            Self::Waits => "waits itself".to_string(),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sends { label, to: None } => write!(f, "sends {label}"),
            Self::Sends { label, to: Some(to) } => write!(f, "sends {label} to {}", List(to)),
            Self::Declines { label, says } => write!(f, "sends {says} instead of {label}"),
            Self::Sees { label, from } => write!(f, "sees {label} of {}", List(from)),
            Self::Decides { label, devices: None } => write!(f, "decides {label}"),
            Self::Decides { label, devices: Some(devices) } => {
                write!(f, "decides {label} with {}", List(devices))
            }
            Self::Follows { label } => write!(f, "follows {label}"),
            Self::TimesOut { awaited, label } => {
                write!(f, "waits for {awaited} until its time is up, and decides {label}")
            }
            Self::GivesUp { awaited } => {
                write!(f, "waits for {awaited} until its time is up, and gives up")
            }
        }
    }
}

struct List<'a>(&'a [u8]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        match names.as_slice() {
            [] => f.write_str("nobody"),
            [one] => write!(f, "device {one}"),
            many => write!(f, "devices {}", many.join(", ")),
        }
    }
}
