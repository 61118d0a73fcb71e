//! Who knows what, as types.
//!
//! A local quorum is not common knowledge: two devices can gather different quorums of the same
//! events. So what every participant reads from one decided event is a [`Pub`], what may differ from
//! device to device is an [`Each`], and an [`Each`] opens only inside a step, at one device.

use alloc::sync::Arc;
use core::ops::Deref;

use aura_protocol_core::{DeviceId, SessionId};

use crate::{Dev, DeviceSet, Reason, Seat};

/// The same value at every participant that gets here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pub<T>(T);

impl<T> Pub<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }

    /// A value that is the same everywhere because it is written in the script itself.
    ///
    /// `make` is a function and not a closure, so that nothing local can be in it.
    pub fn constant(make: fn() -> T) -> Self {
        Self(make())
    }

    /// What follows from it alone. `function` must use nothing else that differs between devices.
    pub fn map<U>(&self, function: impl FnOnce(&T) -> U) -> Pub<U> {
        Pub(function(&self.0))
    }

    /// Both.
    pub fn zip<U>(self, other: Pub<U>) -> Pub<(T, U)> {
        Pub((self.0, other.0))
    }

    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Pub<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A value that may be another at every participant, and is missing where no step made one.
#[derive(Debug, Clone)]
pub struct Each<T>(Option<T>);

impl<T> Each<T> {
    pub(crate) const fn new(value: Option<T>) -> Self {
        Self(value)
    }

    /// This device's value.
    ///
    /// # Errors
    /// [`Reason::InvalidState`] when this device took no part in the step that made it.
    pub fn here(&self, _: &Me) -> Result<&T, Reason> {
        let missing = || Reason::InvalidState("this device has no such value".into());
        self.0.as_ref().ok_or_else(missing)
    }

    /// What follows from it, at each device for itself.
    pub fn map<U>(self, function: impl FnOnce(T) -> U) -> Each<U> {
        Each(self.0.map(function))
    }
}

/// One device, inside a step. Whoever holds it may look at what only this device knows.
#[derive(Debug)]
pub struct Me {
    seat: Arc<Seat>,
    session: SessionId,
}

impl Me {
    pub(crate) fn new(seat: &Arc<Seat>, session: SessionId) -> Self {
        Self { seat: Arc::clone(seat), session }
    }

    /// This device.
    #[must_use]
    pub fn id(&self) -> Dev {
        self.seat.me
    }

    /// All devices of the session.
    #[must_use]
    pub fn devices(&self) -> DeviceSet {
        self.seat.everyone()
    }

    /// The long name of a device; none when there is no such device.
    #[must_use]
    pub fn device_id(&self, dev: Dev) -> Option<DeviceId> {
        self.seat.devices.get(usize::from(dev.0)).copied()
    }

    /// How many devices make a quorum of all.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.seat.threshold()
    }

    /// The session, or the part of it that runs: unique, so what is signed or derived under it can
    /// be used nowhere else.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }
}
