//! A complete module as text, but for the part that a test replaces.
//!
//! A text here that is no module is a mistake of the test that wrote it, so it panics there.

#![expect(clippy::expect_used, reason = "a mistake in a test's own text fails that test")]

use aura_protocol_core::{
    Descriptor, Digest, SchemaId,
    abi::{self, Reply},
    descriptor::ModuleRole,
    encode,
};

/// Where the answer to `Describe` lies, and where the input goes.
const DESCRIBED_AT: u64 = 8;
const INPUT_AT: u32 = 4096;

/// A module that is in order until something in it is replaced.
#[derive(Debug, Clone)]
pub struct Frame {
    section: Option<Vec<u8>>,
    described: Vec<u8>,
    head: String,
    memory: String,
    marker: String,
    input: String,
    step: Option<String>,
    body: String,
    tail: String,
}

impl Frame {
    /// A module of `protocol` `version` that answers `Describe`, and panics on all else.
    ///
    /// # Panics
    /// If name or version is malformed.
    #[must_use]
    pub fn new(protocol: &str, version: &str) -> Self {
        let descriptor = descriptor(protocol, version);
        Self {
            section: Some(encode(&descriptor)),
            described: encode(&Reply::Described(descriptor)),
            head: String::new(),
            memory: "(memory (export \"memory\") 2)".to_owned(),
            marker: "(func (export \"aura_abi_1\"))".to_owned(),
            input: format!("i32.const {INPUT_AT}"),
            step: None,
            body: "unreachable".to_owned(),
            tail: String::new(),
        }
    }

    /// What stands at the module's beginning: imports.
    #[must_use]
    pub fn head(mut self, text: &str) -> Self {
        self.head = text.to_owned();
        self
    }

    /// The memory and its export.
    #[must_use]
    pub fn memory(mut self, text: &str) -> Self {
        self.memory = text.to_owned();
        self
    }

    /// The interface marker.
    #[must_use]
    pub fn marker(mut self, text: &str) -> Self {
        self.marker = text.to_owned();
        self
    }

    /// What `aura_in` does with its parameter 0, the length.
    #[must_use]
    pub fn input(mut self, text: &str) -> Self {
        self.input = text.to_owned();
        self
    }

    /// The whole of `aura_step`.
    #[must_use]
    pub fn step(mut self, text: &str) -> Self {
        self.step = Some(text.to_owned());
        self
    }

    /// What `aura_step` does with anything but `Describe`: parameters 0 and 1 are the input's
    /// address and length, and locals come first.
    #[must_use]
    pub fn body(mut self, text: &str) -> Self {
        self.body = text.to_owned();
        self
    }

    /// What else the module has.
    #[must_use]
    pub fn tail(mut self, text: &str) -> Self {
        self.tail = text.to_owned();
        self
    }

    /// The content of the descriptor's section.
    #[must_use]
    pub fn section(mut self, section: Option<Vec<u8>>) -> Self {
        self.section = section;
        self
    }

    /// The module's bytes.
    ///
    /// # Panics
    /// If the text is no module.
    #[must_use]
    #[track_caller]
    pub fn build(&self) -> Vec<u8> {
        let Self { head, memory, marker, input, tail, .. } = self;
        let step = self.step.clone().unwrap_or_else(|| self.step_text());
        let text = format!(
            "(module {head} {memory} {marker}
               (data (i32.const {DESCRIBED_AT}) \"{}\")
               (func (export \"aura_in\") (param i32) (result i32) {input})
               {step} {tail})",
            escape(&self.described)
        );
        let mut bytes = wat::parse_str(text).expect("the text of a module");
        if let Some(section) = &self.section {
            append_section(&mut bytes, section);
        }
        bytes
    }

    /// The third byte of an envelope says what is asked for; 0 is `Describe`. A leading declaration
    /// of locals stays in front.
    fn step_text(&self) -> String {
        let (locals, body) = match self.body.split_once("(do)") {
            Some((locals, body)) => (locals, body),
            None => ("", self.body.as_str()),
        };
        let described = DESCRIBED_AT | (self.described.len() as u64) << 32;
        format!(
            "(func (export \"aura_step\") (param i32 i32) (result i64) {locals}
               (if (i32.eqz (i32.load8_u offset=2 (local.get 0)))
                 (then (return (i64.const {described}))))
               {body})"
        )
    }
}

/// The descriptor of a hostile module.
pub(super) fn descriptor(protocol: &str, version: &str) -> Descriptor {
    Descriptor {
        protocol: protocol.parse().expect("a protocol name"),
        version: version.parse().expect("a version"),
        abi: abi::VERSION,
        role: ModuleRole::Protocol,
        capabilities: Default::default(),
        session_types: vec![],
        schema: SchemaId::from_bytes([0; 32]),
        uses: Default::default(),
        authors: String::new(),
        source: Digest::ZERO,
    }
}

/// `bytes` as the inside of a text literal.
pub(super) fn escape(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("\\{it:02x}")).collect()
}

/// Appends the descriptor's section; custom sections may stand at the end.
pub(super) fn append_section(module: &mut Vec<u8>, content: &[u8]) {
    let name = abi::DESCRIPTOR_SECTION.as_bytes();
    let mut section = leb128(name.len());
    section.extend_from_slice(name);
    section.extend_from_slice(content);
    module.push(0);
    module.extend(leb128(section.len()));
    module.extend(section);
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
