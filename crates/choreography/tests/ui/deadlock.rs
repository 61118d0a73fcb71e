//! Messages that are awaited but never said, on some way.
#![allow(unused_imports)]
use aura_choreography::{DeviceSet, Reason, session};

session! {
    pub mod never_said;
    msg { Commit(u64), Reveal(u64), Sum(u64), Abort(Reason) }
    each commit: Commit;
    decide sum: on Reveal[threshold] within 50 => Sum | Abort;
    each reveal: Reveal;
}

session! {
    pub mod said_on_one_way;
    msg { Yes(u8), No(u8), Extra(u8), Sum(u64), Abort(Reason) }
    choice way { Yes => { each extra: Extra; } No => {} };
    decide sum: on Extra[threshold] within 50 => Sum | Abort;
}

session! {
    pub mod said_in_an_earlier_round;
    msg { Vote(u8), More(u8), Done(u8), Abort(Reason) }
    each vote: Vote;
    rec round within 100;
    choice way: on Vote[threshold] within 50 { More => continue round, Done => {} } | Abort;
}

session! {
    pub mod said_by_others;
    roles { Old: many, New: many }
    msg { Commit(u8), Freeze(DeviceSet), Reveal(u8), Sum(u8), Abort(Reason) }
    each commit: Commit by Old;
    decide freeze: on Commit[threshold] within 50 => Freeze | Abort;
    each reveal: Reveal by New;
    decide sum: on Reveal[among Freeze] within 50 => Sum | Abort;
}

session! {
    pub mod not_decided_yet;
    msg { Commit(u8), Freeze(DeviceSet), Reveal(u8), Abort(Reason) }
    each commit: Commit;
    each reveal: Reveal among Freeze;
    decide freeze: on Commit[among Freeze] within 50 => Freeze | Abort;
}

session! {
    pub mod said_twice;
    msg { Commit(u8) }
    each commit: Commit;
    each again: Commit;
}

session! {
    pub mod addressed;
    roles { Old: many, New: many }
    msg { Sealed(u8), Count(u8), Abort(Reason) }
    scatter deal: Old -> New: Sealed;
    decide count: on Sealed[threshold] within 50 => Count | Abort;
}

fn main() {}
