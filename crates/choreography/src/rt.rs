//! What the code that the macros write names, beside the public API.

pub use alloc::{boxed::Box, vec, vec::Vec};

use aura_protocol_core::{decode, limits::UNIT_BODY_BYTES_MAX};

pub use crate::cx::{Choose, Decide, Group, LastWord, Part, Quorum, finish, maps, start};
use crate::{Body, Exit, Payload, Reason, Stop};

/// Whether bytes are the one encoding of a payload.
#[must_use]
pub fn is<T: Payload>(body: &[u8]) -> bool {
    decode::<T>(body, UNIT_BODY_BYTES_MAX).is_ok()
}

/// A payload as what is said.
pub fn body(said: &impl Payload) -> Body {
    Body::of(said)
}

/// What is said whatever happens.
#[must_use]
pub fn last_word<T: Payload + From<Exit>>(exit: &Exit) -> Body {
    body(&T::from(exit.clone()))
}

/// A choice led to what is no branch of it. Its own step sees to that it does not.
#[must_use]
pub fn no_branch() -> Stop {
    Stop::Failed(Reason::InvalidState("a choice led nowhere".into()))
}
