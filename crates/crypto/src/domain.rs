//! The registry of everything that is ever signed, and the frame that keeps the entries apart.
//!
//! Signed bytes are `DST ‖ tag:u16 ‖ account ‖ epoch:u64 ‖ len:u64 ‖ body`, all integers
//! little-endian (`04-crypto`, section 6). The prefix is the domain separation, since neither
//! Ed25519 nor FROST has a context argument.

use alloc::vec::Vec;

use aura_protocol_core::AccountId;

/// What begins every signed message of this project.
const DST: &[u8] = b"aura-signed-v1";

/// What a signature is for. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
#[non_exhaustive]
pub enum Domain {
    /// A unit of the ledger, by a unit key.
    Unit = 1,
    /// A vote for a control entry, by a vote key.
    Vote = 2,
    /// A request to join an account, by the joiner's unit key.
    JoinRequest = 3,
}

/// For what, for whom and in which configuration a signature is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// What is signed.
    pub domain: Domain,
    /// The account that it concerns.
    pub account: AccountId,
    /// The index of the configuration that it is valid in.
    pub epoch: u64,
}

impl Context {
    /// The bytes that are signed for `body`.
    #[must_use]
    pub fn frame(&self, body: &[u8]) -> Vec<u8> {
        let mut message = Vec::with_capacity(DST.len() + 2 + 32 + 8 + 8 + body.len());
        message.extend_from_slice(DST);
        message.extend_from_slice(&(self.domain as u16).to_le_bytes());
        message.extend_from_slice(self.account.as_bytes());
        message.extend_from_slice(&self.epoch.to_le_bytes());
        message.extend_from_slice(&(body.len() as u64).to_le_bytes());
        message.extend_from_slice(body);
        message
    }
}
