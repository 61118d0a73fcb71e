//! Who gets a lock when several ask: fair, computed by everybody, and not to be ground.
//!
//! The lottery is about fairness alone. That two devices never hold one lock comes from the grant and
//! its fencing number ([`crate::fence`]).
//!
//! The seed is the hash of the last certified checkpoint *before* the requests: whoever could choose
//! it would try until it wins. The order looks first at who held the lock recently, so that even a
//! chosen seed wins once and not again before the others.

use alloc::{collections::BTreeMap, vec::Vec};

use aura_protocol_core::{AccountId, DeviceId, Digest};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::domain::Label;

/// What is drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw<'a> {
    /// The account.
    pub account: AccountId,
    /// The lock's name.
    pub lock: &'a [u8],
    /// The fencing number that the winner gets.
    pub fence: u64,
    /// The hash of the last certified checkpoint before the window of requests.
    pub seed: Digest,
}

/// What is known of a device that asks: one request each, whatever it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Contender {
    /// How often it has held this lock in the window that counts.
    pub recent_grants: u32,
}

/// A ticket: the lowest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Ticket(Digest);

impl Draw<'_> {
    /// The name of a device's request. It is derived, never chosen, so nobody has two.
    #[must_use]
    pub fn request(&self, device: DeviceId) -> Digest {
        let fence = self.fence.to_le_bytes();
        Label::LockRequest.digest(&[self.account.as_bytes(), self.lock, &fence, device.as_bytes()])
    }

    /// A device's ticket. Everybody computes it; nobody's claim is believed (INV-C12).
    #[must_use]
    pub fn ticket(&self, device: DeviceId) -> Ticket {
        let request = self.request(device);
        Ticket(Label::Lottery.digest(&[self.seed.as_bytes(), request.as_bytes()]))
    }

    /// The contenders, the winner first. It does not wait for anybody.
    #[must_use]
    pub fn order(&self, contenders: &BTreeMap<DeviceId, Contender>) -> Vec<DeviceId> {
        let mut order: Vec<_> = contenders
            .iter()
            .map(|(device, it)| (it.recent_grants, self.ticket(*device), *device))
            .collect();
        order.sort_unstable();
        order.into_iter().map(|it| it.2).collect()
    }
}
