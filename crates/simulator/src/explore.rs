//! Exhaustive exploration of the running code.
//!
//! A [`Model`] is a script, its devices and what may go wrong; [`Model::explore`] visits every state
//! that they can come to. The script itself is run, once for each log of answers and each next answer;
//! what it does is numbered, and a global state is one number a device.
//!
//! A wait with a deadline may time out at any moment, because nobody knows how slow others are. What a
//! device reads of the adversary is any of what the model lists.
//!
//! A wait for equal words (`decide certified`) takes any body that enough authors stand behind, whichever
//! a session would take first: more than can happen, never less. The event that it hands over stands in
//! the name of the first whom it waits for, since a step may use its body alone.
//!
//! **What is not explored**: a host answers a call of one device alike at all times ([`HostFn`]). In a
//! running session a read shows what is there when the host answers, so it may change from one read to
//! the next, with what other sessions write; the answer is that device's own, logged, and steers nobody
//! else without a decision. Where a protocol reads twice, give it a model for each of the answers.
//!
//! **Invariants**
//! - INV-M1: whatever can happen with [`Delivery::Eager`] can happen with [`Delivery::Lazy`].
//! - INV-M2: leaving out what nobody can tell from silence ([`Reduction::Silence`]) changes neither the
//!   verdict nor the length of the shortest trace.
//! - INV-M3: nothing about a script is known here but what running it shows.
//! - INV-M4: two places of a device are one only if nobody can tell them apart from then on.
//! - INV-M5: the same model gives the same report, and no run that breaks a property is shorter than
//!   the one reported.

mod choices;
mod code;
mod eager;
mod judge;
mod key;
mod ledger;
mod model;
mod report;
mod search;
mod show;
mod suite;
mod trace;
mod world;

use std::collections::BTreeSet;

use aura_choreography::{Dev, Event};
use key::{Key, Wide};
pub use model::{Delivery, ExploreError, HostFn, InvariantFn, Model, Reduction};
pub use report::{Property, Report, Verdict};
use search::{Search, Unfit};
pub use suite::{Case, Expected, run_suite, suite};
pub use trace::{Act, Trace, TraceStep, Waiting};
use world::World;

impl Model<'_> {
    /// Visits every state, or those before the first that breaks a property.
    ///
    /// # Errors
    /// [`ExploreError`] when there is nothing that could be explored.
    pub fn explore(&self) -> Result<Report, ExploreError> {
        self.search(|_, report| report)
    }

    /// All that a device might say, if everybody is honest.
    fn words(&self, dev: Dev) -> Result<BTreeSet<Event>, ExploreError> {
        self.search(|world, _| world.code.words(dev))
    }

    /// Explores with the narrowest states that do, and looks at what was found.
    fn search<T>(&self, look: impl Fn(&World<'_>, Report) -> T) -> Result<T, ExploreError> {
        match self.search_with::<u128, T>(&look) {
            Err(Unfit::TooNarrow) => {}
            Err(Unfit::Model(error)) => return Err(error),
            Ok(found) => return Ok(found),
        }
        match self.search_with::<Wide, T>(&look) {
            Err(Unfit::TooNarrow) => Err(ExploreError::TooManyEvents),
            Err(Unfit::Model(error)) => Err(error),
            Ok(found) => Ok(found),
        }
    }

    fn search_with<K: Key, T>(&self, look: &dyn Fn(&World<'_>, Report) -> T) -> Result<T, Unfit> {
        let mut search = Search::<K>::new(self)?;
        let report = search.run()?;
        Ok(look(&search.world, report))
    }
}
