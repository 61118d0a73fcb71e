//! INV-A4 over real QUIC: whoever breaks a rule is cut off with a reason, and nobody else notices.

use aura_agent::join::{JoinReply, JoinRequest};
use aura_agent::ticket::Ticket;
use aura_crypto::SecretKey;
use aura_journal::{
    Event, Ledger, LedgerStore as _, Unit,
    store::DiskStore,
    sync::{self, SyncMessage},
};
use aura_protocol_core::{Digest, decode, encode};
use tokio::time::timeout;

use crate::{
    field::{DEADLINE, Field, JOIN, MODULE, Raw, SYNC, ended, invite, say_on, shows},
    world::identity,
};

/// What a device that breaks the rules of the protocol is closed with.
const VIOLATION: u32 = 17;
const DENIED: u32 = 1;
const BUSY: u32 = 2;

fn cut(reason: &str) -> (u32, String) {
    (VIOLATION, reason.to_owned())
}

/// INV-A4: a member with real keys that sends garbage at every place where something is expected, while
/// the others run a session.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_sends_garbage_is_cut_off() {
    let field = Field::new(2).await;
    field.install().await;
    let spare = field.spare();
    let raw = Raw::new(*spare.transport_seed).await;
    let to = field.address(0);
    let attacks = async {
        for garbage in [&b"hello"[..], &[9], &[0, 0], &[0xff; 1000]] {
            let end = raw.say(&to, &[garbage]).await;
            assert_eq!(end, cut("a channel that begins with garbage"));
        }
        for garbage in [&b"no message"[..], &[0xff; 900_000], &[]] {
            let end = raw.say(&to, &[SYNC, garbage]).await;
            assert_eq!(end, cut("a sync message that is none"));
        }
        let session = raw.connect(&to).await;
        let _first = say_on(session.as_ref(), &[SYNC]).await;
        let _second = say_on(session.as_ref(), &[SYNC]).await;
        assert_eq!(ended(session.as_ref()).await, cut("a second sync channel"));
        let end = raw.say(&to, &[JOIN, b"no request"]).await;
        assert_eq!(end, cut("a request to join that is none"));

        // A unit of its own, with one bit of the signature flipped.
        let mut ledger = Ledger::restore(&stored(&field, 2)).unwrap();
        let key = SecretKey::from_seed(*spare.unit.danger_seed());
        let event = Event::AcknowledgeUpgrade { proposal: Digest::ZERO };
        let unit = ledger.author(spare.device(), &key, None, event).unwrap();
        let mut unit = Unit::from_bytes(ledger.unit_bytes(&unit).unwrap()).unwrap();
        unit.signature.0[3] ^= 8;
        let message = SyncMessage::Units(vec![encode(&unit)]).to_bytes();
        let (code, reason) = raw.say(&to, &[SYNC, &message]).await;
        assert_eq!(code, VIOLATION);
        assert!(reason.starts_with("bad unit (Signature): "), "{reason}");
        let message = SyncMessage::Units(vec![b"\x01\0no unit".to_vec()]).to_bytes();
        let (_, reason) = raw.say(&to, &[SYNC, &message]).await;
        assert!(reason.starts_with("bad unit (Malformed): "), "{reason}");
        let forged = ledger.chain().entries()[1].clone();
        let slot = ledger.chain().next_slot();
        let forged = aura_journal::control::CertifiedEntry { slot, ..forged };
        let message = SyncMessage::Entries(vec![forged]).to_bytes();
        let (_, reason) = raw.say(&to, &[SYNC, &message]).await;
        assert!(reason.starts_with("it sent a bad entry: "), "{reason}");

        // What merely asks for nothing sensible costs only itself.
        let session = raw.connect(&to).await;
        let hello = SyncMessage::Hello(sync::hello(&ledger)).to_bytes();
        let _sync = say_on(session.as_ref(), &[SYNC, &hello, &hello]).await;
        let mut module = say_on(session.as_ref(), &[MODULE, b"no request"]).await.unwrap();
        let answer = timeout(DEADLINE, module.recv()).await.unwrap();
        assert!(!matches!(answer, Ok(Some(_))), "{answer:?}");
    };
    tokio::join!(attacks, field.run_session());
    field.run_session().await;
    field.shutdown().await;
}

fn stored(field: &Field, index: usize) -> aura_journal::Stored {
    DiskStore::open(&field.dir(index)).unwrap().load().unwrap()
}

/// INV-A4: a stranger is turned away while no invitation is open, fifty times over, and nobody notices.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_turned_away() {
    let field = Field::new(2).await;
    field.install().await;
    // The ticket of the spare device is used, but its time is not over: strangers may come and be
    // told so. A restart later nobody invites any more.
    let Field { folder, mut agents } = field;
    agents.remove(0).shutdown().await.unwrap();
    let forget = |name: &String| name.starts_with("ticket/");
    {
        let dir = folder.path().join("device-0");
        let mut store = DiskStore::open(&dir).unwrap();
        let tickets = store.load().unwrap().local.into_keys().filter(forget);
        let local = tickets.map(|it| (it, None)).collect();
        let batch = aura_journal::StoreBatch { local, ..Default::default() };
        store.commit(&batch).unwrap();
    }
    agents.insert(0, crate::field::open(&folder.path().join("device-0")).await);
    let field = Field { folder, agents };
    let to = field.address(0);
    let raw = Raw::new([77; 32]).await;
    let attacks = async {
        let attempts = (0..50).map(|_| async {
            let session = raw.connect(&to).await;
            ended(session.as_ref()).await
        });
        for (code, reason) in futures::future::join_all(attempts).await {
            // More at a time than one peer may have under way are not even asked who they are.
            let denied = code == DENIED && reason == "not a device of this account";
            assert!(denied || code == BUSY, "{code}: {reason}");
        }
        let (code, _) = raw.say(&to, &[SYNC]).await;
        assert_eq!(code, DENIED);
    };
    tokio::join!(attacks, field.run_session());
    field.shutdown().await;
}

