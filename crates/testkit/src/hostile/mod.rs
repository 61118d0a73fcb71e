//! Modules that mean harm, each with the typed answer that it must get.

mod body;
mod frame;
mod limit;
mod shape;

use aura_protocol_core::encode;

pub use frame::Frame;
pub use limit::at_the_limits;

/// A module that means harm.
#[derive(Debug, Clone)]
pub struct HostileModule {
    /// What it tries.
    pub name: &'static str,
    /// The module.
    pub bytes: Vec<u8>,
    /// When it must be stopped.
    pub stage: Stage,
    /// The stable code of the error that must stop it.
    pub code: &'static str,
}

/// When a hostile module shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// When it is taken in.
    Prepare,
    /// At the first step of a session; it passes the gate, and says rightly what it is.
    Step,
}

/// All of them.
pub fn corpus() -> Vec<HostileModule> {
    [shape::modules(), body::modules()].concat()
}

/// `module` with the descriptor of `protocol` `version` behind it.
///
/// # Panics
/// If name or version is malformed.
#[must_use]
pub fn with_descriptor(mut module: Vec<u8>, protocol: &str, version: &str) -> Vec<u8> {
    frame::append_section(&mut module, &encode(&frame::descriptor(protocol, version)));
    module
}

/// A module with everything in order, but that it imports a function that no host offers.
#[must_use]
pub fn unknown_import(protocol: &str, version: &str) -> Vec<u8> {
    let import = "(import \"env\" \"open\" (func (param i32) (result i32)))";
    Frame::new(protocol, version).head(import).build()
}

/// A module that hides a counter in a global, and answers each step with the next number as state.
#[must_use]
pub fn hidden_counter(protocol: &str, version: &str) -> Vec<u8> {
    let reply =
        aura_protocol_core::abi::Reply::Stepped { state: vec![0], step: Default::default() };
    let reply = encode(&reply);
    let at = 2048;
    let globals = format!(
        "(global $calls (mut i32) (i32.const 0)) (data (i32.const {at}) \"{}\")",
        frame::escape(&reply)
    );
    // The state's one byte follows the reply's tag and the state's length.
    let body = format!(
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
         (i32.store8 (i32.const {}) (global.get $calls))
         (i64.const {})",
        at + 5,
        at | (reply.len() as u64) << 32
    );
    Frame::new(protocol, version).body(&body).tail(&globals).build()
}
