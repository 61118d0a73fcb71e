//! How slow the other side of a transfer may be.

use std::time::Duration;

/// Deadlines of one transfer. Half of a minimum rate is a stall in disguise, so both are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferLimits {
    /// Longest silence, before the answer and between frames.
    pub idle_timeout: Duration,
    /// Stretch of time over which the rate is measured.
    pub window: Duration,
    /// Least bytes in each whole window.
    pub window_bytes_min: usize,
}

impl Default for TransferLimits {
    /// 8 KiB/s over twenty seconds: slower than any usable link, and a module of 4 MiB still ends
    /// within nine minutes.
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(10),
            window: Duration::from_secs(20),
            window_bytes_min: 20 * (8 << 10),
        }
    }
}
