//! What people do at the devices of a world, and what they see.

use std::path::PathBuf;

use aura_agent::{
    AgentError,
    api::{
        Command, InstallRequest, Proposal, ProposeRequest, Response, Session, StartRequest, Status,
        UpgradeRequest,
    },
    engine,
    node::Files,
};

use crate::{
    publisher::{HOST, Publisher},
    world::{Actor, World},
};

fn files(publisher: &Publisher, modules: [Option<Vec<u8>>; 2]) -> Files {
    let [module, migration] = modules;
    Files { chain: Some(publisher.chain.clone()), module, migration }
}

/// The install of a version of the counter.
pub fn install_request(version: &str) -> InstallRequest {
    InstallRequest {
        alias: "counter".to_owned(),
        repository: PathBuf::new(),
        requirement: ">=1.0.0, <4.0.0".to_owned(),
        policy: "minor".to_owned(),
        version: Some(version.to_owned()),
        module: None,
    }
}

pub fn propose_request(version: &str) -> ProposeRequest {
    ProposeRequest {
        alias: "counter".to_owned(),
        version: version.to_owned(),
        repository: PathBuf::new(),
        module: None,
        migration: None,
        not_before: None,
        valid_seconds: 600,
        grace_seconds: 60,
    }
}

impl World {
    /// Installs version 1.0.0 of the counter, and waits until all devices run it.
    #[track_caller]
    pub fn install(&mut self, index: usize, publisher: &Publisher) {
        let bytes = publisher.module("1.0.0");
        let files = files(publisher, [Some(bytes), None]);
        self.ask(index, Command::Install(install_request("1.0.0")), files).unwrap();
        self.until(60, "all run 1.0.0", |world| world.all(|it| it.manifest_has("1.0.0")));
    }

    /// Runs a minor release on one device.
    #[track_caller]
    pub fn upgrade(&mut self, index: usize, publisher: &Publisher, version: &str) {
        let request = UpgradeRequest {
            alias: "counter".to_owned(),
            version: version.to_owned(),
            repository: PathBuf::new(),
            module: None,
        };
        let files = files(publisher, [Some(publisher.module(version)), None]);
        self.ask(index, Command::Upgrade(request), files).unwrap();
    }

    /// Begins a session, and returns its id.
    pub fn start_session(
        &mut self,
        index: usize,
        with: &[usize],
        input: Option<u64>,
    ) -> Result<String, AgentError> {
        let request = StartRequest {
            alias: "counter".to_owned(),
            with: with.iter().map(|it| self.devices[*it].id().to_string()).collect(),
            params: vec![],
            input: input.map(|it| it.to_string().into_bytes()),
        };
        // Manifests may be on their way: it is tried again, as the command does it.
        for _ in 0..1000 {
            match self.ask(index, Command::StartSession(request.clone()), Files::default()) {
                Ok(Response::Started(started)) => return Ok(started.session),
                Err(error) if error.code == "NoAgreement" => {
                    if !self.happen() {
                        self.tick();
                    }
                }
                Ok(other) => panic!("{other:?}"),
                Err(error) => return Err(error),
            }
        }
        panic!("no agreement");
    }

    /// Says a number to a session.
    pub fn say(&mut self, index: usize, session: &str, number: &str) -> Result<(), AgentError> {
        let input = number.as_bytes().to_vec();
        let command = Command::Signal { session: session.to_owned(), input };
        self.ask(index, command, Files::default()).map(|_| ())
    }

    /// Runs a session of these devices to its end, each adding its index and 1.
    #[track_caller]
    pub fn run_session(&mut self, index: usize, with: &[usize]) -> String {
        let session = self.start_session(index, with, Some(index as u64 + 1)).unwrap();
        for other in with.iter().filter(|it| **it != index) {
            self.take_part(*other, &session);
        }
        self.until_completed(with, &session);
        session
    }

    /// Waits until a session is here, and says this device's number to it.
    #[track_caller]
    pub fn take_part(&mut self, index: usize, session: &str) {
        let number = (index + 1).to_string();
        self.until(60, "the session is joined", |world| {
            let joined = world.session(index, session);
            joined.is_some_and(|_| world.has_joined(index, session))
        });
        self.say(index, session, &number).unwrap();
    }

    /// Whether a node takes part in a session: its own copy of the state is on its disk.
    pub fn has_joined(&self, index: usize, session: &str) -> bool {
        self.devices[index].stored.local.contains_key(&format!("session/{session}"))
    }

