//! What happens in a run, as data: everything that a run does is a function of its plan.

mod line;
mod preset;
mod shape;

pub use line::{BadLine, Depth, Replay};
pub use preset::Preset;
pub use shape::{Liars, Promise, Shape};

use aura_choreography::DeviceSet;

/// For how many epochs a device that never comes back is down.
pub const FOR_EVER: u32 = 1_000_000;

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What all draws depend on.
    pub seed: u64,
    /// How many devices take part.
    pub devices: u8,
    /// How many of them are a quorum.
    pub threshold: u8,
    /// Every message is on its way for 1 to `jitter` epochs.
    pub jitter: u32,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

/// One thing that goes wrong. Devices are places among the participants, times are epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Every message takes so many epochs longer.
    Latency {
        /// How many.
        by: u32,
    },
    /// So many of a thousand messages are lost on the first try, and so many of the second tries, and
    /// so on: replication is reliable in the end.
    Loss {
        /// How many.
        per_mille: u32,
    },
    /// So many of a thousand messages come twice.
    Duplicate {
        /// How many.
        per_mille: u32,
    },
    /// Messages overtake each other by up to so many epochs, also those of one device to another.
    /// Without it, these come in the order in which they were said, unless something else goes wrong.
    Reorder {
        /// How many.
        by: u32,
    },
    /// Messages come only at epochs that are multiples of this.
    BatchedSync {
        /// The interval.
        every: u32,
    },
    /// Nothing gets from these devices to the others, or back.
    Partition {
        /// One side.
        side: DeviceSet,
        /// From when.
        at: u32,
        /// For how long.
        len: u32,
    },
    /// Messages from and to a device take longer.
    Slow {
        /// Which.
        dev: u8,
        /// How many epochs longer.
        by: u32,
    },
    /// A device's clock is fast, or slow where negative. (A clock that is ahead and goes at the right
    /// pace cannot be told from a right one: sessions measure how long something takes.)
    ClockSkew {
        /// Which.
        dev: u8,
        /// By how many percent, from −90 to 400.
        percent: i16,
    },
    /// A device loses its power and starts again from what is durable.
    Crash {
        /// Which.
        dev: u8,
        /// When.
        at: u32,
        /// For how long it is down; from [`FOR_EVER`] on it stays down.
        down: u32,
    },
    /// A device loses its power at a boundary of its store: at the `n`th step at which it says
    /// something, either before that step is durable (`2n`), so that it was never taken and nothing
    /// was said, or after it is durable and before anything left (`2n + 1`), so that it is said after
    /// the restart.
    TornWrite {
        /// Which.
        dev: u8,
        /// The boundary.
        boundary: u32,
        /// For how long it is down.
        down: u32,
    },
    /// A device does not follow the protocol.
    Byzantine {
        /// Which.
        dev: u8,
        /// What it does instead.
        strategy: Strategy,
    },
    /// A device hears only those that do not follow the protocol.
    Eclipse {
        /// Which.
        dev: u8,
        /// From when.
        at: u32,
        /// For how long.
        len: u32,
    },
    /// Authors who take no part repeat under their own names whatever is said.
    Sybil {
        /// How many.
        count: u8,
    },
    /// A device is not there at all.
    Absent {
        /// Which.
        dev: u8,
    },
    /// The person at a device says something.
    Signal {
        /// Which.
        dev: u8,
        /// When.
        at: u32,
    },
}

/// What a device does that does not follow the protocol. Those of one plan that have the same
/// strategy collude: they lie to the same devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Says nothing.
    Silent,
    /// Says something else, sometimes what is no message at all.
    Corrupt,
    /// Tells some devices one thing and the others another. Whoever heard one passes it on, late.
    Equivocate,
    /// After its first message it tells only some devices. They pass it on, late.
    SelectiveAbort,
    /// Says everything so many epochs late.
    Hold {
        /// How many.
        epochs: u32,
    },
    /// Says everything a second time in the name of another.
    ForgedSignature,
    /// Writes two units for one place of its chain, and gives both to everybody.
    ForkLedger,
    /// Keeps two chains from some place on, and shows one to some devices and the other to the others.
    /// Nobody passes anything on but what ledgers tell each other. Where there are no chains it does what
    /// it ought to.
    Branches,
    /// Repeats old messages, and messages of another session.
    Replay,
    /// Says the same many times, under several encodings.
    Stuffing,
}

impl Plan {
    /// A plan in which nothing goes wrong.
    #[must_use]
    pub const fn quiet(seed: u64, devices: u8, threshold: u8) -> Self {
        Self { seed, devices, threshold, jitter: 4, faults: Vec::new() }
    }

    /// The same plan and this fault.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The devices that do not follow the protocol.
    #[must_use]
    pub fn byzantine(&self) -> DeviceSet {
        let dev = |it: &Fault| match it {
            Fault::Byzantine { dev, .. } => Some(aura_choreography::Dev(*dev)),
            _ => None,
        };
        self.faults.iter().filter_map(dev).collect()
    }
}
