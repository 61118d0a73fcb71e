//! `choreography`: what a script costs, and how much of it can be looked at.

mod eager;
mod explorer;
mod restore;
mod runs;

use anyhow::Result;

use crate::row::Row;

/// All figures.
pub fn rows() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (what, measure) in [
        ("simulated runs", runs::rows as fn() -> Result<Vec<Row>>),
        ("restoring a session", restore::rows),
        ("exploration", explorer::rows),
    ] {
        eprintln!("measuring {what}");
        rows.extend(measure()?);
    }
    Ok(rows)
}