/// INV-A4: while an invitation is open a stranger may ask to join, and do nothing else; not even be
/// silent for long.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_may_only_ask_to_join() {
    let field = Field::new(2).await;
    field.install().await;
    let ticket = Ticket::from_text(&invite(&field.agents[0]).await).unwrap();
    let to = field.address(0);
    let raw = Raw::new([78; 32]).await;
    let asks = async {
        for kind in [SYNC, MODULE] {
            let end = raw.say(&to, &[kind]).await;
            assert_eq!(end, cut("a stranger may only ask to join"));
        }
        let end = raw.say(&to, &[b"garbage"]).await;
        assert_eq!(end, cut("a channel that begins with garbage"));
        let end = raw.say(&to, &[JOIN, b"garbage"]).await;
        assert_eq!(end, cut("a request to join that is none"));
        let guessed = Ticket { secret: [1; 32], ..ticket.clone() };
        let request = encode(&JoinRequest::new(&guessed, &identity(9)));
        let session = raw.connect(&to).await;
        let mut channel = say_on(session.as_ref(), &[JOIN, &request]).await.unwrap();
        let reply = timeout(DEADLINE, channel.recv()).await.unwrap().unwrap().unwrap();
        match decode::<JoinReply>(&reply, 4096).unwrap() {
            JoinReply::Refused { code, .. } => assert_eq!(code, "UnknownTicket"),
            other => panic!("{other:?}"),
        }
    };
    let silences = async {
        let nothing = raw.connect(&to).await;
        assert_eq!(ended(nothing.as_ref()).await, cut("a stranger that says nothing"));
    };
    let half_a_request = async {
        let end = raw.say(&to, &[JOIN]).await;
        assert_eq!(end, cut("a channel that says nothing"));
    };
    tokio::join!(asks, silences, half_a_request, field.run_session());
    field.shutdown().await;
}

/// INV-A4: strangers who come in numbers and say nothing take each other's places, not the devices'.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_strangers_takes_nobodys_place() {
    let field = Field::new(2).await;
    field.install().await;
    let to = field.address(0);
    let crowd = futures::future::join_all((0..8u8).map(|it| Raw::new([100 + it; 32]))).await;
    let mut sessions = vec![];
    for raw in &crowd {
        for _ in 0..8 {
            sessions.push(raw.connect(&to).await);
        }
    }
    field.run_session().await;
    let ends = futures::future::join_all(sessions.iter().map(|it| ended(it.as_ref()))).await;
    let busy = ends.iter().filter(|(code, _)| *code == BUSY).count();
    assert_eq!(busy, 32, "{ends:?}");
    assert_eq!(ends.iter().filter(|it| **it == cut("a stranger that says nothing")).count(), 32);
    shows(&field.agents[0], "the other is connected", |it| it.peers == 1).await;
    field.shutdown().await;
}

/// A member that opens channels and says nothing on them.
#[tokio::test(flavor = "multi_thread")]
async fn silence_is_cut_off() {
    let field = Field::new(2).await;
    let raw = Raw::new(*field.spare().transport_seed).await;
    let to = field.address(1);
    let session = raw.connect(&to).await;
    let _sync = say_on(session.as_ref(), &[SYNC]).await;
    let _module = say_on(session.as_ref(), &[MODULE]).await;
    assert_eq!(ended(session.as_ref()).await, cut("a channel that says nothing"));
    shows(&field.agents[0], "the others are connected", |it| it.peers == 1).await;
    field.shutdown().await;
}

/// INV-A4, INV-A5: a member that asks for everything again and again and reads nothing of it is cut off before it
/// fills the other's memory.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_read_is_cut_off() {
    let field = Field::new(2).await;
    let Field { folder, mut agents } = field;
    agents.remove(0).shutdown().await.unwrap();
    let dir = folder.path().join("device-0");
    crate::device::fill(&dir, 200);
    agents.insert(0, crate::field::open(&dir).await);
    let field = Field { folder, agents };
    let raw = Raw::new(*field.spare().transport_seed).await;
    let session = raw.connect(&field.address(0)).await;
    let ledger = Ledger::restore(&stored(&field, 2)).unwrap();
    let hello = SyncMessage::Hello(sync::hello(&ledger)).to_bytes();
    let mut channel = say_on(session.as_ref(), &[SYNC]).await.unwrap();
    let mut said = 0;
    while channel.send(hello.clone().into()).await.is_ok() {
        said += 1;
        assert!(said < 100_000);
    }
    let (code, reason) = ended(session.as_ref()).await;
    assert_eq!((code, reason.as_str()), (16, "too slow"));
    shows(&field.agents[0], "the others are connected", |it| it.peers == 1).await;
    field.shutdown().await;
}
