//! Devices derive a key together, with real shares: the guest `dkd` beside the script that devices run.

use std::collections::{BTreeMap, VecDeque};

use aura_choreography::{Hosted, Script as Choreography};
use aura_coordination::{
    choreography::{dkd::Terms, dkg},
    keystore::{KeyStore, Owner},
};
use aura_crypto::{DualRng, SecretKey};
use aura_protocol_core::{
    AccountId, Capability, DeviceId, Digest, Epoch, Outcome, ProtocolCapabilities, ProtocolInput,
    ProtocolLifecycle as _, ProtocolStep, SessionId, SessionStart,
    abi::{Envelope, Op, Reply},
    encode,
    lifecycle::{EffectReply, ProtocolEffect},
    limits::STEP_FUEL_MAX,
};
use aura_testkit::{Script, seed::Seeded};
use aura_wasm_host::ModuleHost;
use dkd_1_0_0::{Dkd, Module};

use crate::{choreography::replies, guest, reference};

/// Epochs after which every session is over.
const EPOCHS_MAX: u64 = 400;

static DKG: dkg::Dkg = dkg::Dkg;
static DKD: Dkd = Dkd;

fn id(dev: u8) -> DeviceId {
    DeviceId::from_bytes([dev + 1; 32])
}

fn unit(dev: u8) -> SecretKey {
    SecretKey::from_seed([dev + 1; 32])
}

fn store(dev: u8) -> KeyStore {
    let roster = (0..4).map(|it| (id(it), unit(it).public())).collect();
    let account = AccountId::from_bytes([3; 32]);
    KeyStore::new(Owner { account, device: id(dev), unit: unit(dev), roster })
}

/// Where one device's session runs.
enum Home<'a> {
    Native(Box<Hosted>),
    Module { host: &'a ModuleHost, digest: Digest, state: Vec<u8>, fuel: u64 },
}

impl Home<'_> {
    fn native(script: &'static dyn Choreography) -> Self {
        Self::Native(Box::new(Hosted::new(script)))
    }

    /// What a session that is over is told is its own to refuse.
    fn step(&mut self, input: ProtocolInput) -> ProtocolStep {
        match self {
            Self::Native(hosted) => hosted.step(input).unwrap(),
            Self::Module { host, digest, state, fuel } => {
                let caps = ProtocolCapabilities::from_iter([Capability::DeriveKey]);
                let op = Op::Step { state: state.clone(), caps, input };
                let (reply, spent) = host.call(*digest, &Envelope::new(op), STEP_FUEL_MAX).unwrap();
                *fuel = spent.max(*fuel);
                let Reply::Stepped { state: next, step } = reply else { panic!("{reply:?}") };
                *state = next;
                step
            }
        }
    }
}

struct Device<'a> {
    home: Home<'a>,
    store: KeyStore,
    effects: u64,
    ended: Option<Outcome>,
}

/// Devices in one room: what one says, all hear, in one order.
struct Room<'a> {
    session: SessionId,
    devices: BTreeMap<u8, Device<'a>>,
    air: VecDeque<(DeviceId, String, Vec<u8>)>,
    /// All that was said.
    said: Vec<Vec<u8>>,
    rng: DualRng,
}

