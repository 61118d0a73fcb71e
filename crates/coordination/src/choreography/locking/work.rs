//! What a lock is drawn from, and what it asks of a device's key store.

use std::collections::BTreeMap;

use aura_choreography::{Cast, Completed, Conclude, Dev, DeviceSet, Opening, Reason};
use aura_crypto::{
    fence::Grant,
    lottery::{Contender, Draw},
};
use aura_protocol_core::{
    AccountId, DeviceId, Digest, Epoch, Outcome, decode, encode, limits::UNIT_BODY_BYTES_MAX,
};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::choreography::{
    sign::{self, Purpose},
    table::Table,
};

/// What the account knows of a lock before anybody asks for it: read from what is certified, and the same
/// at every device.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct View {
    /// The account.
    pub account: AccountId,
    /// The last certified checkpoint before the requests: nobody could try until it wins.
    pub seed: Digest,
    /// The least number that the next grant may have: above every certified one.
    pub fence: u64,
    /// How often each device has held the lock lately: whoever has not comes first.
    pub recent: BTreeMap<DeviceId, u32>,
}

/// Which lock: the session's parameters. A device takes part only if the view is its own.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Terms {
    /// The lock's name.
    pub lock: Vec<u8>,
    /// What it is drawn from.
    pub view: View,
    /// The grant's number: [`View::fence`], or a few more where earlier tries came to nothing. The lottery
    /// is drawn from the view alone, so nobody wins by choosing it.
    pub number: u64,
    /// The configuration that the grant is valid in.
    pub epoch: u64,
    /// When the grant expires, by the quorum clock.
    pub expires: Epoch,
    /// How many devices sign the grant.
    pub signers: u8,
}

impl Terms {
    pub(super) fn cast(opening: &Opening<'_>) -> Result<Cast, Reason> {
        let other = |error| Reason::Other(format!("the terms of a lock: {error}"));
        let terms: Self = decode(opening.params, UNIT_BODY_BYTES_MAX).map_err(other)?;
        Ok(opening.with_threshold(terms.signers))
    }

    /// The grant for whoever wins among the contenders; none where nobody wants the lock.
    #[must_use]
    pub fn grant(&self, devices: &[DeviceId], contenders: DeviceSet) -> Option<Grant> {
        let View { account, seed, fence, recent } = &self.view;
        let draw = Draw { account: *account, lock: &self.lock, fence: *fence, seed: *seed };
        let device = |it: Dev| devices.get(usize::from(it.0)).copied();
        let known = |it: DeviceId| {
            (it, Contender { recent_grants: recent.get(&it).copied().unwrap_or_default() })
        };
        let contenders = contenders.iter().filter_map(device).map(known).collect();
        let holder = *draw.order(&contenders).first()?;
        Some(Grant { lock: self.lock.clone(), fence: self.number, holder, expires: self.expires })
    }

    /// What the group signs for it.
    #[must_use]
    pub fn signature(&self, grant: &Grant) -> sign::Terms {
        let (purpose, body) = (Purpose::LockGrant, encode(grant));
        sign::Terms { purpose, epoch: self.epoch, body, signers: self.signers }
    }
}

/// How a session ends: the grant, with the group's signature.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Locked {
    /// Who holds the lock, under which number, until when.
    pub grant: Grant,
    /// The group's signature on it.
    pub signature: Vec<u8>,
}

impl Conclude for Locked {
    fn conclude(self) -> Outcome {
        Completed::of(&self).conclude()
    }
}

/// Which step the key store is asked to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Step {
    /// Whether this device wants the lock: `bool`. Refused where the terms are not what it knows.
    Contend,
}

/// One question to the key store.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Request {
    /// Who takes part.
    pub table: Table,
    /// Which lock.
    pub terms: Terms,
    /// The step.
    pub step: Step,
}
