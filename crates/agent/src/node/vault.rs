//! This device's shares of the account's keys: sealed in its store, asked by scripts.
//!
//! An answer, the session that it is for, and the key store as it is after it are one commit, and what
//! the script makes of the answer comes later. So a share is durable before anything rests on it, and
//! nonces are spent before they are used (INV-A8).

use std::fmt;

use aura_coordination::{
    choreography::{built_in::KeyProtocol, locking::KEYS},
    keystore::{self, KeyStore, Owner},
};
use aura_crypto::{
    DualRng, SecretKey,
    seal::{StorageError, StorageKey},
};
use aura_journal::Stored;
use aura_protocol_core::{SessionId, decode, encode, limits::UNIT_BODY_BYTES_MAX};
use zeroize::Zeroizing;

use crate::{
    error::AgentError,
    node::{Node, restore::damaged},
    storage::{source_name, storage_error},
};

/// The row of the store that holds the sealed key store.
pub const ROW: &str = "keys";

/// Fresh randomness, for one use. Never printed.
pub struct Entropy(Zeroizing<[u8; 32]>);

impl Entropy {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The one stream that is drawn from it.
    #[must_use]
    pub fn into_rng(self) -> DualRng {
        DualRng::from_seed(*self.0)
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(<redacted>)")
    }
}

/// What a device keeps its shares in.
pub(super) struct Vault {
    pub(super) store: KeyStore,
    storage: StorageKey,
    /// From it come the nonces of all that is sealed until the device is started again.
    life: Entropy,
    /// What there was when the keys were compared with what the chain certifies: its height, how many keys
    /// wait to be adopted, and whether a resharing runs.
    pub(super) compared: Option<(u64, usize, bool)>,
}

impl Vault {
    fn seal(&self, purpose: &[u8]) -> Result<Vec<u8>, AgentError> {
        self.seal_bytes(purpose, &self.store.save())
    }

    /// Seals what outlives a crash. A nonce is a function of what is sealed and of a secret of this
    /// life: none seals two things.
    pub(super) fn seal_bytes(&self, purpose: &[u8], bytes: &[u8]) -> Result<Vec<u8>, AgentError> {
        let mut rng = DualRng::for_step(&self.life.0, &[b"seal", purpose, bytes]);
        self.storage.seal(purpose, bytes, &mut rng).map_err(|error| storage_error(&error))
    }

    /// What was sealed so.
    pub(super) fn open(
        &self,
        purpose: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StorageError> {
        self.storage.open(purpose, sealed)
    }
}

impl Node {
    /// Opens this device's key store, before the node is started: what `storage` sealed in `stored`, or
    /// an empty one. `life` is drawn for this start alone.
    ///
    /// # Errors
    /// `WrongStorageKey`, or `StoreDamaged`.
    pub fn open_vault(
        &mut self,
        storage: StorageKey,
        life: Entropy,
        stored: &Stored,
    ) -> Result<(), AgentError> {
        let owner = Owner {
            account: self.ledger.account(),
            device: self.me,
            unit: SecretKey::from_seed(*self.unit_key.danger_seed()),
            roster: self.unit_keys(),
        };
        let store = match stored.local.get(ROW) {
            None => KeyStore::new(owner),
            Some(sealed) => {
                let bytes = storage.open(&self.vault_purpose(), sealed);
                let bytes = bytes.map_err(|error| storage_error(&error))?;
                KeyStore::restore(owner, &bytes).map_err(|error| damaged(&error))?
            }
        };
        let vault = Vault { store, storage, life, compared: None };
        self.open_vote_keys(&vault, stored)?;
        self.vault = Some(vault);
        for descriptor in KeyProtocol::ALL.into_iter().filter_map(KeyProtocol::descriptor) {
            self.add_built_in(descriptor);
        }
        Ok(())
    }

    /// What the key store is sealed for: this device of this account alone.
    #[must_use]
    pub fn vault_purpose(&self) -> Vec<u8> {
        encode(&("key store", self.ledger.account(), self.me))
    }

    /// What this device's secrets are sealed under, for people.
    pub(super) fn sealed_under(&self) -> Option<String> {
        let open = self.vault.as_ref().map(|it| it.storage.source());
        open.or(self.sealed).map(|it| source_name(&it).to_string())
    }

    /// Whether this device holds a share of the keys that are certified, if that can be seen.
    pub(super) fn share(&self) -> Option<bool> {
        self.vault.as_ref().map(|it| it.store.keys().is_some())
    }

    /// Stores the key store with whatever else is stored now.
    pub(super) fn keep_vault(&mut self) {
        let purpose = self.vault_purpose();
        let Some(vault) = &self.vault else { return };
        match vault.seal(&purpose) {
            Ok(sealed) => self.keep_bytes(ROW, sealed),
            // It cannot be stored, so nothing may rest on it.
            Err(error) => {
                self.vault = None;
                self.log(format!("the key store is closed: {error}"));
            }
        }
    }

    /// Asks the key store what a script of this program wants to know, if the account's rules allow it.
    pub(super) fn ask_vault(
        &mut self,
        session: SessionId,
        question: &[u8],
        rng: &mut DualRng,
    ) -> Result<Vec<u8>, String> {
        let request: keystore::Request =
            decode(question, UNIT_BODY_BYTES_MAX).map_err(|error| error.to_string())?;
        let permitted = self.allow(session, &request)?;
        let view = match &request {
            keystore::Request::Lock(_) => Some(self.lock_view().map_err(|it| it.to_string())?),
            _ => None,
        };
        let (epoch, wants) = (self.ledger.epoch(), self.resharing.mine.is_some());
        let resumes = self.resumed_request(&request);
        let before = if resumes.is_some() { self.regaining_before(session) } else { Vec::new() };
        let now = self.sure_time();
        let store = &mut self.vault.as_mut().ok_or("it has no key store")?.store;
        store.observe_epoch(epoch);
        now.into_iter().for_each(|it| store.observe_time(it));
        if let Some(granted) = resumes {
            before.into_iter().for_each(|it| store.discard(it));
            store.resume(session, granted).map_err(|error| error.to_string())?;
        }
        if let Some(view) = view {
            store.observe_lock(KEYS, view, wants).map_err(|error| error.to_string())?;
        }
        if let Some(terms) = &permitted {
            store.permit(*terms).map_err(|error| error.to_string())?;
        }
        let answer = store.answer(question, rng).map_err(|error| error.to_string());
        if let Some(terms) = &permitted {
            store.forbid(terms);
        }
        answer
    }
}
