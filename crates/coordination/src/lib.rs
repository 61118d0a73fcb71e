#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod choreography;
pub mod execution;
pub mod keystore;
