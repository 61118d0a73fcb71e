//! The production clock: the system's time, tokio's timers, and who waits for what.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aura_coordination::execution::{
    News, TimeSource, WaitId, WaitList, Woken,
    time::{Pending, Wait},
};
use aura_protocol_core::UnixTime;
use tokio::sync::oneshot;

use crate::driver::lock;

/// The system's clock, which never goes back while the process runs, nor behind where it was when the
/// store was last written.
#[derive(Debug)]
pub struct ProductionTimeSource {
    latest: AtomicU64,
    waits: Arc<Mutex<Waits>>,
}

#[derive(Debug, Default)]
struct Waits {
    list: WaitList,
    wakers: BTreeMap<WaitId, oneshot::Sender<Woken>>,
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

/// What the system's clock says, right or wrong.
pub(crate) fn system_time() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs()))
}

impl ProductionTimeSource {
    /// A clock that has been as far as `since` before.
    #[must_use]
    pub fn since(since: UnixTime) -> Self {
        Self { latest: AtomicU64::new(since.0), waits: Arc::default() }
    }
}

impl TimeSource for ProductionTimeSource {
    fn unix_time(&self) -> UnixTime {
        let system = system_time().0;
        UnixTime(self.latest.fetch_max(system, Ordering::SeqCst).max(system))
    }

    fn sleep(&self, pause: Duration) -> Pending<()> {
        Box::pin(tokio::time::sleep(pause))
    }

    fn wait(&self, wait: Wait, known: &[News]) -> Pending<Woken> {
        let mut waits = lock(&self.waits);
        let id = match waits.list.add(wait, known) {
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
                // The sender goes with the guard alone, which is here: this is never reached, and
                // whoever could reach it has no more to wait for.
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn news(&self, news: &News) {
        let mut waits = lock(&self.waits);
        for (id, woken) in waits.list.news(news) {
            if let Some(waker) = waits.wakers.remove(&id)
                && waker.send(woken).is_err()
            {
                tracing::trace!("a wait was given up as it ended");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use aura_coordination::execution::WakeCondition;
    use aura_protocol_core::Epoch;

    use super::*;

    #[test]
    fn never_goes_back() {
        let future = UnixTime(u64::MAX - 1);
        assert_eq!(ProductionTimeSource::since(future).unix_time(), future);
        let clock = ProductionTimeSource::since(UnixTime(0));
        let first = clock.unix_time();
        assert!(UnixTime(1_500_000_000) < first && first <= clock.unix_time());
    }

    #[tokio::test]
    async fn wakes_whom_the_news_concerns() {
        let time = ProductionTimeSource::since(UnixTime(0));
        let wait = |epoch| Wait {
            conditions: vec![WakeCondition::EpochReached(Epoch(epoch))],
            predicate: None,
        };
        let known = [News::Epoch(Epoch(2))];
        assert_eq!(time.wait(wait(2), &known).await, Woken::Met(0));
        let (soon, given_up, late) = (time.wait(wait(3), &[]), time.wait(wait(3), &[]), wait(9));
        let late = time.wait(late, &[]);
        assert_eq!(lock(&time.waits).list.len(), 3);
        drop(given_up);
        time.news(&News::Epoch(Epoch(3)));
        assert_eq!(soon.await, Woken::Met(0));
        let waits = lock(&time.waits);
        assert_eq!((waits.list.len(), waits.wakers.len()), (1, 1));
        drop(waits);
        drop(late);
        assert!(lock(&time.waits).list.is_empty());
    }

    #[tokio::test]
    async fn sleeps_no_less_than_asked() {
        let (time, begin) = (ProductionTimeSource::since(UnixTime(0)), Instant::now());
        time.sleep(Duration::from_millis(5)).await;
        assert!(Duration::from_millis(5) <= begin.elapsed());
    }
}
