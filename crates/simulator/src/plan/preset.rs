//! Plans with a name: situations that everybody knows.

use aura_choreography::{Dev, DeviceSet};

use crate::plan::{Fault, Plan, Strategy};

/// A situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Nothing goes wrong.
    Quiet,
    /// A phone network: slow, lossy, out of order.
    Mobile,
    /// Devices sync once in a while.
    Offline,
    /// The account falls into two halves, and heals.
    SplitBrain,
    /// Every device restarts once, one after the other.
    RollingRestart,
    /// These devices tell the same halves different things.
    Conspiracy(DeviceSet),
    /// These devices say nothing.
    Strike(DeviceSet),
    /// A device hears only these liars, who equivocate.
    Eclipsed {
        /// Who is cut off.
        victim: Dev,
        /// Who lies to it.
        liars: DeviceSet,
    },
}

impl Preset {
    /// Its faults among so many devices.
    #[must_use]
    pub fn faults(self, devices: u8) -> Vec<Fault> {
        let all = |devices: DeviceSet, strategy: Strategy| -> Vec<Fault> {
            devices.iter().map(|Dev(dev)| Fault::Byzantine { dev, strategy }).collect()
        };
        match self {
            Self::Quiet => Vec::new(),
            Self::Mobile => vec![
                Fault::Latency { by: 3 },
                Fault::Loss { per_mille: 200 },
                Fault::Duplicate { per_mille: 100 },
                Fault::Reorder { by: 6 },
            ],
            Self::Offline => vec![Fault::BatchedSync { every: 15 }],
            Self::SplitBrain => {
                let side = DeviceSet::all(usize::from(devices / 2));
                vec![Fault::Partition { side, at: 3, len: 25 }]
            }
            Self::RollingRestart => (0..devices)
                .map(|dev| Fault::Crash { dev, at: 2 + 4 * u32::from(dev), down: 3 })
                .collect(),
            Self::Conspiracy(liars) => all(liars, Strategy::Equivocate),
            Self::Strike(liars) => all(liars, Strategy::Silent),
            Self::Eclipsed { victim, liars } => {
                let mut faults = all(liars, Strategy::Equivocate);
                faults.push(Fault::Eclipse { dev: victim.0, at: 0, len: 40 });
                faults
            }
        }
    }
}

impl Plan {
    /// The same plan in this situation too.
    #[must_use]
    pub fn in_situation(mut self, preset: Preset) -> Self {
        self.faults.extend(preset.faults(self.devices));
        self
    }
}
