//! Roles where another number of devices is needed.
#![allow(unused_imports)]
use aura_choreography::{Reason, session};

session! {
    pub mod counts;
    roles { Coord: one, Old: many }
    msg { Hello(u8), Vow(u8), Sealed(u8), Sum(u8), Left(u8), Abort(Reason) }
    write hello: Hello by Old;
    each vow: Vow by Coord;
    scatter deal: Old -> Coord: Sealed;
    decide sum by All: on Vow[threshold] within 5 => Sum | Abort;
    choice way by Old { Left => {} };
}

session! {
    pub mod locking;
    roles { Coord: one, Member: many }
    msg { Ask(u8) }
    each ask: Ask by Member;
}

session! {
    pub mod outer;
    roles { Lead: one, Old: many }
    msg { Hello(u8) }
    each hello: Hello;
    sub lock: locking { Coord: Old, Membr: Old, Member: Nobody };
}

session! {
    pub mod mapped;
    roles { Lead: one, Old: many }
    msg { Hello(u8) }
    each hello: Hello;
    sub lock: locking { Coord: Old, Membr: Old, Member: Old };
}

fn main() {}
