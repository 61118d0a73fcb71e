#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod abi;
pub mod canonical;
pub mod capability;
pub mod descriptor;
pub mod digest;
pub mod id;
pub mod lifecycle;
pub mod limits;
pub mod manifest;
pub mod migration;
pub mod module_ref;
pub mod name;
pub mod negotiation;
pub mod quorum;
pub mod record;
pub mod requirement;
pub mod session_type;
pub mod time;
pub mod version;

pub use canonical::{DecodeError, decode, encode};
pub use capability::{Capability, ProtocolCapabilities};
pub use descriptor::Descriptor;
pub use digest::Digest;
pub use id::{AccountId, AppId, DeviceId, SchemaId, SessionId};
pub use lifecycle::{
    Outcome, ProtocolEffect, ProtocolError, ProtocolInput, ProtocolLifecycle, ProtocolStep,
    RecordWrite, SessionStart,
};
pub use manifest::Manifest;
pub use module_ref::ModuleRef;
pub use name::ProtocolName;
pub use negotiation::{Agreement, NegotiationPolicy, NoAgreement, negotiate};
pub use record::{Record, RecordKey, Tag};
pub use requirement::Requirement;
pub use time::{Epoch, Lamport, UnixTime};
pub use version::{Compatibility, ProtocolVersion};
