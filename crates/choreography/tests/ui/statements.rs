//! One misuse of each statement that the other files do not have.
#![allow(unused_imports)]
use aura_choreography::{DeviceSet, Exit, Reason, session};

session! {
    mod written_and_each;
    msg { Hello(u8), Vow(u8) }
    write hello: Hello among Vow;
    each vow: Vow |;
    gather vows: Vow[threshold] within;
    scatter deal: Old New: Vow;
    rec round;
    pause rest;
    sub part;
    sub other: other finally;
    decide sum: Vow[threshold] within 5 => Sum | Abort;
    decide late: on Vow[threshold] within 5 => Sum | Abort unless;
    choice way: on Vow[threshold] { Sum => {} } | Abort;
}

session! {
    pub mod gathered_too_early;
    msg { Vow(u8) }
    gather vows: Vow[all] within 5;
    each vow: Vow;
}

session! {
    pub mod dealt_and_said;
    roles { Old: many, New: many }
    msg { Sealed(u8) }
    scatter deal: Old -> New: Sealed;
    each again: Sealed by Old;
}

session! {
    pub mod declined_without_a_reason;
    msg { Ready(u8), Decline(u8) }
    each ready: Ready | Decline;
}

session! {
    pub mod declined_and_awaited;
    msg { Ready(u8), Decline(Reason), Go(u8), Abort(Reason) }
    each ready: Ready | Decline;
    decide go: on Decline[threshold] within 5 => Go | Abort;
}

session! {
    pub mod declined_and_aborted;
    msg { Ready(u8), Decline(Reason), Go(u8) }
    each ready: Ready | Decline;
    decide go: on Ready[threshold] within 5 => Go | Decline;
}

session! {
    pub mod part;
    msg { Ask(u8) }
    each ask: Ask;
}

session! {
    pub mod owed_twice;
    msg { Release(Exit) }
    sub one: part finally release: Release;
    sub two: part finally again: Release;
}

session! {
    pub mod nobody_s_part;
    sub one: nowhere;
}

fn main() {}
