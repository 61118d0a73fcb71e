//! Units as a disk holds them: many to a row, each behind its name and its length.
//!
//! A row of its own for each unit would leave a tenth of every page empty, and pay for a key and a checksum
//! each. The names are kept so that loading need not hash what the row's checksum covers; where a row is
//! damaged, they tell which of its units still are what they were.

use aura_protocol_core::Digest;

use crate::{encoded::NamedUnit, store::row::CHECKSUM_BYTES, unit::Unit};

/// What the engine keeps beside the value of a row that is alone in its page: a header, two lengths and
/// the key.
const PAGE_OVERHEAD_BYTES: usize = 4 + 2 * 4 + 8;
/// The longest row of more than one unit. With its checksum it fills sixteen of the engine's pages of
/// 4 KiB, which are allocated in powers of two.
pub(crate) const FULL_BYTES: usize = (64 << 10) - PAGE_OVERHEAD_BYTES - CHECKSUM_BYTES;

/// Puts a unit behind those of a row.
pub(crate) fn push(row: &mut Vec<u8>, unit: &NamedUnit) {
    let bytes = unit.bytes();
    // A unit is far shorter: `UNIT_BYTES_MAX`.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    row.extend_from_slice(unit.name().as_bytes());
    row.extend_from_slice(&length.to_le_bytes());
    row.extend_from_slice(bytes);
}

/// The units of a row whose checksum is right; none if it is not made of units.
pub(crate) fn units(row: &[u8]) -> Option<Vec<NamedUnit>> {
    let mut items = Items(row);
    let units = items.by_ref().map(|(name, bytes)| NamedUnit::known(name, bytes)).collect();
    items.0.is_empty().then_some(units)
}

/// The units of a row that may be damaged, as far as their lengths lead: with its name, or none where
/// that is not the unit's.
pub(crate) fn sound(row: &[u8]) -> impl Iterator<Item = Option<NamedUnit>> {
    Items(row)
        .map(|(name, bytes)| (Unit::hash_of(bytes) == name).then(|| NamedUnit::known(name, bytes)))
}

/// How many units a row holds.
pub(crate) fn count(row: &[u8]) -> u64 {
    Items(row).count() as u64
}

/// Cuts a row into rows that are as full as can be, each with the number of its units.
pub(crate) fn cut(row: &[u8]) -> Vec<(u64, &[u8])> {
    let mut parts = Vec::new();
    let (mut rest, mut length, mut units) = (row, 0, 0);
    for (_, bytes) in Items(row) {
        let item = HEAD_BYTES.saturating_add(bytes.len());
        if 0 < units && FULL_BYTES < length + item {
            let (part, behind) = rest.split_at(length);
            parts.push((units, part));
            (rest, length, units) = (behind, 0, 0);
        }
        length += item;
        units += 1;
    }
    if 0 < units {
        parts.push((units, rest));
    }
    parts
}

/// Bytes of a name and a length.
const HEAD_BYTES: usize = 32 + 4;

/// What is left of a row.
struct Items<'a>(&'a [u8]);

impl<'a> Iterator for Items<'a> {
    type Item = (Digest, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (unit, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((Digest::from_bytes(*name), unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of(lengths: &[usize]) -> (Vec<NamedUnit>, Vec<u8>) {
        let numbered = lengths.iter().zip(0..);
        let units: Vec<NamedUnit> =
            numbered.map(|(length, nth)| NamedUnit::of(vec![nth; *length])).collect();
        let mut row = Vec::new();
        units.iter().for_each(|it| push(&mut row, it));
        (units, row)
    }

    #[test]
    fn a_row_holds_its_units() {
        let (held, row) = row_of(&[300, 0, 7]);
        assert_eq!(units(&row).unwrap(), held);
        assert_eq!(count(&row), 3);
        assert_eq!(units(&[]).unwrap(), []);
        for end in 1..row.len() {
            let whole = [0, 336, 372].contains(&end);
            assert_eq!(units(&row[..end]).is_some(), whole, "{end}");
        }
    }

    #[test]
    fn rows_are_full_and_lose_nothing() {
        let (held, row) = row_of(&[30_000, 40_000, 25_000, FULL_BYTES + 1, 10, 20]);
        let parts = cut(&row);
        let counts: Vec<u64> = parts.iter().map(|it| it.0).collect();
        assert_eq!(counts, [1, 2, 1, 2]);
        let again: Vec<NamedUnit> = parts.iter().flat_map(|it| units(it.1).unwrap()).collect();
        assert_eq!(again, held);
        let (_, exact) = row_of(&[FULL_BYTES - 2 * HEAD_BYTES - 5, 5, 1]);
        assert_eq!(cut(&exact).iter().map(|it| it.0).collect::<Vec<_>>(), [2, 1]);
        assert!(cut(&[]).is_empty());
    }

    /// A changed byte costs the unit that it is in, unless it is in a length.
    #[test]
    fn what_is_sound_of_a_damaged_row_is_told() {
        let (held, row) = row_of(&[50, 60, 70]);
        let all = |row: &[u8]| sound(row).flatten().collect::<Vec<_>>();
        assert_eq!(all(&row), held);
        for at in 0..row.len() {
            let mut damaged = row.clone();
            damaged[at] ^= 1;
            let left = all(&damaged);
            assert!(left.iter().all(|it| held.contains(it)));
            let in_length = [0, 86, 182].iter().any(|unit| (unit + 32..unit + 36).contains(&at));
            assert!(in_length || left.len() == 2, "{at}: {}", left.len());
        }
    }
}
