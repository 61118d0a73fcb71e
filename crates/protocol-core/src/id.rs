//! Identifiers: each thing with an identity has its own type, so that none is passed for another.

use core::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize, io};

use crate::{
    Digest, ProtocolName,
    digest::{ParseHexError, parse_hex, read_32, write_hex},
};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
        pub struct $name([u8; 32]);

        impl BorshDeserialize for $name {
            fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
                read_32(reader).map(Self)
            }
        }

        impl $name {
            /// Wraps 32 bytes that already are this identifier.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first eight hexadecimal digits, for people; never for comparison.
            #[must_use]
            pub fn short(&self) -> alloc::string::String {
                Digest::from_bytes(self.0).short()
            }
        }

        impl From<Digest> for $name {
            fn from(digest: Digest) -> Self {
                Self(*digest.as_bytes())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}:{}", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseHexError;

            fn from_str(text: &str) -> Result<Self, ParseHexError> {
                parse_hex(text).map(Self)
            }
        }
    };
}

id!(
    /// An account: the hash of its genesis entry.
    AccountId
);
id!(
    /// A device of an account: the hash of the unit key that it was enrolled with.
    DeviceId
);
id!(
    /// An app: H(repository account ‖ protocol). An alias is only a label for it.
    AppId
);
id!(
    /// One run of a protocol among some devices.
    SessionId
);
id!(
    /// A record layout: the hash of the schema text that a descriptor carries.
    SchemaId
);

impl AppId {
    /// The app that `repository` publishes as `protocol`. The same name from another repository is
    /// another app.
    #[must_use]
    pub fn derive(repository: AccountId, protocol: &ProtocolName) -> Self {
        Digest::tagged("aura app id v1", &[repository.as_bytes(), protocol.as_str().as_bytes()])
            .into()
    }
}

impl DeviceId {
    /// The device that enrolled with this Ed25519 unit key.
    #[must_use]
    pub fn derive(unit_key: &[u8; 32]) -> Self {
        Digest::tagged("aura device id v1", &[unit_key]).into()
    }
}

impl SchemaId {
    /// The identity of a schema text.
    #[must_use]
    pub fn of(schema: &str) -> Self {
        Digest::tagged("aura record schema v1", &[schema.as_bytes()]).into()
    }
}
