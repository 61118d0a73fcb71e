//! Every bound that two parts of Aura must agree on, each with its reason.
//!
//! A limit belongs here when a peer can push against it; the error that reports a breach names it.

/// Largest transport frame, in bytes. A session state and a batch of units fit into one frame.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Largest WebAssembly module, in bytes. Real guests are 20 KB to 600 KB.
pub const MODULE_BYTES_MAX: usize = 4 << 20;
/// Largest body of one signed unit, in bytes. A batch of 64 units fits into four frames.
pub const UNIT_BODY_BYTES_MAX: usize = 64 << 10;
/// Most cross-links of a unit. With the author's own chain this covers five devices' heads at once.
pub const UNIT_DEPS_MAX: usize = 4;
/// Largest record, key included, in bytes.
pub const RECORD_BYTES_MAX: usize = 64 << 10;
/// Largest record key, in bytes.
pub const RECORD_KEY_BYTES_MAX: usize = 256;
/// Largest state that a session may carry between two steps, in bytes.
pub const SESSION_STATE_BYTES_MAX: usize = 1 << 20;
/// Largest input or output of one module call, in bytes: state and event or effects together.
pub const CALL_BYTES_MAX: usize = SESSION_STATE_BYTES_MAX + (256 << 10);
/// Most effects that one step may return. Each costs the host at least one queue entry.
pub const STEP_EFFECTS_MAX: usize = 256;
/// Most records that one session may write when it closes.
pub const BATCH_RECORDS_MAX: usize = 256;
/// Most devices in one account. Every quorum walk is linear in it.
pub const DEVICES_MAX: usize = 128;
/// Longest protocol name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest textual requirement, in bytes.
pub const REQUIREMENT_BYTES_MAX: usize = 256;
/// Largest module descriptor, in bytes. It is read before anything else of the module is parsed.
pub const DESCRIPTOR_BYTES_MAX: usize = 16 << 10;
/// Most versions of one protocol in one device's manifest.
pub const MANIFEST_VERSIONS_MAX: usize = 32;
/// Most protocols in one device's manifest.
pub const MANIFEST_PROTOCOLS_MAX: usize = 256;
/// Most places from which a module may be fetched.
pub const MODULE_URLS_MAX: usize = 8;
/// Longest place, in bytes.
pub const URL_BYTES_MAX: usize = 1024;
/// Fuel for one session step. A step of a real choreography burns below 100,000.
pub const STEP_FUEL_MAX: u64 = 50_000_000;
/// Fuel for the migration of one record.
pub const RECORD_FUEL_MAX: u64 = 5_000_000;

const _: () = assert!(UNIT_BODY_BYTES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(RECORD_BYTES_MAX <= UNIT_BODY_BYTES_MAX);
