//! Payloads that lack what a use of them needs.
#![allow(unused_imports)]
use aura_choreography::{Payload, session};
use borsh::{BorshDeserialize, BorshSerialize};

/// Not the runtime's.
#[derive(Clone, BorshSerialize, BorshDeserialize, Payload)]
pub struct Reason;

/// Names no devices.
#[derive(Clone, BorshSerialize, BorshDeserialize, Payload)]
pub struct NoDevices;

session! {
    pub mod imposter;
    msg { Vote(u8), Sum(u8), Abort(Reason) }
    each vote: Vote;
    decide sum: on Vote[threshold] within 5 => Sum | Abort;
}

session! {
    pub mod subset;
    msg { Vote(u8), Freeze(NoDevices), Reveal(u8), Abort(aura_choreography::Reason) }
    each vote: Vote;
    decide freeze: on Vote[threshold] within 5 => Freeze | Abort;
    each reveal: Reveal among Freeze;
}

fn main() {}
