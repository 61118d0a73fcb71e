//! What a protocol may ask its host to do for it.

use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize, io};

/// One right that a module asks for and an account grants.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
#[borsh(use_discriminant = false)]
#[non_exhaustive]
pub enum Capability {
    /// Read records of its own app.
    ReadRecords,
    /// Write records of its own app when a session closes.
    WriteRecords,
    /// Have the host sign bytes, prefixed with domain, app, digest and session.
    Sign,
    /// Have the host derive a key under a context, prefixed likewise.
    DeriveKey,
    /// Seal bytes to, and open bytes from, another participant.
    Seal,
    /// Start a session of another protocol that its descriptor names.
    RunSubProtocol,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadRecords => "read-records",
            Self::WriteRecords => "write-records",
            Self::Sign => "sign",
            Self::DeriveKey => "derive-key",
            Self::Seal => "seal",
            Self::RunSubProtocol => "run-sub-protocol",
        })
    }
}

impl Capability {
    /// All of them, in their order.
    pub const ALL: [Self; 6] = [
        Self::ReadRecords,
        Self::WriteRecords,
        Self::Sign,
        Self::DeriveKey,
        Self::Seal,
        Self::RunSubProtocol,
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The rights that are in force during a call: what the account granted, cut to what the session
/// began with. Encoded as the list of them, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ProtocolCapabilities(u8);

impl ProtocolCapabilities {
    /// The rights in both.
    #[must_use]
    pub const fn intersection(&self, other: &Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether `capability` is granted.
    #[must_use]
    pub const fn allows(&self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    /// Grants `capability` too.
    pub const fn grant(&mut self, capability: Capability) {
        self.0 |= capability.bit();
    }

    /// The granted rights, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Capability> + Clone + use<> {
        let granted = *self;
        Capability::ALL.into_iter().filter(move |it| granted.allows(*it))
    }
}

impl fmt::Debug for ProtocolCapabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<Capability> for ProtocolCapabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        let mut granted = Self::default();
        capabilities.into_iter().for_each(|it| granted.grant(it));
        granted
    }
}

impl BorshSerialize for ProtocolCapabilities {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.0.count_ones().serialize(writer)?;
        self.iter().try_for_each(|it| it.serialize(writer))
    }
}

impl BorshDeserialize for ProtocolCapabilities {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let mut granted = Self::default();
        for _ in 0..u32::deserialize_reader(reader)? {
            let next = Capability::deserialize_reader(reader)?;
            // Each is greater than all before it.
            if next.bit() <= granted.0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            granted.grant(next);
        }
        Ok(granted)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeSet, vec::Vec};

    use super::*;
    use crate::{decode, encode};

    fn of(bits: u8) -> BTreeSet<Capability> {
        Capability::ALL.into_iter().filter(|it| it.bit() & bits != 0).collect()
    }

    /// INV-B1: rights are encoded as a set of them is, and read where that is read.
    #[test]
    fn rights_are_encoded_as_their_set() {
        for bits in 0..1 << Capability::ALL.len() {
            let set = of(bits);
            let granted: ProtocolCapabilities = set.iter().copied().collect();
            assert_eq!(granted.iter().collect::<BTreeSet<_>>(), set);
            assert_eq!(encode(&granted), encode(&set));
            assert_eq!(decode(&encode(&set), 64), Ok(granted));
        }
        for tags in [&[1, 0][..], &[2, 2], &[6], &[0, 1, 255]] {
            let bytes: Vec<u8> = [&[tags.len() as u8, 0, 0, 0][..], tags].concat();
            assert!(decode::<ProtocolCapabilities>(&bytes, 64).is_err());
            assert!(decode::<BTreeSet<Capability>>(&bytes, 64).is_err());
        }
    }

    #[test]
    fn rights_in_both() {
        let of = |bits: u8| of(bits).into_iter().collect::<ProtocolCapabilities>();
        assert_eq!(of(0b1_0110).intersection(&of(0b1_0011)), of(0b1_0010));
        assert!(of(0b10).allows(Capability::WriteRecords) && !of(0b10).allows(Capability::Sign));
        assert_eq!(alloc::format!("{:?}", of(0b101)), "{ReadRecords, Sign}");
    }
}
