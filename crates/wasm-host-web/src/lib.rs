#![doc = include_str!("../README.md")]

pub mod shown;
pub mod trap;

#[cfg(target_arch = "wasm32")]
pub mod browser;
#[cfg(target_arch = "wasm32")]
mod exports;
