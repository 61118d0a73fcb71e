//! This device's vote keys: one for the configuration that is in force, and one for the next.
//!
//! The next one is drawn, sealed into the store, and announced, all in one transaction, as soon as the one
//! before is in force. The entry that puts it in force and the end of the old one are one transaction too.
//! So after a crash anywhere the store holds what the chain asks for, and no key that it does not.

use aura_crypto::{PublicKey, SecretKey};
use aura_journal::{
    Event, Stored,
    control::{Announcement, ControlMessage, Role},
};
use aura_protocol_core::{decode, encode};
use zeroize::Zeroizing;

use crate::{
    error::AgentError,
    node::{Effect, Entropy, Node, restore::damaged, vault::Vault},
    storage::storage_error,
};

/// The row of the store that holds the sealed vote keys.
pub const ROW: &str = "vote-keys";
/// Most bytes of what is sealed there. It is two keys.
const ROW_BYTES_MAX: usize = 1024;

/// The vote keys that this device holds.
#[derive(Default)]
pub(super) struct VoteKeys {
    held: Vec<SecretKey>,
    /// Whether they are in the store. Until then there is the one in the identity file alone.
    stored: bool,
    /// Whether the identity file is known to hold none of them.
    file_erased: bool,
    drawing: bool,
}

impl VoteKeys {
    /// The key that the device enrolled with.
    pub(super) fn enrolled(key: SecretKey) -> Self {
        Self { held: vec![key], ..Self::default() }
    }

    /// The secret of this public key, if it is held.
    pub(super) fn of(&self, key: Option<PublicKey>) -> Option<&SecretKey> {
        self.held.iter().find(|it| Some(it.public()) == key)
    }
}

impl Node {
    /// Takes the vote keys from the store, if they are there.
    pub(super) fn open_vote_keys(
        &mut self,
        vault: &Vault,
        stored: &Stored,
    ) -> Result<(), AgentError> {
        let Some(sealed) = stored.local.get(ROW) else { return Ok(()) };
        let bytes = vault.open(&self.vote_keys_purpose(), sealed);
        let bytes = bytes.map_err(|error| storage_error(&error))?;
        let seeds: Vec<[u8; 32]> =
            decode(&bytes, ROW_BYTES_MAX).map_err(|error| damaged(&error))?;
        self.vote_keys.held = seeds.into_iter().map(SecretKey::from_seed).collect();
        self.vote_keys.stored = true;
        Ok(())
    }

    /// What the vote keys are sealed for: this device of this account alone.
    #[must_use]
    pub fn vote_keys_purpose(&self) -> Vec<u8> {
        encode(&("vote keys", self.ledger.account(), self.me))
    }

    /// Erases what is in force no more, and announces what comes next.
    pub(super) fn pump_vote_keys(&mut self) {
        let chain = self.ledger.chain();
        // Whoever is alone certifies with the key in the file, a publisher without running a node.
        let is_alone = !self.vote_keys.stored && chain.config().roster.len() < 2;
        if self.vault.is_none() || is_alone {
            return;
        }
        let count = self.vote_keys.held.len();
        self.vote_keys.held.retain(|it| !chain.is_retired(&it.public()));
        if !self.vote_keys.stored || self.vote_keys.held.len() != count {
            self.keep_vote_keys();
        }
        if self.vote_keys.stored && !self.vote_keys.file_erased {
            self.vote_keys.file_erased = true;
            self.out.push(Effect::EraseEnrolmentKey);
        }
        self.announce_vote_key();
    }

    fn announce_vote_key(&mut self) {
        let entry = self.ledger.chain().config().roster.get(&self.me);
        let Some(entry) = entry.filter(|it| it.role == Role::Voter) else { return };
        if self.set_back.is_some() || self.ledger.check_author(self.me).is_err() {
            return;
        }
        let in_force = entry.vote_key;
        let next = self.vote_keys.held.iter().find(|it| it.public() != in_force);
        let Some(next) = next else {
            if !self.vote_keys.drawing {
                self.vote_keys.drawing = true;
                self.out.push(Effect::DrawVoteKey);
            }
            return;
        };
        if !self.ledger.has_announced(self.me, &next.public()) {
            let said = Announcement::new(self.ledger.account(), self.me, next);
            self.author(None, Event::Control(ControlMessage::Announce(said)));
        }
    }

    /// A key was drawn. It is stored with the unit that announces it.
    pub(super) fn vote_key_drawn(&mut self, entropy: Option<Entropy>) {
        self.vote_keys.drawing = false;
        let Some(entropy) = entropy else {
            self.log(
                "no vote key is announced: this machine has no randomness to give".to_string(),
            );
            return;
        };
        if self.vault.is_none() {
            return;
        }
        self.vote_keys.held.push(SecretKey::from_seed(*entropy.into_rng().bytes()));
        self.keep_vote_keys();
        self.announce_vote_key();
    }

    fn keep_vote_keys(&mut self) {
        let seeds: Zeroizing<Vec<[u8; 32]>> =
            Zeroizing::new(self.vote_keys.held.iter().map(|it| *it.danger_seed()).collect());
        let (purpose, bytes) = (self.vote_keys_purpose(), Zeroizing::new(encode(&*seeds)));
        let Some(vault) = &self.vault else { return };
        match vault.seal_bytes(&purpose, &bytes) {
            Ok(sealed) => {
                self.keep_bytes(ROW, sealed);
                self.vote_keys.stored = true;
            }
            // It cannot be stored, so nothing may rest on it.
            Err(error) => {
                self.vault = None;
                self.log(format!("the key store is closed: {error}"));
            }
        }
    }
}
