//! Functions that are no choreography.
#![allow(unused_imports)]
use aura_choreography::{Stop, choreography, session};

session! {
    pub mod hello;
    msg { Hello(u8) }
    write hello: Hello;
}

session! {
    pub mod other;
    msg { Hello(u8) }
    write hello: Hello;
}

#[choreography(Blocking)]
fn blocking(s: hello::Start) -> Result<hello::Finished<u8>, Stop> {
    loop {}
}

#[choreography(NoStart)]
async fn no_start() -> Result<hello::Finished<u8>, Stop> {
    loop {}
}

#[choreography(TwoArguments)]
async fn two_arguments(s: hello::Start, n: u8) -> Result<hello::Finished<u8>, Stop> {
    loop {}
}

#[choreography(Later)]
async fn later(s: hello::AfterHello) -> Result<hello::Finished<u8>, Stop> {
    loop {}
}

#[choreography(Endless)]
async fn endless(s: hello::Start) {
    loop {}
}

#[choreography(Value)]
async fn value(s: hello::Start) -> Result<u8, Stop> {
    loop {}
}

#[choreography(Crossed)]
async fn crossed(s: hello::Start) -> Result<other::Finished<u8>, Stop> {
    loop {}
}

#[choreography]
async fn nameless(s: hello::Start) -> Result<hello::Finished<u8>, Stop> {
    loop {}
}

#[choreography(Generic)]
async fn generic<T>(s: hello::Start) -> Result<hello::Finished<T>, Stop> {
    loop {}
}

#[choreography(Wrong, cast = f)]
async fn wrong(s: hello::Start) -> Result<hello::Finished<u8>, Stop> {
    loop {}
}

fn main() {}
