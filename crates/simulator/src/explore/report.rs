//! What an exploration found.

use std::fmt;

use aura_choreography::Ended;

use super::Trace;

/// What must hold in every run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    /// All devices that finish finish with the same.
    Agreement,
    /// No device finishes when another learns that the session was aborted.
    Decision,
    /// No device waits for ever.
    Progress,
    /// What the model asks for beside, and what of it does not hold.
    Invariant(String),
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agreement => f.write_str("agreement: two devices finish with different results"),
            Self::Decision => f.write_str("decision: one device finishes, another learns an abort"),
            Self::Progress => f.write_str("progress: a device waits for ever"),
            Self::Invariant(what) => write!(f, "invariant: {what}"),
        }
    }
}

/// Whether everything holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// In every run.
    Holds,
    /// Not in this one.
    Violated {
        /// What does not hold.
        property: Property,
        /// Where.
        trace: Trace,
    },
    /// In as many states as may be visited; there are more.
    Capped,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds => f.write_str("holds"),
            Self::Capped => f.write_str("capped: there are more states than may be visited"),
            Self::Violated { property, trace } => {
                write!(f, "violated after {} steps: {property}\n{trace}", trace.steps.len())
            }
        }
    }
}

/// What an exploration found, and how much it looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Different global states.
    pub unique: usize,
    /// Steps between them that were looked at.
    pub generated: u64,
    /// Different places of single devices.
    pub places: usize,
    /// Different states of the code at single devices.
    pub locals: usize,
    /// How often the code was run to find them.
    pub runs: u64,
    /// States where nothing more happens, or needs to.
    pub terminals: u64,
    /// How the devices had ended there, by place, each once; empty unless the model keeps them.
    pub outcomes: Vec<Vec<Option<Ended>>>,
    /// Whether everything holds.
    pub verdict: Verdict,
}
