//! How well each peer keeps to the rules.
//!
//! What a device sends and what breaks a rule lowers its own score, never that of the author whom the sender
//! names. One slip costs the connection. Who slips again and again spends its score, and is not heard at all
//! until it has regained half of it; so what a hostile member can have others check is bounded in time.

use std::collections::BTreeMap;

use aura_protocol_core::{DeviceId, UnixTime};

use crate::node::Node;

/// The score of a peer that keeps to the rules.
pub(super) const SCORE_MAX: u32 = 64;
/// What it costs to send something that breaks a rule.
const OFFENCE_COST: u32 = 8;
/// How long it takes to regain one point, in seconds.
const REGAIN_SECONDS: u64 = 60;
/// A peer that has spent its score is heard again from here on.
const HEARD_AGAIN: u32 = SCORE_MAX / 2;
/// Hellos that a peer may say in one burst; each may be answered with megabytes. One more each second.
const HELLOS_MAX: u64 = 64;

/// What is known of one peer.
#[derive(Debug, Clone, Copy)]
struct Standing {
    /// What it has lost, and when that was so.
    lost: u32,
    at: UnixTime,
    spent: bool,
    /// Hellos of the burst that goes on, and since when.
    hellos: u64,
    since: UnixTime,
}

/// What became of a peer's score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lowered {
    /// It has some left.
    Left,
    /// It has none left, since just now.
    Spent,
}

/// All peers that are not as good as new.
#[derive(Debug, Default)]
pub(super) struct Standings(BTreeMap<DeviceId, Standing>);

impl Standing {
    const fn new(now: UnixTime) -> Self {
        Self { lost: 0, at: now, spent: false, hellos: 0, since: now }
    }

    /// What it has lost by now, and whether it is heard.
    fn settle(&mut self, now: UnixTime) {
        let minutes = now.0.saturating_sub(self.at.0) / REGAIN_SECONDS;
        let regained = u32::try_from(minutes).unwrap_or(u32::MAX).min(self.lost);
        self.lost -= regained;
        self.at = if self.lost == 0 {
            now
        } else {
            self.at.saturating_add(u64::from(regained) * REGAIN_SECONDS)
        };
        self.spent &= SCORE_MAX.saturating_sub(self.lost) < HEARD_AGAIN;
    }
}

impl Standings {
    fn of(&mut self, device: DeviceId, now: UnixTime) -> &mut Standing {
        let standing = self.0.entry(device).or_insert_with(|| Standing::new(now));
        standing.settle(now);
        standing
    }

    /// A device sent something that breaks a rule.
    pub(super) fn lower(&mut self, device: DeviceId, now: UnixTime) -> Lowered {
        let standing = self.of(device, now);
        standing.lost = standing.lost.saturating_add(OFFENCE_COST).min(SCORE_MAX);
        if standing.lost < SCORE_MAX || standing.spent {
            return Lowered::Left;
        }
        standing.spent = true;
        Lowered::Spent
    }

    /// For how many seconds a device is not heard yet; none if it is.
    pub(super) fn unheard_seconds(&mut self, device: DeviceId, now: UnixTime) -> Option<u64> {
        let standing = self.0.get_mut(&device)?;
        standing.settle(now);
        let missing = HEARD_AGAIN.saturating_sub(SCORE_MAX.saturating_sub(standing.lost));
        let passed = now.0.saturating_sub(standing.at.0);
        let seconds = (u64::from(missing) * REGAIN_SECONDS).saturating_sub(passed);
        standing.spent.then_some(seconds)
    }

    /// Whether a hello of this device is answered: not where it says them faster than anybody needs.
    pub(super) fn may_greet(&mut self, device: DeviceId, now: UnixTime) -> bool {
        let standing = self.of(device, now);
        let passed = now.0.saturating_sub(standing.since.0);
        standing.hellos = standing.hellos.saturating_sub(passed);
        standing.since = now;
        let may = standing.hellos < HELLOS_MAX;
        standing.hellos += u64::from(may);
        may
    }

