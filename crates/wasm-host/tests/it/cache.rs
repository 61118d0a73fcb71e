//! Compiled code on disk: what is not ours is dropped and built again, and never run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aura_protocol_core::Digest;
use aura_wasm_host::{CallError, Engine, ModuleHost, PrepareError, WasmerEngine};

use crate::{counter, guest, reference};

const KEY: [u8; 32] = [3; 32];

struct Prepared {
    dir: tempfile::TempDir,
    bytes: Vec<u8>,
    digest: Digest,
    trace: Digest,
}

fn prepared() -> Prepared {
    let dir = tempfile::tempdir().unwrap();
    let bytes = guest("counter-1-0-0");
    let digest = Digest::of(&bytes);
    let host = open(dir.path());
    host.prepare(&bytes, &reference(&bytes)).unwrap();
    let trace = counter::trace(&host, digest);
    Prepared { dir, bytes, digest, trace }
}

fn open(dir: &Path) -> ModuleHost {
    ModuleHost::open(dir, KEY).unwrap()
}

impl Prepared {
    fn artifact(&self) -> PathBuf {
        self.dir.path().join("artifacts").join(format!("{}.bin", self.digest))
    }

    fn module(&self) -> PathBuf {
        self.dir.path().join("modules").join(format!("{}.wasm", self.digest))
    }

    /// The module still does what it did, and the artifact on disk is a good one again.
    #[track_caller]
    fn check_rebuilt(&self, good: &[u8]) {
        assert_eq!(counter::trace(&open(self.dir.path()), self.digest), self.trace);
        let again = fs::read(self.artifact()).unwrap();
        assert_eq!(again[..32], good[..32], "the context");
        assert_eq!(counter::trace(&open(self.dir.path()), self.digest), self.trace);
        assert_eq!(fs::read(self.artifact()).unwrap(), again, "loaded, not built once more");
    }
}

/// INV-H4
#[test]
fn a_good_artifact_is_loaded_not_built() {
    let prepared = prepared();
    let before = fs::metadata(prepared.artifact()).unwrap().modified().unwrap();
    let host = open(prepared.dir.path());
    assert_eq!(counter::trace(&host, prepared.digest), prepared.trace);
    host.prepare(&prepared.bytes, &reference(&prepared.bytes)).unwrap();
    assert_eq!(fs::metadata(prepared.artifact()).unwrap().modified().unwrap(), before);
}

/// INV-H4. Attack 34, a poisoned artifact: wherever a bit of the artifact flips, the code is built again and not run.
#[test]
fn a_flipped_artifact_is_built_again() {
    let prepared = prepared();
    let good = fs::read(prepared.artifact()).unwrap();
    for at in [0, 31, 32, 63, 64, 65, good.len() / 3, good.len() / 2, good.len() - 1] {
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        fs::write(prepared.artifact(), &flipped).unwrap();
        prepared.check_rebuilt(&good);
    }
    for cut in [0, 40, 64, good.len() - 1] {
        fs::write(prepared.artifact(), &good[..cut]).unwrap();
        prepared.check_rebuilt(&good);
    }
    fs::remove_file(prepared.artifact()).unwrap();
    prepared.check_rebuilt(&good);
}

/// INV-H4. Attack 34: an artifact of another device, or of another module, is not ours.
#[test]
fn a_foreign_artifact_is_built_again() {
    let prepared = prepared();
    let good = fs::read(prepared.artifact()).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = ModuleHost::open(elsewhere.path(), [4; 32]).unwrap();
    stranger.prepare(&prepared.bytes, &reference(&prepared.bytes)).unwrap();
    let name = format!("artifacts/{}.bin", prepared.digest);
    fs::copy(elsewhere.path().join(name), prepared.artifact()).unwrap();
    prepared.check_rebuilt(&good);
    let other = guest("counter-2-0-0");
    open(prepared.dir.path()).prepare(&other, &reference(&other)).unwrap();
    let name = format!("artifacts/{}.bin", Digest::of(&other));
    fs::copy(prepared.dir.path().join(name), prepared.artifact()).unwrap();
    prepared.check_rebuilt(&good);
}

#[test]
fn a_damaged_module_is_as_if_never_prepared() {
    let prepared = prepared();
    let mut damaged = prepared.bytes.clone();
    damaged[100] ^= 1;
    fs::write(prepared.module(), &damaged).unwrap();
    let host = open(prepared.dir.path());
    assert_eq!(host.bytes(prepared.digest).unwrap(), None);
    assert!(!prepared.module().exists());
    assert!(!host.contains(prepared.digest).unwrap());
    let error = host.describe(prepared.digest).unwrap_err();
    assert!(matches!(error, CallError::NotPrepared { .. }), "{error:?}");
    host.prepare(&prepared.bytes, &reference(&prepared.bytes)).unwrap();
    assert_eq!(host.bytes(prepared.digest).unwrap().as_deref(), Some(prepared.bytes.as_slice()));
    assert_eq!(counter::trace(&host, prepared.digest), prepared.trace);
}

/// Wrong bytes are refused also where the right ones are prepared already.
#[test]
fn preparing_again_still_checks_the_bytes() {
    let prepared = prepared();
    let host = open(prepared.dir.path());
    let mut tampered = prepared.bytes.clone();
    tampered[1000] ^= 1;
    let error = host.prepare(&tampered, &reference(&prepared.bytes)).unwrap_err();
    assert_eq!(error.code(), "DigestMismatch");
    assert!(matches!(error, PrepareError::Refused(_)));
    host.prepare(&prepared.bytes, &reference(&prepared.bytes)).unwrap();
}

#[test]
fn what_a_crash_left_is_cleared() {
    let prepared = prepared();
    let unfinished = prepared.dir.path().join("modules/1-0.tmp");
    fs::write(&unfinished, b"half").unwrap();
    let host = open(prepared.dir.path());
    assert!(!unfinished.exists());
    assert!(host.contains(prepared.digest).unwrap());
}

/// The engine's id names the version that Cargo.toml pins.
#[test]
fn the_engine_id_is_up_to_date() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    let pinned = manifest.split("wasmer = { version = \"=").nth(1).unwrap();
    let pinned = pinned.split('"').next().unwrap();
    assert!(WasmerEngine.id().contains(&format!("wasmer {pinned} ")), "{}", WasmerEngine.id());
}
