//! How much memory this process has, by what the system says.

use std::fs;

use anyhow::{Context as _, Result};

/// Bytes that are in memory now.
pub fn resident() -> Result<f64> {
    field("VmRSS:")
}

/// Most bytes that were in memory at once.
pub fn peak() -> Result<f64> {
    field("VmHWM:")
}

fn field(name: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status").context("only Linux says it")?;
    let line = status.lines().find_map(|it| it.strip_prefix(name)).context("no such line")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024.0)
}
