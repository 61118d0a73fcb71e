//! One direction between two peers: how long it takes, and when it was cut.

use std::time::Duration;

use tokio::time::Instant;

/// Most retransmissions of one message. With 99.9 % loss this still ends.
const RETRANSMISSIONS_MAX: u32 = 16;
/// Cost of a lost packet, in one-way delays: the sender notices after about a round trip and a half.
const RETRANSMISSION_DELAYS: u32 = 3;
/// Least cost of a lost packet, for links without delay.
const RETRANSMISSION_MIN: Duration = Duration::from_millis(1);

/// What a link does to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Time that every message takes.
    pub delay: Duration,
    /// Up to so much more, evenly distributed.
    pub jitter: Duration,
    /// Packets lost out of a thousand. QUIC sends them again, so loss is delay.
    pub loss_per_mille: u16,
}

impl Default for Link {
    /// A good household network.
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(2),
            loss_per_mille: 0,
        }
    }
}

impl Link {
    /// How long one message takes, decided by `dice`.
    pub(super) fn transit(&self, mut dice: impl FnMut() -> u64) -> Duration {
        let jitter = u64::try_from(self.jitter.as_nanos()).unwrap_or(u64::MAX);
        let mut transit = self.delay + Duration::from_nanos(dice() % jitter.saturating_add(1));
        let loss = (self.delay * RETRANSMISSION_DELAYS).max(RETRANSMISSION_MIN);
        for _ in 0..RETRANSMISSIONS_MAX {
            if u64::from(self.loss_per_mille) <= dice() % 1000 {
                break;
            }
            transit += loss;
        }
        transit
    }
}

/// A message that was put on a link.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) at: Instant,
    pub(super) transit: Duration,
}

/// A link and its history of cuts.
#[derive(Debug, Clone)]
pub(super) struct LinkState {
    pub(super) link: Link,
    /// Messages put on it, which numbers the throws of the dice.
    pub(super) sent: u64,
    /// When it was last cut; it is still down unless it was healed since.
    cut_at: Option<Instant>,
    healed_at: Option<Instant>,
}

impl LinkState {
    pub(super) fn new(link: Link) -> Self {
        Self { link, sent: 0, cut_at: None, healed_at: None }
    }

    pub(super) fn cut(&mut self, now: Instant) {
        if self.down_since().is_none() {
            (self.cut_at, self.healed_at) = (Some(now), None);
        }
    }

    pub(super) fn heal(&mut self, now: Instant) {
        if self.down_since().is_some() {
            self.healed_at = Some(now);
        }
    }

    pub(super) fn down_since(&self) -> Option<Instant> {
        if self.healed_at.is_some() { None } else { self.cut_at }
    }

    /// When a message arrives as far as is known now; `None` while the link is down. What a cut
    /// caught in the air is sent again when the link heals.
    pub(super) fn arrival(&self, message: Sent) -> Option<Instant> {
        let undisturbed = message.at + message.transit;
        let Some(cut_at) = self.cut_at else { return Some(undisturbed) };
        if undisturbed <= cut_at {
            return Some(undisturbed);
        }
        self.healed_at.map(|healed_at| message.at.max(healed_at) + message.transit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_delay_and_ends() {
        let link =
            Link { delay: Duration::from_millis(10), jitter: Duration::ZERO, ..Link::default() };
        assert_eq!(link.transit(|| 0), link.delay);
        let lossy = Link { loss_per_mille: 500, ..link };
        let mut throws = [0, 499, 499, 500].into_iter();
        assert_eq!(lossy.transit(|| throws.next().unwrap()), link.delay * 7);
        assert!(lossy.transit(|| 0) <= link.delay * 49);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_holds_messages_back_until_it_heals() {
        let begin = Instant::now();
        let second = Duration::from_secs(1);
        let message = |at| Sent { at: begin + second * at, transit: second };
        let mut state = LinkState::new(Link::default());
        state.cut(begin + second * 3);
        assert_eq!(state.arrival(message(2)), Some(begin + second * 3), "arrived before the cut");
        assert_eq!(state.arrival(message(3)), None);
        state.heal(begin + second * 9);
        assert_eq!(state.down_since(), None);
        assert_eq!(state.arrival(message(3)), Some(begin + second * 10), "sent again");
        assert_eq!(state.arrival(message(20)), Some(begin + second * 21));
    }
}
