//! The compiled modules that are kept in memory: those used last, up to a number and a size.

use std::{collections::BTreeMap, sync::Arc};

use aura_protocol_core::{Descriptor, Digest};

use crate::engine::Compiled;

/// A module that can be called at once.
pub(crate) struct Ready {
    pub(crate) compiled: Arc<dyn Compiled>,
    pub(crate) descriptor: Descriptor,
    /// About how much memory it takes.
    pub(crate) bytes: usize,
}

/// Least recently used goes first. A module that is being called stays alive until the call ends.
pub(crate) struct Recent {
    entries: BTreeMap<Digest, (u64, Arc<Ready>)>,
    uses: u64,
    bytes: usize,
    count_max: usize,
    bytes_max: usize,
}

impl Recent {
    pub(crate) const fn new(count_max: usize, bytes_max: usize) -> Self {
        Self { entries: BTreeMap::new(), uses: 0, bytes: 0, count_max, bytes_max }
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
        self.bytes += ready.bytes;
        if let Some((_, old)) = self.entries.insert(digest, (self.uses, ready)) {
            self.bytes -= old.bytes;
        }
        while self.count_max < self.entries.len() || self.bytes_max < self.bytes {
            let oldest = self.entries.iter().min_by_key(|(_, (used, _))| *used);
            let Some(oldest) = oldest.map(|(digest, _)| *digest).filter(|it| *it != digest) else {
                return;
            };
            if let Some((_, dropped)) = self.entries.remove(&oldest) {
                self.bytes -= dropped.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aura_protocol_core::descriptor::ModuleRole;

    use super::*;
    use crate::{CallOutput, HostError, Trapped};

    struct Nothing;

    impl Compiled for Nothing {
        fn call(&self, _: &[u8], _: u64) -> Result<Result<CallOutput, Trapped>, HostError> {
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
        assert_eq!(recent.bytes, recent.entries.values().map(|it| it.1.bytes).sum::<usize>());
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
}
