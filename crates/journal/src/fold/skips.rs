//! Which units the fold leaves out: those of an author from its fork on, and those beyond a cut.
//!
//! A fork counts in a segment only if both units lie in the closure of its entry, and a cut from the
//! entry on that makes it. So what is left out below an entry is a function of the entry's closure, and
//! nothing that comes late changes it. What is left out for an author in a segment only grows.

use std::collections::BTreeMap;

use aura_protocol_core::{DeviceId, Digest};

use crate::{
    control::ControlChain,
    dag::{Chain, Dag, OPEN_SEGMENT},
    encoded::Encoded,
};

/// What a revocation leaves of a device's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    k: u64,
    last_seq: u64,
    last_hash: Digest,
}

/// What is left out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Skips {
    /// By author: from which segment on the units from which place on are left out. The later the
    /// segment, the lower the place.
    forks: BTreeMap<DeviceId, BTreeMap<u64, u64>>,
    cuts: BTreeMap<DeviceId, Cut>,
}

/// Units that may be left out from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lowered {
    pub(crate) author: DeviceId,
    /// From this place on,
    pub(crate) from: u64,
    /// up to this one, which was left out already.
    pub(crate) until: u64,
}

impl Skips {
    /// Whether the fold leaves this unit out when it is in that segment.
    pub(crate) fn skips(&self, unit: &Digest, parts: &Encoded<'_>, segment: u64) -> bool {
        if self.forks.is_empty() && self.cuts.is_empty() {
            return false;
        }
        let (author, seq) = (parts.author(), parts.seq());
        let forked = self.fork(&author, segment).is_some_and(|from| from <= seq);
        let cut = self.cuts.get(&author).filter(|it| it.k <= segment);
        forked || cut.is_some_and(|it| it.last_seq <= seq && it.last_hash != *unit)
    }

    /// From which place on an author's units are left out in a segment because it has forked.
    pub(crate) fn fork(&self, author: &DeviceId, segment: u64) -> Option<u64> {
        self.forks.get(author)?.range(..=segment).next_back().map(|(_, from)| *from)
    }

    /// Two units of an author at place `seq` lie in the closure of entry `k`.
    pub(crate) fn forked(&mut self, author: DeviceId, k: u64, seq: u64) -> Option<Lowered> {
        let until = self.fork(&author, k).unwrap_or(u64::MAX);
        if until <= seq {
            return None;
        }
        let steps = self.forks.entry(author).or_default();
        // What holds from here on at a higher place is implied.
        steps.retain(|from, place| *from < k || *place < seq);
        steps.insert(k, seq);
        Some(Lowered { author, from: seq, until })
    }

    /// Entry `k` leaves no units of a device but those up to this one.
    pub(crate) fn cut(&mut self, k: u64, device: DeviceId, last: (u64, Digest)) -> Lowered {
        let (last_seq, last_hash) = last;
        self.cuts.insert(device, Cut { k, last_seq, last_hash });
        Lowered { author: device, from: last_seq, until: u64::MAX }
    }

    /// What is left out up to a segment because its author has forked: by author and segment.
    pub(crate) fn forks_until(&self, k: u64) -> BTreeMap<DeviceId, BTreeMap<u64, u64>> {
        let until = |steps: &BTreeMap<u64, u64>| -> BTreeMap<u64, u64> {
            steps.range(..=k).map(|(from, place)| (*from, *place)).collect()
        };
        let forks = self.forks.iter().map(|(author, steps)| (*author, until(steps)));
        forks.filter(|(_, steps)| !steps.is_empty()).collect()
    }

    /// What is left out below a snapshot stays left out.
    pub(crate) fn below(&mut self, forks: &BTreeMap<DeviceId, BTreeMap<u64, u64>>) {
        self.forks.clone_from(forks);
    }

    /// Takes note of what lies at a place, given each unit's segment.
    pub(crate) fn look(
        &mut self,
        author: DeviceId,
        seq: u64,
        chain: &Chain,
        segment: impl Fn(&Digest) -> u64,
    ) -> Option<Lowered> {
        // The closure that has the second of them is the first that has two.
        let mut segments: Vec<u64> = chain.at(seq).map(|unit| segment(&unit)).collect();
        segments.sort_unstable();
        self.forked(author, *segments.get(1)?, seq)
    }

    /// What is left out of a causal closure by itself: forks inside it, and cuts by configurations up to
    /// the newest that it names. Everything is in one segment.
    pub(crate) fn of_closure(
        dag: &Dag,
        chain: &ControlChain,
        newest: u64,
        closure: impl Fn(&Digest) -> bool,
    ) -> Self {
        let mut skips = Self::default();
        let outside = |unit: &Digest| if closure(unit) { 0 } else { OPEN_SEGMENT };
        for (author, units) in dag.authors() {
            let both = |seq: &u64| 2 <= units.at(*seq).filter(|it| outside(it) == 0).count();
            let here = units.forks().filter(both);
            if let Some(seq) = here.chain(units.fork_below()).min() {
                skips.forked(*author, 0, seq);
            }
        }
        for entry in chain.entries().iter().take_while(|it| it.slot.config < newest) {
            if let Some(it) = entry.value.body.cut() {
                skips.cut(0, it.device, (it.last_seq, it.last_hash));
            }
        }
        skips
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHOR: DeviceId = DeviceId::from_bytes([1; 32]);

    fn lowered(from: u64, until: u64) -> Option<Lowered> {
        Some(Lowered { author: AUTHOR, from, until })
    }

    /// A fork holds from its segment on, and the lowest that holds counts.
    #[test]
    fn the_lowest_fork_that_a_closure_holds_counts() {
        let mut skips = Skips::default();
        assert_eq!(skips.forked(AUTHOR, 5, 10), lowered(10, u64::MAX));
        assert_eq!(skips.forked(AUTHOR, 7, 12), None);
        assert_eq!(skips.forked(AUTHOR, 7, 4), lowered(4, 10));
        assert_eq!(skips.forked(AUTHOR, 3, 11), lowered(11, u64::MAX));
        let at = |skips: &Skips| [2, 3, 4, 5, 6, 7, 8].map(|k| skips.fork(&AUTHOR, k));
        let expected = [None, Some(11), Some(11), Some(10), Some(10), Some(4), Some(4)];
        assert_eq!(at(&skips), expected);
        // One that holds earlier and lower implies what holds later.
        assert_eq!(skips.forked(AUTHOR, 4, 4), lowered(4, 11));
        let expected = [None, Some(11), Some(4), Some(4), Some(4), Some(4), Some(4)];
        assert_eq!(at(&skips), expected);
        assert_eq!(skips.forks[&AUTHOR].len(), 2);
        assert_eq!(skips.fork(&DeviceId::from_bytes([2; 32]), 9), None);
    }
}
