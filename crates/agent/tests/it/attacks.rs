//! What a member that keeps to the wire format and to nothing else can do to the others: nothing but
//! cost them what it costs itself.

use aura_agent::{
    api::{Command, Response},
    node::{Effect, Files, Input},
};
use aura_journal::{
    Unit, UnitBody,
    control::{CertifiedEntry, ControlMessage, Entry, EntryBody, Phase, UpgradePolicy, Vote},
    event::{DeviceMetadata, Event},
    sync::{Frontier, Hello, SyncMessage},
};
use aura_protocol_core::{DeviceId, Digest, Lamport, Manifest, encode};

use crate::{
    acts::install_request,
    publisher::Publisher,
    sessions::with_puppet,
    world::{World, chain_of},
};

/// A value that nobody can judge, since it rests on a unit that there is not, delays the account's
/// decisions, but does not stop them.
#[test]
fn a_value_that_nobody_can_judge_stops_nothing() {
    for seed in 0..5 {
        let mut world = with_puppet(seed, 4);
        let app = *world.puppet(3).ledger.state().apps.keys().next().unwrap();
        let body = EntryBody::SetUpgradePolicy { app, policy: UpgradePolicy::Manual };
        let value = Entry { past: vec![Digest::of(b"nowhere")], body };
        let slot = world.puppet(3).ledger.chain().next_slot();
        let message = ControlMessage::Propose { slot, view: 0, value: Box::new(value) };
        world.write(3, None, Event::Control(message));
        world.settle(1);
        world.invite_and_join(0);
        world.settle(2);
        assert!(world.all(|it| it.0.devices == 5));
    }
}

/// INV-J15: devices that want different things at the same moment all get them decided, one after the
/// other, though the first votes may be split.
#[test]
fn wishes_at_the_same_moment_are_all_decided() {
    let publisher = Publisher::of_counter();
    for seed in 0..30 {
        let mut world = World::new(seed, 5);
        let tickets = [1, 2].map(|it| (it, world.invite(it, 6000)));
        world.settle(1);
        let files = Files {
            chain: Some(publisher.chain.clone()),
            module: Some(publisher.module("1.0.0")),
            migration: None,
        };
        world.command(0, Command::Install(install_request("1.0.0")), files);
        for (inviter, ticket) in tickets {
            let newcomer = crate::world::identity(5 + inviter);
            world.join(inviter, aura_agent::join::JoinRequest::new(&ticket, &newcomer));
        }
        world.until(600, "all is decided", |world| {
            world.all(|it| it.0.devices == 7 && it.active() == Some("1.0.0"))
        });
    }
}

/// What no chain can hold is refused at once, instead of being proposed again and again.
#[test]
fn what_no_chain_can_hold_is_not_proposed() {
    let publisher = Publisher::of_counter();
    let mut world = World::new(1, 1);
    for alias in ["x".repeat(70_000), "\u{1b}[2J".to_owned(), String::new()] {
        let mut request = install_request("1.0.0");
        request.alias = alias;
        let files = Files {
            chain: Some(publisher.chain.clone()),
            module: Some(publisher.module("1.0.0")),
            migration: None,
        };
        assert!(world.ask(0, Command::Install(request), files).is_err());
        assert!(world.devices[0].stored.units.len() < 5);
    }
    world.install(0, &publisher);
}

/// Values that break a rule, votes by nobody, votes for nothing: ignored.
#[test]
fn nonsense_on_the_control_chain_is_ignored() {
    let mut world = with_puppet(1, 4);
    let slot = world.puppet(3).ledger.chain().next_slot();
    let genesis = chain_of(1).entries()[0].value.clone();
    let key = aura_crypto::SecretKey::from_seed([3; 32]);
    let own = aura_crypto::SecretKey::from_seed(*world.devices[3].identity.vote.danger_seed());
    let mut far = slot;
    far.k += 1000;
    let nothing = Digest::of(b"nothing");
    let messages = [
        ControlMessage::Propose { slot, view: 0, value: Box::new(genesis.clone()) },
        ControlMessage::Propose { slot, view: u64::MAX, value: Box::new(genesis.clone()) },
        ControlMessage::Propose { slot: far, view: 0, value: Box::new(genesis) },
        ControlMessage::Vote(Box::new(Vote::sign(slot, Phase::Commit, 0, nothing, &key))),
        ControlMessage::Vote(Box::new(Vote::sign(slot, Phase::Commit, 0, nothing, &own))),
        ControlMessage::Vote(Box::new(Vote::sign(far, Phase::Prepare, 7, nothing, &own))),
    ];
    for message in messages {
        for _ in 0..20 {
            world.write(3, None, Event::Control(message.clone()));
        }
    }
    world.settle(1);
    world.invite_and_join(0);
    world.settle(1);
    assert!(world.all(|it| it.0.devices == 5));
}

