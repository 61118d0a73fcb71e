//! Names that are not known, or known twice.
#![allow(unused_imports)]
use aura_choreography::{Reason, session};

/// A payload of the author's.
#[derive(Debug, Clone)]
pub struct Ready;

session! {
    pub mod unknown;
    roles { Coord: one }
    msg { Known(u8), Sum(u8), Abort(Reason) }
    each one: Unknown;
    each two: Known by Nobody;
    decide sum: on Lost[threshold] within 5 => Sum | Abort;
}

session! {
    pub mod twice;
    roles { Coord: one, Coord: many, All: many }
    msg { Same(u8), Same(u16), Other(u8) }
    each step: Same;
    each step: Other;
}

session! {
    pub mod marks_twice;
    msg { More(u8), Done(u8), Vote(u8), Abort(Reason) }
    rec round within 5;
    rec round within 6;
    each vote: Vote;
    choice way { More => continue round, Done => {} } | Abort;
}

session! {
    pub mod reserved;
    msg { Commit(u8), Freeze(u8), FreezeVote(u8), Abort(Reason), Peeked(u8), Ended(u8), Global(u8) }
    each certified: Commit;
    each peek: Peeked;
    each vote: FreezeVote;
    decide certified freeze: on Commit[all] within 5 => Freeze | Abort;
    choice ready { Ended => stop, Global => {} };
}

session! {
    pub mod hidden;
    msg { Said(Ready) }
    each said: Said;
}

session! {
    pub mod größe;
    msg { Said(u8) }
    each said: Said;
}

session! {
    pub mod nothing;
    msg { }
}

fn main() {}
