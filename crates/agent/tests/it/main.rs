//! A device as its callers see it.

mod control;