/// INV-A4: a unit that breaks a rule cuts off whoever sends it, with a reason; the rest goes on.
#[test]
fn a_bad_unit_cuts_its_sender_off() {
    let mut world = with_puppet(1, 4);
    let me = world.devices[3].id();
    let ledger = &world.puppet(3).ledger;
    let tip = *ledger.frontier().chains.get(&me).map(|(_, head)| head).unwrap();
    let body = UnitBody {
        seq: ledger.next_seq(me),
        prev: Some(tip),
        deps: vec![],
        lamport: Lamport(ledger.unit(&tip).unwrap().body.lamport.0 + 1),
        event: Event::AcknowledgeUpgrade { proposal: Digest::ZERO },
        session: None,
        ..ledger.unit(&tip).unwrap().body.clone()
    };
    let good = world.sign(3, body.clone());
    let mut unsigned = good.clone();
    unsigned.signature.0[0] ^= 1;
    let inflated = world.sign(3, UnitBody { lamport: Lamport(u64::MAX), ..body.clone() });
    let foreign = world.sign(
        3,
        UnitBody { account: aura_protocol_core::AccountId::from_bytes([1; 32]), ..body.clone() },
    );
    let stranger = world.sign(3, UnitBody { author: DeviceId::from_bytes([1; 32]), ..body });
    for (unit, reason) in [
        (encode(&unsigned), "bad unit (Signature)"),
        (encode(&inflated), "bad unit (Lamport)"),
        (encode(&foreign), "bad unit (Account)"),
        (encode(&stranger), "bad unit (UnknownAuthor)"),
        (b"\x01\0garbage".to_vec(), "bad unit (Malformed)"),
        (vec![0; 70_000], "bad unit (Size)"),
    ] {
        world.heal();
        world.settle(1);
        assert!(world.is_connected(0, 3));
        let seen = world.devices[0].cut_off.len();
        world.broadcast(3, SyncMessage::Units(vec![unit]));
        world.settle(1);
        let (device, said) = &world.devices[0].cut_off[seen];
        assert_eq!(*device, me);
        assert!(said.starts_with(reason), "{said}");
        assert!(!world.is_connected(0, 3));
    }
    world.run_session(0, &[0, 1, 2]);
    assert!(!world.devices[0].cut_off.iter().any(|(device, _)| *device != me), "nobody else");
    let unit: Unit = good;
    world.heal();
    world.settle(1);
    world.broadcast(3, SyncMessage::Units(vec![encode(&unit)]));
    world.settle(1);
    assert!(world.is_connected(0, 3), "the good one is taken");
}

impl World {
    /// How well a device keeps to the rules, as another one sees it.
    fn score(&self, index: usize, of: usize) -> u32 {
        match self.node(index).read_command(&Command::Devices).unwrap() {
            Response::Devices(devices) => {
                let of = self.devices[of].id().to_string();
                devices.devices.iter().find(|it| it.device == of).unwrap().score
            }
            other => panic!("{other:?}"),
        }
    }
}

