//! Plans as one line of text: what a failure is reported as, and replayed from.
//!
//! `dkd L1 seed=7 devices=5 threshold=3 jitter=4 loss=120 partition=0.2,5,10 liar=3,hold,12`

use std::{fmt, str::FromStr};

use aura_choreography::{Dev, DeviceSet};
use aura_protocol_core::limits::DEVICES_MAX;
use thiserror::Error;

use crate::plan::{Fault, Plan, Strategy};

/// What is simulated of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Depth {
    /// Its sessions.
    #[default]
    L1,
    /// Its ledger too, with signed units.
    L2,
    /// The same, with keyed hashes in place of signatures.
    L2Keyed,
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L2Keyed => "L2-keyed",
        })
    }
}

impl FromStr for Depth {
    type Err = BadLine;

    fn from_str(text: &str) -> Result<Self, BadLine> {
        match text {
            "L1" => Ok(Self::L1),
            "L2" => Ok(Self::L2),
            "L2-keyed" => Ok(Self::L2Keyed),
            _ => Err(BadLine::Level { found: text.to_owned() }),
        }
    }
}

/// A run that can be had again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The protocol's name.
    pub protocol: String,
    /// The level.
    pub level: Depth,
    /// The plan.
    pub plan: Plan,
}

/// Why a line is no run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadLine {
    /// It begins with something else.
    #[error("a run begins with a protocol and a level, such as `dkd L1 seed=7 …`")]
    Head,
    /// There is no such level.
    #[error("`{found}` is no level; there are L1 and L2")]
    Level {
        /// What stands there.
        found: String,
    },
    /// A word that says nothing.
    #[error("`{word}` is no part of a plan")]
    Word {
        /// The word.
        word: String,
    },
    /// A part without which there is no plan.
    #[error("`{part}` is missing or out of range")]
    Part {
        /// Which.
        part: &'static str,
    },
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { seed, devices, threshold, jitter, faults } = &self.plan;
        let (protocol, level) = (&self.protocol, self.level);
        write!(f, "{protocol} {level} seed={seed} devices={devices} threshold={threshold}")?;
        write!(f, " jitter={jitter}")?;
        faults.iter().try_for_each(|it| write!(f, " {it}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Latency { by } => write!(f, "latency={by}"),
            Self::Loss { per_mille } => write!(f, "loss={per_mille}"),
            Self::Duplicate { per_mille } => write!(f, "duplicate={per_mille}"),
            Self::Reorder { by } => write!(f, "reorder={by}"),
            Self::BatchedSync { every } => write!(f, "sync={every}"),
            Self::Partition { side, at, len } => {
                let places: Vec<String> = side.iter().map(|it| it.to_string()).collect();
                write!(f, "partition={},{at},{len}", places.join("."))
            }
            Self::Slow { dev, by } => write!(f, "slow={dev},{by}"),
            Self::ClockSkew { dev, percent } => write!(f, "skew={dev},{percent}"),
            Self::Crash { dev, at, down } => write!(f, "crash={dev},{at},{down}"),
            Self::TornWrite { dev, boundary, down } => write!(f, "torn={dev},{boundary},{down}"),
            Self::Byzantine { dev, strategy } => write!(f, "liar={dev},{strategy}"),
            Self::Eclipse { dev, at, len } => write!(f, "eclipse={dev},{at},{len}"),
            Self::Sybil { count } => write!(f, "sybil={count}"),
            Self::Absent { dev } => write!(f, "absent={dev}"),
            Self::Signal { dev, at } => write!(f, "signal={dev},{at}"),
        }
    }
}

/// The strategies that are a word.
const STRATEGIES: [(&str, Strategy); 9] = [
    ("silent", Strategy::Silent),
    ("corrupt", Strategy::Corrupt),
    ("equivocate", Strategy::Equivocate),
    ("selective-abort", Strategy::SelectiveAbort),
    ("forged-signature", Strategy::ForgedSignature),
    ("fork-ledger", Strategy::ForkLedger),
    ("branches", Strategy::Branches),
    ("replay", Strategy::Replay),
    ("stuffing", Strategy::Stuffing),
];

impl Fault {
    /// What kind of fault it is, for counts: the word that stands in a line; of liars, their strategy.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::Loss { .. } => "loss",
            Self::Duplicate { .. } => "duplicate",
            Self::Reorder { .. } => "reorder",
            Self::BatchedSync { .. } => "sync",
            Self::Partition { .. } => "partition",
            Self::Slow { .. } => "slow",
            Self::ClockSkew { .. } => "skew",
            Self::Crash { .. } => "crash",
            Self::TornWrite { .. } => "torn",
            Self::Byzantine { strategy, .. } => strategy.name(),
            Self::Eclipse { .. } => "eclipse",
            Self::Sybil { .. } => "sybil",
            Self::Absent { .. } => "absent",
            Self::Signal { .. } => "signal",
        }
    }
}

impl Strategy {
    fn name(&self) -> &'static str {
        STRATEGIES.iter().find(|it| it.1 == *self).map_or("hold", |it| it.0)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold { epochs } => write!(f, "hold,{epochs}"),
            other => f.write_str(other.name()),
        }
    }
}

impl FromStr for Replay {
    type Err = BadLine;

