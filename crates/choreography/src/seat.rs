//! Where one device sits in one session: who takes part, in which roles, with which quorums.

use alloc::{vec, vec::Vec};

use aura_protocol_core::{DeviceId, SessionId, SessionStart, limits::DEVICES_MAX, quorum};

use crate::{Dev, DeviceSet, Reason, Script};

/// A role as an index: [`RoleIx::OPENER`], [`RoleIx::ALL`], then those that the type declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleIx(pub u8);

impl RoleIx {
    /// The device that opened the session.
    pub const OPENER: Self = Self(0);
    /// Every participant.
    pub const ALL: Self = Self(1);
}

/// The devices of one role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Members {
    /// Who they are.
    pub devices: DeviceSet,
    /// How many of them make a quorum.
    pub threshold: u8,
}

impl Members {
    /// These devices, with the default quorum for their number.
    #[must_use]
    pub const fn of(devices: DeviceSet) -> Self {
        Self { devices, threshold: quorum::default_threshold(devices.len()) as u8 }
    }

    /// One device.
    #[must_use]
    pub const fn one(dev: Dev) -> Self {
        Self { devices: DeviceSet::one(dev), threshold: 1 }
    }

    /// The same devices with another quorum.
    #[must_use]
    pub const fn with_threshold(self, threshold: u8) -> Self {
        Self { devices: self.devices, threshold }
    }
}

/// Who plays which role. Made at the start of a session from what all its devices know alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    /// All participants, and the quorum among them.
    pub all: Members,
    /// The declared roles, in the order of their declaration.
    pub roles: Vec<Members>,
}

/// What a session begins with, the same at every device: what roles are resolved from.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// All participants, ascending.
    pub devices: &'a [DeviceId],
    /// The device that opened the session.
    pub opener: Dev,
    /// What the opener passed to everybody.
    pub params: &'a [u8],
}

impl Opening<'_> {
    /// All participants.
    #[must_use]
    pub const fn everyone(&self) -> DeviceSet {
        DeviceSet::all(self.devices.len())
    }

    /// All participants, with the default quorum.
    #[must_use]
    pub const fn all(&self) -> Members {
        Members::of(self.everyone())
    }

    /// The place of a device; none when it does not take part.
    #[must_use]
    pub fn place(&self, id: &DeviceId) -> Option<Dev> {
        place(self.devices, id)
    }

    /// All participants with this quorum, for a type without roles of its own.
    #[must_use]
    pub const fn with_threshold(&self, threshold: u8) -> Cast {
        let all = Members::of(self.everyone()).with_threshold(threshold);
        Cast { all, roles: Vec::new() }
    }
}

fn place(devices: &[DeviceId], id: &DeviceId) -> Option<Dev> {
    let index = devices.binary_search(id).ok()?;
    u8::try_from(index).ok().map(Dev)
}

/// One device's place in one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// The session.
    pub session: SessionId,
    /// This device.
    pub me: Dev,
    /// All participants, ascending.
    pub devices: Vec<DeviceId>,
    /// What the opener passed to everybody.
    pub params: Vec<u8>,
    roles: Vec<Members>,
}

impl Seat {
    /// The seat that a session's start gives to this device, with the script's roles.
    ///
    /// # Errors
    /// [`Reason`] when this device or the opener does not take part, or the script resolves no roles
    /// from these parameters: then it does on no device.
    pub fn take(script: &dyn Script, start: &SessionStart) -> Result<Self, Reason> {
        let devices: Vec<DeviceId> = start.participants.iter().copied().collect();
        let absent = || Reason::InvalidState("a device that takes no part has no seat".into());
        let me = place(&devices, &start.me).ok_or_else(absent)?;
        let opener = place(&devices, &start.opener).ok_or_else(absent)?;
        Self::new(script, start.session, me, opener, devices, start.params.clone())
    }

    /// A seat among `devices`, which ascend.
    ///
    /// # Errors
    /// As [`Self::take`]; and when a role has no devices, a quorum that cannot be met, or devices
    /// that take no part.
    pub fn new(
        script: &dyn Script,
        session: SessionId,
        me: Dev,
        opener: Dev,
        devices: Vec<DeviceId>,
        params: Vec<u8>,
    ) -> Result<Self, Reason> {
        let opening = Opening { devices: &devices, opener, params: &params };
        let everyone = opening.everyone();
        if DEVICES_MAX < devices.len() || !everyone.contains(me) || !everyone.contains(opener) {
            return Err(Reason::InvalidState("a session has 1 to 128 devices".into()));
        }
        let cast = script.cast(&opening)?;
        let mut roles = vec![Members::one(opener), cast.all];
        roles.extend(cast.roles);
        let fits = |it: &Members| {
            it.devices.is_subset(everyone)
                && (1..=it.devices.len()).contains(&usize::from(it.threshold))
        };
        if !roles.iter().all(fits) {
            return Err(Reason::InvalidState(
                "a role is empty, or its quorum cannot be met".into(),
            ));
        }
        Ok(Self { session, me, devices, params, roles })
    }

    /// All participants.
    #[must_use]
    pub const fn everyone(&self) -> DeviceSet {
        DeviceSet::all(self.devices.len())
    }

    /// The quorum among all.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.roles.get(usize::from(RoleIx::ALL.0)).map_or(0, |it| usize::from(it.threshold))
    }

    /// The roles: the opener, all, then the declared ones.
    #[must_use]
    pub fn roles(&self) -> &[Members] {
        &self.roles
    }
}