impl<'a> Room<'a> {
    fn run(
        session: u8,
        devices: impl Iterator<Item = (u8, Home<'a>, KeyStore)>,
        params: &[u8],
    ) -> Self {
        let device = |(dev, home, store)| (dev, Device { home, store, effects: 0, ended: None });
        let mut room = Self {
            session: SessionId::from_bytes([session; 32]),
            devices: devices.map(device).collect(),
            air: VecDeque::new(),
            said: Vec::new(),
            rng: DualRng::from_seed([session; 32]),
        };
        let participants: std::collections::BTreeSet<_> =
            room.devices.keys().map(|it| id(*it)).collect();
        let opener = *participants.first().unwrap();
        for dev in room.names() {
            let start = SessionStart {
                session: room.session,
                me: id(dev),
                opener,
                participants: participants.clone(),
                spoken: "1.0.0".parse().unwrap(),
                params: params.to_vec(),
            };
            room.tell(dev, ProtocolInput::Start(start));
        }
        for now in 0..EPOCHS_MAX {
            while let Some((author, label, payload)) = room.air.pop_front() {
                for dev in room.names() {
                    let (label, payload) = (label.clone(), payload.clone());
                    room.tell(dev, ProtocolInput::Event { author, label, payload });
                }
            }
            for dev in room.names() {
                room.tell(dev, ProtocolInput::Clock(Epoch(now)));
            }
        }
        assert!(room.devices.values().all(|it| it.ended.is_some()), "somebody waits for ever");
        room
    }

    fn names(&self) -> Vec<u8> {
        self.devices.keys().copied().collect()
    }

    fn tell(&mut self, dev: u8, input: ProtocolInput) {
        let device = self.devices.get_mut(&dev).unwrap();
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front().filter(|_| device.ended.is_none()) {
            let step = device.home.step(input);
            for effect in step.effects {
                match effect {
                    ProtocolEffect::Append { label, payload } => {
                        self.said.push(payload.clone());
                        self.air.push_back((id(dev), label, payload));
                    }
                    ProtocolEffect::Use { bytes, .. } => {
                        let result = match device.store.answer(&bytes, &mut self.rng) {
                            Ok(bytes) => EffectReply::Used(bytes),
                            Err(refusal) => EffectReply::Denied(refusal.to_string()),
                        };
                        let effect = device.effects;
                        inputs.push_back(ProtocolInput::Reply { effect, result });
                    }
                    ProtocolEffect::Log(_) => {}
                    other => panic!("nobody expected {other:?}"),
                }
                device.effects += 1;
            }
            device.ended = step.outcome;
        }
    }

    fn results(&self) -> Vec<&Outcome> {
        self.devices.values().filter_map(|it| it.ended.as_ref()).collect()
    }

    /// The secret of everybody who has it: the same one.
    fn secrets(&mut self) -> Vec<[u8; 32]> {
        let session = self.session;
        let taken = self.devices.values_mut().filter_map(|it| it.store.take_derived(session));
        taken.map(|it| **it.danger_secret()).collect()
    }
}

/// Key stores of four devices, of which two make a quorum.
fn stores() -> BTreeMap<u8, KeyStore> {
    let indices = (0..4).map(|it| it * 3 + 2).collect();
    let terms = encode(&dkg::Terms { epoch: 1, threshold: 2, indices });
    let devices = (0..4).map(|it| (it, Home::native(&DKG), store(it)));
    let made = Room::run(200, devices, &terms);
    let session = made.session;
    let adopted = made.devices.into_iter().map(|(dev, mut it)| {
        it.store.adopt(session).unwrap();
        (dev, it.store)
    });
    adopted.collect()
}

fn terms(context: &[u8]) -> Terms {
    Terms { context: context.to_vec(), key_version: 0, devices: 2 }
}

/// The guest and the script that devices run derive the same key, by whatever quorum, in modules alone
/// and mixed; another context leads to another key.
#[test]
fn the_guest_derives_the_key_that_devices_derive() {
    let bytes = guest("dkd-1-0-0");
    let host = ModuleHost::in_memory();
    host.prepare(&bytes, &reference(&bytes)).unwrap();
    let (digest, mut dearest) = (Digest::of(&bytes), 0);
    let module = || Home::Module { host: &host, digest, state: Vec::new(), fuel: 0 };
    let mut derive = |session, who: &[u8], natives: &[u8], context: &[u8]| {
        let asked = terms(context);
        let mut stores = stores();
        let devices = who.iter().map(|dev| {
            let mut store = stores.remove(dev).unwrap();
            store.permit(asked.digest()).unwrap();
            let home = if natives.contains(dev) { Home::native(&DKD) } else { module() };
            (*dev, home, store)
        });
        let mut room = Room::run(session, devices.collect::<Vec<_>>().into_iter(), &encode(&asked));
        let claims: Vec<_> = room.results().into_iter().cloned().collect();
        assert!(matches!(claims[0], Outcome::Completed { .. }), "{:?}", claims[0]);
        assert!(claims.iter().all(|it| *it == claims[0]));
        let secrets = room.secrets();
        assert!(2 <= secrets.len() && secrets.iter().all(|it| *it == secrets[0]));
        // Nothing that a module said, and so nothing that it knew, is the key.
        assert!(!room.said.iter().any(|it| it.windows(32).any(|it| it == secrets[0])));
        for device in room.devices.values() {
            if let Home::Module { fuel, .. } = device.home {
                dearest = fuel.max(dearest);
            }
        }
        (claims[0].clone(), secrets[0])
    };
    let natively = derive(1, &[0, 1], &[0, 1], b"photos");
    assert_eq!(derive(2, &[0, 1], &[], b"photos"), natively);
    assert_eq!(derive(3, &[1, 2, 3], &[], b"photos"), natively);
    assert_eq!(derive(4, &[0, 2, 3], &[2], b"photos"), natively);
    assert_ne!(derive(5, &[0, 1], &[], b"letters").1, natively.1);
    assert!((1..STEP_FUEL_MAX / 10).contains(&dearest), "{dearest}");
}

/// A device that was not permitted to derive a key declines, also where a module asks.
#[test]
fn what_was_not_permitted_is_not_derived() {
    let bytes = guest("dkd-1-0-0");
    let host = ModuleHost::in_memory();
    host.prepare(&bytes, &reference(&bytes)).unwrap();
    let digest = Digest::of(&bytes);
    let module = || Home::Module { host: &host, digest, state: Vec::new(), fuel: 0 };
    let devices: Vec<_> = stores().into_iter().map(|(dev, it)| (dev, module(), it)).collect();
    let mut room = Room::run(1, devices.into_iter(), &encode(&terms(b"photos")));
    let aborted = |it: &&Outcome| matches!(it, Outcome::Aborted { .. });
    assert!(room.results().iter().all(aborted), "{:?}", room.results());
    assert_eq!(room.secrets(), Vec::<[u8; 32]>::new());
}

/// A session in which a derivation goes on, among what else comes: with answers of no key store, and
/// with what no device should say.
fn derivation(seed: u64) -> Script {
    let labels = ["Initiate", "Commit", "Freeze", "Reveal", "Revealed", "Derived", "Abort"];
    let mut random = Seeded::new(seed);
    let payload = |it: &mut Seeded| it.bytes(40);
    let mut script = Script::seeded(seed, "1.0.0".parse().unwrap(), &labels, payload);
    let Some(ProtocolInput::Start(start)) = script.inputs.first_mut() else { return script };
    if !seed.is_multiple_of(4) {
        start.params = encode(&terms(b"photos"));
    }
    let start = start.clone();
    let event = |author, label: &str, payload| ProtocolInput::Event {
        author,
        label: label.to_owned(),
        payload,
    };
    let initiation = encode(&vec![1_u8, 2, 3]);
    let commitment = encode(&([4_u8; 32], Digest::of(b"reveal")));
    let mut expected = vec![
        ProtocolInput::Reply { effect: 0, result: EffectReply::Used(initiation.clone()) },
        event(start.opener, "Initiate", initiation),
    ];
    for effect in 1..4 {
        let result = match random.below(3) {
            0 => EffectReply::Denied("no share".to_owned()),
            _ => EffectReply::Used(commitment.clone()),
        };
        expected.push(ProtocolInput::Reply { effect, result });
    }
    for author in &start.participants {
        expected.push(event(*author, "Commit", commitment.clone()));
    }
    for input in expected.into_iter().rev() {
        script.inputs.insert(1, input);
    }
    script
}

/// INV-K2
#[test]
fn a_derivation_answers_alike_in_both_its_homes() {
    replies::<Module>("dkd-1-0-0", (0..150).map(derivation));
}

/// INV-K3: the guest declares the type that the program's own protocol has.
#[test]
fn the_guest_declares_the_type_of_the_built_in_protocol() {
    use aura_coordination::choreography::built_in::KeyProtocol;
    let built_in = KeyProtocol::Derive.descriptor().unwrap();
    let guest = Module::descriptor();
    assert_eq!(guest.session_types, built_in.session_types);
    assert_eq!(guest.capabilities, built_in.capabilities);
    assert_eq!((guest.protocol, guest.version), (built_in.protocol, built_in.version));
}
