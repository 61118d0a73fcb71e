//! The quorum clock on this device: when it ticks, and how long a session waits for it in patience
//! (`02-ledger`, section 3).

use aura_coordination::execution::News;
use aura_protocol_core::{DeviceId, Epoch, SessionId, UnixTime};

use crate::node::{AgentEvent, Effect, Node};

/// How long an epoch lasts at least, in seconds by each device's own clock, unless it is set otherwise.
pub const INTERVAL_SECONDS: u64 = 1;
/// How many times as long as it should take a session waits for an epoch until it counts as stalled.
const PATIENCE: u64 = 2;

/// What this device knows of the clock.
#[derive(Debug)]
pub(super) struct Ticking {
    interval_seconds: u64,
    /// Where the clock stood when it was looked at last; nowhere yet after a restart.
    seen: Option<Epoch>,
    /// Since when it has stood there, as far as is known since the device was started.
    since: UnixTime,
}

impl Ticking {
    pub(super) const fn new(now: UnixTime) -> Self {
        Self { interval_seconds: INTERVAL_SECONDS, seen: None, since: now }
    }
}

/// What a session waits for, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    wanted: Epoch,
    since: UnixTime,
    epochs: u64,
    /// Whether it was said that it is over.
    said: bool,
}

impl Patience {
    /// What becomes of it when the session wants `wanted` now, and the clock stands at `epoch`.
    pub(super) fn next(
        before: Option<Self>,
        wanted: Option<Epoch>,
        epoch: Epoch,
        now: UnixTime,
    ) -> Option<Self> {
        let wanted = wanted.filter(|it| epoch < *it)?;
        let epochs = wanted.0.saturating_sub(epoch.0);
        let fresh = Self { wanted, since: now, epochs, said: false };
        Some(before.filter(|it| it.wanted == wanted).unwrap_or(fresh))
    }

    fn is_over(&self, interval_seconds: u64, now: UnixTime) -> bool {
        let seconds = self.epochs.saturating_mul(interval_seconds).saturating_mul(PATIENCE);
        self.since.saturating_add(seconds) < now
    }
}

impl Node {
    /// Sets how long an epoch lasts at least, in seconds by this device's clock.
    pub const fn set_clock_interval(&mut self, seconds: u64) {
        self.ticking.interval_seconds = seconds;
    }

    /// Where the quorum clock stands.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.ledger.epoch()
    }

    /// Tells sessions and whoever waits where the clock stands, when it has moved.
    pub(super) fn pump_clock(&mut self) {
        let epoch = self.ledger.epoch();
        if self.ticking.seen.is_some_and(|it| epoch <= it) {
            return;
        }
        self.ticking.seen = Some(epoch);
        self.ticking.since = self.now;
        for (session, running) in &mut self.sessions {
            running.context.clock(epoch);
            running.watch_clock(epoch, self.now);
            if running.context.wake().is_some_and(|it| it <= epoch) {
                self.stirred.insert(*session);
            }
        }
        self.out.push(Effect::News(News::Epoch(epoch)));
    }

    /// Signs the next tick, if a session here waits for an epoch, or a lock for its end, and the interval is
    /// over. A device that waits for nothing signs nothing.
    pub(super) fn tick_clock(&mut self) {
        let Ticking { interval_seconds, since, .. } = self.ticking;
        let waits = self.sessions.values().any(|it| it.context.wake().is_some());
        let due = since.saturating_add(interval_seconds) <= self.now;
        if !due
            || !(waits || self.lock_is_held())
            || !self.ledger.ticks_missing().contains(&self.me)
        {
            return;
        }
        let next = self.ledger.epoch().saturating_add(1);
        if let Err(error) = self.ledger.tick(self.me, &self.unit_key, next) {
            self.log(format!("epoch {next} could not be ticked: {error}"));
        }
    }

    /// Says once of each session that its patience is over.
    pub(super) fn watch_patience(&mut self) {
        let (interval, now) = (self.ticking.interval_seconds, self.now);
        let mut stalled: Vec<SessionId> = Vec::new();
        for (session, running) in &mut self.sessions {
            if let Some(patience) = &mut running.patience
                && !patience.said
                && patience.is_over(interval, now)
            {
                patience.said = true;
                stalled.push(*session);
            }
        }
        for session in stalled {
            let missing: Vec<String> =
                self.clock_missing().into_iter().map(|it| self.device_name(it)).collect();
            let names = missing.join(", ");
            self.log(format!("session {} is stalled: {names} tick not", session.short()));
            self.derivation_stalled(session, &missing);
            self.notify(AgentEvent::SessionStalled { session: session.to_string(), missing });
        }
    }

    /// The devices whose ticks a stalled session waits for; none while it is not stalled.
    pub(super) fn stalled(&self, session: SessionId) -> Option<Vec<DeviceId>> {
        let running = self.sessions.get(&session).filter(|it| it.context.is_running())?;
        let is_over = running.patience?.is_over(self.ticking.interval_seconds, self.now);
        is_over.then(|| self.clock_missing())
    }

    fn clock_missing(&self) -> Vec<DeviceId> {
        self.ledger.ticks_missing().into_iter().collect()
    }
}
