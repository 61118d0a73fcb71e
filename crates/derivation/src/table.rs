//! Who sits at a session, and what each of them was heard to say: how a script tells its device's key
//! store about others.

use alloc::{collections::BTreeMap, vec::Vec};

use aura_choreography::{Dev, Each, FromHost, Me, Payload, Pub, Reason};
use aura_protocol_core::{DeviceId, Digest, SessionId, decode, limits::UNIT_BODY_BYTES_MAX};
use borsh::{
    BorshDeserialize, BorshSerialize,
    io::{Error, ErrorKind, Read},
};

/// What was heard under one label, by author.
pub type Heard<T> = BTreeMap<Dev, T>;

/// Bytes, and the name of what they rest on: who heard something else cannot judge them.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Payload)]
pub struct Rested {
    /// What its author had heard before.
    pub on: Digest,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// The participants of a session as one of them sees it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Table {
    /// The session.
    pub session: SessionId,
    /// This device.
    pub me: Dev,
    /// All participants, by place.
    pub devices: Vec<DeviceId>,
}

impl Table {
    /// As `me` sees it.
    #[must_use]
    pub fn at(session: &SessionId, devices: &[DeviceId], me: &Me) -> Self {
        Self { session: *session, me: me.id(), devices: devices.to_vec() }
    }
}

/// The table as every step of a script makes it for its key store.
pub type Seats = Pub<(SessionId, Vec<DeviceId>)>;

/// The participants as `me` sees them.
#[must_use]
pub fn table(seats: &Seats, me: &Me) -> Table {
    let (session, devices) = &**seats;
    Table::at(session, devices, me)
}

/// What a gather brought.
///
/// # Errors
/// [`Reason::InvalidState`] where it is not this device's.
pub fn heard<T: Clone>(gathered: &Each<Vec<(Dev, T)>>, me: &Me) -> Result<Heard<T>, Reason> {
    let mut heard = Heard::new();
    // One after the other: a tree that is built at once brings a sort into a module.
    heard.extend(gathered.here(me)?.iter().cloned());
    Ok(heard)
}

/// What the key store answered.
///
/// # Errors
/// Its refusal, or an answer that is no `T`: this device's reason to stop.
pub fn answer<T>(said: &FromHost<Vec<u8>>, me: &Me) -> Result<T, Reason>
where
    T: BorshSerialize + BorshDeserialize,
{
    let bytes = said.here(me)?.as_ref().map_err(|why| Reason::Other(why.clone()))?;
    let other = |error| Reason::Other(alloc::format!("the key store's answer: {error}"));
    decode(bytes, UNIT_BODY_BYTES_MAX).map_err(other)
}

/// A tree as borsh writes it, and as strict about the order; its own reader sorts, which is 10 KB of a
/// module.
pub(crate) fn read_heard<T: BorshDeserialize, R: Read>(reader: &mut R) -> Result<Heard<T>, Error> {
    let pairs: Vec<(Dev, T)> = BorshDeserialize::deserialize_reader(reader)?;
    if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(Error::new(ErrorKind::InvalidData, "the devices are not in order"));
    }
    let mut heard = Heard::new();
    heard.extend(pairs);
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read_as_borsh_reads_it() {
        let entry = |dev: u8| (Dev(dev), alloc::vec![dev, 7]);
        let lists: [&[u8]; 5] = [&[], &[1], &[1, 4, 9], &[4, 1], &[4, 4]];
        for devices in lists {
            let bytes = borsh::to_vec(&devices.iter().map(|it| entry(*it)).collect::<Vec<_>>());
            let bytes = bytes.unwrap();
            let own = read_heard::<Vec<u8>, _>(&mut bytes.as_slice());
            let theirs: Result<Heard<Vec<u8>>, _> = borsh::from_slice(&bytes);
            assert_eq!(own.ok(), theirs.ok(), "{devices:?}");
        }
        assert!(read_heard::<Vec<u8>, _>(&mut [1, 0, 0, 0, 1].as_slice()).is_err());
    }
}
