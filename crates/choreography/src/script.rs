//! A protocol as those who drive it see it.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::{future::Future, pin::Pin};

use aura_protocol_core::{Outcome, RecordWrite, encode};
use borsh::BorshSerialize;

use crate::{Cast, Cx, DeviceSet, GlobalType, Label, Members, Opening, Reason, Stop};

/// A script in flight at one device.
pub type Running = Pin<Box<dyn Future<Output = Result<Outcome, Stop>> + Send>>;

/// A protocol: its global type, and the one text that every device runs.
///
/// `#[choreography(Name)]` implements it for a linear `async fn` over the states that `session!`
/// generated; nobody else needs to.
pub trait Script: Send + Sync {
    /// The declared type.
    fn global(&self) -> &GlobalType;

    /// The text, at one device.
    fn run(&self, cx: Cx) -> Running;

    /// Whether `body` is what `label` may carry. Peer input: must not panic, whatever it is.
    fn accepts(&self, label: Label, body: &[u8]) -> bool;

    /// Whether each event of this label is for one device, with whose place its body begins.
    fn is_addressed(&self, _label: Label) -> bool {
        false
    }

    /// Who plays which role.
    ///
    /// # Errors
    /// [`Reason`] when the parameters make no sense to the protocol.
    fn cast(&self, opening: &Opening<'_>) -> Result<Cast, Reason>;
}

/// The roles of a type whose author resolves none: each `one` role is the opener, each `many` role is
/// everybody.
#[must_use]
pub fn default_cast(global: &GlobalType, opening: &Opening<'_>) -> Cast {
    let all = Members::of(opening.everyone());
    let member = |many: bool| if many { all } else { Members::one(opening.opener) };
    Cast { all, roles: global.roles.iter().map(|it| member(it.many)).collect() }
}

/// What a session may end with: the same at every device that finishes.
pub trait Conclude: Send + 'static {
    /// As its host understands it.
    fn conclude(self) -> Outcome;
}

/// A result, and the records that the session writes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Completed {
    /// The result, for whoever started the session.
    pub result: Vec<u8>,
    /// The records, all or none.
    pub batch: Vec<RecordWrite>,
}

impl Completed {
    /// The canonical encoding of a value as the result, and no records.
    #[must_use]
    pub fn of(value: &impl BorshSerialize) -> Self {
        Self { result: encode(value), batch: Vec::new() }
    }
}

impl Conclude for Completed {
    fn conclude(self) -> Outcome {
        Outcome::Completed { result: self.result, batch: self.batch }
    }
}

impl Conclude for String {
    fn conclude(self) -> Outcome {
        Outcome::Completed { result: self.into_bytes(), batch: Vec::new() }
    }
}

impl Conclude for Vec<u8> {
    fn conclude(self) -> Outcome {
        Outcome::Completed { result: self, batch: Vec::new() }
    }
}

macro_rules! conclude_encoded {
    ($($type:ty),*) => {
        $(impl Conclude for $type {
            fn conclude(self) -> Outcome {
                Completed::of(&self).conclude()
            }
        })*
    };
}

conclude_encoded!(
    (),
    bool,
    u8,
    u16,
    u32,
    u64,
    u128,
    i64,
    DeviceSet,
    [u8; 32],
    aura_protocol_core::Digest
);
