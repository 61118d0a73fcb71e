//! Texts that are no session.
#![allow(unused_imports)]
use aura_choreography::{Reason, session};

session! {
    mod several;
    msg { Vote(u8), Sum(u8), Abort(Reason) }
    each vote Vote;
    wait vote: Vote;
    gather some: Vote;
    gather none: Vote[0];
    gather most: Vote[most];
    decide sum: on Vote[threshold] => Sum | Abort;
    decide alone: on Vote[threshold] within 5 => Sum;
    pause rest: long;
    choice certified way { Sum => {} };
    choice way { Sum => goto };
}

session! {
    pub struct NotAModule;
}

session! {
    pub mod carrying;
    msg { Vote }
}

session! {
    pub mod carrying_two;
    msg { Vote(u8, u8) }
}

session! {
    pub mod counted;
    roles { Coord: two }
}

session! {
    pub mod attributed;
    msg { #[allow(unused)] Vote(u8) }
}

fn main() {}
