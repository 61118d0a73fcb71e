//! What interpreted scripts say, and what they ask who runs them.

use aura_choreography::{DeviceSet, Payload};
use borsh::{BorshDeserialize, BorshSerialize};

/// How long a wait without a deadline lasts: the runtime knows none for deciders.
pub(super) const NEVER: u32 = u32::MAX;

/// The payload of every label: its layout's name, and the devices that a decision names.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Payload)]
pub(super) struct Said {
    pub(super) layout: String,
    pub(super) devices: DeviceSet,
}

impl Said {
    pub(super) fn of(layout: &str, devices: DeviceSet) -> Self {
        Self { layout: layout.to_owned(), devices }
    }

    pub(super) const fn devices(&self) -> DeviceSet {
        self.devices
    }
}

/// What every device asks its host before a decision, and before a step that it may decline. Only those
/// whom it concerns get an answer that matters.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Question {
    /// Who answers.
    pub(super) who: DeviceSet,
    /// What can be said, with the prefix of the part.
    pub(super) ways: Vec<String>,
    /// If the last way is to decline the first: in which round.
    pub(super) declines: Option<u32>,
}

/// What a device is told to do.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Told {
    /// Which of the ways.
    pub(super) way: u8,
    /// Which devices to name; without, all whom it heard.
    pub(super) devices: Option<DeviceSet>,
}
