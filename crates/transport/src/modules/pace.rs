//! Who is silent or slow is dropped.

use std::{future::Future, pin::pin, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::TransferLimits;

/// What moved too little, in which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slow {
    pub(super) bytes: usize,
    pub(super) window: Duration,
}

/// Watches silence and rate of one transfer.
pub(super) struct Pace<'a> {
    limits: &'a TransferLimits,
    window_ends: Instant,
    window_bytes: usize,
}

impl<'a> Pace<'a> {
    pub(super) fn new(limits: &'a TransferLimits) -> Self {
        Self { limits, window_ends: Instant::now() + limits.window, window_bytes: 0 }
    }

    /// Waits for what arrives next, of which `bytes` says how much it is.
    pub(super) async fn next<T>(
        &mut self,
        arriving: impl Future<Output = T>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Result<T, Slow> {
        let mut arriving = pin!(arriving);
        let idle_ends = Instant::now() + self.limits.idle_timeout;
        loop {
            match timeout_at(idle_ends.min(self.window_ends), &mut arriving).await {
                Ok(arrived) => {
                    self.window_bytes += bytes(&arrived);
                    self.roll()?;
                    return Ok(arrived);
                }
                Err(_) if idle_ends <= Instant::now() => {
                    return Err(Slow { bytes: 0, window: self.limits.idle_timeout });
                }
                Err(_) => self.roll()?,
            }
        }
    }

    /// Begins the next window if this one is over and brought enough.
    fn roll(&mut self) -> Result<(), Slow> {
        let now = Instant::now();
        if now < self.window_ends {
            return Ok(());
        }
        if self.window_bytes < self.limits.window_bytes_min {
            return Err(Slow { bytes: self.window_bytes, window: self.limits.window });
        }
        (self.window_ends, self.window_bytes) = (now + self.limits.window, 0);
        Ok(())
    }
}