    #[track_caller]
    pub fn until_completed(&mut self, devices: &[usize], session: &str) {
        let sum: usize = devices.iter().map(|it| it + 1).sum();
        self.until(90, "the session is completed", |world| {
            devices.iter().all(|it| {
                let view = world.session(*it, session);
                view.is_some_and(|it| {
                    it.status == "completed" && it.outcome.starts_with(&format!("sum={sum}"))
                })
            })
        });
    }

    pub fn session(&self, index: usize, session: &str) -> Option<Session> {
        let Actor::Node(node) = &self.devices[index].actor else { return None };
        match node.read_command(&Command::Session { session: session.to_owned() }) {
            Ok(Response::Session(session)) => Some(session),
            _ => None,
        }
    }

    /// Proposes a major release, and returns the proposal's id.
    pub fn propose(
        &mut self,
        index: usize,
        publisher: &Publisher,
        version: &str,
    ) -> Result<String, AgentError> {
        self.propose_with(index, publisher, propose_request(version))
    }

    pub fn propose_with(
        &mut self,
        index: usize,
        publisher: &Publisher,
        request: ProposeRequest,
    ) -> Result<String, AgentError> {
        let modules = [publisher.module(&request.version), publisher.migration(&request.version)];
        let files = files(publisher, modules.map(Some));
        match self.ask(index, Command::Propose(request), files)? {
            Response::Proposed(proposed) => Ok(proposed.proposal),
            other => panic!("{other:?}"),
        }
    }

    pub fn proposal(&self, index: usize, id: &str) -> Option<Proposal> {
        let Actor::Node(node) = &self.devices[index].actor else { return None };
        match node.read_command(&Command::Proposals { alias: None }).unwrap() {
            Response::Proposals(all) => all.proposals.into_iter().find(|it| it.proposal == id),
            other => panic!("{other:?}"),
        }
    }

    pub fn status(&self, index: usize) -> Status {
        match self.node(index).read_command(&Command::Status).unwrap() {
            Response::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// Whether all running nodes are so.
    pub fn all(&self, is_so: impl Fn(&Seen) -> bool) -> bool {
        self.nodes().into_iter().map(|it| Seen(self.status(it))).all(|it| is_so(&it))
    }

    /// All nodes have come to rest in one and the same state, which is what their ledgers lead to.
    #[track_caller]
    pub fn assert_agreed(&mut self, version: &str) {
        self.until(120, "all have come to rest alike", |world| {
            let nodes = world.nodes();
            let first = nodes.first().map(|it| world.status(*it)).unwrap();
            (!world.revives || nodes.len() == world.devices.len())
                && world
                    .all(|it| it.0.settled && it.is_like(&first) && it.active() == Some(version))
        });
        for index in 0..self.devices.len() {
            let Actor::Node(node) = &self.devices[index].actor else { continue };
            let restored = self.copy_of(index);
            assert_eq!(restored.state_root(), node.state_root(), "device {index} after a restart");
            for app in self.devices[index].stored.records.keys() {
                let job = node.derivation(*app).unwrap();
                let derived = engine::derive_records(&HOST, job).unwrap().records;
                assert!(node.agrees_with(*app, derived), "device {index}: other records");
            }
        }
    }
}

/// What a device shows.
pub struct Seen(pub Status);

impl Seen {
    pub fn manifest_has(&self, version: &str) -> bool {
        let own = self.0.manifest.get("counter");
        own.is_some_and(|it| it.iter().any(|it| it == version))
    }

    pub fn active(&self) -> Option<&str> {
        self.0.active.get("counter").map(String::as_str)
    }

    pub fn is_like(&self, other: &Status) -> bool {
        self.0.state_root == other.state_root && self.0.ledger == other.ledger
    }
}

impl Publisher {
    pub fn release_of(&self, version: &str) -> aura_journal::control::Release {
        let releases = self.chain.entries().iter().filter_map(|it| match &it.value.body {
            aura_journal::control::EntryBody::Release(release) => Some((**release).clone()),
            _ => None,
        });
        releases.into_iter().find(|it| it.version.to_string() == version).unwrap()
    }

    /// The released module of this version.
    pub fn module(&self, version: &str) -> Vec<u8> {
        self.modules[&self.release_of(version).module.digest].clone()
    }

    /// The released migration to this version.
    pub fn migration(&self, version: &str) -> Vec<u8> {
        self.modules[&self.release_of(version).migration.unwrap().module.digest].clone()
    }
}
