#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod compile;
mod cuts;
mod document;
mod engine;
mod error;
mod export;
mod json;
mod text;

pub use document::{Document, Extent, Update};
pub use error::DocumentError;
pub use export::{Exported, Format, UnknownFormat, write};
