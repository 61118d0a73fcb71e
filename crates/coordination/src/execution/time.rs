//! Where time comes from, and how a host waits. The trait is here; its implementations are the host's:
//! a wall clock with timers, or a simulation that lets time pass itself.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use aura_protocol_core::UnixTime;

use crate::execution::waiting::{News, SessionEvent, WakeCondition, Woken};

/// Something that is waited for.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What an event has to be besides what a filter can say, as code.
pub type Predicate = Arc<dyn Fn(&SessionEvent) -> bool + Send + Sync>;

/// What somebody waits for: the first of some conditions.
#[derive(Clone, Default)]
pub struct Wait {
    /// Any of these ends the wait.
    pub conditions: Vec<WakeCondition>,
    /// Only events count of which this is true.
    pub predicate: Option<Predicate>,
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("conditions", &self.conditions).finish_non_exhaustive()
    }
}

/// The time of a host, in both senses: what its clock says, and what is waited for.
///
/// Implementations share [`super::WaitList`], which holds all of the rule of who is woken when: they
/// keep one, hand it everything that [`Self::news`] brings, and wake whom it names.
pub trait TimeSource: Send + Sync {
    /// The time by this device's own clock. Never goes back.
    fn unix_time(&self) -> UnixTime;

    /// Resolves when so much of this host's time has passed.
    fn sleep(&self, pause: Duration) -> Pending<()>;

    /// Resolves when one of the conditions is met. `known` is what has happened before, in any order.
    /// The wait stands when this returns, so that nothing is lost that [`Self::news`] brings from then
    /// on; it ends when what is returned is dropped.
    fn wait(&self, wait: Wait, known: &[News]) -> Pending<Woken>;

    /// Something has happened.
    fn news(&self, news: &News);
}
