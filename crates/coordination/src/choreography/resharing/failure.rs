//! What a person is told when a resharing came to nothing.

use std::fmt;

use aura_choreography::{DeviceSet, Stop};

/// A resharing that came to nothing: who was not there, and why it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unchanged {
    /// How many devices were to take part.
    pub devices: usize,
    /// Those that never said anything.
    pub offline: DeviceSet,
    /// Why it ended.
    pub why: Stop,
}

impl Unchanged {
    /// Of a session among so many devices, in which these spoke.
    #[must_use]
    pub const fn new(devices: usize, spoke: DeviceSet, why: Stop) -> Self {
        Self { devices, offline: DeviceSet::all(devices).difference(spoke), why }
    }
}

impl fmt::Display for Unchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offline.len() {
            0 => write!(f, "{}; nothing changed", self.why),
            offline => write!(f, "{offline} of {} devices offline; nothing changed", self.devices),
        }
    }
}

#[cfg(test)]
mod tests {
    use aura_choreography::{Dev, Reason};

    use super::*;

    #[test]
    fn a_person_is_told_who_was_missing() {
        let spoke = [Dev(0), Dev(2)].into_iter().collect();
        let two = Unchanged::new(4, spoke, Stop::Aborted(Reason::Timeout));
        assert_eq!(two.to_string(), "2 of 4 devices offline; nothing changed");
        let none = Unchanged::new(2, DeviceSet::all(2), Stop::Aborted(Reason::Timeout));
        assert_eq!(none.to_string(), "aborted: not enough was there in time; nothing changed");
    }
}
