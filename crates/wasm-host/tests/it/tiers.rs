//! What stays compiled, what goes, and what is collected.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use aura_protocol_core::{Digest, limits::STEP_FUEL_MAX};
use aura_testkit::hostile;
use aura_wasm_host::{
    CallError, Compiled, Engine, HostError, HostOptions, ModuleHost, WasmerEngine,
    artifact::AuthenticArtifact, gate::Metered,
};

use crate::{guest, reference, signal};

/// Counts what it is asked to do.
#[derive(Default)]
struct Counting {
    compiled: Arc<AtomicUsize>,
    loaded: Arc<AtomicUsize>,
}

impl Engine for Counting {
    fn id(&self) -> String {
        WasmerEngine.id()
    }
    fn compile(&self, module: &Metered) -> Result<Arc<dyn Compiled>, HostError> {
        self.compiled.fetch_add(1, Ordering::SeqCst);
        WasmerEngine.compile(module)
    }
    fn load(&self, artifact: AuthenticArtifact) -> Result<Arc<dyn Compiled>, HostError> {
        self.loaded.fetch_add(1, Ordering::SeqCst);
        WasmerEngine.load(artifact)
    }
}

struct Small {
    host: ModuleHost,
    dir: tempfile::TempDir,
    compiled: Arc<AtomicUsize>,
    loaded: Arc<AtomicUsize>,
}

/// A host that keeps two modules in memory beside the pinned.
fn small() -> Small {
    let dir = tempfile::tempdir().unwrap();
    let engine = Counting::default();
    let (compiled, loaded) = (Arc::clone(&engine.compiled), Arc::clone(&engine.loaded));
    let engine = Box::new(engine);
    let options = HostOptions { engine, compiled_count_max: 2, ..HostOptions::default() };
    let host = ModuleHost::open_with(dir.path(), [5; 32], options).unwrap();
    Small { host, dir, compiled, loaded }
}

impl Small {
    fn prepare(&self, patch: u32) -> Digest {
        let bytes = hostile::hidden_counter("tier", &format!("1.0.{patch}"));
        self.host.prepare(&bytes, &reference(&bytes)).unwrap();
        Digest::of(&bytes)
    }

    fn call(&self, digest: Digest) {
        self.host.call(digest, &signal(b""), STEP_FUEL_MAX).unwrap();
    }

    fn counts(&self) -> (usize, usize) {
        (self.compiled.load(Ordering::SeqCst), self.loaded.load(Ordering::SeqCst))
    }
}

/// INV-H8: a pinned module is never compiled or loaded again, however many others come.
#[test]
fn a_pinned_module_stays() {
    let small = small();
    let pinned = small.prepare(0);
    small.host.pin(pinned).unwrap();
    let others: Vec<Digest> = (1..5).map(|it| small.prepare(it)).collect();
    assert_eq!(small.counts(), (5, 0));
    (0..3).for_each(|_| small.call(pinned));
    assert_eq!(small.counts(), (5, 0), "ready means compiled");
    small.call(others[0]);
    assert_eq!(small.counts(), (5, 1), "the others are loaded, not compiled");
    small.host.unpin(pinned);
    small.call(others[1]);
    small.call(others[2]);
    small.call(pinned);
    assert_eq!(small.counts(), (5, 4));
    let error = small.host.pin(Digest::ZERO).unwrap_err();
    assert!(matches!(error, CallError::NotPrepared { .. }));
}

/// INV-H8: only what nothing refers to is collected.
#[test]
fn collection_is_by_reference() {
    let small = small();
    let (active, rollback, old, pinned) =
        (small.prepare(0), small.prepare(1), small.prepare(2), small.prepare(3));
    small.host.pin(pinned).unwrap();
    let mark = small.host.mark();
    let new = small.prepare(4);
    let references = BTreeSet::from([active, rollback]);
    let collected = small.host.collect(&references, mark).unwrap();
    assert_eq!(collected.modules, [old]);
    assert!(1_000 < collected.bytes);
    for kept in [active, rollback, pinned, new] {
        small.call(kept);
    }
    assert!(!small.host.contains(old).unwrap());
    let name = format!("artifacts/{old}.bin");
    assert!(!small.dir.path().join(name).exists());
    let error = small.host.call(old, &signal(b""), 1).unwrap_err();
    assert!(matches!(error, CallError::NotPrepared { .. }), "{error}");
    // What was new is old at the next mark, and everything can be had again.
    let again = small.host.collect(&references, small.host.mark()).unwrap();
    assert_eq!(again.modules, [new]);
    small.host.unpin(pinned);
    let last = small.host.collect(&BTreeSet::new(), small.host.mark()).unwrap();
    assert_eq!(last.modules.len(), 3);
    assert_eq!(small.prepare(2), old);
    small.call(old);
}

/// INV-H8. Attack 35, a compile avalanche: however many threads ask for the same new module, it is compiled once.
#[test]
fn an_avalanche_compiles_once() {
    let small = small();
    let bytes = guest("counter-1-0-0");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| small.host.prepare(&bytes, &reference(&bytes)).unwrap());
        }
    });
    assert_eq!(small.counts().0, 1);
}

/// INV-H4: whoever looks into the log learns why a start took longer.
#[test]
fn a_dropped_artifact_is_logged() {
    let small = small();
    let digest = small.prepare(0);
    let path = small.dir.path().join(format!("artifacts/{digest}.bin"));
    let logged = |file: &[u8]| {
        std::fs::write(&path, file).unwrap();
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let host = ModuleHost::open(small.dir.path(), [5; 32]).unwrap();
        tracing::subscriber::with_default(subscriber, || host.describe(digest).unwrap());
        log.text()
    };
    let good = std::fs::read(&path).unwrap();
    assert_eq!(logged(&good), "");
    let mut stale = good.clone();
    stale[0] ^= 1;
    let log = logged(&stale);
    assert!(log.contains("WARN") && log.contains("behind another gate"), "{log}");
    let mut corrupt = good.clone();
    corrupt[100] ^= 1;
    let log = logged(&corrupt);
    assert!(log.contains("it is damaged") && log.contains(&digest.to_string()), "{log}");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
