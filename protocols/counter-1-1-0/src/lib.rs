//! Counter 1.1.0: as 1.0.0, and all learn the mean where all speak 1.1.
//!
//! Where somebody speaks 1.0 only, it does exactly what 1.0.0 does: that makes it a soft fork.

#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{format, string::String, vec::Vec};

use aura_protocol_sdk::{encode, export_protocol};
use counter_common::{Edition, SCHEMA_1, Session};

/// What 1.1.0 makes of the numbers.
#[derive(Debug)]
pub enum V1_1_0 {}

/// The protocol that this package exports.
pub type Counter = counter_common::Counter<V1_1_0>;

impl Edition for V1_1_0 {
    const VERSION: [u16; 3] = [1, 1, 0];
    const SCHEMA: [u8; 32] = SCHEMA_1;

    fn result(session: &Session, sum: u64) -> String {
        // A mean rounded down, because a float would not be the same on every device.
        let mean = sum.checked_div(session.numbers.len() as u64);
        match mean.filter(|_| 1 <= session.start.spoken.minor) {
            Some(mean) => format!("sum={sum} mean={mean}"),
            None => format!("sum={sum}"),
        }
    }

    fn record(_session: &Session, sum: u64) -> Vec<u8> {
        encode(&sum)
    }
}

export_protocol!(Counter);
