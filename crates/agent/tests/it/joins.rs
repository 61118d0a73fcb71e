//! Letting devices in: what an invitation allows, and to whom.

use aura_agent::{
    api::{Command, Response},
    identity::Identity,
    join::JoinRequest,
    node::{Files, RequestId},
    ticket::Ticket,
};
use aura_journal::control::ControlChain;
use aura_protocol_core::{AccountId, encode};

use crate::world::{Crash, World, identity};

impl World {
    /// An invitation by a device.
    pub fn invite(&mut self, index: usize, valid_seconds: u64) -> Ticket {
        match self
            .ask(index, Command::Invite { valid_seconds, replaces: None }, Files::default())
            .unwrap()
        {
            Response::Ticket(issued) => Ticket::from_text(&issued.ticket).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Waits for the answer to a request to join.
    #[track_caller]
    pub fn joined(&mut self, index: usize, id: RequestId) -> Result<ControlChain, String> {
        self.until(60, "the request to join is answered", |world| {
            world.devices[index].joins.contains_key(&id)
        });
        match self.devices[index].joins.remove(&id).unwrap() {
            Ok(entries) => Ok(ControlChain::from_entries(entries).unwrap()),
            Err(error) => Err(error.code),
        }
    }

    /// A new device joins by an invitation of device `index`, and is started.
    #[track_caller]
    pub fn invite_and_join(&mut self, index: usize) -> usize {
        let newcomer = identity(self.devices.len());
        let ticket = self.invite(index, 60);
        let id = self.join(index, JoinRequest::new(&ticket, &newcomer));
        let chain = self.joined(index, id).unwrap();
        let inviter = self.devices[index].id();
        let added = self.add_with(newcomer, chain, inviter);
        self.until(60, "the newcomer is connected", |world| world.is_connected(index, added));
        added
    }

    /// A device that knows from its ticket where one other is.
    fn add_with(
        &mut self,
        newcomer: Identity,
        chain: ControlChain,
        inviter: aura_protocol_core::DeviceId,
    ) -> usize {
        let added = self.add(newcomer, chain);
        self.stop(added);
        let addresses = vec!["127.0.0.1:4000".to_owned()];
        self.devices[added].stored.local.insert(format!("seed/{inviter}"), encode(&addresses));
        self.start(added);
        added
    }
}

/// Accounts grow one by one, in whatever order things arrive.
#[test]
fn an_account_grows_to_five() {
    for seed in 0..20 {
        let mut world = World::new(seed, 1);
        world.breaks_per_mille = 10;
        for _ in 0..4 {
            let inviter = world.random.below(world.devices.len() as u64) as usize;
            world.invite_and_join(inviter);
        }
        world.settle(3);
        world.until(60, "all know all", |world| {
            world.all(|it| it.0.devices == 5 && it.0.m == 4 && it.0.peers == 4)
        });
    }
}

/// What is wrong with a request is said, and nothing has changed.
#[test]
fn bad_requests_are_refused() {
    let mut world = World::new(1, 2);
    let ticket = world.invite(0, 60);
    let newcomer = identity(7);
    let good = JoinRequest::new(&ticket, &newcomer);
    let as_first = {
        let mut first = identity(0);
        first.transport_seed = identity(8).transport_seed;
        JoinRequest::new(&ticket, &first)
    };
    let with_a_used_key = {
        let mut copy = identity(7);
        copy.vote = identity(1).vote;
        JoinRequest::new(&ticket, &copy)
    };
    let with_one_key_twice = {
        let mut twice = identity(7);
        twice.vote = identity(7).unit;
        JoinRequest::new(&ticket, &twice)
    };
    let under_another_id = {
        let mut request = good.clone();
        request.entry.device = world.devices[1].id();
        request
    };
    let unknown = JoinRequest { secret: [0; 32], ..good.clone() };
    let elsewhere = JoinRequest { account: AccountId::from_bytes([1; 32]), ..good.clone() };
    let mut forged = good.clone();
    forged.signature.0[5] ^= 1;
    for (request, code) in [
        (unknown, "UnknownTicket"),
        (elsewhere, "WrongTicket"),
        (forged, "BadJoinRequest"),
        (as_first, "BadJoinRequest"),
        (with_a_used_key, "BadJoinRequest"),
        (with_one_key_twice, "BadJoinRequest"),
        (under_another_id, "BadJoinRequest"),
    ] {
        let id = world.join(0, request);
        assert_eq!(world.joined(0, id).unwrap_err(), code);
    }
    world.settle(2);
    assert!(world.all(|it| it.0.devices == 2));
    // The ticket is still good.
    let id = world.join(0, good);
    assert_eq!(world.joined(0, id).unwrap().config().roster.len(), 3);
}

/// A ticket serves one device, for as long as it says; that one may ask as often as it needs.
#[test]
fn a_ticket_is_one_devices() {
    let mut world = World::new(1, 3);
    let ticket = world.invite(0, 10);
    assert!(world.devices[0].roster.open);
    let newcomer = identity(7);
    let first = world.join(0, JoinRequest::new(&ticket, &newcomer));
    let again = world.join(0, JoinRequest::new(&ticket, &newcomer));
    let other = world.join(0, JoinRequest::new(&ticket, &identity(8)));
    assert_eq!(world.joined(0, other).unwrap_err(), "TicketUsed");
    let chain = world.joined(0, first).unwrap();
    assert_eq!(world.joined(0, again).unwrap().head(), chain.head());
    world.settle(12);
    assert!(!world.devices[0].roster.open);
    let late = world.join(0, JoinRequest::new(&ticket, &newcomer));
    assert!(world.joined(0, late).is_ok(), "it was let in before, but did not hear of it");

    let expired = world.invite(1, 5);
    world.settle(10);
    let id = world.join(1, JoinRequest::new(&expired, &identity(9)));
    assert_eq!(world.joined(1, id).unwrap_err(), "TicketExpired");
    // Another device's ticket is no ticket here.
    let id = world.join(2, JoinRequest::new(&expired, &identity(9)));
    assert_eq!(world.joined(2, id).unwrap_err(), "UnknownTicket");
}

/// A joiner whose inviter loses its power asks again, and gets in.
#[test]
fn a_join_survives_the_inviters_crash() {
    for nth in 0..4 {
        for seed in 0..5 {
            let mut world = World::new(seed, 3);
            let ticket = world.invite(0, 600);
            let newcomer = identity(7);
            world.settle(1);
            let commits = world.devices[0].commits;
            world.devices[0].crash = Some(Crash::After(commits + nth));
            let request = JoinRequest::new(&ticket, &newcomer);
            world.join(0, request.clone());
            world.until(60, "the inviter is off, or done", |world| {
                !world.is_up(0) || !world.devices[0].joins.is_empty()
            });
            if !world.is_up(0) {
                world.start(0);
            }
            world.devices[0].crash = None;
            assert!(world.devices[0].roster.open, "the joiner can come back");
            let id = world.join(0, request);
            let chain = world.joined(0, id).unwrap();
            assert_eq!(chain.config().roster.len(), 4);
        }
    }
}
