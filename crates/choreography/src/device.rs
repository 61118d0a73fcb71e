//! The devices of one session, by their place among its participants.

use core::fmt;

use aura_protocol_core::limits::DEVICES_MAX;
use borsh::{BorshDeserialize, BorshSerialize};

// A set is one machine word per 128 devices, and there are no more.
const _: () = assert!(DEVICES_MAX == 128);

/// A device's place among the participants of a session, in the order of their ids, from 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Dev(pub u8);

impl fmt::Display for Dev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of devices.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, BorshSerialize, BorshDeserialize,
)]
pub struct DeviceSet(u128);

impl DeviceSet {
    /// Nobody.
    pub const EMPTY: Self = Self(0);

    /// The first `count` devices, at most [`DEVICES_MAX`].
    #[must_use]
    pub const fn all(count: usize) -> Self {
        if DEVICES_MAX <= count { Self(u128::MAX) } else { Self((1 << count) - 1) }
    }

    /// One device.
    #[must_use]
    pub const fn one(dev: Dev) -> Self {
        Self::EMPTY.with(dev)
    }

    /// Whether `dev` is in it.
    #[must_use]
    pub const fn contains(self, dev: Dev) -> bool {
        (dev.0 as usize) < DEVICES_MAX && self.0 >> dev.0 & 1 == 1
    }

    /// This set and `dev`. A device beyond [`DEVICES_MAX`] does not exist and is not added.
    #[must_use]
    pub const fn with(self, dev: Dev) -> Self {
        if (dev.0 as usize) < DEVICES_MAX { Self(self.0 | 1 << dev.0) } else { self }
    }

    /// This set without `dev`.
    #[must_use]
    pub const fn without(self, dev: Dev) -> Self {
        Self(self.0 & !Self::one(dev).0)
    }

    /// How many there are.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether nobody is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of these are in `other`.
    #[must_use]
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Those in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The first of them.
    #[must_use]
    pub const fn first(self) -> Option<Dev> {
        if self.0 == 0 { None } else { Some(Dev(self.0.trailing_zeros() as u8)) }
    }

    /// All of them, ascending.
    pub fn iter(self) -> impl Iterator<Item = Dev> + Clone {
        let mut rest = self;
        core::iter::from_fn(move || {
            let first = rest.first()?;
            rest = rest.without(first);
            Some(first)
        })
    }
}

impl FromIterator<Dev> for DeviceSet {
    fn from_iter<I: IntoIterator<Item = Dev>>(devices: I) -> Self {
        devices.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for DeviceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|it| it.0)).finish()
    }
}

impl fmt::Display for DeviceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, dev) in self.iter().enumerate() {
            write!(f, "{}{dev}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;

    #[test]
    fn sets_reach_to_the_last_device() {
        assert_eq!(DeviceSet::all(3).iter().collect::<Vec<_>>(), vec![Dev(0), Dev(1), Dev(2)]);
        let everyone = DeviceSet::all(128);
        assert_eq!((everyone.len(), everyone.contains(Dev(127))), (128, true));
        assert_eq!(DeviceSet::one(Dev(127)).first(), Some(Dev(127)));
        assert!(!everyone.contains(Dev(128)) && DeviceSet::EMPTY.with(Dev(128)).is_empty());
        assert_eq!(DeviceSet::all(500), everyone);
    }

    #[test]
    fn sets_compute() {
        let (low, even) = (DeviceSet::all(4), [0, 2, 4].map(Dev).into_iter().collect());
        assert_eq!(low.intersection(even).iter().map(|it| it.0).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(low.difference(even).iter().map(|it| it.0).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(low.union(even).len(), 5);
        assert!(low.intersection(even).is_subset(low) && !even.is_subset(low));
        assert_eq!(low.without(Dev(0)).first(), Some(Dev(1)));
    }
}
