#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod ask;
#[doc(hidden)]
pub mod cx;
mod device;
mod event;
pub mod global;
mod hosted;
mod knowledge;
mod machine;
mod payload;
mod port;
mod script;
mod seat;
mod session;
mod snapshot;
mod stop;
mod text;
mod view;

pub use ask::{Ask, HostCall, Reply, Want};
pub use aura_choreography_macros::{Payload, choreography, session};
#[doc(hidden)]
pub use cx::Cx;
pub use cx::{FromHost, Page, ROUNDS_MAX, Said, Steps};
pub use device::{Dev, DeviceSet};
pub use event::{Body, Event, Events, LABELS_MAX, Label, LabelSet};
pub use global::GlobalType;
pub use hosted::Hosted;
pub use knowledge::{Each, Me, Pub};
pub use machine::{Ended, Machine};
pub use payload::{Key, Layout, Payload, Shape, Subset};
pub use script::{Completed, Conclude, Running, Script, default_cast};
pub use seat::{Cast, Members, Opening, RoleIx, Seat};
pub use session::{BadSnapshot, Input, Output, Refused, Session};
pub use stop::{Exit, Reason, Stop};

/// What the code that the macros write names, beside the public API. Not for anybody else.
#[doc(hidden)]
pub mod rt;
