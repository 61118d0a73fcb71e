//! A store in memory, for tests and simulation, that can crash before or after any write.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::{LedgerStore, StoreBatch, StoreError, Stored};

/// The twin of a disk: clones share what is stored, so that a device can be dropped and another one
/// started on what it left behind.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    stored: Stored,
    /// Writes asked for so far.
    writes: u64,
    crash: Option<Crash>,
    crashed: bool,
}

#[derive(Debug, Clone, Copy)]
enum Crash {
    Before(u64),
    After(u64),
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store that holds this.
    #[must_use]
    pub fn holding(stored: Stored) -> Self {
        let store = Self::new();
        store.lock().stored = stored;
        store
    }

    /// Crashes at the `nth` write from now on, counted from 0, before anything of it is stored.
    pub fn crash_before(&self, nth: u64) {
        let mut inner = self.lock();
        inner.crash = Some(Crash::Before(inner.writes.saturating_add(nth)));
    }

    /// Crashes at the `nth` write from now on, counted from 0, when all of it is stored but nobody
    /// was told.
    pub fn crash_after(&self, nth: u64) {
        let mut inner = self.lock();
        inner.crash = Some(Crash::After(inner.writes.saturating_add(nth)));
    }

    /// Makes a crashed store usable again, with what it had stored.
    pub fn restart(&self) {
        let mut inner = self.lock();
        inner.crash = None;
        inner.crashed = false;
    }

    /// How many writes it was asked for.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// A thread that panicked while it held the lock left whole batches only: `commit` checks first
    /// and then applies.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LedgerStore for MemoryStore {
    fn load(&self) -> Result<Stored, StoreError> {
        let inner = self.lock();
        if inner.crashed { Err(StoreError::Crashed) } else { Ok(inner.stored.clone()) }
    }

    fn commit(&mut self, batch: &StoreBatch) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if inner.crashed {
            return Err(StoreError::Crashed);
        }
        Stored::check(inner.stored.entries.len() as u64, batch)?;
        let write = inner.writes;
        inner.writes = write.saturating_add(1);
        if matches!(inner.crash, Some(Crash::Before(nth)) if nth == write) {
            inner.crashed = true;
            return Err(StoreError::Crashed);
        }
        inner.stored.apply(batch);
        if matches!(inner.crash, Some(Crash::After(nth)) if nth == write) {
            inner.crashed = true;
            return Err(StoreError::Crashed);
        }
        Ok(())
    }
}
