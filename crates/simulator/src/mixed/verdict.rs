//! How a mixed run ended.

use std::{collections::BTreeSet, fmt};

use aura_choreography::{DeviceSet, Ended, Stop};
use aura_protocol_core::{Outcome, decode};

/// How one device ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It came to the end, by these decisions: label, round, whom it names.
    Finished(BTreeSet<(String, u32, DeviceSet)>),
    /// A decider, or a quorum of voters, ended the session and blames these devices.
    Aborted(DeviceSet),
    /// It cannot go on, and says why.
    Left(String),
    /// It waits for any of these.
    Waits(BTreeSet<String>),
}

/// How a mixed run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How each device did.
    pub ends: [End; 3],
    /// Who ran out of time, at which decision.
    pub late: BTreeSet<(u8, String)>,
    /// Who gave up because others had declined.
    pub gave_up: BTreeSet<u8>,
}

impl Verdict {
    /// Whether all finished by the same decisions; or nobody did, and nobody is blamed: they are all
    /// honest.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let [first, others @ ..] = &self.ends;
        if matches!(first, End::Finished(_)) {
            return others.iter().all(|it| it == first);
        }
        self.ends.iter().zip(0..).all(|(end, device)| match end {
            End::Aborted(blamed) => blamed.is_empty(),
            End::Left(_) => self.gave_up.contains(&device),
            End::Finished(_) | End::Waits(_) => false,
        })
    }
}

impl End {
    pub(super) fn of(ended: &Ended) -> Self {
        match ended {
            Ok(Outcome::Completed { result, .. }) => match decode(result, result.len()) {
                Ok(learned) => Self::Finished(learned),
                Err(error) => Self::Left(error.to_string()),
            },
            Ok(other) => Self::Left(format!("{other:?}")),
            Err(Stop::Aborted(reason)) => Self::Aborted(reason.culprits()),
            Err(stop) => Self::Left(stop.to_string()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (device, end) in self.ends.iter().enumerate() {
            match end {
                End::Finished(learned) => writeln!(f, "device {device} finished by {learned:?}")?,
                End::Aborted(blamed) => writeln!(f, "device {device} aborted, blames {blamed:?}")?,
                End::Left(why) => writeln!(f, "device {device} left: {why}")?,
                End::Waits(labels) => writeln!(f, "device {device} waits for {labels:?}")?,
            }
        }
        Ok(())
    }
}