/// INV-A4: whoever breaks rules again and again is not heard for a while, is told so each time and logged
/// once; nobody else pays, not even the author whom the sender names, and in time it is heard again.
#[test]
fn a_peer_that_has_spent_its_score_is_not_heard_for_a_while() {
    let mut world = with_puppet(2, 4);
    let me = world.devices[3].id();
    let bad = SyncMessage::Units(vec![b"\x01\0no unit".to_vec()]);
    // It names another device as the author, under that one's signature upside down.
    let ledger = &world.puppet(3).ledger;
    let tip = ledger.frontier().chains.iter().find(|(it, _)| **it != me).unwrap().1.1;
    let mut forged = ledger.unit(&tip).unwrap().clone();
    forged.signature.0.reverse();
    let forged = SyncMessage::Units(vec![encode(&forged)]);
    let spent =
        |world: &World| world.devices[0].log.iter().filter(|it| it.contains("PeerSpent")).count();
    for nth in 0..8 {
        assert_eq!(spent(&world), 0, "{nth}");
        world.heal();
        world.settle(1);
        assert!(world.is_connected(0, 3), "{nth}");
        world.broadcast(3, if nth % 2 == 0 { bad.clone() } else { forged.clone() });
        world.settle(1);
    }
    let seen = world.devices[0].cut_off.len();
    for _ in 0..5 {
        world.heal();
        world.settle(1);
        assert!(!world.is_connected(0, 3));
    }
    assert_eq!(spent(&world), 1, "said once");
    let said = &world.devices[0].cut_off[seen..];
    assert!(said.len() >= 5);
    assert!(said.iter().all(|(it, reason)| *it == me && reason.starts_with("PeerSpent: ")));
    assert!(world.score(0, 3) < 32 && world.score(0, 1) == 64 && world.score(0, 2) == 64);
    world.run_session(0, &[0, 1, 2]);
    for _ in 0..33 * 60 {
        world.tick();
    }
    world.heal();
    world.settle(1);
    assert!(world.is_connected(0, 3));
    assert!(world.score(0, 3) >= 32);
}

/// Whoever says hello all the time is answered at the pace that anybody needs.
#[test]
fn a_flood_of_hellos_is_answered_at_a_pace() {
    let mut world = with_puppet(2, 3);
    let hello = SyncMessage::Hello(Hello {
        k: 0,
        frontier: Frontier::default(),
        ..aura_journal::sync::hello(&world.puppet(2).ledger)
    });
    let from = world.devices[2].id();
    let mut node = world.copy_of(0);
    node.step(Input::Tick(world.now));
    node.step(Input::PeerConnected(from));
    let mut answered = |seconds: u64| {
        node.step(Input::Tick(world.now.saturating_add(seconds)));
        let hello = || Input::PeerMessage { from, message: hello.clone() };
        let is_answer =
            |it: &Effect| matches!(it, Effect::Send { message: SyncMessage::Entries(_), .. });
        (0..1_000).filter(|_| node.step(hello()).iter().any(is_answer)).count()
    };
    assert_eq!(answered(0), 64);
    assert_eq!(answered(10), 10);
    world.run_session(0, &[0, 1]);
}

/// INV-A4: entries without a quorum cut off whoever sends them; one that is merely ahead is asked for
/// the rest.
#[test]
fn a_bad_entry_cuts_its_sender_off() {
    let mut world = with_puppet(1, 4);
    let me = world.devices[3].id();
    let last = world.puppet(3).ledger.chain().entries().last().unwrap().clone();
    let slot = world.puppet(3).ledger.chain().next_slot();
    let mut ahead = slot;
    ahead.k += 5;
    world.broadcast(3, SyncMessage::Entries(vec![CertifiedEntry { slot: ahead, ..last.clone() }]));
    world.settle(1);
    assert!(world.is_connected(0, 3));
    assert_eq!(world.devices[0].cut_off, []);
    let app = *world.puppet(3).ledger.state().apps.keys().next().unwrap();
    let body = EntryBody::SetUpgradePolicy { app, policy: UpgradePolicy::Manual };
    let forged = CertifiedEntry { slot, value: Entry { past: vec![], body }, ..last };
    world.broadcast(3, SyncMessage::Entries(vec![forged]));
    world.settle(1);
    let (device, said) = &world.devices[0].cut_off[0];
    assert!(*device == me && said.starts_with("it sent a bad entry: "), "{said}");
    world.run_session(0, &[0, 1, 2]);
}

/// A device that hears of a decision before those that lead to it asks for them, and cuts nobody off.
#[test]
fn a_gap_is_filled() {
    let publisher = Publisher::of_counter();
    for seed in 0..10 {
        let mut world = World::new(seed, 4);
        world.stop(3);
        world.install(0, &publisher);
        world.propose(0, &publisher, "2.0.0").unwrap();
        world.assert_agreed("2.0.0");
        world.start(3);
        let newest = world.devices[0].stored.entries.last().unwrap().clone();
        world.until(30, "they are connected", |world| world.is_connected(0, 3));
        let to = world.devices[3].id();
        world.send(0, to, SyncMessage::Entries(vec![newest]));
        world.assert_agreed("2.0.0");
        assert_eq!(world.devices[3].cut_off, []);
    }
}

