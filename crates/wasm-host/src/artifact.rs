//! Compiled code on disk, under a key. Machine code that somebody else wrote would run as us, so
//! nothing is loaded whose MAC does not cover everything that the code depends on.
//!
//! A file is `context (32) ‖ mac (32) ‖ code`. The context is a digest of module, engine and gate;
//! the MAC is BLAKE3 keyed for this purpose, over the context and the code. The context alone would
//! not be believed; it only tells what is out of date from what is damaged.

use aura_protocol_core::Digest;

use crate::gate;

const HEADER_BYTES: usize = 64;

/// A compiled module that is this program's own work: its MAC was right, or it comes from a child of
/// this program. Nothing else makes one, which is what makes loading it sound.
#[derive(Debug)]
pub struct AuthenticArtifact {
    code: Vec<u8>,
}

impl AuthenticArtifact {
    /// What a child of this program compiled just now.
    pub(crate) const fn of_child(code: Vec<u8>) -> Self {
        Self { code }
    }

    /// The code.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.code
    }

    /// The code's length.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.code.len()
    }

    /// Whether there is no code.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.code.is_empty()
    }
}

/// Why an artifact is not loaded. It is dropped, and the module compiled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("it was compiled by another engine, for another processor, or behind another gate")]
    Stale,
    #[error("it is damaged, or was not written with this device's key")]
    Corrupt,
}

/// Writes and opens the artifacts of one device and one engine.
pub(crate) struct Seal {
    key: [u8; 32],
    engine_id: String,
}

impl Seal {
    /// `key` is the device's secret; the engine's id names all that its artifacts depend on.
    pub(crate) fn new(key: &[u8; 32], engine_id: String) -> Self {
        Self { key: blake3::derive_key("aura wasm artifact v1", key), engine_id }
    }

    pub(crate) fn close(&self, module: Digest, code: &[u8]) -> Vec<u8> {
        let context = self.context(module);
        let mac = self.mac(&context, code);
        [context.as_bytes().as_slice(), mac.as_bytes(), code].concat()
    }

    /// Takes the file's bytes, so that what is verified is what is loaded.
    pub(crate) fn open(
        &self,
        module: Digest,
        mut file: Vec<u8>,
    ) -> Result<AuthenticArtifact, Unusable> {
        let header = file.first_chunk::<HEADER_BYTES>().ok_or(Unusable::Corrupt)?;
        let (context, mac) = header.split_at(32);
        let expected = self.context(module);
        if context != expected.as_bytes() {
            return Err(Unusable::Stale);
        }
        let mac: [u8; 32] = mac.try_into().map_err(|_| Unusable::Corrupt)?;
        let code = file.get(HEADER_BYTES..).ok_or(Unusable::Corrupt)?;
        // Comparison of `blake3::Hash` takes the same time wherever they differ.
        if self.mac(&expected, code) != blake3::Hash::from_bytes(mac) {
            return Err(Unusable::Corrupt);
        }
        file.drain(..HEADER_BYTES);
        Ok(AuthenticArtifact { code: file })
    }

    fn context(&self, module: Digest) -> Digest {
        Digest::tagged(
            "aura wasm artifact context v1",
            &[
                module.as_bytes(),
                self.engine_id.as_bytes(),
                &gate::VERSION.to_le_bytes(),
                &gate::fuel::FUEL_SCHEDULE_VERSION.to_le_bytes(),
            ],
        )
    }

    /// The context has a fixed length, so the split between the two is unambiguous.
    fn mac(&self, context: &Digest, code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(context.as_bytes()).update(code);
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: Digest = Digest::from_bytes([1; 32]);

    fn seal(key: u8, engine: &str) -> Seal {
        Seal::new(&[key; 32], engine.to_owned())
    }

    /// INV-H4
    #[test]
    fn what_was_closed_opens() {
        let file = seal(1, "e").close(MODULE, b"code");
        assert_eq!(seal(1, "e").open(MODULE, file).unwrap().into_bytes(), b"code");
    }

    /// INV-H4
    #[test]
    fn nothing_else_opens() {
        let file = seal(1, "e").close(MODULE, b"code");
        let check = |seal: Seal, module, file: &[u8], expect| {
            assert_eq!(seal.open(module, file.to_vec()).unwrap_err(), expect);
        };
        check(seal(2, "e"), MODULE, &file, Unusable::Corrupt);
        check(seal(1, "f"), MODULE, &file, Unusable::Stale);
        check(seal(1, "e"), Digest::ZERO, &file, Unusable::Stale);
        check(seal(1, "e"), MODULE, &file[..63], Unusable::Corrupt);
        check(seal(1, "e"), MODULE, &[], Unusable::Corrupt);
        for index in 0..file.len() {
            let mut flipped = file.clone();
            flipped[index] ^= 0x40;
            assert!(seal(1, "e").open(MODULE, flipped).is_err(), "byte {index}");
        }
    }
}
