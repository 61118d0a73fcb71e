//! Counter 2.0.0: the record also says who added what. A new layout, hence a hard fork.

#![cfg_attr(target_arch = "wasm32", no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{format, string::String, vec::Vec};

use aura_protocol_sdk::{encode, export_protocol};
use counter_common::{Edition, SCHEMA_2, Session, Sum};

/// What 2.0.0 makes of the numbers.
#[derive(Debug)]
pub enum V2_0_0 {}

/// The protocol that this package exports.
pub type Counter = counter_common::Counter<V2_0_0>;

impl Edition for V2_0_0 {
    const VERSION: [u16; 3] = [2, 0, 0];
    const SCHEMA: [u8; 32] = SCHEMA_2;

    fn result(session: &Session, sum: u64) -> String {
        format!("sum={sum} of {} devices", session.numbers.len())
    }

    fn record(session: &Session, sum: u64) -> Vec<u8> {
        encode(&Sum { sum, by_device: session.numbers.clone() })
    }
}

export_protocol!(Counter);
