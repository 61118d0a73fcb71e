//! The helpers themselves: deterministic, distinct, and able to find a difference.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod choreography;

use std::collections::BTreeSet;

use aura_protocol_core::{
    Descriptor, ProtocolCapabilities, ProtocolError, ProtocolInput, ProtocolLifecycle,
    ProtocolStep, abi::Reply,
};
use aura_testkit::{Divergence, Script, conformance, hostile, seed::Seeded};

/// INV-K1
#[test]
fn the_same_seed_makes_the_same_script() {
    let script = |seed| {
        let payload = |random: &mut Seeded| random.bytes(4);
        Script::seeded(seed, "1.0.0".parse().unwrap(), &["add"], payload).inputs
    };
    let scripts: Vec<_> = (0..50).map(script).collect();
    assert_eq!(scripts, (0..50).map(script).collect::<Vec<_>>());
    assert!(scripts.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(scripts.iter().any(|it| !matches!(it[0], ProtocolInput::Start(_))));
}

/// INV-K1
#[test]
fn the_corpus_is_the_same_each_time_and_names_are_distinct() {
    let (first, second) = (hostile::corpus(), hostile::corpus());
    assert!(first.iter().zip(&second).all(|(a, b)| a.name == b.name && a.bytes == b.bytes));
    let names: BTreeSet<&str> = first.iter().map(|it| it.name).collect();
    assert_eq!(names.len(), first.len());
}

/// Counts signals. `LEAKY` changes its state also where it reports an error.
struct Count<const LEAKY: bool>(u8);

impl<const LEAKY: bool> ProtocolLifecycle for Count<LEAKY> {
    fn descriptor() -> Descriptor {
        panic!("the suite does not ask")
    }
    fn new() -> Self {
        Self(0)
    }
    fn restore(state: &[u8]) -> Result<Self, ProtocolError> {
        state.first().map(|it| Self(*it)).ok_or(ProtocolError::BadState)
    }
    fn snapshot(&self) -> Vec<u8> {
        vec![self.0]
    }
    fn step(
        &mut self,
        input: ProtocolInput,
        _caps: &ProtocolCapabilities,
    ) -> Result<ProtocolStep, ProtocolError> {
        match input {
            ProtocolInput::Signal(_) => self.0 += 1,
            _ if LEAKY => {
                self.0 += 1;
                return Err(ProtocolError::Irreversible);
            }
            _ => return Err(ProtocolError::Irreversible),
        }
        Ok(ProtocolStep::default())
    }
}

fn signals() -> Script {
    Script { inputs: vec![ProtocolInput::Signal(vec![]); 3] }
}

#[test]
fn the_suite_finds_a_difference() {
    let caps = ProtocolCapabilities::default();
    let stepped = |count| Ok(Reply::Stepped { state: vec![count], step: ProtocolStep::default() });
    let mut calls = 0;
    let counting = conformance::check::<Count<false>, Divergence>(&signals(), &caps, |_| {
        calls += 1;
        stepped(calls)
    });
    assert!(counting.is_ok(), "{counting:?}");
    let stuck = conformance::check::<Count<false>, Divergence>(&signals(), &caps, |_| stepped(1));
    assert!(matches!(stuck, Err(Divergence::Reply { index: 1, .. })), "{stuck:?}");
}

#[test]
fn the_suite_finds_an_error_that_changes_the_state() {
    let caps = ProtocolCapabilities::default();
    let script = Script { inputs: vec![ProtocolInput::Clock(Default::default())] };
    let failed = |_: &_| Ok(Reply::Failed(ProtocolError::Irreversible));
    let sound = conformance::check::<Count<false>, Divergence>(&script, &caps, failed);
    assert!(sound.is_ok(), "{sound:?}");
    let leaky = conformance::check::<Count<true>, Divergence>(&script, &caps, failed);
    assert_eq!(leaky, Err(Divergence::ErrorChangedState { index: 0 }));
}

#[test]
fn a_missing_guest_says_what_to_do() {
    let error = aura_testkit::guests::load("no-such-guest").unwrap_err();
    assert!(error.to_string().ends_with("run `cargo xtask protocols` first"), "{error}");
}
