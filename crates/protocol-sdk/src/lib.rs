#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

mod choreography_export;
pub mod descriptor;
pub mod dispatch;
pub mod export;
pub mod hex;
pub mod migration;

/// What the exporting macros name: the guest's own crate need not depend on any of it.
#[doc(hidden)]
pub mod rt {
    pub use alloc::vec::Vec;

    /// What a snapshot is.
    pub type Bytes = Vec<u8>;

    pub use crate::dispatch;
    #[cfg(target_arch = "wasm32")]
    pub use crate::export::boundary;
    #[cfg(target_arch = "wasm32")]
    pub use talc::wasm::{WasmDynamicTalc, new_wasm_dynamic_allocator};
}

pub use aura_choreography as choreography;
pub use aura_protocol_core::{
    Capability, DecodeError, Descriptor, DeviceId, Digest, Epoch, Outcome, ProtocolCapabilities,
    ProtocolEffect, ProtocolError, ProtocolInput, ProtocolLifecycle, ProtocolName, ProtocolStep,
    ProtocolVersion, RecordKey, RecordWrite, Requirement, SchemaId, SessionId, SessionStart, abi,
    canonical, decode, encode, lifecycle, limits,
    migration::{Migrated, RecordBody},
};
pub use borsh;
pub use descriptor::{Described, DescriptorConst, RoleConst};
pub use migration::Migration;
