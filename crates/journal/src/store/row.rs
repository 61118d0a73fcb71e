//! The form of everything that is stored: each value with a checksum, each table with a total.
//!
//! The checksum of a row covers its table and its key too, so that a row cannot pass for another; the
//! total of a table, so that a row cannot be missing or come back.

use aura_protocol_core::{AppId, Digest, RecordKey};
use borsh::{BorshDeserialize, BorshSerialize};

/// Bytes of a checksum. It guards against damage, not against whoever can write to the store: that
/// one could rewrite checksums of any length.
pub(crate) const CHECKSUM_BYTES: usize = 16;

pub(crate) type Checksum = [u8; CHECKSUM_BYTES];

/// What kind of rows a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub(crate) enum Kind {
    /// Entries, by height.
    Entries,
    /// Units, many to a row, by how many came before the row's first.
    Units,
    /// The vote record, alone.
    Vote,
    /// Records, by app and key.
    Records,
    /// The device's own values, by name.
    Local,
    /// The format and the totals.
    Meta,
    /// What stands for units that are gone, alone.
    Base,
}

impl Kind {
    /// The tables whose rows are counted.
    pub(crate) const COUNTED: [Self; 6] =
        [Self::Entries, Self::Base, Self::Units, Self::Vote, Self::Records, Self::Local];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Units => "units",
            Self::Vote => "vote",
            Self::Records => "records",
            Self::Local => "local",
            Self::Meta => "meta",
            Self::Base => "base",
        }
    }

    /// What a row is called when it is damaged.
    pub(crate) fn describe(self, key: &[u8]) -> String {
        match self {
            Self::Entries | Self::Units => match number_of(key) {
                Some(number) if self == Self::Units => format!("the row of units from {number} on"),
                Some(number) => format!("row {number} of {}", self.name()),
                None => format!("a key of {}", self.name()),
            },
            Self::Vote => "the vote record".to_owned(),
            Self::Base => "the base".to_owned(),
            Self::Records => match split_record_key(key) {
                Some((app, key)) => format!("record `{key}` of app {app}"),
                None => "a key of records".to_owned(),
            },
            Self::Local | Self::Meta => {
                format!("`{}` of {}", String::from_utf8_lossy(key), self.name())
            }
        }
    }
}

pub(crate) fn toggle(sum: &mut Checksum, row: &[u8]) {
    for (total, byte) in sum.iter_mut().zip(row) {
        *total ^= byte;
    }
}

/// A value as it is stored: its checksum, then itself.
pub(crate) fn seal(kind: Kind, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut row = checksum(kind, key, value).to_vec();
    row.extend_from_slice(value);
    row
}

/// The value of a stored row, if it is what was stored.
pub(crate) fn unseal<'a>(kind: Kind, key: &[u8], row: &'a [u8]) -> Option<&'a [u8]> {
    let (sum, value) = row.split_at_checked(CHECKSUM_BYTES)?;
    (sum == checksum(kind, key, value)).then_some(value)
}

fn checksum(kind: Kind, key: &[u8], value: &[u8]) -> Checksum {
    let digest = Digest::tagged("aura store row v1", &[kind.name().as_bytes(), key, value]);
    let mut sum = [0; CHECKSUM_BYTES];
    toggle(&mut sum, digest.as_bytes());
    sum
}

pub(crate) const fn number_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

pub(crate) fn number_of(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

pub(crate) fn record_key(app: AppId, key: &RecordKey) -> Vec<u8> {
    [app.as_bytes().as_slice(), &key.0].concat()
}

pub(crate) fn split_record_key(key: &[u8]) -> Option<(AppId, RecordKey)> {
    let (app, key) = key.split_first_chunk::<32>()?;
    Some((AppId::from_bytes(*app), RecordKey(key.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_passes_for_no_other() {
        let row = seal(Kind::Units, &number_key(3), b"unit");
        assert_eq!(unseal(Kind::Units, &number_key(3), &row), Some(b"unit".as_slice()));
        assert_eq!(unseal(Kind::Units, &number_key(4), &row), None);
        assert_eq!(unseal(Kind::Entries, &number_key(3), &row), None);
        for at in 0..row.len() {
            let mut flipped = row.clone();
            flipped[at] ^= 1;
            assert_eq!(unseal(Kind::Units, &number_key(3), &flipped), None);
        }
        assert_eq!(unseal(Kind::Units, &number_key(3), &row[..row.len() - 1]), None);
        assert_eq!(unseal(Kind::Units, &number_key(3), &[]), None);
    }
}
