//! Time that a simulation lets pass: [`SimulatedTimeSource`] on a [`SimulationScheduler`].
//!
//! Nothing here reads a clock. A tick of the scheduler is one epoch, and so many seconds; whoever
//! waits for an epoch, an event or a pause is woken by it or by the news, in an order that follows from
//! what happened alone.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use aura_coordination::execution::{
    News, TimeSource, WaitId, WaitList, Woken,
    time::{Pending, Wait},
};
use aura_protocol_core::{Epoch, UnixTime};
use tokio::sync::oneshot;

/// Lets time pass for all its sources.
#[derive(Debug)]
pub struct SimulationScheduler {
    begin: UnixTime,
    tick: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ticks: u64,
    next: u64,
    /// Who sleeps until which tick.
    sleepers: BTreeMap<(u64, u64), oneshot::Sender<()>>,
    sources: Vec<Weak<Mutex<Waits>>>,
}

/// A device's time: the scheduler's clock, and this device's own waits.
#[derive(Debug, Clone)]
pub struct SimulatedTimeSource {
    scheduler: Arc<SimulationScheduler>,
    waits: Arc<Mutex<Waits>>,
}

#[derive(Debug, Default)]
struct Waits {
    list: WaitList,
    wakers: BTreeMap<WaitId, oneshot::Sender<Woken>>,
}

/// What a broken thread left behind is as it was before: every change here is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimulationScheduler {
    /// A scheduler at epoch 0, when clocks show `begin`; a tick takes them `tick` further.
    #[must_use]
    pub fn new(begin: UnixTime, tick: Duration) -> Arc<Self> {
        Arc::new(Self { begin, tick, state: Mutex::default() })
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch(lock(&self.state).ticks)
    }

    /// Lets one epoch pass: wakes who slept long enough, then who waited for this epoch.
    pub fn tick(&self) {
        let (epoch, sources) = {
            let mut state = lock(&self.state);
            state.ticks += 1;
            let next = (state.ticks + 1, 0);
            let later = state.sleepers.split_off(&next);
            for sleeper in std::mem::replace(&mut state.sleepers, later).into_values() {
                // Whoever gave up sleeping does not listen.
                let _heard = sleeper.send(());
            }
            state.sources.retain(|it| it.strong_count() != 0);
            (Epoch(state.ticks), state.sources.clone())
        };
        for waits in sources.iter().filter_map(Weak::upgrade) {
            wake(&waits, &News::Epoch(epoch));
        }
    }

    /// How many wait for anything, and how many sleep. Where nobody sleeps and nothing is on its way,
    /// whoever still waits waits for an epoch or for ever.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        let state = lock(&self.state);
        let waits = state.sources.iter().filter_map(Weak::upgrade);
        let waits = waits.map(|it| lock(&it).list.len()).sum();
        (waits, state.sleepers.values().filter(|it| !it.is_closed()).count())
    }
}

impl SimulatedTimeSource {
    /// A device's time by this scheduler.
    #[must_use]
    pub fn new(scheduler: &Arc<SimulationScheduler>) -> Self {
        let waits = Arc::default();
        lock(&scheduler.state).sources.push(Arc::downgrade(&waits));
        Self { scheduler: Arc::clone(scheduler), waits }
    }
}

fn wake(waits: &Mutex<Waits>, news: &News) {
    let mut waits = lock(waits);
    for (id, woken) in waits.list.news(news) {
        if let Some(waker) = waits.wakers.remove(&id) {
            // Whoever gave up waiting does not listen.
            let _heard = waker.send(woken);
        }
    }
}

/// Ends a wait when nobody waits for it any more.
struct Guard {
    waits: Arc<Mutex<Waits>>,
    id: WaitId,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut waits = lock(&self.waits);
        waits.list.remove(self.id);
        waits.wakers.remove(&self.id);
    }
}

impl TimeSource for SimulatedTimeSource {
    fn unix_time(&self) -> UnixTime {
        let seconds = self.scheduler.tick.as_secs().saturating_mul(self.scheduler.epoch().0);
        UnixTime(self.scheduler.begin.0.saturating_add(seconds))
    }

