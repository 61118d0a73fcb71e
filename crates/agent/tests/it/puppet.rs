//! A member of the account that keeps to the wire format and to nothing else.

use aura_agent::node::Node;
use aura_coordination::execution::BuiltIn;
use aura_journal::{
    Event, Ledger, PeerTag, Unit, UnitBody, child_session_id,
    event::{ChildOpening, OpenChild, OpenSession, SessionMessage},
    session_id,
    sync::{self, SyncMessage},
};
use aura_protocol_core::{
    DeviceId, Digest, Manifest, NegotiationPolicy, SessionId, encode, manifest::transcript,
    negotiate,
};

use crate::world::{Actor, World};

pub struct Puppet {
    pub ledger: Ledger,
}

impl Puppet {
    pub fn hello(&self) -> SyncMessage {
        SyncMessage::Hello(sync::hello(&self.ledger))
    }

    /// Takes what it is sent, so that it knows what the others know.
    pub fn receive(&mut self, message: SyncMessage) -> Vec<SyncMessage> {
        match message {
            SyncMessage::Hello(hello) => sync::answer(&self.ledger, &hello),
            SyncMessage::Entries(entries) => {
                for entry in entries {
                    let _appended = self.ledger.import_entry(entry).unwrap();
                }
                vec![]
            }
            SyncMessage::Units(units) => {
                for bytes in units {
                    let _outcome = self.ledger.import(PeerTag([0; 32]), &bytes).unwrap();
                }
                vec![]
            }
            _ => vec![self.hello()],
        }
    }
}

impl World {
    /// Puts a puppet in the place of a device's node.
    pub fn make_puppet(&mut self, index: usize) {
        self.stop(index);
        let device = &mut self.devices[index];
        let ledger = Ledger::restore(&device.stored).unwrap();
        device.actor = Actor::Puppet(Box::new(Puppet { ledger }));
    }

    pub fn puppet(&mut self, index: usize) -> &mut Puppet {
        match &mut self.devices[index].actor {
            Actor::Puppet(puppet) => puppet,
            _ => panic!("device {index} is no puppet"),
        }
    }

    /// Has a puppet write a unit of its own, and send it to everybody.
    pub fn write(&mut self, index: usize, session: Option<SessionId>, event: Event) -> Digest {
        let me = self.devices[index].id();
        let seed = *self.devices[index].identity.unit.danger_seed();
        let key = aura_crypto::SecretKey::from_seed(seed);
        let puppet = self.puppet(index);
        let unit = puppet.ledger.author(me, &key, session, event).unwrap();
        let bytes = puppet.ledger.unit_bytes(&unit).unwrap().to_vec();
        self.broadcast(index, SyncMessage::Units(vec![bytes]));
        unit
    }

    /// Has a puppet sign any body.
    pub fn sign(&self, index: usize, body: UnitBody) -> Unit {
        body.sign(&self.devices[index].identity.unit)
    }

    /// Has a device send something to everybody that it is connected to.
    pub fn broadcast(&mut self, index: usize, message: SyncMessage) {
        let others: Vec<_> = self.devices.iter().map(|it| it.id()).collect();
        for to in others {
            self.send(index, to, message.clone());
        }
    }

    /// A node that runs on a copy of what a device has stored.
    pub fn copy_of(&self, index: usize) -> Node {
        let device = &self.devices[index];
        let keys = aura_agent::node::NodeKeys::of(&device.identity);
        Node::restore(device.identity.name.clone(), keys, &device.stored).unwrap()
    }
}

impl World {
    /// What an honest opener would write: a session of these devices, by what they published.
    pub fn honest_open(&mut self, index: usize, with: &[usize]) -> OpenSession {
        let devices: Vec<DeviceId> = with.iter().map(|it| self.devices[*it].id()).collect();
        let state = self.puppet(index).ledger.state();
        let (app, installed) = state.apps.iter().next().unwrap();
        let published: Vec<_> = devices.iter().map(|it| (*it, &state.metadata[it])).collect();
        let manifests: Vec<Manifest> =
            published.iter().map(|(_, (_, it))| it.manifest.clone()).collect();
        let major = installed.active.version.major;
        let policy = NegotiationPolicy { floor: None, major_max: Some(major) };
        OpenSession {
            app: *app,
            protocol: installed.install.protocol.clone(),
            agreement: negotiate(*app, &manifests, &policy).unwrap(),
            transcript: transcript(&manifests),
            manifests: published.iter().map(|(device, (unit, _))| (*device, *unit)).collect(),
            params: vec![],
        }
    }

    /// Has a puppet open a session.
    pub fn write_open(&mut self, index: usize, open: OpenSession) -> SessionId {
        let me = self.devices[index].id();
        let ledger = &self.puppet(index).ledger;
        let session = session_id(ledger.account(), me, ledger.next_seq(me));
        self.write(index, Some(session), Event::OpenSession(Box::new(open)));
        session
    }

    /// What an honest opener of a built-in protocol would write.
    pub fn built_in_opening(
        &mut self,
        index: usize,
        name: &str,
        with: &[usize],
        params: Vec<u8>,
    ) -> OpenSession {
        let devices: Vec<DeviceId> = with.iter().map(|it| self.devices[*it].id()).collect();
        let state = self.puppet(index).ledger.state();
        let published: Vec<_> = devices.iter().map(|it| (*it, &state.metadata[it])).collect();
        let manifests: Vec<Manifest> =
            published.iter().map(|(_, (_, it))| it.manifest.clone()).collect();
        let protocol = name.parse().unwrap();
        let app = BuiltIn::app(&protocol);
        OpenSession {
            app,
            protocol,
            agreement: negotiate(app, &manifests, &NegotiationPolicy::default()).unwrap(),
            transcript: transcript(&manifests),
            manifests: published.iter().map(|(device, (unit, _))| (*device, *unit)).collect(),
            params,
        }
    }

    /// Has a puppet open a session of a built-in protocol.
    pub fn open_built_in(
        &mut self,
        index: usize,
        name: &str,
        with: &[usize],
        params: Vec<u8>,
    ) -> SessionId {
        let open = self.built_in_opening(index, name, with, params);
        self.write_open(index, open)
    }

    /// Has a puppet open a part of a session, or refuse to.
    pub fn open_part(
        &mut self,
        index: usize,
        parent: SessionId,
        part: u64,
        opening: ChildOpening,
    ) -> SessionId {
        let child = child_session_id(parent, part);
        let event = Event::OpenChild(Box::new(OpenChild { parent, part, opening }));
        self.write(index, Some(child), event);
        child
    }

    /// Has a puppet say a number to a session of the counter.
    pub fn write_number(&mut self, index: usize, session: SessionId, number: u64) -> Digest {
        let message = SessionMessage { label: "add".to_owned(), payload: encode(&number) };
        self.write(index, Some(session), Event::SessionMessage(message))
    }
}
