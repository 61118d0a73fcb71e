//! Who sits at a session, and what each of them was heard to say: how a script tells its device's key
//! store about others.

use std::collections::BTreeMap;

use aura_choreography::{Dev, Each, FromHost, Me, Payload, Pub, Reason};
use aura_protocol_core::{DeviceId, Digest, SessionId, decode, limits::UNIT_BODY_BYTES_MAX};
use borsh::{BorshDeserialize, BorshSerialize};

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
    pub(crate) fn at(session: &SessionId, devices: &[DeviceId], me: &Me) -> Self {
        Self { session: *session, me: me.id(), devices: devices.to_vec() }
    }
}

/// The table as every step of a script makes it for its key store.
pub(crate) type Seats = Pub<(SessionId, Vec<DeviceId>)>;

pub(crate) fn table(seats: &Seats, me: &Me) -> Table {
    let (session, devices) = &**seats;
    Table::at(session, devices, me)
}

/// What a gather brought.
pub(crate) fn heard<T: Clone>(gathered: &Each<Vec<(Dev, T)>>, me: &Me) -> Result<Heard<T>, Reason> {
    Ok(gathered.here(me)?.iter().cloned().collect())
}

/// What the key store answered; its refusal is this device's reason to stop.
pub(crate) fn answer<T>(said: &FromHost<Vec<u8>>, me: &Me) -> Result<T, Reason>
where
    T: BorshSerialize + BorshDeserialize,
{
    let bytes = said.here(me)?.as_ref().map_err(|why| Reason::Other(why.clone()))?;
    let other = |error| Reason::Other(format!("the key store's answer: {error}"));
    decode(bytes, UNIT_BODY_BYTES_MAX).map_err(other)
}
