//! What a message may carry, and how its layout is told apart from another's.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};

use aura_protocol_core::{AccountId, AppId, DeviceId, Digest, Epoch, SessionId, UnixTime};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{Dev, DeviceSet, Exit, Reason};

/// The layout of a payload, as a tree that exists at compile time. Two payloads of one layout are
/// encoded alike; types whose layouts differ are different messages to another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The name of the type.
    pub head: &'static str,
    /// How its parts are written.
    pub shape: Shape,
    /// The parts: a name, empty where there is none, and its layout.
    pub parts: &'static [(&'static str, &'static Layout)],
}

/// How the parts of a layout are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `head`
    Leaf,
    /// `head<part,part>`
    Generic,
    /// `head{name:part,name:part}`
    Fields,
    /// `head[name:part,name:part]`: one of them.
    Variants,
}

impl Layout {
    /// A type without parts.
    #[must_use]
    pub const fn leaf(head: &'static str) -> Self {
        Self { head, shape: Shape::Leaf, parts: &[] }
    }
}

/// What a message may carry: one canonical encoding, and a layout. `#[derive(Payload)]` gives it to a
/// struct or an enum whose fields have it.
pub trait Payload: BorshSerialize + BorshDeserialize + Clone + Send + Sync + 'static {
    /// The layout.
    const LAYOUT: Layout;
}

/// A payload that names devices: what stands after `among`.
pub trait Subset {
    /// The devices.
    fn members(&self) -> DeviceSet;
}

impl Subset for DeviceSet {
    fn members(&self) -> DeviceSet {
        *self
    }
}

macro_rules! leaf {
    ($($type:ty => $head:literal),* $(,)?) => {
        $(impl Payload for $type {
            const LAYOUT: Layout = Layout::leaf($head);
        })*
    };
}

leaf! {
    () => "unit", bool => "bool", u8 => "u8", u16 => "u16", u32 => "u32", u64 => "u64", u128 => "u128",
    i8 => "i8", i16 => "i16", i32 => "i32", i64 => "i64", i128 => "i128", String => "string",
    Dev => "device", DeviceSet => "devices", Reason => "Reason", Exit => "exit",
    Digest => "digest", AccountId => "account", AppId => "app", DeviceId => "device-id",
    SessionId => "session", Epoch => "epoch", UnixTime => "time",
}

macro_rules! generic {
    ($([$($param:ident: $bound:path),*] $type:ty => $head:literal),* $(,)?) => {
        $(impl<$($param: $bound),*> Payload for $type {
            const LAYOUT: Layout = Layout {
                head: $head,
                shape: Shape::Generic,
                parts: &[$(("", &<$param as Payload>::LAYOUT)),*],
            };
        })*
    };
}

/// A payload that can be a key.
pub trait Key: Payload + Ord {}
impl<T: Payload + Ord> Key for T {}

generic! {
    [T: Payload] Vec<T> => "vec",
    [T: Payload] Option<T> => "option",
    [T: Payload, E: Payload] Result<T, E> => "result",
    [T: Key] BTreeSet<T> => "set",
    [K: Key, V: Payload] BTreeMap<K, V> => "map",
    [A: Payload, B: Payload] (A, B) => "pair",
    [A: Payload, B: Payload, C: Payload] (A, B, C) => "triple",
}

macro_rules! bytes {
    ($($length:literal => $head:literal),* $(,)?) => {
        $(impl Payload for [u8; $length] {
            const LAYOUT: Layout = Layout::leaf($head);
        })*
    };
}

bytes! {
    8 => "bytes8", 12 => "bytes12", 16 => "bytes16", 24 => "bytes24", 32 => "bytes32",
    33 => "bytes33", 48 => "bytes48", 64 => "bytes64",
}