/// What a device says of itself commands nobody's terminal, fills nobody's log, and sends nobody's
/// packets anywhere without bound.
#[test]
fn what_a_device_says_of_itself_is_shown_as_text() {
    let mut world = with_puppet(1, 3);
    let me = world.devices[2].id();
    let metadata = DeviceMetadata {
        name: "\u{1b}[31mroot\n\u{202e}".repeat(500),
        addresses: (0..500).map(|it| format!("10.0.0.{}:{}", it % 256, 1 + it)).collect(),
        manifest: Manifest::empty(me),
    };
    world.write(2, None, Event::PublishManifest(metadata.clone()));
    let decline = Event::DeclineUpgrade {
        proposal: Digest::ZERO,
        code: "\u{7}".repeat(10_000),
        reason: "\r\n".repeat(10_000),
    };
    world.write(2, None, decline);
    world.settle(1);
    for command in [
        Command::Status,
        Command::Devices,
        Command::Sessions,
        Command::Proposals { alias: None },
        Command::Log { limit: 1000 },
    ] {
        let answer = world.node(0).read_command(&command).unwrap();
        let json = serde_json::to_value(&answer).unwrap();
        assert_printable(&json);
    }
    let contact = world.devices[0].roster.devices.iter().find(|it| it.device == me).unwrap();
    assert_eq!(contact.addresses.len(), 16);
    let nonsense = DeviceMetadata { addresses: vec!["not an address".repeat(1000)], ..metadata };
    world.write(2, None, Event::PublishManifest(nonsense));
    world.settle(1);
    let contact = world.devices[0].roster.devices.iter().find(|it| it.device == me).unwrap();
    assert!(contact.addresses.is_empty());
}

fn assert_printable(json: &serde_json::Value) {
    match json {
        serde_json::Value::String(text) => {
            assert!(text.len() <= 1024 && !text.contains(char::is_control), "{text:?}");
            assert!(!text.contains('\u{202e}'), "{text:?}");
        }
        serde_json::Value::Array(items) => items.iter().for_each(assert_printable),
        serde_json::Value::Object(map) => map.values().for_each(assert_printable),
        _ => {}
    }
}

/// Greetings that make no sense are answered with what there is, and with nothing for another account.
#[test]
fn odd_greetings_are_harmless() {
    let mut world = with_puppet(1, 3);
    let account = world.puppet(2).ledger.account();
    let others: Vec<DeviceId> =
        (0..1000u32).map(|it| DeviceId::derive(Digest::of(&it.to_le_bytes()).as_bytes())).collect();
    let chains = others.into_iter().map(|it| (it, (u64::MAX, Digest::ZERO))).collect();
    let frontier = Frontier { chains, ..Frontier::default() };
    let head = Digest::ZERO;
    for hello in [
        Hello { account, k: u64::MAX, head, frontier: frontier.clone(), is_answer: false },
        Hello { account, k: 0, head, frontier: Frontier::default(), is_answer: true },
        Hello {
            account: aura_protocol_core::AccountId::from_bytes([1; 32]),
            k: 0,
            head,
            frontier,
            is_answer: false,
        },
    ] {
        world.broadcast(2, SyncMessage::Hello(hello));
        world.broadcast(2, SyncMessage::More);
        world.broadcast(2, SyncMessage::Units(vec![]));
        world.broadcast(2, SyncMessage::Entries(vec![]));
        world.settle(1);
    }
    assert!(world.devices.iter().all(|it| it.cut_off.is_empty()));
    world.run_session(0, &[0, 1]);
}

/// Two devices that talk at the same time as a third lies to one of them end alike.
#[test]
fn a_unit_that_waits_for_what_never_comes_is_forgotten() {
    let mut world = with_puppet(1, 3);
    let me = world.devices[2].id();
    let ledger = &world.puppet(2).ledger;
    let seq = ledger.next_seq(me);
    let tip = ledger.frontier().chains[&me].1;
    let template = ledger.unit(&tip).unwrap().body.clone();
    for number in 0..600u32 {
        let body = UnitBody {
            seq: seq + 1,
            prev: Some(Digest::of(&number.to_le_bytes())),
            event: Event::AcknowledgeUpgrade { proposal: Digest::ZERO },
            session: None,
            ..template.clone()
        };
        let unit = world.sign(2, body);
        world.broadcast(2, SyncMessage::Units(vec![encode(&unit)]));
        if number % 100 == 0 {
            world.settle(0);
        }
    }
    world.settle(1);
    world.run_session(0, &[0, 1]);
}
