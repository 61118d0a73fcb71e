//! What came of a run.

use aura_choreography::{Dev, DeviceSet};

use crate::engine::Waits;

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// A hash over everything that happened, in order, and over how it ended.
    pub hash: u64,
    /// How many messages and timers were handled.
    pub events: u32,
    /// When a device that had not ended was given something last.
    pub end: u64,
    /// Which honest devices finished, saw an abort, or gave up.
    pub outcomes: Outcomes,
    /// What went wrong in the network and on the devices, as far as it came to that.
    pub tally: Tally,
    /// The first promise that was broken.
    pub violation: Option<Violation>,
}

/// How the honest devices ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcomes {
    /// With a result.
    pub finished: DeviceSet,
    /// With a decided abort.
    pub aborted: DeviceSet,
    /// Without either: gave up, or could not take its own step.
    pub left: DeviceSet,
}

/// How often each fault showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Messages that were sent again because they were lost.
    pub lost: u32,
    /// Messages that came twice.
    pub duplicated: u32,
    /// Messages that overtook an earlier one of the same device.
    pub reordered: u32,
    /// Messages that waited for the next sync.
    pub batched: u32,
    /// Messages that waited for a cut to heal.
    pub cut_off: u32,
    /// Crashes.
    pub crashes: u32,
    /// Restarts.
    pub restarts: u32,
    /// Steps that were not durable when the power went.
    pub torn_before: u32,
    /// Steps that were durable and not said yet when the power went.
    pub torn_after: u32,
    /// Messages that a liar withheld from somebody.
    pub withheld: u32,
    /// Messages of which a liar said two variants.
    pub equivocated: u32,
    /// Messages that stand in one of two chains of a liar.
    pub branched: u32,
    /// Messages that a liar said late.
    pub held: u32,
    /// Steps at which a liar said something else than it ought to.
    pub corrupted: u32,
    /// Messages that no honest device would write.
    pub bogus: u32,
    /// Messages that a device refused.
    pub refused: u32,
    /// Messages that whoever carries them refused.
    pub refused_by_carrier: u32,
    /// Deadlines that passed.
    pub timers: u32,
    /// Things that people said.
    pub signals: u32,
}

impl Tally {
    /// All of them with their names.
    #[must_use]
    pub const fn classes(&self) -> [(&'static str, u32); 19] {
        [
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
            ("batched", self.batched),
            ("cut_off", self.cut_off),
            ("crashes", self.crashes),
            ("restarts", self.restarts),
            ("torn_before", self.torn_before),
            ("torn_after", self.torn_after),
            ("withheld", self.withheld),
            ("equivocated", self.equivocated),
            ("branched", self.branched),
            ("held", self.held),
            ("corrupted", self.corrupted),
            ("bogus", self.bogus),
            ("refused", self.refused),
            ("refused_by_carrier", self.refused_by_carrier),
            ("timers", self.timers),
            ("signals", self.signals),
        ]
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// Two honest devices finished with different results.
    Agreement {
        /// One of them.
        one: Dev,
        /// The other.
        other: Dev,
    },
    /// One honest device finished, another learned of an abort.
    FinishBesideAbort {
        /// Who finished.
        finished: Dev,
        /// Who aborted.
        aborted: Dev,
    },
    /// Nothing is on its way any more, and honest devices wait.
    Deadlock {
        /// Who waits for what.
        waiting: Vec<(Dev, Waits)>,
    },
    /// The run does not come to rest.
    Endless {
        /// After how many events it was stopped.
        events: u32,
    },
    /// Two values have a quorum's votes each.
    DoubleCertificate {
        /// For what.
        slot: u64,
    },
    /// What an honest device said did not reach everybody.
    Lost {
        /// Who said it.
        author: Dev,
        /// Who never heard it.
        missing: DeviceSet,
    },
    /// Two honest devices that heard everything do not have the same.
    Diverged {
        /// One of them.
        one: Dev,
        /// The other.
        other: Dev,
        /// In what they differ.
        what: &'static str,
    },
    /// A device took what cannot be genuine.
    TookBogus {
        /// Which.
        dev: Dev,
    },
    /// A restarted device is not where it was.
    Restart {
        /// Which.
        dev: Dev,
        /// What differs.
        what: String,
    },
    /// The protocol does not even begin.
    NotStarted {
        /// Why.
        why: String,
    },
    /// The same plan ran differently a second time.
    NotDeterministic,
}

impl Violation {
    /// The stable name of the promise.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Agreement { .. } => "Agreement",
            Self::FinishBesideAbort { .. } => "FinishBesideAbort",
            Self::Deadlock { .. } => "Deadlock",
            Self::Endless { .. } => "Endless",
            Self::DoubleCertificate { .. } => "DoubleCertificate",
            Self::Lost { .. } => "Lost",
            Self::Diverged { .. } => "Diverged",
            Self::TookBogus { .. } => "TookBogus",
            Self::Restart { .. } => "Restart",
            Self::NotStarted { .. } => "NotStarted",
            Self::NotDeterministic => "NotDeterministic",
        }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Agreement { one, other } => {
                write!(f, "devices {one} and {other} finished with different results")
            }
            Self::FinishBesideAbort { finished, aborted } => {
                write!(f, "device {finished} finished and device {aborted} aborted")
            }
            Self::Deadlock { waiting } => {
                f.write_str("nothing is on its way, and")?;
                for (index, (dev, waits)) in waiting.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ";" };
                    write!(
                        f,
                        "{comma} device {dev} has waited since epoch {} for {} of devices {}",
                        waits.since, waits.what, waits.from
                    )?;
                }
                Ok(())
            }
            Self::Endless { events } => write!(f, "no rest after {events} events"),
            Self::DoubleCertificate { slot } => {
                write!(f, "two values have a quorum each for slot {slot:x}")
            }
            Self::Lost { author, missing } => {
                write!(f, "what device {author} said never reached devices {missing}")
            }
            Self::Diverged { one, other, what } => {
                write!(f, "devices {one} and {other} heard the same and differ in {what}")
            }
            Self::TookBogus { dev } => write!(f, "device {dev} took what nobody can have said"),
            Self::Restart { dev, what } => write!(f, "device {dev} restarted elsewhere: {what}"),
            Self::NotStarted { why } => write!(f, "the protocol does not begin: {why}"),
            Self::NotDeterministic => f.write_str("the same plan ran differently"),
        }
    }
}
