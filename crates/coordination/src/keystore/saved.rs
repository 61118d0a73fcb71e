//! A key store as bytes.

use std::collections::{BTreeMap, BTreeSet};

use aura_crypto::{KeyShare, Message as _, ShareIndex, Sharing, Suite, fence::Signed};
use aura_protocol_core::{DeviceId, Digest, Epoch, SessionId, decode, encode};
use borsh::{BorshDeserialize, BorshSerialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Drawn, KeyStore, Keys, Owner, Refusal, guard::Guard, locks::Lock};

/// Largest store, in bytes.
pub const STORE_BYTES_MAX: usize = 1 << 20;

/// A share and its sharing.
#[derive(BorshSerialize, BorshDeserialize)]
struct SavedShare {
    share: Vec<u8>,
    sharing: Vec<u8>,
}

#[derive(BorshSerialize, BorshDeserialize)]
struct SavedKeys {
    signing: SavedShare,
    derivation: SavedShare,
    holders: BTreeMap<DeviceId, ShareIndex>,
}

#[derive(BorshSerialize, BorshDeserialize)]
struct Saved {
    current: Option<SavedKeys>,
    used: bool,
    pending: BTreeMap<SessionId, SavedKeys>,
    drawn: BTreeMap<SessionId, Drawn>,
    permitted: BTreeSet<Digest>,
    locks: BTreeMap<Vec<u8>, Lock>,
    granted: Signed,
    epoch: Epoch,
    guard: Guard,
}

impl Drop for SavedShare {
    fn drop(&mut self) {
        self.share.zeroize();
    }
}

impl SavedShare {
    fn of<S: Suite>((share, sharing): &(KeyShare<S>, Sharing<S>)) -> Self {
        Self { share: share.danger_bytes().to_vec(), sharing: sharing.to_bytes() }
    }

    fn read<S: Suite>(&self) -> Result<(KeyShare<S>, Sharing<S>), Refusal> {
        let sharing = Sharing::from_bytes(&self.sharing).map_err(Refusal::of)?;
        let share = KeyShare::from_bytes(&self.share, &sharing).map_err(Refusal::of)?;
        Ok((share, sharing))
    }
}

impl SavedKeys {
    fn of(keys: &Keys) -> Self {
        let (signing, derivation) =
            (SavedShare::of(&keys.signing), SavedShare::of(&keys.derivation));
        Self { signing, derivation, holders: keys.holders.clone() }
    }

    fn read(self) -> Result<Keys, Refusal> {
        let (signing, derivation) = (self.signing.read()?, self.derivation.read()?);
        Ok(Keys { signing, derivation, holders: self.holders })
    }
}

impl KeyStore {
    /// Everything that outlives a crash; signing nonces do not. Secret: its host seals it.
    #[must_use]
    pub fn save(&self) -> Zeroizing<Vec<u8>> {
        let saved = Saved {
            current: self.current.as_ref().map(SavedKeys::of),
            used: self.used,
            pending: self.pending.iter().map(|(id, it)| (*id, SavedKeys::of(it))).collect(),
            drawn: self.drawn.clone(),
            permitted: self.permitted.clone(),
            locks: self.locks.clone(),
            granted: self.granted.clone(),
            epoch: self.epoch,
            guard: self.guard.clone(),
        };
        Zeroizing::new(encode(&saved))
    }

    /// The store that [`Self::save`] wrote (INV-KS2).
    ///
    /// # Errors
    /// [`Refusal`] when the bytes are no store.
    pub fn restore(owner: Owner, bytes: &[u8]) -> Result<Self, Refusal> {
        let saved: Saved = decode(bytes, STORE_BYTES_MAX).map_err(|_| Refusal::Malformed)?;
        let mut store = Self::new(owner);
        store.current = saved.current.map(SavedKeys::read).transpose()?;
        store.used = saved.used;
        for (session, keys) in saved.pending {
            store.pending.insert(session, keys.read()?);
        }
        store.drawn = saved.drawn;
        store.permitted = saved.permitted;
        store.locks = saved.locks;
        store.granted = saved.granted;
        store.epoch = saved.epoch;
        store.guard = saved.guard;
        Ok(store)
    }
}
