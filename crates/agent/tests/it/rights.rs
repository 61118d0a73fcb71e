//! What programs have done with a device's keys: signatures and sealed payloads, bound to their session.

use std::sync::Arc;

use aura_agent::engine::BuiltInProtocols;
use aura_coordination::execution::{BuiltIn, Native, SealRequest, SignedForSession};
use aura_crypto::{Context, Domain, Signature};
use aura_journal::{Event, Unit, event::SessionMessage};
use aura_protocol_core::{
    Capability, Descriptor, DeviceId, Outcome, ProtocolCapabilities, ProtocolEffect, ProtocolError,
    ProtocolInput, ProtocolLifecycle, ProtocolStep, SessionId, SessionStart, decode, encode,
    lifecycle::EffectReply,
};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    census::describe,
    world::{Crash, World},
};

/// Two devices: each signs its greeting, and seals a secret for the other, who opens it.
#[derive(Debug, Clone, Default, BorshSerialize, BorshDeserialize)]
struct Notary {
    start: Option<SessionStart>,
    asked: u64,
}

const GREETING: &[u8] = b"hello";

fn secret(from: DeviceId) -> Vec<u8> {
    [b"for you alone, from ".as_slice(), from.as_bytes()].concat()
}

impl Notary {
    fn other(&self) -> DeviceId {
        let start = self.start.as_ref().unwrap();
        *start.participants.iter().find(|it| **it != start.me).unwrap()
    }

    fn ask(&mut self, step: &mut ProtocolStep, capability: Capability, bytes: Vec<u8>) {
        self.asked += 1;
        step.effects.push(ProtocolEffect::Use { capability, bytes });
    }
}

fn append(label: &str, payload: Vec<u8>) -> ProtocolEffect {
    ProtocolEffect::Append { label: label.to_owned(), payload }
}

impl ProtocolLifecycle for Notary {
    fn descriptor() -> Descriptor {
        let capabilities = [Capability::Sign, Capability::Seal, Capability::DeriveKey].into();
        Descriptor { capabilities, ..describe("notary", &[]) }
    }

    fn new() -> Self {
        Self::default()
    }

    fn restore(state: &[u8]) -> Result<Self, ProtocolError> {
        decode(state, state.len()).map_err(|_| ProtocolError::BadState)
    }

    fn snapshot(&self) -> Vec<u8> {
        encode(self)
    }

    fn step(
        &mut self,
        input: ProtocolInput,
        _caps: &ProtocolCapabilities,
    ) -> Result<ProtocolStep, ProtocolError> {
        let mut step = ProtocolStep::default();
        match input {
            ProtocolInput::Start(start) => {
                let me = start.me;
                self.start = Some(start);
                self.ask(&mut step, Capability::Sign, GREETING.to_vec());
                let to = self.other();
                let seal = SealRequest::Seal { to, bytes: secret(me) };
                self.ask(&mut step, Capability::Seal, encode(&seal));
                // To a stranger it may not.
                let stranger = DeviceId::from_bytes([0xee; 32]);
                let seal = SealRequest::Seal { to: stranger, bytes: secret(me) };
                self.ask(&mut step, Capability::Seal, encode(&seal));
                self.ask(&mut step, Capability::DeriveKey, b"key".to_vec());
            }
            ProtocolInput::Event { author, label, payload }
                if author == self.other() && label == "effect 1" =>
            {
                let open = SealRequest::Open { from: author, bytes: payload };
                self.ask(&mut step, Capability::Seal, encode(&open));
            }
            ProtocolInput::Reply { effect, result: EffectReply::Used(used) } if effect < 2 => {
                step.effects.push(append(&format!("effect {effect}"), used));
            }
            ProtocolInput::Reply { result: EffectReply::Used(opened), .. } => {
                assert_eq!(opened, secret(self.other()));
                let result = b"opened".to_vec();
                step.outcome = Some(Outcome::Completed { result, batch: vec![] });
            }
            ProtocolInput::Reply { effect, result } => {
                step.effects.push(ProtocolEffect::Log(format!("answer {effect}: {result:?}")));
            }
            _ => {}
        }
        Ok(step)
    }
}

