//! A module's descriptor as a constant, and its canonical encoding at compile time.
//!
//! The section `aura.descriptor` is a static that the linker places, so its bytes must be known
//! before the program runs, and borsh does not run then. [`DescriptorConst`] writes the same bytes
//! (INV-S1), so that plain `cargo build` makes a complete module (docs/decisions/0011).

use alloc::vec::Vec;

use aura_protocol_core::{Capability, Descriptor, abi, decode, limits};

/// Implemented by the type that a module exports: what the module says of itself.
pub trait Described {
    /// The descriptor. Its encoding becomes the module's section and its answer to `Describe`.
    const DESCRIPTOR: DescriptorConst;
}

/// [`Descriptor`] in types that exist at compile time. The interface version is the SDK's.
#[derive(Debug, Clone, Copy)]
pub struct DescriptorConst {
    /// The protocol's name.
    pub protocol: &'static str,
    /// Major, minor and patch of the version that the module implements, or migrates to.
    pub version: [u16; 3],
    /// What the module is for.
    pub role: RoleConst,
    /// The rights that it asks for, ascending and without repetition.
    pub capabilities: &'static [Capability],
    /// Its session types.
    pub session_types: &'static [&'static [u8]],
    /// The layout of its records: [`SchemaId::of`](aura_protocol_core::SchemaId::of) its text.
    pub schema: [u8; 32],
    /// Other protocols that it runs sessions of, ascending and without repetition.
    pub uses: &'static [&'static str],
    /// Who wrote it, for people.
    pub authors: &'static str,
    /// The digest of the source that it is built from; zero where the build does not say.
    pub source: [u8; 32],
}

/// [`ModuleRole`](aura_protocol_core::descriptor::ModuleRole) at compile time.
#[derive(Debug, Clone, Copy)]
pub enum RoleConst {
    /// It runs sessions.
    Protocol,
    /// It migrates records.
    Migration {
        /// The requirement on the versions whose records it reads.
        from: &'static str,
        /// The layout of those records.
        from_schema: [u8; 32],
        /// Whether it has a `backward`.
        reversible: bool,
    },
}

