//! Key derivation 1.0.0: any quorum of an account's devices derives the same key under a context.
//!
//! The very script that devices run natively. What needs a secret it asks of its host, as the right
//! `derive-key`: no share, no blind and no key ever enters the module.

#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

pub use aura_derivation::{Dkd, script::dkd};
use aura_protocol_sdk::{Capability, DescriptorConst, RoleConst, export_choreography, hex};

/// The layout of the records, as text.
pub const SCHEMA_TEXT: &str = "dkd/1: none";
/// The identity of [`SCHEMA_TEXT`].
pub const SCHEMA: [u8; 32] =
    hex::bytes32("dd5d55efae6407f0808a45077474cf5741378456f40065b8b9d33592ef68915b");

export_choreography!(
    dkd,
    Dkd,
    DescriptorConst {
        protocol: "dkd",
        version: [1, 0, 0],
        role: RoleConst::Protocol,
        capabilities: &[Capability::DeriveKey],
        session_types: &[],
        schema: SCHEMA,
        uses: &[],
        authors: "the authors of Aura",
        source: [0; 32],
    }
);

#[cfg(test)]
mod tests {
    use aura_protocol_sdk::SchemaId;

    use super::*;

    #[test]
    fn the_schema_id_is_that_of_the_text() {
        assert_eq!(SchemaId::from_bytes(SCHEMA).to_string(), SchemaId::of(SCHEMA_TEXT).to_string());
    }
}
