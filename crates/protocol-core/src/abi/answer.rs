//! What a module answers its host, written in little code.
//!
//! It writes what borsh writes of a [`Reply`](super::Reply) (INV-B2), without a result at each field:
//! writing to memory does not fail (docs/decisions/0116).

use alloc::{string::String, vec::Vec};

use crate::{
    DeviceId, Epoch, Outcome, ProtocolEffect, ProtocolError, ProtocolName, ProtocolStep, RecordKey,
    RecordWrite,
    migration::{Migrated, RecordBody},
};

/// [`Reply::Stepped`](super::Reply::Stepped).
#[must_use]
pub fn stepped(state: &Vec<u8>, step: &ProtocolStep) -> Vec<u8> {
    let mut answer = Answer(alloc::vec![1]);
    state.write(&mut answer);
    step.write(&mut answer);
    answer.0
}

/// [`Reply::Forward`](super::Reply::Forward).
#[must_use]
pub fn forward(migrated: &Migrated) -> Vec<u8> {
    of(2, migrated)
}

/// [`Reply::Backward`](super::Reply::Backward).
#[must_use]
pub fn backward(record: &RecordBody) -> Vec<u8> {
    of(3, record)
}

/// [`Reply::Failed`](super::Reply::Failed).
#[must_use]
pub fn failed(error: &ProtocolError) -> Vec<u8> {
    of(4, error)
}

/// [`Reply::Unsupported`](super::Reply::Unsupported).
#[must_use]
pub fn unsupported() -> Vec<u8> {
    alloc::vec![5]
}

fn of(tag: u8, value: &impl Write) -> Vec<u8> {
    let mut answer = Answer(alloc::vec![tag]);
    value.write(&mut answer);
    answer.0
}

/// A value that a module answers with.
trait Write {
    /// Appends its encoding.
    fn write(&self, to: &mut Answer);
}

/// The bytes of an answer so far.
struct Answer(Vec<u8>);

impl Answer {
    #[inline(never)]
    fn all(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn tag(&mut self, tag: u8) {
        self.all(&[tag]);
    }

    /// A length, as borsh writes it. No memory of a module holds more.
    fn count(&mut self, count: usize) {
        self.all(&(count as u32).to_le_bytes());
    }

    /// Bytes behind their length.
    #[inline(never)]
    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.all(bytes);
    }

    fn list<T: Write>(&mut self, list: &[T]) {
        self.count(list.len());
        list.iter().for_each(|it| it.write(self));
    }
}

impl Write for Vec<u8> {
    fn write(&self, to: &mut Answer) {
        to.bytes(self);
    }
}

impl Write for String {
    fn write(&self, to: &mut Answer) {
        to.bytes(self.as_bytes());
    }
}

impl Write for RecordKey {
    fn write(&self, to: &mut Answer) {
        to.bytes(&self.0);
    }
}

impl Write for ProtocolName {
    fn write(&self, to: &mut Answer) {
        to.bytes(self.as_str().as_bytes());
    }
}

impl Write for DeviceId {
    fn write(&self, to: &mut Answer) {
        to.all(self.as_bytes());
    }
}

impl Write for Epoch {
    fn write(&self, to: &mut Answer) {
        to.all(&self.0.to_le_bytes());
    }
}

impl<T: Write> Write for Option<T> {
    fn write(&self, to: &mut Answer) {
        to.tag(self.is_some().into());
        if let Some(it) = self {
            it.write(to);
        }
    }
}

impl Write for ProtocolStep {
    fn write(&self, to: &mut Answer) {
        to.list(&self.effects);
        self.wake.write(to);
        self.outcome.write(to);
    }
}

impl Write for ProtocolEffect {
    fn write(&self, to: &mut Answer) {
        match self {
            Self::Append { label, payload } => {
                to.tag(0);
                label.write(to);
                payload.write(to);
            }
            Self::GetRecord(key) => {
                to.tag(1);
                key.write(to);
            }
            Self::ListRecords { prefix, after, limit } => {
                to.tag(2);
                prefix.write(to);
                after.write(to);
                to.all(&limit.to_le_bytes());
            }
            Self::Use { capability, bytes } => {
                to.tag(3);
                to.tag(*capability as u8);
                bytes.write(to);
            }
            Self::RunSubProtocol { protocol, params } => {
                to.tag(4);
                protocol.write(to);
                params.write(to);
            }
            Self::Log(line) => {
                to.tag(5);
                line.write(to);
            }
        }
    }
}

impl Write for Outcome {
    fn write(&self, to: &mut Answer) {
        match self {
            Self::Completed { result, batch } => {
                to.tag(0);
                result.write(to);
                to.list(batch);
            }
            Self::Aborted { reason } => {
                to.tag(1);
                reason.write(to);
            }
            Self::Left { reason } => {
                to.tag(2);
                reason.write(to);
            }
        }
    }
}

impl Write for RecordWrite {
    fn write(&self, to: &mut Answer) {
        self.key.write(to);
        self.bytes.write(to);
    }
}

impl Write for RecordBody {
    fn write(&self, to: &mut Answer) {
        to.all(self.schema.as_bytes());
        self.key.write(to);
        self.bytes.write(to);
    }
}

impl Write for Migrated {
    fn write(&self, to: &mut Answer) {
        match self {
            Self::Records(records) => {
                to.tag(0);
                to.list(records);
            }
            Self::Quarantine { reason } => {
                to.tag(1);
                reason.write(to);
            }
        }
    }
}

impl Write for ProtocolError {
    fn write(&self, to: &mut Answer) {
        match self {
            Self::BadState => to.tag(0),
            Self::BadEvent { culprit, label, reason } => {
                to.tag(1);
                culprit.write(to);
                label.write(to);
                reason.write(to);
            }
            Self::BadInput { reason } => {
                to.tag(2);
                reason.write(to);
            }
            Self::Unexpected { reason } => {
                to.tag(3);
                reason.write(to);
            }
            Self::Irreversible => to.tag(4),
        }
    }
}
