//! The three notions of time, as three types that do not mix (`02-ledger`, section 3).
//!
//! - [`Lamport`] orders; it is revisable and never decides anything irreversible.
//! - [`Epoch`] is the quorum clock: timeouts inside a session.
//! - [`UnixTime`] is what a person means by time; it binds only through votes.

use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize};

macro_rules! time {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, BorshSerialize,
            BorshDeserialize,
        )]
        pub struct $name(pub u64);

        impl $name {
            /// The value `count` later, or the last one there is.
            #[must_use]
            pub const fn saturating_add(self, count: u64) -> Self {
                Self(self.0.saturating_add(count))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

time!(
    /// Causal height of a unit: 1 + the greatest of its parents'.
    Lamport
);
time!(
    /// A tick of the quorum clock.
    Epoch
);
time!(
    /// Seconds since 1970-01-01T00:00:00Z, by the clock of the device that votes.
    UnixTime
);
