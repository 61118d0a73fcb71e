//! Real devices on real QUIC, in folders of their own.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aura_agent::{
    AgentError, DeviceAgent, account,
    api::{Command, InstallRequest, Response, Session, StartRequest, Status},
    chain_file,
    identity::Identity,
    join,
};
use aura_transport::{
    AdmitAnyone, Channel, PeerAddr, PeerId, QuicConfig, QuicTransport, Settings, Transport as _,
    TransportError, TransportKey, protocol::SYNC_V1,
};
use bytes::Bytes;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::publisher::Publisher;

/// Longest wait for anything in these tests. What is waited for takes well below a second, except the
/// silences that are cut off after ten.
pub const DEADLINE: Duration = Duration::from_secs(40);
/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// Any free port of the loopback interface.
pub const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The first bytes of a channel, by what it is for.
pub const SYNC: &[u8] = &[0];
pub const MODULE: &[u8] = &[1];
pub const JOIN: &[u8] = &[2];

/// Looks at a condition until it is met.
pub async fn until<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        sleep(GLANCE).await;
    }
}

/// An account of some devices; the last of them runs nothing, and its keys are the test's.
pub struct Field {
    pub folder: TempDir,
    pub agents: Vec<DeviceAgent>,
}

impl Field {
    /// `running` devices that run, and one more whose keys are the test's.
    pub async fn new(running: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = |index: usize| folder.path().join(format!("device-{index}"));
        account::create(&dir(0), "home", "device-0").unwrap();
        let mut agents = vec![open(&dir(0)).await];
        for index in 1..=running {
            let ticket = invite(&agents[0]).await;
            join::join(&dir(index), &ticket, &format!("device-{index}"), ANY).await.unwrap();
            if index < running {
                agents.push(open(&dir(index)).await);
            }
            // The next decision needs votes of those that are in already.
            for agent in &agents {
                until("the others are connected", || async {
                    (agent.status().await.unwrap().peers + 1 == agents.len()).then_some(())
                })
                .await;
            }
        }
        Self { folder, agents }
    }

    pub fn dir(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("device-{index}"))
    }

    /// The keys of the device that runs nothing.
    pub fn spare(&self) -> Identity {
        Identity::load(&self.dir(self.agents.len())).unwrap()
    }

    /// Where a device is.
    pub fn address(&self, index: usize) -> PeerAddr {
        let identity = Identity::load(&self.dir(index)).unwrap();
        let id = PeerId(*identity.roster_entry().transport_key.as_bytes());
        PeerAddr::new(id, vec![self.agents[index].address()])
    }

    /// Installs the counter, and waits until all run it.
    pub async fn install(&self) {
        let publisher = Publisher::of_counter();
        let (chain, module) =
            (self.folder.path().join("chain"), self.folder.path().join("module.wasm"));
        chain_file::write(&chain, &publisher.chain).unwrap();
        std::fs::write(&module, publisher.module("1.0.0")).unwrap();
        let request = InstallRequest {
            alias: "counter".to_owned(),
            repository: chain,
            requirement: "^1".to_owned(),
            policy: "minor".to_owned(),
            version: Some("1.0.0".to_owned()),
            module: Some(module),
        };
        self.agents[0].install(request).await.unwrap();
        for agent in &self.agents {
            until("all run the counter", || async {
                let status = agent.status().await.unwrap();
                status.manifest.get("counter").map(|_| ())
            })
            .await;
        }
    }

    /// Runs a session of all devices that run, to its end.
    pub async fn run_session(&self) {
        let request = StartRequest {
            alias: "counter".to_owned(),
            with: (1..self.agents.len()).map(|it| format!("device-{it}")).collect(),
            params: vec![],
            input: Some(b"1".to_vec()),
        };
        let started = until("there is a common version", || async {
            match self.agents[0].start_session(request.clone()).await {
                Ok(started) => Some(started),
                Err(error) if error.code == "NoAgreement" => None,
                Err(error) => panic!("{error}"),
            }
        })
        .await;
        let session = started.session;
        for agent in &self.agents[1..] {
            until("the session is joined", || async {
                let input = b"1".to_vec();
                let signal = Command::Signal { session: session.clone(), input };
                match agent.request(signal).await {
                    Ok(_) => Some(()),
                    Err(error) if error.code == "NotInSession" => None,
                    Err(error) => panic!("{error}"),
                }
            })
            .await;
        }
        for agent in &self.agents {
            let shown = until("the session is completed", || async {
                let shown = session_of(agent, &session).await.ok()?;
                (shown.status == "completed").then_some(shown)
            })
            .await;
            assert_eq!(shown.outcome, format!("sum={}", self.agents.len()));
        }
    }

    pub async fn shutdown(self) {
        for agent in self.agents {
            agent.shutdown().await.unwrap();
        }
    }
}

pub async fn open(dir: &Path) -> DeviceAgent {
    DeviceAgent::builder(dir).open().await.unwrap()
}

pub async fn invite(agent: &DeviceAgent) -> String {
    match agent.request(Command::Invite { valid_seconds: 600, replaces: None }).await.unwrap() {
        Response::Ticket(issued) => issued.ticket,
        other => panic!("{other:?}"),
    }
}

pub async fn session_of(agent: &DeviceAgent, session: &str) -> Result<Session, AgentError> {
    match agent.request(Command::Session { session: session.to_owned() }).await? {
        Response::Session(session) => Ok(session),
        other => panic!("{other:?}"),
    }
}

/// Waits until a device shows what is looked for.
pub async fn shows(agent: &DeviceAgent, what: &str, is_so: impl Fn(&Status) -> bool) -> Status {
    until(what, || async {
        let status = agent.status().await.unwrap();
        is_so(&status).then_some(status)
    })
    .await
}

/// A transport that keeps to the frames, and to nothing above them.
pub struct Raw(pub QuicTransport);

impl Raw {
    pub async fn new(seed: [u8; 32]) -> Self {
        let config = QuicConfig {
            key: TransportKey::from_bytes(seed),
            listen: ANY,
            protocols: vec![SYNC_V1.to_owned()],
            admission: Arc::new(AdmitAnyone),
            settings: Settings::default(),
        };
        Self(QuicTransport::bind(config).await.unwrap())
    }

    pub async fn connect(&self, to: &PeerAddr) -> Box<dyn aura_transport::Session> {
        self.0.connect(to, SYNC_V1).await.unwrap()
    }

    /// Opens a channel on a connection of its own, says these frames on it, and waits for the end of
    /// the connection.
    pub async fn say(&self, to: &PeerAddr, frames: &[&[u8]]) -> (u32, String) {
        let session = self.connect(to).await;
        let _channel = say_on(session.as_ref(), frames).await;
        ended(session.as_ref()).await
    }
}

/// Opens a channel and says these frames on it, as far as the other side lets.
pub async fn say_on(
    session: &dyn aura_transport::Session,
    frames: &[&[u8]],
) -> Option<Box<dyn Channel>> {
    let mut channel = session.open().await.ok()?;
    for frame in frames {
        channel.send(Bytes::copy_from_slice(frame)).await.ok()?;
    }
    Some(channel)
}

/// How the other side ended a connection.
pub async fn ended(session: &dyn aura_transport::Session) -> (u32, String) {
    match timeout(DEADLINE, session.closed()).await.unwrap() {
        TransportError::Closed { code, reason } => (code, reason),
        other => panic!("{other:?}"),
    }
}
