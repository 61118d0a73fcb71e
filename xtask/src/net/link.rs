//! What a link does to packets. Decided from a seed, by one function.

use std::fmt;
use std::time::{Duration, Instant};

/// Packets that would have to wait longer are dropped, as a router's buffer does.
const QUEUE_MAX: Duration = Duration::from_millis(200);

/// One direction between two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// Of a thousand packets so many are lost.
    pub loss_per_mille: u32,
    /// How long a packet is on its way.
    pub delay: Duration,
    /// How much longer or shorter that may be.
    pub jitter: Duration,
    /// How many bytes pass in a second; any number if zero.
    pub bytes_per_second: u64,
    /// Of a thousand packets so many overtake the others.
    pub reorder_per_mille: u32,
    /// Nothing passes.
    pub down: bool,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "loses {} %, takes {} ms ± {} ms, passes {} kB/s",
            f64::from(self.loss_per_mille) / 10.0,
            self.delay.as_millis(),
            self.jitter.as_millis(),
            self.bytes_per_second / 1000
        )
    }
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives then.
    Arrives(Instant),
    /// It is lost on the way.
    Lost,
    /// The link is cut.
    Cut,
    /// The buffer is full.
    Dropped,
}

impl Link {
    /// Decides for a packet of so many bytes. `busy` is when the link has sent what it has taken.
    pub fn fate(&self, bytes: usize, now: Instant, busy: &mut Instant, dice: &mut Dice) -> Fate {
        if self.down {
            return Fate::Cut;
        }
        if dice.hits(self.loss_per_mille) {
            return Fate::Lost;
        }
        let mut at = now;
        if 0 < self.bytes_per_second {
            let begins = now.max(*busy);
            if QUEUE_MAX < begins - now {
                return Fate::Dropped;
            }
            at = begins + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
            *busy = at;
        }
        if dice.hits(self.reorder_per_mille) {
            return Fate::Arrives(at);
        }
        let shift = self.jitter.mul_f64(dice.share() * 2.0);
        Fate::Arrives((at + self.delay + shift).checked_sub(self.jitter).unwrap_or(at).max(at))
    }
}

/// Numbers from a seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether one of so many in a thousand comes up.
    fn hits(&mut self, per_mille: u32) -> bool {
        self.next() % 1000 < u64::from(per_mille)
    }

    /// Evenly between 0 and 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Link = Link {
        loss_per_mille: 50,
        delay: Duration::from_millis(25),
        jitter: Duration::from_millis(3),
        bytes_per_second: 0,
        reorder_per_mille: 0,
        down: false,
    };

    fn fates(link: Link, count: usize) -> Vec<(Instant, Fate)> {
        let now = Instant::now();
        let (mut busy, mut dice) = (now, Dice(1));
        (0..count).map(|_| (now, link.fate(1000, now, &mut busy, &mut dice))).collect()
    }

    #[test]
    fn as_many_are_lost_as_the_link_says() {
        let lost = fates(LINK, 20_000).iter().filter(|(_, it)| *it == Fate::Lost).count();
        assert!((900..1100).contains(&lost), "{lost}");
    }

    #[test]
    fn packets_take_the_delay_and_its_jitter() {
        for (now, fate) in fates(LINK, 5000) {
            let Fate::Arrives(at) = fate else { continue };
            let took = at - now;
            assert!((22..=28).contains(&took.as_millis()), "{took:?}");
        }
    }

    #[test]
    fn a_rate_spaces_packets_and_a_full_buffer_drops() {
        let link = Link { bytes_per_second: 100_000, ..Link::default() };
        let fates = fates(link, 100);
        let arrives = |n: usize| match fates[n].1 {
            Fate::Arrives(at) => Some((at - fates[n].0).as_millis()),
            _ => None,
        };
        assert_eq!((arrives(0), arrives(9)), (Some(10), Some(100)));
        assert_eq!(fates[50].1, Fate::Dropped);
    }

    #[test]
    fn some_overtake_and_nothing_passes_a_cut_link() {
        let link = Link { reorder_per_mille: 500, loss_per_mille: 0, ..LINK };
        let early = fates(link, 1000).iter().filter(|(now, it)| *it == Fate::Arrives(*now)).count();
        assert!((400..600).contains(&early), "{early}");
        let cut = Link { down: true, ..LINK };
        assert!(fates(cut, 100).iter().all(|(_, it)| *it == Fate::Cut));
    }

    #[test]
    fn the_same_seed_decides_the_same() {
        let verdicts = |_| {
            let link = Link { reorder_per_mille: 100, ..LINK };
            let lost = |(_, it): &(Instant, Fate)| *it == Fate::Lost;
            fates(link, 500).iter().map(lost).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(1), verdicts(2));
    }
}
