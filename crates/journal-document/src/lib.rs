#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod compile;
mod document;
mod engine;
mod error;
mod export;
mod json;
mod text;

pub use document::{Document, Update};
pub use error::DocumentError;
pub use export::{Format, UnknownFormat, write};
