//! The compiled modules that are kept in memory: the pinned, and beside them those used last, up to a
//! number and a size.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aura_protocol_core::{Descriptor, Digest};

use crate::{
    engine::Compiled,
    limits::{PINNED_BYTES_MAX, PINNED_COUNT_MAX},
};

/// A module that can be called at once.
pub(crate) struct Ready {
    pub(crate) compiled: Arc<dyn Compiled>,
    pub(crate) descriptor: Descriptor,
    /// About how much memory it takes.
    pub(crate) bytes: usize,
}

/// Least recently used goes first, pinned never. A module that is being called stays alive until the
/// call ends.
pub(crate) struct Recent {
    entries: BTreeMap<Digest, (u64, Arc<Ready>)>,
    pinned: BTreeSet<Digest>,
    uses: u64,
    count_max: usize,
    bytes_max: usize,
}

/// More is pinned than may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) found: usize,
    pub(crate) limit: usize,
}

impl Recent {
    pub(crate) fn new(count_max: usize, bytes_max: usize) -> Self {
        let (entries, pinned) = (BTreeMap::new(), BTreeSet::new());
        Self { entries, pinned, uses: 0, count_max, bytes_max }
    }

    pub(crate) fn find(&mut self, digest: Digest) -> Option<Arc<Ready>> {
        self.uses += 1;
        let (used, ready) = self.entries.get_mut(&digest)?;
        *used = self.uses;
        Some(Arc::clone(ready))
    }

    /// Adds a module, and drops others until the limits hold. The newest one always stays.
    pub(crate) fn insert(&mut self, digest: Digest, ready: Arc<Ready>) {
        self.uses += 1;
        self.entries.insert(digest, (self.uses, ready));
        self.evict();
    }

    /// Keeps a module that is there until it is unpinned.
    pub(crate) fn pin(&mut self, digest: Digest) -> Result<(), Full> {
        if !self.pinned.insert(digest) {
            return Ok(());
        }
        let (count, bytes) = self.sizes(|it| self.pinned.contains(it));
        for (found, limit) in [(count, PINNED_COUNT_MAX), (bytes, PINNED_BYTES_MAX)] {
            if limit < found {
                self.pinned.remove(&digest);
                return Err(Full { found, limit });
            }
        }
        Ok(())
    }

    pub(crate) fn unpin(&mut self, digest: Digest) {
        self.pinned.remove(&digest);
        self.evict();
    }

    pub(crate) fn is_pinned(&self, digest: Digest) -> bool {
        self.pinned.contains(&digest)
    }

    pub(crate) fn remove(&mut self, digest: Digest) {
        self.entries.remove(&digest);
    }

    fn evict(&mut self) {
        loop {
            let (count, bytes) = self.sizes(|it| !self.pinned.contains(it));
            if count <= self.count_max.max(1) && (bytes <= self.bytes_max || count <= 1) {
                return;
            }
            let loose = self.entries.iter().filter(|(it, _)| !self.pinned.contains(it));
            let oldest = loose.min_by_key(|(_, (used, _))| *used).map(|(digest, _)| *digest);
            let Some(oldest) = oldest else { return };
            self.entries.remove(&oldest);
        }
    }

    /// How many of the modules are `among`, and how large they are together.
    fn sizes(&self, among: impl Fn(&Digest) -> bool) -> (usize, usize) {
        let sizes = self.entries.iter().filter(|(it, _)| among(it)).map(|(_, (_, it))| it.bytes);
        sizes.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size))
    }
}

#[cfg(test)]
mod tests {
    use aura_protocol_core::descriptor::ModuleRole;

    use super::*;
    use crate::{HostError, Trapped, vm::Instance};

    struct Nothing;

    impl Compiled for Nothing {
        fn instance(&self) -> Result<Result<Box<dyn Instance + '_>, Trapped>, HostError> {
            Ok(Err(Trapped::Unreachable))
        }
        fn artifact(&self) -> Result<Vec<u8>, HostError> {
            Ok(vec![])
        }
    }

    fn ready(bytes: usize) -> Arc<Ready> {
        let descriptor = Descriptor {
            protocol: "a".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            abi: 1,
            role: ModuleRole::Protocol,
            capabilities: Default::default(),
            session_types: vec![],
            schema: Digest::ZERO.into(),
            uses: Default::default(),
            authors: String::new(),
            source: Digest::ZERO,
        };
        Arc::new(Ready { compiled: Arc::new(Nothing), descriptor, bytes })
    }

    #[track_caller]
    fn check(recent: &mut Recent, expect: &[u8]) {
        let kept: Vec<u8> = recent.entries.keys().map(|it| it.as_bytes()[0]).collect();
        assert_eq!(kept, expect);
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let digest = |it| Digest::from_bytes([it; 32]);
        let mut recent = Recent::new(2, 100);
        recent.insert(digest(1), ready(10));
        recent.insert(digest(2), ready(10));
        assert!(recent.find(digest(1)).is_some());
        recent.insert(digest(3), ready(10));
        check(&mut recent, &[1, 3]);
        recent.insert(digest(4), ready(95));
        check(&mut recent, &[4]);
        recent.insert(digest(4), ready(20));
        recent.insert(digest(5), ready(1000));
        check(&mut recent, &[5]);
        assert!(recent.find(digest(4)).is_none());
    }

    #[test]
    fn what_is_pinned_stays() {
        let digest = |it| Digest::from_bytes([it; 32]);
        let mut recent = Recent::new(2, 100);
        recent.insert(digest(1), ready(90));
        recent.pin(digest(1)).unwrap();
        for other in 2..6 {
            recent.insert(digest(other), ready(40));
        }
        check(&mut recent, &[1, 4, 5]);
        recent.unpin(digest(1));
        check(&mut recent, &[4, 5]);
        recent.insert(digest(7), ready(PINNED_BYTES_MAX + 1));
        let full = Full { found: PINNED_BYTES_MAX + 1, limit: PINNED_BYTES_MAX };
        assert_eq!(recent.pin(digest(7)), Err(full));
        assert!(!recent.is_pinned(digest(7)));
    }
}
