//! Counter 1.0.0: each participant adds a number and all learn the sum.

#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{format, string::String, vec::Vec};

use aura_protocol_sdk::{encode, export_protocol};
use counter_common::{Edition, SCHEMA_1, Session};

/// What 1.0.0 makes of the numbers.
#[derive(Debug)]
pub enum V1_0_0 {}

/// The protocol that this package exports.
pub type Counter = counter_common::Counter<V1_0_0>;

impl Edition for V1_0_0 {
    const VERSION: [u16; 3] = [1, 0, 0];
    const SCHEMA: [u8; 32] = SCHEMA_1;

    fn result(_session: &Session, sum: u64) -> String {
        format!("sum={sum}")
    }

    fn record(_session: &Session, sum: u64) -> Vec<u8> {
        encode(&sum)
    }
}

export_protocol!(Counter);
