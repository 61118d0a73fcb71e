//! Key generation (`04-crypto`; `03-choreographies`, section 5): how devices come to an account's keys.
//!
//! One text for every member ([`script`]); what needs a secret is done by the device's
//! [key store](crate::keystore), whom a script asks ([`Request`]) and whose answers it passes on.
//!
//! - Every member publishes a commitment to a random polynomial for each key, and seals a share for
//!   each other one to a key that lives as long as the session.
//! - What is judged names what it rests on ([`Rested`](crate::choreography::Rested)): a member that tells two devices two things stops
//!   the generation, and no honest device is blamed for what another one heard.
//! - Whoever gets what does not fit complains; whoever is complained about shows what it dealt, and is
//!   blamed by everybody if it does not fit. Blame names only whom the decider itself found guilty.
//! - Nobody has a key before *all* have signed the same transcript: a member that told two devices two
//!   things leaves nobody with a key (trap 3).
//! - What results is used only once the account's control chain adopts it; a generation that fails
//!   changes nothing.

pub mod script;
mod work;

pub use super::report::Report;
pub use script::Dkg;
pub use work::{Delivery, Record, Request, Step, Terms};
