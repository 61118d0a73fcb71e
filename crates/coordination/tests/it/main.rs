//! Sessions and upgrades as state machines.

mod context;
mod upgrade;
