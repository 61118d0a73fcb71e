//! A choreography natively and as a module, and against the type that its descriptor declares.

use aura_choreography::Dev;
use aura_protocol_core::{
    Digest, Outcome, ProtocolCapabilities, ProtocolInput, ProtocolLifecycle, abi::Reply, encode,
    lifecycle::EffectReply, limits::STEP_FUEL_MAX,
};
use aura_testkit::{Divergence, Script, Subject, conformance, seed::Seeded};
use aura_wasm_host::ModuleHost;
use motion_1_0_0::{Heard, Votes};
use poll_1_0_0::{Module, Poll, Tally, poll};

use crate::{guest, reference};

const LABELS: [&str; 6] = ["Ask", "Answer", "Answer", "Answer", "Close", "Abort"];

#[derive(Debug)]
struct Failure(#[expect(dead_code, reason = "shown by Debug")] String);

impl From<Divergence> for Failure {
    fn from(divergence: Divergence) -> Self {
        Self(divergence.to_string())
    }
}

/// What a poll may carry or a person may say, and what neither may.
fn payload(random: &mut Seeded) -> Vec<u8> {
    let tally = Tally { question: "tea?".to_owned(), yes: 2, no: 1 };
    match random.below(10) {
        0..3 => encode(&(random.below(2) == 0)),
        3 => encode(&"tea?".to_owned()),
        4 => encode(&tally),
        5 => encode(&aura_choreography::Reason::Timeout),
        6 => b"yes".to_vec(),
        7 => b" no\n".to_vec(),
        _ => random.bytes(9),
    }
}

/// Seeded parameters are rarely a question: half the sessions get one.
fn asked(mut script: Script, seed: u64) -> Script {
    for input in &mut script.inputs {
        if let ProtocolInput::Start(start) = input
            && seed.is_multiple_of(2)
        {
            start.params = b"tea?".to_vec();
        }
    }
    script
}

/// A session in which the poll goes on as it should, among what else comes: everybody answers, and
/// `me` closes if it opened.
fn held(seed: u64) -> Script {
    let mut script = asked(Script::seeded(seed, "1.0.0".parse().unwrap(), &LABELS, payload), 0);
    let Some(ProtocolInput::Start(start)) = script.inputs.first().cloned() else { return script };
    let mut random = Seeded::new(seed);
    let event = |author, label: &str, payload| ProtocolInput::Event {
        author,
        label: label.to_owned(),
        payload,
    };
    let mut expected = vec![
        event(start.opener, "Ask", encode(&"tea?".to_owned())),
        ProtocolInput::Signal(b"yes".to_vec()),
    ];
    for author in &start.participants {
        expected.push(event(*author, "Answer", encode(&(random.below(2) == 0))));
    }
    let tally = Tally { question: "tea?".to_owned(), yes: 1, no: 0 };
    expected.push(event(start.opener, "Close", encode(&tally)));
    for input in expected.into_iter().rev() {
        // In order, and after the start.
        let at = 1 + random.below(2).min(script.inputs.len() as u64 - 1) as usize;
        script.inputs.insert(at, input);
    }
    script
}

/// Demands equal replies, and counts the sessions that ended.
pub(crate) fn replies<P: ProtocolLifecycle>(
    name: &str,
    scripts: impl Iterator<Item = Script>,
) -> usize {
    let host = ModuleHost::in_memory();
    let bytes = guest(name);
    assert_eq!(host.prepare(&bytes, &reference(&bytes)).unwrap(), P::descriptor());
    let caps = ProtocolCapabilities::default();
    let mut ended = 0;
    for (seed, script) in scripts.enumerate() {
        let run = || {
            let mut outcomes = 0;
            let trace = conformance::check::<P, Failure>(&script, &caps, |envelope| {
                let called = host.call(Digest::of(&bytes), envelope, STEP_FUEL_MAX);
                let reply = called.map_err(|error| Failure(error.to_string()))?.0;
                if let Reply::Stepped { step, .. } = &reply {
                    outcomes += usize::from(step.outcome.is_some());
                }
                Ok(reply)
            });
            (trace.unwrap_or_else(|it| panic!("seed {seed}: {it:?}")), outcomes)
        };
        let (trace, outcomes) = run();
        assert_ne!(trace, Digest::ZERO);
        ended += outcomes;
        if seed.is_multiple_of(8) {
            assert_eq!(run().0, trace, "seed {seed}");
        }
    }
    ended
}

/// INV-K2
#[test]
fn a_poll_answers_anything_alike_in_both_its_homes() {
    let spoken = "1.0.0".parse().unwrap();
    let script = |seed| asked(Script::seeded(seed, spoken, &LABELS, payload), seed);
    replies::<Module>("poll-1-0-0", (0..150).map(script));
}

/// INV-K2
#[test]
fn a_poll_that_is_held_ends_alike_in_both_its_homes() {
    let ended = replies::<Module>("poll-1-0-0", (0..100).map(held));
    assert!(60 < ended, "{ended} of 100 sessions ended");
}

/// A session in which a motion goes on, among what else comes, with a poll that ends in any way.
fn moved(seed: u64) -> Script {
    let labels = ["Put", "Hear", "Hear", "Close", "Abort"];
    let script = Script::seeded(seed, "1.0.0".parse().unwrap(), &labels, |it| it.bytes(5));
    let mut script = asked(script, 0);
    let Some(ProtocolInput::Start(start)) = script.inputs.first().cloned() else { return script };
    let votes = Votes { yes: 2, no: 1 };
    let event = |author, label: &str, payload| ProtocolInput::Event {
        author,
        label: label.to_owned(),
        payload,
    };
    let polled = match seed % 4 {
        0 => EffectReply::Denied("`poll` is not installed".to_owned()),
        1 => EffectReply::SubProtocol(Outcome::Aborted { reason: "no".to_owned() }),
        _ => EffectReply::SubProtocol(Outcome::Completed {
            result: b"yes=2 no=1".to_vec(),
            batch: vec![],
        }),
    };
    // The opener has said something before it asks its host.
    let effect = u64::from(start.me == start.opener);
    let mut expected = vec![
        event(start.opener, "Put", encode(&"tea?".to_owned())),
        ProtocolInput::Reply { effect, result: polled },
    ];
    for author in &start.participants {
        expected.push(event(*author, "Hear", encode(&Heard::Polled(votes))));
    }
    expected.push(event(start.opener, "Close", encode(&votes)));
    for input in expected.into_iter().rev() {
        script.inputs.insert(1, input);
    }
    script
}

/// INV-K2: with a session of another protocol as a part.
#[test]
fn a_motion_answers_alike_in_both_its_homes() {
    let ended = replies::<motion_1_0_0::Module>("motion-1-0-0", (0..100).map(moved));
    assert!(60 < ended, "{ended} of 100 sessions ended");
}

/// INV-K3
#[test]
fn a_poll_follows_the_type_that_its_descriptor_declares() {
    const TEXT: [u8; poll::GLOBAL.text_len()] = poll::GLOBAL.text();
    let text = std::str::from_utf8(&TEXT).unwrap();
    assert_eq!(Module::descriptor().session_types, [text.as_bytes()]);
    let says = |_: Dev, random: &mut Seeded| {
        let words: [&[u8]; 5] = [b"yes", b"no", b" yes\n", b"no ", b"maybe"];
        random.pick(&words).map(|it| it.to_vec()).unwrap_or_default()
    };
    for devices in 1..6 {
        let subject = Subject { script: &Poll, text, devices, params: b"tea?".to_vec(), says };
        let paths = conformance::choreography(&subject, 150).unwrap();
        // Nobody keeps a device waiting that is alone.
        let alone = devices == 1 && paths.unsaid.iter().eq(["Abort"]);
        assert!(alone || paths.unsaid.is_empty(), "{devices} devices: {paths:?}");
        assert!(20 < paths.finished && 20 < paths.stopped + paths.left, "{devices}: {paths:?}");
    }
}
