//! Types that are no payload.
#![allow(unused_imports)]
use aura_choreography::{Payload, Reason, session};
use borsh::{BorshDeserialize, BorshSerialize};

#[derive(Payload)]
union Either {
    one: u8,
    other: u8,
}

#[derive(Clone, BorshSerialize, BorshDeserialize, Payload)]
struct Skipped {
    #[borsh(skip)]
    cached: u8,
}

#[derive(Clone, BorshSerialize, BorshDeserialize, Payload)]
enum Endless {
    End,
    More(Vec<Endless>),
}

#[derive(Clone, BorshSerialize, Payload)]
struct Borrowed<'a>(&'a u8);

#[derive(Clone, BorshSerialize, BorshDeserialize, Payload)]
#[payload(runtime = elsewhere)]
struct Elsewhere;

fn main() {}
