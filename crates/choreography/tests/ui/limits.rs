//! As many messages as a set of them can hold.
#![allow(unused_imports)]
use aura_choreography::session;

macro_rules! long {
    ($name:ident: $($label:ident $op:ident,)*; $($rest:tt)*) => {
        session! {
            pub mod $name;
            msg { $($label(u8)),* }
            $(each $op: $label;)*
            $($rest)*
        }
    };
}

long! { part:
    A0 a0, A1 a1, A2 a2, A3 a3, A4 a4, A5 a5, A6 a6, A7 a7, A8 a8, A9 a9, A10 a10, A11 a11,
    A12 a12, A13 a13, A14 a14, A15 a15, A16 a16, A17 a17, A18 a18, A19 a19, A20 a20, A21 a21,; }

long! { outer:
    B0 b0,; sub p0: part; sub p1: part; sub p2: part; sub p3: part; sub p4: part; sub p5: part; }

fn main() {}