    fn sleep(&self, pause: Duration) -> Pending<()> {
        let tick = self.scheduler.tick.as_nanos().max(1);
        let ticks = u64::try_from(pause.as_nanos().div_ceil(tick)).unwrap_or(u64::MAX);
        let receiver = {
            let mut state = lock(&self.scheduler.state);
            let (sender, receiver) = oneshot::channel();
            let key = (state.ticks.saturating_add(ticks.max(1)), state.next);
            state.next += 1;
            state.sleepers.insert(key, sender);
            receiver
        };
        // The scheduler is kept alive, so the sender goes only by sending.
        let scheduler = Arc::clone(&self.scheduler);
        Box::pin(async move {
            let _woken = receiver.await;
            drop(scheduler);
        })
    }

    fn wait(&self, wait: Wait, known: &[News]) -> Pending<Woken> {
        let epoch = News::Epoch(self.scheduler.epoch());
        let known: Vec<News> = known.iter().cloned().chain([epoch]).collect();
        let mut waits = lock(&self.waits);
        let id = match waits.list.add(wait, &known) {
            Ok(id) => id,
            Err(woken) => return Box::pin(std::future::ready(woken)),
        };
        let (sender, receiver) = oneshot::channel();
        waits.wakers.insert(id, sender);
        let guard = Guard { waits: Arc::clone(&self.waits), id };
        Box::pin(async move {
            let woken = receiver.await;
            drop(guard);
            match woken {
                Ok(woken) => woken,
                // The sender goes with the guard alone, which is here.
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn news(&self, news: &News) {
        wake(&self.waits, news);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use aura_coordination::execution::{Filter, SessionEvent, WakeCondition};
    use aura_protocol_core::{DeviceId, Digest, SessionId};

    use super::*;

    fn poll<T>(pending: &mut Pending<T>) -> Option<T> {
        match pending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn event(author: u8) -> News {
        News::Event(SessionEvent {
            unit: Digest::of(&[author]),
            session: SessionId::from_bytes([1; 32]),
            author: DeviceId::from_bytes([author; 32]),
            label: "Commit".to_owned(),
            payload: vec![],
        })
    }

    /// INV-Z11: time passes by ticks alone, and wakes exactly those whose wait is over.
    #[test]
    fn ticks_wake_whoever_waits_for_them() {
        let scheduler = SimulationScheduler::new(UnixTime(100), Duration::from_secs(10));
        let time = SimulatedTimeSource::new(&scheduler);
        let until = |epoch| Wait {
            conditions: vec![WakeCondition::EpochReached(Epoch(epoch))],
            predicate: None,
        };
        let (mut soon, mut late) = (time.wait(until(2), &[]), time.wait(until(5), &[]));
        let mut nap = time.sleep(Duration::from_secs(25));
        for tick in 1..=3 {
            assert_eq!((poll(&mut nap).is_some(), tick), (false, tick));
            scheduler.tick();
        }
        assert_eq!(poll(&mut soon), Some(Woken::Met(0)));
        assert_eq!((poll(&mut nap), poll(&mut late)), (Some(()), None));
        assert_eq!((time.unix_time(), scheduler.epoch()), (UnixTime(130), Epoch(3)));
        assert_eq!(poll(&mut time.wait(until(3), &[])), Some(Woken::Met(0)), "it is there already");
        assert_eq!(scheduler.waiting(), (1, 0));
        drop(late);
        assert_eq!(scheduler.waiting(), (0, 0));
    }

    #[test]
    fn news_is_of_one_device_and_wins_over_its_deadline() {
        let scheduler = SimulationScheduler::new(UnixTime(0), Duration::from_secs(1));
        let (one, other) =
            (SimulatedTimeSource::new(&scheduler), SimulatedTimeSource::new(&scheduler));
        let wait = || Wait {
            conditions: vec![
                WakeCondition::TimeoutAt(Epoch(2)),
                WakeCondition::ThresholdEvents { filter: Filter::default(), count: 2 },
            ],
            predicate: None,
        };
        let (mut here, mut there) =
            (one.wait(wait(), &[event(1)]), other.wait(wait(), &[event(1)]));
        one.news(&event(1));
        assert_eq!(poll(&mut here), None, "one device twice");
        one.news(&event(2));
        scheduler.tick();
        scheduler.tick();
        assert_eq!(poll(&mut here), Some(Woken::Met(1)));
        assert_eq!(poll(&mut there), Some(Woken::TimedOut));
    }
}
