#![doc = include_str!("../README.md")]

pub mod build;
pub mod command;
pub mod metadata;
pub mod project;
pub mod provision;
