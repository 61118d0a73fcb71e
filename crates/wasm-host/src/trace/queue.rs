//! What waits to be delivered, in the order in which it was said.

use std::{collections::VecDeque, rc::Rc};

use aura_protocol_core::{DeviceId, ProtocolInput};

use super::WAITING_BYTES_MAX;

/// Inputs on their way to devices; an event that goes to all is there once.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<(u8, Waiting)>,
    bytes: usize,
}

/// An input on its way.
pub(super) enum Waiting {
    /// To one device.
    Input(ProtocolInput),
    /// To all devices.
    Event(Rc<Event>),
}

/// What a device wrote.
pub(super) struct Event {
    pub author: DeviceId,
    pub label: String,
    pub payload: Vec<u8>,
}

impl Queue {
    /// Appends an input for `device`; false when there is too much.
    pub fn push(&mut self, device: u8, waiting: Waiting) -> bool {
        self.bytes += waiting.bytes();
        self.waiting.push_back((device, waiting));
        self.bytes <= WAITING_BYTES_MAX
    }

    /// The input that has waited longest, and whom it is for.
    pub fn pop(&mut self) -> Option<(u8, ProtocolInput)> {
        let (device, waiting) = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(waiting.bytes());
        Some((device, waiting.into_input()))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many inputs wait.
    pub fn len(&self) -> u64 {
        self.waiting.len() as u64
    }
}

impl Waiting {
    /// What it weighs: an event at each of its receivers, because each is given a copy in the end.
    fn bytes(&self) -> usize {
        match self {
            Self::Input(ProtocolInput::Reply { .. }) => super::LIST_BYTES_MAX,
            Self::Input(ProtocolInput::Signal(bytes)) => bytes.len(),
            Self::Input(_) => 0, // A start is delivered at once; a clock has no bytes.
            Self::Event(event) => event.label.len() + event.payload.len(),
        }
    }

    fn into_input(self) -> ProtocolInput {
        match self {
            Self::Input(input) => input,
            Self::Event(event) => ProtocolInput::Event {
                author: event.author,
                label: event.label.clone(),
                payload: event.payload.clone(),
            },
        }
    }
}
