//! Scripts for the guests, from a seed: mostly what a protocol expects, at times what it does not.

use std::fmt::Write as _;

/// A sequence of numbers that a seed determines (xorshift).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// Sessions of the counter: numbers, twice the same device, no numbers, strangers.
pub fn counter(seed: u64, sessions: u64) -> String {
    script(seed, sessions, |random, devices, text| {
        for device in 1..=devices {
            match random.below(8) {
                0 => line(text, &format!("signal {device} not a number")),
                1 => line(text, &format!("event {} add 0x0102", devices + 1)),
                2 => line(text, &format!("event {device} add 0x0500000000000000")),
                _ => {}
            }
            line(text, &format!("signal {device} {}", random.below(1 << 40)));
        }
    })
}

/// Sessions of the poll: answers, wrong answers, and a clock that runs out of patience.
pub fn poll(seed: u64, sessions: u64) -> String {
    script(seed, sessions, |random, devices, text| {
        for device in 1..=devices {
            match random.below(8) {
                0 => line(text, &format!("signal {device} perhaps")),
                1 => line(text, &format!("event {device} answer 0x07")),
                2 => {}
                _ => {
                    let answer = if random.below(2) == 0 { "no" } else { "yes" };
                    line(text, &format!("signal {device} {answer}"));
                }
            }
        }
        line(text, "clock 4000");
    })
}

fn script(seed: u64, sessions: u64, mut body: impl FnMut(&mut Seeded, u64, &mut String)) -> String {
    let (mut random, mut text) = (Seeded(seed | 1), String::new());
    for session in 0..sessions {
        let devices = 1 + random.below(5);
        line(&mut text, &format!("start {devices} Session {session}?"));
        body(&mut random, devices, &mut text);
    }
    text
}

fn line(text: &mut String, line: &str) {
    // A String takes everything.
    let _written = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_script() {
        assert_eq!(counter(7, 20), counter(7, 20));
        assert_ne!(counter(7, 20), counter(8, 20));
        for word in ["start ", "signal ", "event ", "not a number"] {
            assert!(counter(7, 20).contains(word), "{word}");
        }
        assert!(poll(7, 20).contains("clock 4000") && poll(7, 20).contains("perhaps"));
    }
}