fn world(seed: u64) -> World {
    let mut built_ins = BuiltInProtocols::default();
    built_ins.add(Arc::new(Native::<Notary>::new()));
    let mut world = World::with_built_ins(seed, 2, built_ins);
    world.settle(2);
    world
}

/// What a device said in a session under a label.
fn said(world: &World, session: &str, by: usize, label: &str) -> Vec<u8> {
    let id: SessionId = session.parse().unwrap();
    let units = world.devices[by].stored.units.iter().map(|it| Unit::from_bytes(it).unwrap());
    let own = units.filter(|it| it.body.author == world.devices[by].id());
    let of = own.filter(|it| it.body.session == Some(id)).find_map(|it| match it.body.event {
        Event::SessionMessage(SessionMessage { label: of, payload }) if of == label => {
            Some(payload)
        }
        _ => None,
    });
    of.unwrap()
}

/// INV-A10: a program's signature is for its session, and its payload opens for the other one alone.
#[test]
fn what_a_program_has_signed_and_sealed_is_its_sessions() {
    for seed in 0..5 {
        let mut world = world(seed);
        let session = world.start_built_in(0, "notary", &[0, 1], vec![]).unwrap();
        world.until_ended(&[0, 1], &session, "opened");
        let built_in = BuiltIn::of(&Notary::descriptor());
        for by in [0, 1] {
            let signature = Signature(said(&world, &session, by, "effect 0").try_into().unwrap());
            let key = world.devices[by].identity.unit.public();
            let account = world.status(by).account.parse().unwrap();
            let check = |session: SessionId, domain: Domain| {
                let (app, module, bytes) = (built_in.app, built_in.digest, GREETING.to_vec());
                let body = encode(&SignedForSession { app, module, session, bytes });
                key.verify(&Context { domain, account, epoch: 0 }, &body, &signature)
            };
            let id: SessionId = session.parse().unwrap();
            assert!(check(id, Domain::Program).is_ok());
            assert!(check(SessionId::from_bytes([0; 32]), Domain::Program).is_err());
            assert!(check(id, Domain::Unit).is_err());
            let sealed = said(&world, &session, by, "effect 1");
            let plain = secret(world.devices[by].id());
            assert!(!sealed.windows(16).any(|it| it == &plain[..16]));
            let refused = |what: &str| world.devices[by].log.iter().any(|it| it.contains(what));
            assert!(refused("answer 2: Denied(\"device eeeeeeee takes no part in the session\")"));
            assert!(refused("answer 3: Denied(\"this device does not offer `derive-key`"));
        }
        // Another session's payload does not open: the same sealed bytes lead to nothing there.
        let again = world.start_built_in(1, "notary", &[0, 1], vec![]).unwrap();
        world.until_ended(&[0, 1], &again, "opened");
        assert_ne!(
            said(&world, &again, 0, "effect 0"),
            said(&world, &session, 0, "effect 0"),
            "the session is part of what is signed"
        );
    }
}

/// Killed at every commit, the session still ends.
#[test]
fn a_crash_at_any_commit_changes_nothing_of_it() {
    let commits = {
        let mut world = world(3);
        let before = world.devices[1].commits;
        let session = world.start_built_in(0, "notary", &[0, 1], vec![]).unwrap();
        world.until_ended(&[0, 1], &session, "opened");
        world.devices[1].commits - before
    };
    for nth in 0..commits {
        for crash in [Crash::Before, Crash::After] {
            let mut world = world(3);
            world.devices[1].crash = Some(crash(world.devices[1].commits + nth));
            world.revives = true;
            let session = world.start_built_in(0, "notary", &[0, 1], vec![]).unwrap();
            world.until_ended(&[0, 1], &session, "opened");
        }
    }
}