    fn from_str(line: &str) -> Result<Self, BadLine> {
        let mut words = line.split_whitespace();
        let (protocol, level) = words.next().zip(words.next()).ok_or(BadLine::Head)?;
        let level = level.parse()?;
        let (mut seed, mut devices, mut threshold, mut jitter) = (None, None, None, None);
        let mut faults = Vec::new();
        for word in words {
            let bad = || BadLine::Word { word: word.to_owned() };
            let (name, value) = word.split_once('=').ok_or_else(bad)?;
            match name {
                "seed" => seed = value.parse().ok(),
                "devices" => devices = value.parse().ok(),
                "threshold" => threshold = value.parse().ok(),
                "jitter" => jitter = value.parse().ok(),
                _ => faults.push(fault(name, value).ok_or_else(bad)?),
            }
        }
        let in_range = |it: &u8| (1..=DEVICES_MAX).contains(&usize::from(*it));
        let part = |part| BadLine::Part { part };
        let plan = Plan {
            seed: seed.ok_or_else(|| part("seed"))?,
            devices: devices.filter(in_range).ok_or_else(|| part("devices"))?,
            threshold: threshold.ok_or_else(|| part("threshold"))?,
            jitter: jitter.ok_or_else(|| part("jitter"))?,
            faults,
        };
        Ok(Self { protocol: protocol.to_owned(), level, plan })
    }
}

fn fault(name: &str, value: &str) -> Option<Fault> {
    let mut parts = value.split(',');
    let fault = match name {
        "latency" => Fault::Latency { by: next(&mut parts)? },
        "loss" => Fault::Loss { per_mille: next(&mut parts)? },
        "duplicate" => Fault::Duplicate { per_mille: next(&mut parts)? },
        "reorder" => Fault::Reorder { by: next(&mut parts)? },
        "sync" => Fault::BatchedSync { every: next(&mut parts)? },
        "partition" => {
            let side = places(parts.next()?)?;
            Fault::Partition { side, at: next(&mut parts)?, len: next(&mut parts)? }
        }
        "slow" => Fault::Slow { dev: next(&mut parts)?, by: next(&mut parts)? },
        "skew" => Fault::ClockSkew { dev: next(&mut parts)?, percent: next(&mut parts)? },
        "crash" => {
            let (dev, at) = (next(&mut parts)?, next(&mut parts)?);
            Fault::Crash { dev, at, down: next(&mut parts)? }
        }
        "torn" => {
            let (dev, boundary) = (next(&mut parts)?, next(&mut parts)?);
            Fault::TornWrite { dev, boundary, down: next(&mut parts)? }
        }
        "liar" => {
            let (dev, name) = (next(&mut parts)?, parts.next()?);
            let strategy = if name == "hold" {
                Strategy::Hold { epochs: next(&mut parts)? }
            } else {
                STRATEGIES.iter().find(|it| it.0 == name)?.1
            };
            Fault::Byzantine { dev, strategy }
        }
        "eclipse" => {
            let (dev, at) = (next(&mut parts)?, next(&mut parts)?);
            Fault::Eclipse { dev, at, len: next(&mut parts)? }
        }
        "sybil" => Fault::Sybil { count: next(&mut parts)? },
        "absent" => Fault::Absent { dev: next(&mut parts)? },
        "signal" => Fault::Signal { dev: next(&mut parts)?, at: next(&mut parts)? },
        _ => return None,
    };
    parts.next().is_none().then_some(fault)
}

fn next<'a, T: FromStr>(parts: &mut impl Iterator<Item = &'a str>) -> Option<T> {
    parts.next()?.parse().ok()
}

/// `0.2.3`, or nothing for nobody.
fn places(text: &str) -> Option<DeviceSet> {
    if text.is_empty() {
        return Some(DeviceSet::EMPTY);
    }
    text.split('.').map(|it| it.parse().ok().map(Dev)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        draw::mix,
        plan::{Promise, Shape},
    };

    /// INV-Z7: a run's line is read back as that run.
    #[test]
    fn lines_are_read_back() {
        let shape = Shape::within(Promise::QUORUM, 9, 8, DeviceSet::EMPTY);
        let shape = Shape { chains: true, ..shape };
        for seed in 0..3_000 {
            let plan = Plan::from_seed(mix(seed), &shape);
            let level = [Depth::L1, Depth::L2, Depth::L2Keyed][seed as usize % 3];
            let replay = Replay { protocol: "dkd".to_owned(), level, plan };
            assert_eq!(replay.to_string().parse(), Ok(replay.clone()), "{replay}");
        }
    }

    #[test]
    fn other_lines_are_not() {
        let parse = |line: &str| line.parse::<Replay>().unwrap_err();
        assert_eq!(parse("dkd"), BadLine::Head);
        assert_eq!(parse("dkd L9 seed=1"), BadLine::Level { found: "L9".to_owned() });
        assert_eq!(parse("dkd L1 seed=1 jitter=2 threshold=1"), BadLine::Part { part: "devices" });
        let head = "dkd L1 seed=1 devices=3 threshold=2 jitter=4";
        for word in ["crash=1,2", "crash=1,2,3,4", "liar=1,hold", "liar=1,dance", "sung=3", "loss"]
        {
            assert_eq!(parse(&format!("{head} {word}")), BadLine::Word { word: word.to_owned() });
        }
        let many = "dkd L1 seed=1 devices=129 threshold=2 jitter=4";
        assert_eq!(parse(many), BadLine::Part { part: "devices" });
    }
}
