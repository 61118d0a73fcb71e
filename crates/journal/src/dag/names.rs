//! What is known by a name: found by the name, and kept in the order in which it came.
//!
//! A table of buckets, in which a name has its place by its first bytes. Names are hashes, and who writes
//! units can look for many that share a bucket; so a bucket has an end, and what has no room in it is in
//! a tree. At worst a name is found as in the tree alone. Nobody sees the order of the table.

use std::collections::BTreeMap;

use aura_protocol_core::Digest;

/// Places in a bucket: two lines of a processor's cache.
const BUCKET: usize = 16;
/// Places for each name, at least. A bucket of 16 with 8 names has no room for about one in a thousand.
const SPARE: usize = 2;

/// Values by name.
#[derive(Debug)]
pub(crate) struct ByName<V> {
    names: Vec<Digest>,
    values: Vec<V>,
    /// Buckets side by side. A place has four bytes of the name and one more than its index; 0 is free.
    places: Vec<u64>,
    crowded: BTreeMap<Digest, usize>,
}

impl<V> Default for ByName<V> {
    fn default() -> Self {
        let (names, values) = (Vec::new(), Vec::new());
        Self { names, values, places: Vec::new(), crowded: BTreeMap::new() }
    }
}

impl<V> ByName<V> {
    /// All names, in the order in which they came.
    pub(crate) fn names(&self) -> &[Digest] {
        &self.names
    }

    /// The how-manieth a name was.
    pub(crate) fn index(&self, name: &Digest) -> Option<usize> {
        let (bucket, tag) = self.bucket(name);
        for place in self.places.get(bucket..bucket.checked_add(BUCKET)?)? {
            let index = usize::try_from((place & u64::from(u32::MAX)).checked_sub(1)?).ok()?;
            if place >> 32 == tag && self.names.get(index) == Some(name) {
                return Some(index);
            }
        }
        self.crowded.get(name).copied()
    }

    pub(crate) fn get(&self, name: &Digest) -> Option<&V> {
        self.values.get(self.index(name)?)
    }

    /// The value that came as this one.
    pub(crate) fn at(&self, index: usize) -> Option<(&Digest, &V)> {
        Some((self.names.get(index)?, self.values.get(index)?))
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.names.reserve(more);
        self.values.reserve(more);
        let names = self.names.len().saturating_add(more);
        if self.places.len() < names.saturating_mul(SPARE) {
            self.spread(names);
        }
    }

    /// Puts a name that is not there behind all others.
    pub(crate) fn push(&mut self, name: Digest, value: V) {
        self.names.push(name);
        self.values.push(value);
        if self.names.len() * SPARE <= self.places.len() {
            self.place(self.names.len() - 1, name);
        } else {
            self.spread(self.names.len());
        }
    }

    /// Gives every name its place in a table for so many.
    fn spread(&mut self, names: usize) {
        let places = names.saturating_mul(SPARE).next_power_of_two().max(BUCKET);
        self.places = vec![0; places];
        self.crowded.clear();
        for index in 0..self.names.len() {
            if let Some(name) = self.names.get(index) {
                self.place(index, *name);
            }
        }
    }

    fn place(&mut self, index: usize, name: Digest) {
        let (bucket, tag) = self.bucket(&name);
        let mut places = self.places.iter_mut().skip(bucket).take(BUCKET);
        match (places.find(|it| **it == 0), u32::try_from(index + 1)) {
            (Some(place), Ok(number)) => *place = tag << 32 | u64::from(number),
            _ => {
                self.crowded.insert(name, index);
            }
        }
    }

    /// Where a name's bucket begins, and the bytes that tell it from others there.
    fn bucket(&self, name: &Digest) -> (usize, u64) {
        let [a, b, c, d, e, f, g, h, ..] = *name.as_bytes();
        let tag = u32::from_le_bytes([a, b, c, d]);
        // The number of places is a power of two.
        let mask = self.places.len().saturating_sub(1) & !(BUCKET - 1);
        (u32::from_le_bytes([e, f, g, h]) as usize & mask, u64::from(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_found(table: &ByName<usize>, names: &[Digest]) {
        assert_eq!(table.names(), names);
        for (index, name) in names.iter().enumerate() {
            assert_eq!(table.get(name), Some(&index));
            assert_eq!(table.at(index), Some((name, &index)));
        }
    }

    #[test]
    fn what_came_is_found_and_nothing_else() {
        let mut table = ByName::default();
        assert_eq!(table.index(&Digest::ZERO), None);
        let names: Vec<Digest> = (0..5_000_u32).map(|it| Digest::of(&it.to_le_bytes())).collect();
        for (index, name) in names.iter().enumerate() {
            assert_eq!(table.get(name), None);
            if index == 3_000 {
                table.reserve(1_500);
                all_found(&table, names.get(..index).unwrap_or_default());
            }
            table.push(*name, index);
        }
        all_found(&table, &names);
        assert_eq!(table.get(&Digest::of(b"other")), None);
        assert!(table.crowded.len() < names.len() / 100, "{}", table.crowded.len());
    }

    /// Whoever makes names of one bucket, or with the same first bytes, does not make them be lost.
    #[test]
    fn names_that_were_looked_for_are_found_too() {
        let chosen = |it: u8, len: usize| {
            let mut name = [0; 32];
            name[len..].fill(it);
            Digest::from_bytes(name)
        };
        for len in [4, 8, 31] {
            let mut table = ByName::default();
            let names: Vec<Digest> = (1..=200).map(|it| chosen(it, len)).collect();
            for (index, name) in names.iter().enumerate() {
                table.push(*name, index);
            }
            all_found(&table, &names);
            assert_eq!(table.get(&chosen(201, len)), None);
        }
    }
}
