//! This device's own clock, for what people mean by time: when an upgrade may be activated, when it expires,
//! how long a guardian waits (`02-ledger`, section 3).
//!
//! It never goes back, also over restarts. Where the system's clock jumps far ahead of it, or stands far behind
//! it, one of both is wrong, and the device does not know which: it goes on at the pace of the system's clock
//! from where it was, and votes for nothing that depends on the time until both agree again or the person
//! here says that the system's clock is right.

use aura_protocol_core::UnixTime;

use crate::{
    api::{Clock, ClockTrusted, Response},
    error::{AgentError, Whose},
    node::Node,
};

/// How far the system's clock may be ahead at once, in seconds: a device may have been off for that long.
pub const JUMP_SECONDS_MAX: u64 = 30 * 86_400;
/// How far the system's clock may be behind, in seconds: clocks are put right by minutes, not hours.
pub const BACK_SECONDS_MAX: u64 = 600;

/// Why the time is not sure. In seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The system's clock is so much ahead.
    Ahead(u64),
    /// The system's clock is so much behind.
    Behind(u64),
}

/// The clock.
#[derive(Debug)]
pub(super) struct Wall {
    now: UnixTime,
    /// What the system's clock said last.
    system: Option<UnixTime>,
    doubt: Option<Doubt>,
}

impl Wall {
    /// A clock that had come so far; nowhere yet where it was never read.
    pub(super) const fn new(now: UnixTime) -> Self {
        Self { now, system: None, doubt: None }
    }

    pub(super) const fn now(&self) -> UnixTime {
        self.now
    }

    pub(super) const fn doubt(&self) -> Option<Doubt> {
        self.doubt
    }

    /// The system's clock says this now.
    pub(super) fn read(&mut self, system: UnixTime) {
        let before = self.system.replace(system);
        let passed = before.map_or(0, |it| system.0.saturating_sub(it.0));
        let passed = if passed <= JUMP_SECONDS_MAX { passed } else { 0 };
        let (ahead, behind) =
            (system.0.saturating_sub(self.now.0), self.now.0.saturating_sub(system.0));
        let is_first = self.now == UnixTime(0);
        self.doubt = match (ahead, behind) {
            _ if is_first => None,
            (ahead, _) if JUMP_SECONDS_MAX < ahead => Some(Doubt::Ahead(ahead)),
            (_, behind) if BACK_SECONDS_MAX < behind => Some(Doubt::Behind(behind)),
            _ => None,
        };
        self.now = match self.doubt {
            None => self.now.max(system),
            Some(_) => self.now.saturating_add(passed),
        };
    }

    /// The system's clock is right, a person says. Time that has passed stays passed.
    fn trust(&mut self) -> Option<Doubt> {
        if let (Some(Doubt::Ahead(_)), Some(system)) = (self.doubt, self.system) {
            self.now = self.now.max(system);
            self.doubt = None;
        }
        self.doubt
    }
}

impl Node {
    /// Takes note of what the system's clock says.
    pub(super) fn read_clock(&mut self, system: UnixTime) {
        let was_sure = self.wall.doubt().is_none();
        self.wall.read(system);
        self.now = self.wall.now();
        if was_sure && let Some(doubt) = self.wall.doubt() {
            self.log(format!("{}; nothing is voted for that depends on the time", says(doubt)));
        } else if !was_sure && self.wall.doubt().is_none() {
            self.log("this device is sure of the time again".to_owned());
        }
    }

    /// The time, and whether it is sure.
    pub(super) fn clock_view(&self) -> Clock {
        let doubt = self.wall.doubt();
        Clock { time: self.now.0, sure: doubt.is_none(), why: doubt.map(says).unwrap_or_default() }
    }

    /// The person here says that the system's clock is right.
    pub(super) fn trust_clock(&mut self) -> Result<Response, AgentError> {
        let before = self.now.0;
        if let Some(doubt) = self.wall.trust() {
            return Err(AgentError::new(
                "ClockBehind",
                format!("{}, and time that has passed does not come back", says(doubt)),
                Whose::Machine,
                "set the system's clock right; if it is right, this device has once been told a time in the \
                 future: wait for that time, or let the device join again",
            ));
        }
        self.now = self.wall.now();
        Ok(Response::ClockTrusted(ClockTrusted { before, now: self.now.0 }))
    }
}

fn says(doubt: Doubt) -> String {
    match doubt {
        Doubt::Ahead(seconds) => format!(
            "the system's clock is {seconds} seconds ahead of where this device's clock has come; if it is \
             right, say `aura device trust-clock`"
        ),
        Doubt::Behind(seconds) => {
            format!("the system's clock is {seconds} seconds behind this device's clock")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: u64 = 1_700_000_000;

    fn at(wall: &mut Wall, system: u64) -> (u64, bool) {
        wall.read(UnixTime(system));
        (wall.now().0, wall.doubt().is_none())
    }

    /// It follows the system's clock within bounds, never goes back, and a restart changes nothing.
    #[test]
    fn it_follows_within_bounds_and_never_goes_back() {
        let mut wall = Wall::new(UnixTime(0));
        assert_eq!(at(&mut wall, BEGIN), (BEGIN, true), "the first time is taken");
        assert_eq!(at(&mut wall, BEGIN + 1), (BEGIN + 1, true));
        assert_eq!(at(&mut wall, BEGIN - 598), (BEGIN + 1, true), "put right by minutes");
        assert_eq!(at(&mut wall, BEGIN + 2), (BEGIN + 2, true));
        let asleep = BEGIN + 2 + JUMP_SECONDS_MAX;
        assert_eq!(at(&mut wall, asleep), (asleep, true), "it may have been off");
        let mut again = Wall::new(wall.now());
        assert_eq!(at(&mut again, asleep + JUMP_SECONDS_MAX + 1), (asleep, false));
        assert_eq!(at(&mut again, BEGIN), (asleep, false));
        assert_eq!(at(&mut again, asleep + 5), (asleep + 5, true));
    }

    /// A jump ahead is not followed, but for the pace, until a person says that it is right.
    #[test]
    fn a_jump_ahead_needs_a_person() {
        let mut wall = Wall::new(UnixTime(BEGIN));
        let future = BEGIN + 10 * JUMP_SECONDS_MAX;
        assert_eq!(at(&mut wall, future), (BEGIN, false));
        assert_eq!(wall.doubt(), Some(Doubt::Ahead(10 * JUMP_SECONDS_MAX)));
        assert_eq!(at(&mut wall, future + 7), (BEGIN + 7, false));
        assert_eq!(wall.trust(), None);
        assert_eq!(at(&mut wall, future + 8), (future + 8, true));
        // And back: what has passed stays passed.
        assert_eq!(at(&mut wall, BEGIN + 20), (future + 8, false));
        assert!(matches!(wall.trust(), Some(Doubt::Behind(_))));
        assert_eq!(at(&mut wall, BEGIN + 23), (future + 11, false));
    }

    /// A clock that is put back and forth moves this one no faster than it goes itself.
    #[test]
    fn a_clock_that_jumps_about_moves_nothing() {
        let mut wall = Wall::new(UnixTime(BEGIN));
        for _ in 0..50 {
            let (now, sure) = at(&mut wall, BEGIN + 5 * JUMP_SECONDS_MAX);
            assert_eq!((now, sure), (BEGIN, false));
            let (now, _) = at(&mut wall, BEGIN);
            assert_eq!(now, BEGIN);
        }
        assert_eq!(at(&mut wall, u64::MAX), (BEGIN, false));
        assert_eq!(at(&mut wall, 0), (BEGIN, false));
    }
}
