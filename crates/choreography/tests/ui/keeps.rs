//! Choreographies that keep something beside their log.
#![allow(unused_imports)]
use std::{cell::Cell, sync::{Mutex, atomic::{AtomicU8, Ordering}}};

use aura_choreography::{Stop, choreography, session};

session! {
    pub mod hello;
    msg { Hello(u8) }
    write hello: Hello;
}

#[choreography(InACell)]
async fn in_a_cell(s: hello::Start) -> Result<hello::Finished<u8>, Stop> {
    let out = Mutex::new(0);
    let (s, hello) = s.hello(|me| Ok(me.id().0)).await?;
    Ok(s.finish(hello))
}

#[choreography(InAStatic)]
async fn in_a_static(s: hello::Start) -> Result<hello::Finished<u8>, Stop> {
    static OUT: AtomicU8 = AtomicU8::new(0);
    let (s, hello) = s
        .hello(|me| {
            OUT.store(me.id().0, Ordering::Relaxed);
            Ok(1)
        })
        .await?;
    Ok(s.finish(hello))
}

fn main() {}