impl DescriptorConst {
    /// The same descriptor with these session types.
    #[must_use]
    pub const fn with_session_types(self, session_types: &'static [&'static [u8]]) -> Self {
        Self { session_types, ..self }
    }

    /// The length of the encoding.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        let mut counter = Writer { bytes: None, at: 0 };
        self.write(&mut counter);
        counter.at
    }

    /// The canonical encoding; `N` is [`Self::encoded_len`].
    ///
    /// # Panics
    /// At compile time, when used for a constant as it is meant to be: if `N` is another length, or
    /// if the descriptor is one that no host would accept.
    #[must_use]
    pub const fn encode<const N: usize>(&self) -> [u8; N] {
        self.assert_acceptable();
        assert!(self.encoded_len() == N, "N is not the length of the encoding");
        let mut bytes = [0; N];
        self.write(&mut Writer { bytes: Some(&mut bytes), at: 0 });
        bytes
    }

    /// The same descriptor in the host's type, for native use of the protocol.
    ///
    /// # Panics
    /// If the descriptor is one that no host would accept. [`Self::encode`] finds that at compile
    /// time, but for the grammar of a requirement.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a constant of the caller's own source")]
    pub fn descriptor(&self) -> Descriptor {
        let mut bytes = Vec::new();
        self.append_to(&mut bytes);
        decode(&bytes, limits::DESCRIPTOR_BYTES_MAX).expect("an acceptable descriptor")
    }

    /// Appends the encoding to `bytes`.
    pub(crate) fn append_to(&self, bytes: &mut Vec<u8>) {
        let at = bytes.len();
        bytes.resize(at + self.encoded_len(), 0);
        self.write(&mut Writer { bytes: Some(bytes), at });
    }

    /// The fields in the order of [`Descriptor`], which is the order of their encoding.
    const fn write(&self, out: &mut Writer<'_>) {
        out.text(self.protocol);
        out.u16(self.version[0]);
        out.u16(self.version[1]);
        out.u16(self.version[2]);
        out.u16(abi::VERSION);
        match &self.role {
            RoleConst::Protocol => out.byte(0),
            RoleConst::Migration { from, from_schema, reversible } => {
                out.byte(1);
                out.text(from);
                out.all(from_schema);
                out.byte(*reversible as u8);
            }
        }
        out.u32(self.capabilities.len());
        let mut rest = self.capabilities;
        while let [first, tail @ ..] = rest {
            out.byte(*first as u8);
            rest = tail;
        }
        out.u32(self.session_types.len());
        let mut rest = self.session_types;
        while let [first, tail @ ..] = rest {
            out.u32(first.len());
            out.all(first);
            rest = tail;
        }
        out.all(&self.schema);
        out.u32(self.uses.len());
        let mut rest = self.uses;
        while let [first, tail @ ..] = rest {
            out.text(first);
            rest = tail;
        }
        out.text(self.authors);
        out.all(&self.source);
    }

    const fn assert_acceptable(&self) {
        assert!(
            self.encoded_len() <= limits::DESCRIPTOR_BYTES_MAX,
            "the descriptor is longer than DESCRIPTOR_BYTES_MAX"
        );
        assert!(is_name(self.protocol), "`protocol` is no protocol name");
        let mut rest = self.uses;
        while let [first, tail @ ..] = rest {
            assert!(is_name(first), "`uses` has what is no protocol name");
            if let [second, ..] = tail {
                assert!(is_less(first, second), "`uses` must ascend");
            }
            rest = tail;
        }
        let mut rest = self.capabilities;
        while let [first, tail @ ..] = rest {
            if let [second, ..] = tail {
                assert!((*first as u8) < (*second as u8), "`capabilities` must ascend");
            }
            rest = tail;
        }
    }
}

/// Writes values one after the other as borsh does; without `bytes`, only counts.
struct Writer<'a> {
    bytes: Option<&'a mut [u8]>,
    at: usize,
}

impl Writer<'_> {
    #[expect(clippy::indexing_slicing, reason = "the caller sized it with `encoded_len`")]
    const fn byte(&mut self, byte: u8) {
        if let Some(bytes) = &mut self.bytes {
            bytes[self.at] = byte;
        }
        self.at += 1;
    }

    const fn all(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let [first, tail @ ..] = rest {
            self.byte(*first);
            rest = tail;
        }
    }

    const fn u16(&mut self, value: u16) {
        self.all(&value.to_le_bytes());
    }

    /// A length, as borsh writes it.
    const fn u32(&mut self, value: usize) {
        assert!(value <= limits::DESCRIPTOR_BYTES_MAX, "a list or text is too long");
        self.all(&(value as u32).to_le_bytes());
    }

    const fn text(&mut self, text: &str) {
        self.u32(text.len());
        self.all(text.as_bytes());
    }
}

/// The grammar of [`ProtocolName`](aura_protocol_core::ProtocolName).
const fn is_name(name: &str) -> bool {
    if limits::NAME_BYTES_MAX < name.len() {
        return false;
    }
    let mut starts_part = true;
    let mut rest = name.as_bytes();
    while let [first, tail @ ..] = rest {
        match *first {
            b'a'..=b'z' => starts_part = false,
            b'0'..=b'9' | b'-' if !starts_part => {}
            b'.' if !starts_part => starts_part = true,
            _ => return false,
        }
        rest = tail;
    }
    !starts_part
}

const fn is_less(left: &str, right: &str) -> bool {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        match (left, right) {
            ([a, left_tail @ ..], [b, right_tail @ ..]) if *a == *b => {
                left = left_tail;
                right = right_tail;
            }
            ([a, ..], [b, ..]) => return *a < *b,
            ([], [_, ..]) => return true,
            _ => return false,
        }
    }
}
