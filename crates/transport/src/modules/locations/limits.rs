//! What a location may cost.

use std::time::Duration;

use crate::TransferLimits;

/// Limits of one fetch from locations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocationLimits {
    /// Silence and rate of one download.
    pub pace: TransferLimits,
    /// From the first packet to the end of an answer's head, redirects included.
    pub answer_timeout: Duration,
    /// Most redirects that one download follows. None leads from https to http.
    pub redirects_max: usize,
    /// Most attempts of one fetch, all locations together.
    pub attempts_max: usize,
    /// Pause before a location is tried for the second time. Doubles each time.
    pub pause_first: Duration,
}

impl Default for LocationLimits {
    fn default() -> Self {
        Self {
            pace: TransferLimits::default(),
            answer_timeout: Duration::from_secs(10),
            redirects_max: 3,
            attempts_max: 16,
            pause_first: Duration::from_millis(250),
        }
    }
}

impl LocationLimits {
    /// Bytes on the wire after which no further attempt begins: one and a half times the module.
    pub(super) fn wire_bytes_max(&self, size: u32) -> u64 {
        u64::from(size) * 3 / 2
    }

    pub(super) fn pause(&self, tried: u32) -> Duration {
        self.pause_first.saturating_mul(1 << tried.saturating_sub(1).min(6))
    }
}
