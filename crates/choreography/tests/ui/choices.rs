//! Choices and marks.
#![allow(unused_imports)]
use aura_choreography::{Reason, session};

session! {
    pub mod without_branches;
    choice way { };
}

session! {
    pub mod without_abort;
    msg { Vote(u8), Yes(u8), No(u8) }
    each vote: Vote;
    choice way: on Vote[threshold] within 5 { Yes => {} No => stop };
}

session! {
    pub mod unbounded;
    msg { Vote(u8), More(u8), Done(u8) }
    rec round within 5;
    each vote: Vote;
    choice way { More => continue round, Done => {} };
}

session! {
    pub mod ahead;
    msg { Vote(u8), More(u8), Done(u8), In(u8), Out(u8), Abort(Reason) }
    choice way { More => continue round, Done => {} } | Abort;
    rec round within 5;
    each vote: Vote;
    choice inner { In => { rec inside within 5; pause rest: 1; } Out => continue inside } | Abort;
}

session! {
    pub mod idle;
    msg { Vote(u8) }
    rec round within 5;
    each vote: Vote;
}

session! {
    pub mod two_deciders;
    roles { Left: one, Right: one }
    msg { More(u8), Go(u8), Again(u8), Done(u8), Abort(Reason) }
    rec round within 5;
    choice left by Left { More => continue round, Go => {} } | Abort;
    choice right by Right { Again => continue round, Done => {} } | Abort;
}

session! {
    pub mod unreachable;
    msg { One(u8), Two(u8), Vote(u8) }
    choice way { One => stop, Two => stop };
    each vote: Vote;
}

session! {
    pub mod without_end;
    msg { One(u8), Two(u8), Abort(Reason) }
    rec round within 5;
    choice way { One => continue round, Two => continue round } | Abort;
}

session! {
    pub mod after_the_end;
    msg { One(u8), Two(u8), Vote(u8) }
    choice way { One => { pause rest: 1; stop; each vote: Vote; } Two => {} };
}

fn main() {}
