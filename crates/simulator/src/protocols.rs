//! What simulations, explorations and benchmarks run: symbolic protocols, and the shipped ones.
//!
//! Symbolic payloads are numbers, and their cryptography is [`mix`]: what is tried is the order of
//! things, not the mathematics. The shipped ones run with symbolic key stores, and with real ones.

pub mod derive;
pub mod dkd;
pub mod dkd_certified;
pub mod dkd_machine;
pub mod dkd_naive;
pub mod dkd_no_ttl;
pub mod dkg;
pub mod grant;
pub mod locking;
pub mod recover;
pub mod reshare;
pub mod sign;
pub mod tour;

use aura_choreography::{Cast, Dev, DeviceSet, Me, Opening, Reason, RoleIx, Script, Seat};
use aura_protocol_core::quorum::default_threshold;

use crate::{
    draw::mix,
    hosts::{MakeHost, plain},
    plan::{Liars, Promise, Shape},
};

/// A protocol as simulations know it: `Protocol { promise: …, ..Protocol::new("name", &Script) }`.
pub struct Protocol {
    /// Its name, for command lines.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// What runs.
    pub script: &'static dyn Script,
    /// Under which lies it keeps its promises.
    pub promise: Promise,
    /// Its parameters among so many devices, of which so many are a quorum.
    pub params: fn(u8, u8) -> Vec<u8>,
    /// What its devices' hosts answer.
    pub host: MakeHost,
    /// What the person at each device says right after the session began there; without it, nothing.
    pub says: Option<fn(Dev) -> Vec<u8>>,
}

/// One byte: how many devices make a quorum.
#[must_use]
pub fn just_quorum(_: u8, threshold: u8) -> Vec<u8> {
    vec![threshold]
}

impl std::fmt::Debug for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Protocol").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Protocol {
    /// A protocol in which everybody is believed, whose parameters are one byte, the quorum, whose hosts
    /// know nothing, and in which nobody has to say anything.
    #[must_use]
    pub const fn new(name: &'static str, script: &'static dyn Script) -> Self {
        let (about, promise) = ("", Promise::NOBODY);
        Self { name, about, script, promise, params: just_quorum, host: plain, says: None }
    }

    /// The quorum that it is tried with among so many devices: as small as its promises allow, so
    /// that quorums differ as much as they can.
    #[must_use]
    pub fn threshold(&self, devices: u8) -> u8 {
        match self.promise.byzantine_members {
            Liars::Few => default_threshold(usize::from(devices)) as u8,
            Liars::None | Liars::Any => devices / 2 + 1,
        }
    }

    /// Who decides something in it: whoever alone has a role.
    #[must_use]
    pub fn deciders(&self, seat: &Seat) -> DeviceSet {
        let alone = |it: &&aura_choreography::Members| it.devices.len() == 1;
        let one = |set: DeviceSet, it: &aura_choreography::Members| set.union(it.devices);
        let declared = seat.roles().iter().skip(usize::from(RoleIx::ALL.0) + 1);
        declared.filter(alone).fold(DeviceSet::one(Dev(0)), one)
    }

    /// The shape of plans within its promise.
    ///
    /// # Errors
    /// When so few devices cannot run it.
    pub fn shape(&self, devices: u8) -> Result<Shape, String> {
        let threshold = self.threshold(devices);
        let ids = (0..devices).map(|it| crate::level::device_id(Dev(it))).collect();
        let session = aura_protocol_core::SessionId::from_bytes([0; 32]);
        let seat =
            Seat::new(self.script, session, Dev(0), Dev(0), ids, (self.params)(devices, threshold))
                .map_err(|reason| {
                    format!("{} devices cannot run {}: {reason}", devices, self.name)
                })?;
        Ok(Shape::within(self.promise, devices, threshold, self.deciders(&seat)))
    }
}

/// The protocols that must hold under every plan within their promise.
#[must_use]
pub fn all() -> [&'static Protocol; 10] {
    let symbolic = [&dkd::PROTOCOL, &dkd_certified::PROTOCOL, &locking::PROTOCOL, &tour::PROTOCOL];
    let [dkd, certified, locking, tour] = symbolic;
    let (generate, sign, derive) = (&dkg::PROTOCOL, &sign::PROTOCOL, &derive::PROTOCOL);
    let (grant, reshare) = (&grant::PROTOCOL, &reshare::PROTOCOL);
    [dkd, certified, locking, tour, generate, sign, derive, grant, reshare, &recover::PROTOCOL]
}

/// The shipped protocols with real keys: they hold like the others, and take their time.
#[must_use]
pub fn real() -> [&'static Protocol; 6] {
    [&dkg::REAL, &sign::REAL, &derive::REAL, &grant::REAL, &reshare::REAL, &recover::REAL]
}

/// The protocols that must fail.
#[must_use]
pub fn broken() -> [&'static Protocol; 2] {
    [&dkd_naive::PROTOCOL, &dkd_no_ttl::PROTOCOL]
}

/// The protocol of this name, one that must fail included.
#[must_use]
pub fn find(name: &str) -> Option<&'static Protocol> {
    all().into_iter().chain(real()).chain(broken()).find(|it| it.name == name)
}

/// Everybody takes part, with the quorum that the opener asks for.
///
/// # Errors
/// [`Reason::InvalidState`] when the parameters name none.
pub fn quorum_of(opening: &Opening<'_>) -> Result<Cast, Reason> {
    match opening.params {
        [threshold] => Ok(opening.with_threshold(*threshold)),
        _ => Err(Reason::InvalidState("one byte says how many are a quorum".to_owned())),
    }
}

/// A device's secret: what its share stands for.
#[must_use]
pub fn secret(me: &Me) -> u64 {
    secret_of(me.id())
}

/// What all secrets are derived from.
const SECRETS: u64 = 0x5ec2_e700;

pub(crate) fn secret_of(dev: Dev) -> u64 {
    mix(SECRETS ^ u64::from(dev.0))
}

/// What a device contributes under this context.
pub(crate) fn point(secret: u64, context: u64) -> u64 {
    mix(secret ^ context)
}

/// What it shows of that before it shows it.
pub(crate) const fn commitment(point: u64) -> u64 {
    mix(point)
}

/// The key that these reveals make, or who revealed something else than it was committed to.
pub(crate) fn aggregate(commits: &[(Dev, u64)], reveals: &[(Dev, u64)]) -> Result<u64, Reason> {
    let lied = |it: &&(Dev, u64)| !commits.contains(&(it.0, commitment(it.1)));
    let culprits: DeviceSet = reveals.iter().filter(lied).map(|it| it.0).collect();
    if culprits.is_empty() {
        Ok(reveals.iter().fold(0, |key, it| key.wrapping_add(it.1)))
    } else {
        Err(Reason::Byzantine { culprits })
    }
}
