//! The production clock.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use aura_coordination::execution::TimeSource;
use aura_protocol_core::UnixTime;

/// The system's clock, which never goes back while the process runs, nor behind where it was when the
/// store was last written.
#[derive(Debug)]
pub struct ProductionTimeSource {
    latest: AtomicU64,
}

impl ProductionTimeSource {
    /// A clock that has been as far as `since` before.
    #[must_use]
    pub const fn since(since: UnixTime) -> Self {
        Self { latest: AtomicU64::new(since.0) }
    }
}

impl TimeSource for ProductionTimeSource {
    fn unix_time(&self) -> UnixTime {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
        UnixTime(self.latest.fetch_max(system, Ordering::SeqCst).max(system))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_goes_back() {
        let future = UnixTime(u64::MAX - 1);
        assert_eq!(ProductionTimeSource::since(future).unix_time(), future);
        let clock = ProductionTimeSource::since(UnixTime(0));
        let first = clock.unix_time();
        assert!(UnixTime(1_500_000_000) < first && first <= clock.unix_time());
    }
}
