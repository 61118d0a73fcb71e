//! The one place where a quorum is counted.

use alloc::collections::{BTreeMap, BTreeSet};

/// How many distinct voters stand behind each value.
///
/// Takes voters by canonical identity, in a map, so that nobody counts twice however often or under
/// however many encodings a vote arrives: counting a list of signatures has let one key stand for a
/// quorum in at least six update frameworks.
pub fn tally<Voter: Ord, Value: Ord>(
    votes: impl IntoIterator<Item = (Voter, Value)>,
) -> BTreeMap<Value, BTreeSet<Voter>> {
    let mut tally: BTreeMap<Value, BTreeSet<Voter>> = BTreeMap::new();
    for (voter, value) in votes {
        tally.entry(value).or_default().insert(voter);
    }
    tally
}

/// The value that at least `threshold` distinct voters stand behind. With `threshold` above half of
/// all voters and one vote each there is at most one; otherwise the least such value.
pub fn decided<Voter: Ord, Value: Ord + Clone>(
    votes: impl IntoIterator<Item = (Voter, Value)>,
    threshold: usize,
) -> Option<(Value, BTreeSet<Voter>)> {
    tally(votes).into_iter().find(|(_, voters)| threshold <= voters.len())
}

/// The default number of votes for `voters` voters: 1, 2, 2 for 1, 2, 3, then ⌈(N+2)/2⌉, which
/// survives one equivocator from four devices on (`02-ledger`, section 5).
#[must_use]
pub const fn default_threshold(voters: usize) -> usize {
    match voters {
        0 | 1 => 1,
        2 | 3 => 2,
        more => (more + 3) / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voter_counts_once() {
        assert_eq!(decided([(1, 'a'), (1, 'a'), (1, 'a')], 2), None);
        let (value, voters) = decided([(1, 'a'), (2, 'a'), (3, 'b')], 2).unwrap();
        assert_eq!((value, voters.len()), ('a', 2));
    }

    #[test]
    fn default_thresholds() {
        let table: [usize; 8] = [1, 2, 2, 3, 4, 4, 5, 5];
        for (index, expected) in table.into_iter().enumerate() {
            assert_eq!(default_threshold(index + 1), expected, "{} voters", index + 1);
            assert!(index < 2 * expected, "more than half of {}", index + 1);
        }
    }
}
