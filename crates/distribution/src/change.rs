//! What people may want of an account's devices and numbers, and what follows for its keys.

use std::collections::BTreeSet;

use aura_journal::control::Configuration;
use aura_protocol_core::{DeviceId, quorum::default_threshold};
use thiserror::Error;

/// A change that a person wants. It is decided when the persons at m devices have said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// A device leaves, and helps before it goes to give the account's keys to those who stay.
    Remove(DeviceId),
    /// Other numbers.
    Thresholds {
        /// Votes that decide.
        votes: u16,
        /// Shares that use the account's keys.
        shares: u16,
    },
}

/// Why a change cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The device is not in the account.
    #[error("device {0} is not in the account")]
    NoMember(DeviceId),
    /// Nobody would be left to vote.
    #[error("the last device that votes cannot leave")]
    LastVoter,
    /// Too few or too many votes.
    #[error("{votes} of {voters} votes is no majority that can be met: choose {least} to {voters}")]
    Votes {
        /// Asked for.
        votes: u16,
        /// Devices that vote.
        voters: u16,
        /// The least that is a majority.
        least: u16,
    },
    /// Too few or too many shares.
    #[error("{shares} of {voters} shares cannot be: choose {least} to {voters}")]
    Shares {
        /// Asked for.
        shares: u16,
        /// Devices that hold a share.
        voters: u16,
        /// The least: one share of several would be the whole key.
        least: u16,
    },
    /// It is so already.
    #[error("it is so already")]
    Nothing,
}

impl Change {
    /// The configuration that this leads to. Its group key is still the one of now; whoever certifies keys
    /// puts theirs there.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn of(self, current: &Configuration) -> Result<Configuration, ChangeError> {
        let next = match self {
            Self::Remove(device) => without(current, device)?,
            Self::Thresholds { votes, shares } => {
                let voters = voters_of(current).len();
                let count = u16::try_from(voters).unwrap_or(u16::MAX);
                let least = count / 2 + 1;
                if votes < least || count < votes {
                    return Err(ChangeError::Votes { votes, voters: count, least });
                }
                let least = count.min(2);
                if shares < least || count < shares {
                    return Err(ChangeError::Shares { shares, voters: count, least });
                }
                Configuration { m: votes, t_sign: shares, t_dkd: shares, ..current.clone() }
            }
        };
        if next == *current { Err(ChangeError::Nothing) } else { Ok(next) }
    }
}

/// The devices that vote: they hold shares of the account's keys.
#[must_use]
pub fn voters_of(config: &Configuration) -> BTreeSet<DeviceId> {
    config.voters().map(|it| it.device).collect()
}

/// How many shares are needed when so many held them and so many will: the default where it was the
/// default, and otherwise as many as before, as far as that can be.
#[must_use]
pub fn shares_among(needed: u16, before: usize, after: usize) -> u16 {
    let most = u16::try_from(after).unwrap_or(u16::MAX);
    if usize::from(needed) == default_threshold(before) || after < 2 {
        return u16::try_from(default_threshold(after)).unwrap_or(u16::MAX);
    }
    needed.clamp(2, most)
}

fn without(current: &Configuration, device: DeviceId) -> Result<Configuration, ChangeError> {
    let mut next = current.clone();
    next.roster.remove(&device).ok_or(ChangeError::NoMember(device))?;
    let (before, after) = (voters_of(current).len(), voters_of(&next).len());
    if after == 0 {
        return Err(ChangeError::LastVoter);
    }
    if after != before {
        let most = u16::try_from(after).unwrap_or(u16::MAX);
        next.m = match usize::from(current.m) == default_threshold(before) {
            true => u16::try_from(default_threshold(after)).unwrap_or(u16::MAX),
            false => current.m.clamp(most / 2 + 1, most),
        };
        let shares = shares_among(current.t_sign, before, after);
        (next.t_sign, next.t_dkd) = (shares, shares);
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use aura_crypto::{HpkeSecretKey, SecretKey};
    use aura_journal::control::{Role, RosterEntry};

    use super::*;

    fn entry(number: u8) -> RosterEntry {
        let key = |it: u8| SecretKey::from_seed([4 * number + it; 32]).public();
        let unit_key = key(0);
        RosterEntry {
            device: DeviceId::derive(unit_key.as_bytes()),
            role: Role::Voter,
            unit_key,
            vote_key: key(1),
            hpke_key: HpkeSecretKey::from_seed([4 * number + 3; 32]).public(),
            transport_key: key(2),
        }
    }

    fn account(count: u8) -> Configuration {
        Configuration::with_defaults((0..count).map(entry))
    }

    #[test]
    fn whoever_leaves_takes_the_defaults_along() {
        let table = [(5, 4, 3), (4, 3, 2), (3, 2, 2), (2, 2, 1)];
        for (count, before, after) in table {
            let config = account(count);
            assert_eq!(config.m, before);
            let next = Change::Remove(entry(1).device).of(&config).unwrap();
            next.validate().unwrap();
            assert_eq!((next.m, next.t_sign, next.t_dkd), (after, after, after), "{count}");
            assert!(!next.roster.contains_key(&entry(1).device));
        }
        let alone = account(1);
        assert_eq!(Change::Remove(entry(0).device).of(&alone), Err(ChangeError::LastVoter));
        let other = entry(7).device;
        assert_eq!(Change::Remove(other).of(&account(3)), Err(ChangeError::NoMember(other)));
    }

    #[test]
    fn numbers_that_were_chosen_stay_as_far_as_they_can() {
        let chosen = Change::Thresholds { votes: 5, shares: 2 }.of(&account(5)).unwrap();
        assert_eq!((chosen.m, chosen.t_sign, chosen.t_dkd), (5, 2, 2));
        let next = Change::Remove(entry(1).device).of(&chosen).unwrap();
        assert_eq!((next.m, next.t_sign), (4, 2));
        assert_eq!((shares_among(2, 5, 6), shares_among(5, 5, 3)), (2, 3));
        assert_eq!(
            (shares_among(2, 3, 4), shares_among(1, 1, 2), shares_among(3, 3, 1)),
            (3, 2, 1)
        );
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        let votes = |votes| Change::Thresholds { votes, shares: 3 }.of(&account(5));
        let refused = |votes| Err(ChangeError::Votes { votes, voters: 5, least: 3 });
        assert_eq!((votes(2), votes(6)), (refused(2), refused(6)));
        let shares = |shares| Change::Thresholds { votes: 3, shares }.of(&account(5));
        let refused = |shares| Err(ChangeError::Shares { shares, voters: 5, least: 2 });
        assert_eq!((shares(1), shares(6)), (refused(1), refused(6)));
        let same = Change::Thresholds { votes: 4, shares: 4 }.of(&account(5));
        assert_eq!(same, Err(ChangeError::Nothing));
        let alone = Change::Thresholds { votes: 1, shares: 2 }.of(&account(1));
        assert_eq!(alone, Err(ChangeError::Shares { shares: 2, voters: 1, least: 1 }));
    }
}
