//! Sessions whose devices run different versions of one type, in the running code.
//!
//! [`Interpreted`] is a script made at run time from any [`SessionType`]: it takes the same steps over
//! the same runtime as what `session!` generates. A [`Mix`] puts three of them, of either version, into
//! one session. A device gets an event only if its own version knows a label of that name with that
//! layout.
//!
//! People decline wherever their version lets them.
//!
//! Clocks are patient: a device pauses as long as it has to, and time runs out for a decider only when
//! nothing else can happen. For who waits for others it runs out only where enough would have come if
//! nobody had declined; else whoever would give up is found waiting.
//!
//! **Invariants**
//! - INV-MX1: what [`compare`] calls `Soft` goes well in every mix, and so does a `Patch` of a version that
//!   goes well by itself.
//! - INV-MX2: the run of every `Hard` that has one goes wrong here as it says.
//!
//! [`SessionType`]: aura_protocol_core::session_type::SessionType
//! [`compare`]: aura_protocol_core::session_type::compare()

mod global;
mod known;
mod replay;
mod roles;
mod run;
mod running;
mod said;
mod script;
mod verdict;
mod walk;

pub use replay::{Differs, replay};
pub use roles::{Arrangement, arrangements};
pub use run::{Mix, mixes};
pub use script::Interpreted;
pub use verdict::{End, Verdict};
