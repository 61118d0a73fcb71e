//! What every host does with an instance of a metered module: hand the envelope in, let it step, take
//! the answer out, and say why it stopped. Engines only supply the [`Instance`].
//!
//! It knows no engine, and compiles to WebAssembly: a browser's instance is driven by it too.

use aura_protocol_core::Digest;

use crate::{
    error::HostError,
    limits::{CALL_BYTES_MAX, STACK_UNITS_MAX},
    trapped::{BadOutput, Trapped},
};

/// An instance of a metered module. Its exports are there, because the gate saw to that.
pub trait Instance {
    /// Sets the fuel, and the other meters to zero.
    ///
    /// # Errors
    /// [`HostError`] when the engine lost a meter.
    fn begin(&mut self, fuel: i64) -> Result<(), HostError>;

    /// What the meters say.
    ///
    /// # Errors
    /// [`HostError`] when the engine lost a meter.
    fn meters(&mut self) -> Result<Meters, HostError>;

    /// Calls the export that hands out the input's buffer.
    ///
    /// # Errors
    /// [`Fault`], with the engine's own word for a trap.
    fn input(&mut self, len: i32) -> Result<i32, Fault>;

    /// Calls the export that does one operation.
    ///
    /// # Errors
    /// [`Fault`], with the engine's own word for a trap.
    fn step(&mut self, address: i32, len: i32) -> Result<i64, Fault>;

    /// Writes into the memory; false, with nothing written, when it does not fit.
    fn write(&mut self, address: u32, bytes: &[u8]) -> bool;

    /// Reads from the memory; false when it ends before.
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> bool;

    /// The memory's length in bytes.
    fn memory_len(&mut self) -> usize;
}

/// What the meters of an instance say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meters {
    /// The fuel left; below zero when it ran out.
    pub fuel_left: i64,
    /// The units of the logical stack in use; more than there are when it overflowed.
    pub stack_used: u32,
    /// Whether a `memory.grow` was refused.
    pub memory_refused: bool,
}

/// Why an engine stopped.
#[derive(Debug)]
pub enum Fault {
    /// The module trapped. The meters may know better why.
    Trap(Trapped),
    /// The engine failed.
    Host(HostError),
}

/// What a call returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallOutput {
    /// The bytes, not decoded yet.
    pub output: Vec<u8>,
    /// What the call cost. The same on every device.
    pub fuel_used: u64,
}

impl From<HostError> for Fault {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl From<BadOutput> for Fault {
    fn from(bad: BadOutput) -> Self {
        Self::Trap(bad.into())
    }
}

/// Makes one call. `envelope` is at most [`CALL_BYTES_MAX`] long.
///
/// A session's every call gets an instance of its own. Calling one again measures the engine; what
/// the module left in its memory is then still there.
///
/// # Errors
/// The outer error is this device's, the inner one the module's.
pub fn call(
    instance: &mut dyn Instance,
    envelope: &[u8],
    fuel: u64,
) -> Result<Result<CallOutput, Trapped>, HostError> {
    match run(instance, envelope, fuel) {
        Ok(output) => Ok(Ok(output)),
        Err(Fault::Host(error)) => Err(error),
        // Nothing but a trap of the code itself needs the meters to be understood.
        Err(Fault::Trap(bad @ Trapped::BadOutput(_))) => Ok(Err(bad)),
        Err(Fault::Trap(trapped)) => Ok(Err(meant(trapped, instance.meters()?))),
    }
}

/// The digest of all memory, for comparisons between engines.
#[must_use]
pub fn memory_digest(instance: &mut dyn Instance) -> Digest {
    let mut bytes = vec![0; instance.memory_len()];
    if instance.read(0, &mut bytes) { Digest::of(&bytes) } else { Digest::ZERO }
}

fn run(instance: &mut dyn Instance, envelope: &[u8], fuel: u64) -> Result<CallOutput, Fault> {
    // No call burns i64::MAX units: that is three hundred years.
    let fuel = i64::try_from(fuel).unwrap_or(i64::MAX);
    instance.begin(fuel)?;
    let len = i32::try_from(envelope.len())
        .map_err(|_| HostError::Run { reason: "an envelope of 2 GiB".to_owned() })?;
    let address = instance.input(len)?;
    if !instance.write(address as u32, envelope) {
        let (address, len) = (address as u32, envelope.len());
        return Err(BadOutput::InputBuffer { address, len }.into());
    }
    let packed = instance.step(address, len)? as u64;
    let output = read_output(instance, packed)?;
    let left = instance.meters()?.fuel_left;
    if left < 0 {
        return Err(Fault::Trap(Trapped::OutOfFuel)); // The last straight line cost too much.
    }
    Ok(CallOutput { output, fuel_used: fuel.saturating_sub(left).unsigned_abs() })
}

/// Reads `address | len << 32`; nothing is allocated before both are known to be sensible.
fn read_output(instance: &mut dyn Instance, packed: u64) -> Result<Vec<u8>, Fault> {
    let (address, found) = (packed as u32, (packed >> 32) as usize);
    if CALL_BYTES_MAX < found {
        return Err(BadOutput::TooLong { found, limit: CALL_BYTES_MAX }.into());
    }
    let mut output = vec![0; found];
    if instance.read(address, &mut output) {
        return Ok(output);
    }
    Err(BadOutput::OutOfBounds { address, len: found }.into())
}

/// What a trap means, which the meters say and the engine alone does not.
fn meant(trapped: Trapped, meters: Meters) -> Trapped {
    if meters.fuel_left < 0 {
        return Trapped::OutOfFuel;
    }
    if STACK_UNITS_MAX < meters.stack_used {
        return Trapped::StackOverflow;
    }
    match trapped {
        Trapped::Unreachable if meters.memory_refused => Trapped::OutOfMemory,
        trapped => trapped,
    }
}
