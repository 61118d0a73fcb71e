//! A device on a real disk and a real network, through its facade.

use std::path::Path;

use aura_agent::{AgentEvent, DeviceAgent, Whose, account, identity::Identity, offline};
use aura_crypto::SecretKey;
use aura_journal::{Event, Ledger, LedgerStore as _, store::DiskStore};
use aura_protocol_core::Digest;
use tokio::time::timeout;

use crate::field::{DEADLINE, Field, open, shows, until};

/// Writes `count` large units into the store of a device that does not run.
pub fn fill(dir: &Path, count: usize) {
    let identity = Identity::load(dir).unwrap();
    let key = SecretKey::from_seed(*identity.unit.danger_seed());
    let mut store = DiskStore::open(dir).unwrap();
    let mut ledger = Ledger::restore(&store.load().unwrap()).unwrap();
    for _ in 0..count {
        let event = Event::DeclineUpgrade {
            proposal: Digest::ZERO,
            code: String::new(),
            reason: "x".repeat(60_000),
        };
        ledger.author(identity.device(), &key, None, event).unwrap();
    }
    store.commit(&ledger.take_batch()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_and_an_address_have_one_user() {
    let field = Field::new(1).await;
    let error = DeviceAgent::builder(field.dir(0)).open().await.err().unwrap();
    assert_eq!((error.code.as_str(), error.whose), ("StoreInUse", Whose::Caller));
    let error = offline::status(&field.dir(0)).unwrap_err();
    assert_eq!(error.code, "StoreInUse");

    let taken = field.agents[0].address();
    let error = DeviceAgent::builder(field.dir(1)).bind(taken).open().await.err().unwrap();
    assert_eq!((error.code.as_str(), error.whose), ("AddressInUse", Whose::Machine));
    // Nothing is held after the failure.
    let second = open(&field.dir(1)).await;
    second.shutdown().await.unwrap();

    let error = DeviceAgent::builder(field.dir(7)).open().await.err().unwrap();
    assert_eq!(error.code, "StoreNotFound");
    let error = account::create(&field.dir(0), "again", "again").unwrap_err();
    assert_eq!(error.code, "StoreExists");
    field.shutdown().await;
}

/// Whether it was told to stop or just dropped, a device comes back where it was, at the same address.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_comes_back() {
    let mut field = Field::new(2).await;
    field.install().await;
    field.run_session().await;
    let before = shows(&field.agents[1], "it has come to rest", |it| {
        it.settled && it.records.get("counter") == Some(&1)
    })
    .await;
    let address = field.agents[1].address();

    field.agents.remove(1).shutdown().await.unwrap();
    let reopened = DeviceAgent::builder(field.dir(1)).bind(address).open().await.unwrap();
    assert_eq!(reopened.address(), address);
    let status = reopened.status().await.unwrap();
    assert_eq!(status.state_root, before.state_root);
    assert!(before.ledger.units <= status.ledger.units);
    field.agents.push(reopened);
    field.run_session().await;

    // Dropped without a word: the store is free at once.
    drop(field.agents.remove(1));
    let verified = offline::verify(&field.dir(1)).unwrap();
    assert!(verified.ok);
    let reopened = open(&field.dir(1)).await;
    field.agents.push(reopened);
    field.run_session().await;
    let roots = async |index: usize| {
        let agent: &DeviceAgent = &field.agents[index];
        shows(agent, "three records", |it| it.settled && it.records.get("counter") == Some(&3))
            .await
            .state_root
    };
    assert_eq!(roots(0).await, roots(1).await);
    field.shutdown().await;
}

/// Listeners hear of decisions and of the ends of sessions, wherever they were made.
#[tokio::test(flavor = "multi_thread")]
async fn listeners_hear_what_happens() {
    let field = Field::new(2).await;
    let mut events = field.agents[1].subscribe();
    field.install().await;
    field.run_session().await;
    let mut next = async |what: &str, is_it: &dyn Fn(&AgentEvent) -> bool| loop {
        let event = timeout(DEADLINE, events.recv()).await;
        let event = event.unwrap_or_else(|_| panic!("not heard: {what}")).unwrap();
        if is_it(&event) {
            break;
        }
    };
    next("the decision", &|it| {
        matches!(it, AgentEvent::Decided { says, .. } if says.starts_with("install `counter`"))
    })
    .await;
    next("the end of the session", &|it| {
        matches!(it, AgentEvent::SessionEnded { status, outcome, .. }
            if status == "completed" && outcome == "sum=2")
    })
    .await;
    field.shutdown().await;
}

/// Two devices that have megabytes to tell each other both get to say it.
#[tokio::test(flavor = "multi_thread")]
async fn both_have_much_to_say() {
    let mut field = Field::new(2).await;
    for agent in field.agents.drain(..) {
        agent.shutdown().await.unwrap();
    }
    for index in 0..2 {
        fill(&field.dir(index), 250);
    }
    for index in 0..2 {
        field.agents.push(open(&field.dir(index)).await);
    }
    for agent in &field.agents {
        shows(agent, "all units are here", |it| 500 <= it.ledger.units).await;
    }
    field.shutdown().await;
}

/// A device listens where it did before, so that devices which were all off find each other again;
/// unless somebody else listens there by now.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_listens_where_it_did_before() {
    let mut field = Field::new(1).await;
    let address = field.agents[0].address();
    field.agents.remove(0).shutdown().await.unwrap();
    let again = open(&field.dir(0)).await;
    assert_eq!(again.address(), address);
    again.shutdown().await.unwrap();
    let other =
        until("the address is free", || async { tokio::net::UdpSocket::bind(address).await.ok() })
            .await;
    let elsewhere = open(&field.dir(0)).await;
    assert_ne!(elsewhere.address(), address);
    elsewhere.shutdown().await.unwrap();
    drop(other);
}

/// Devices that dial each other at the same moment stay connected.
#[tokio::test(flavor = "multi_thread")]
async fn devices_that_dial_each_other_at_once_stay_connected() {
    let mut field = Field::new(4).await;
    for agent in field.agents.drain(..) {
        agent.shutdown().await.unwrap();
    }
    let dirs: Vec<_> = (0..4).map(|it| field.dir(it)).collect();
    let opened: Vec<DeviceAgent> = futures::future::join_all(dirs.iter().map(|it| open(it))).await;
    let mut events: Vec<_> = opened.iter().map(DeviceAgent::subscribe).collect();
    for agent in &opened {
        shows(agent, "all are connected", |it| it.peers == 3).await;
    }
    field.agents = opened;
    field.install().await;
    field.run_session().await;
    for heard in &mut events {
        while let Ok(event) = heard.try_recv() {
            assert!(!matches!(event, AgentEvent::PeerGone { .. }), "{event:?}");
        }
    }
    field.shutdown().await;
}