    /// The score of a device.
    pub(super) fn score(&self, device: DeviceId, now: UnixTime) -> u32 {
        let Some(mut standing) = self.0.get(&device).copied() else { return SCORE_MAX };
        standing.settle(now);
        SCORE_MAX.saturating_sub(standing.lost)
    }

    /// Forgets all but these.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(&DeviceId) -> bool) {
        self.0.retain(|device, _| stays(device));
    }
}

impl Node {
    /// A device sent something that breaks a rule: this connection ends, and once its score is spent it is
    /// told so, and not heard for a while.
    pub(super) fn offended(&mut self, device: DeviceId, reason: &str) {
        self.cut_off(device, reason);
        if self.standings.lower(device, self.now) == Lowered::Spent {
            let reason = self.spent_reason(device).unwrap_or_default();
            self.log(format!("device {}: {reason}", self.device_name(device)));
        }
    }

    /// Why a device is not heard now; none if it is.
    pub(super) fn spent_reason(&mut self, device: DeviceId) -> Option<String> {
        let seconds = self.standings.unheard_seconds(device, self.now)?;
        Some(format!(
            "PeerSpent: what it sent broke rules too often; it is heard again in {seconds} seconds"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: DeviceId = DeviceId::from_bytes([1; 32]);
    const OTHER: DeviceId = DeviceId::from_bytes([2; 32]);
    const NOW: UnixTime = UnixTime(1_000_000);

    /// As many slips as the score allows are forgiven; the next is once said to be too much, and it takes
    /// half of the score until the peer is heard again. Nobody else pays.
    #[test]
    fn a_spent_score_comes_back_slowly() {
        let mut standings = Standings::default();
        for _ in 1..SCORE_MAX / OFFENCE_COST {
            assert_eq!(standings.lower(PEER, NOW), Lowered::Left);
            assert_eq!(standings.unheard_seconds(PEER, NOW), None);
        }
        assert_eq!(standings.lower(PEER, NOW), Lowered::Spent);
        assert_eq!(standings.lower(PEER, NOW), Lowered::Left, "said once");
        let until = u64::from(HEARD_AGAIN) * REGAIN_SECONDS;
        assert_eq!(standings.unheard_seconds(PEER, NOW), Some(until));
        assert_eq!((standings.score(PEER, NOW), standings.score(OTHER, NOW)), (0, SCORE_MAX));
        let later = UnixTime(NOW.0 + until - 1);
        assert_eq!(standings.unheard_seconds(PEER, later), Some(1));
        assert_eq!(standings.unheard_seconds(PEER, UnixTime(later.0 + 1)), None);
        assert_eq!(standings.score(PEER, UnixTime(later.0 + 1)), HEARD_AGAIN);
        // A clock that stands still, or goes back, gives nothing.
        assert_eq!(standings.lower(OTHER, NOW), Lowered::Left);
        assert_eq!(standings.score(OTHER, UnixTime(5)), SCORE_MAX - OFFENCE_COST);
        let long = UnixTime(NOW.0 + 2 * u64::from(SCORE_MAX) * REGAIN_SECONDS);
        assert_eq!(standings.score(PEER, long), SCORE_MAX);
    }

    /// A burst of hellos is answered up to a limit, and then one a second.
    #[test]
    fn hellos_are_answered_at_a_pace() {
        let mut standings = Standings::default();
        let answered = |standings: &mut Standings, now| {
            (0..200).filter(|_| standings.may_greet(PEER, now)).count() as u64
        };
        assert_eq!(answered(&mut standings, NOW), HELLOS_MAX);
        assert_eq!(answered(&mut standings, UnixTime(NOW.0 + 5)), 5);
        assert_eq!(answered(&mut standings, UnixTime(NOW.0 + 5_000)), HELLOS_MAX);
        assert!(standings.may_greet(OTHER, NOW));
        standings.retain(|it| *it == OTHER);
        assert_eq!(standings.0.len(), 1);
    }
}
