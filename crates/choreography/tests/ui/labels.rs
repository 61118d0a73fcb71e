//! Messages with more than one use, or none.
#![allow(unused_imports)]
use aura_choreography::{Reason, session};

session! {
    pub mod one_decider;
    msg { Vote(u8), Sum(u8), Abort(Reason) }
    each vote: Vote;
    decide sum: on Vote[threshold] within 5 => Sum | Abort;
    decide again: on Vote[threshold] within 5 => Sum | Abort;
}

session! {
    pub mod mixed;
    msg { Vote(u8), Sum(u8), Abort(Reason), Veto(u8) }
    each vote: Vote;
    decide sum: on Vote[threshold] within 5 => Sum | Abort unless Veto;
    each sums: Sum;
    each aborts: Abort;
    each vetoes: Veto;
}

session! {
    pub mod unused;
    msg { Vote(u8), Forgotten(u8) }
    each vote: Vote;
}

session! {
    pub mod no_reason;
    msg { Vote(u8), Sum(u8), Abort(u8) }
    each vote: Vote;
    decide sum: on Vote[threshold] within 5 => Sum | Abort;
}

session! {
    pub mod part;
    msg { Ask(u8) }
    each ask: Ask;
}

session! {
    pub mod last;
    msg { Vote(u8) }
    each vote: Vote;
    sub part: part finally vote_again: Vote;
}

fn main() {}
