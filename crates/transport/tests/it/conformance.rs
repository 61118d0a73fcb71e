//! INV-T5: both transports behave alike. Every test here runs over real QUIC and over the simulated
//! twin; whoever is built on the traits may rely on each.

use std::{sync::Arc, time::Duration};

use aura_protocol_core::limits::FRAME_BYTES_MAX;
use aura_transport::{
    Channel, Culprit, PeerAddr, PeerId, Settings, Transport, TransportError, Verdict, close,
};
use bytes::Bytes;
use tokio::time::timeout;

use crate::world::{ECHO, Pair, World, id, pair, quick, spawn_echo, within};

macro_rules! conformance {
    ($($test:ident),* $(,)?) => {
        mod over_quic {
            use crate::world::QuicWorld;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(&QuicWorld).await;
            })*
        }
        mod over_memory {
            use crate::world::MemoryWorld;
            $(#[tokio::test(start_paused = true)]
            async fn $test() {
                super::$test(&MemoryWorld::new()).await;
            })*
        }
    };
}

conformance![
    messages_keep_order_and_size,
    each_direction_ends_by_itself,
    many_channels_share_a_session,
    channels_are_accepted_in_opening_order,
    an_oversized_frame_is_not_sent,
    an_oversized_length_closes_the_session,
    a_sender_waits_for_its_reader,
    a_cancelled_call_loses_and_splits_nothing,
    an_unknown_protocol_is_named,
    a_ghost_is_unreachable,
    a_wrong_key_at_a_live_address_is_unreachable,
    a_stranger_is_denied_with_a_reason,
    a_close_carries_code_and_reason,
    a_dropped_session_closes,
    an_unfinished_channel_breaks,
    finished_channels_outlive_the_transport,
    delivered_means_that_close_loses_nothing,
    a_binding_belongs_to_one_session,
    one_peer_holds_a_bounded_number_of_sessions,
    open_channels_are_bounded,
    a_closed_transport_says_so,
];

/// A connected channel, by the bytes of its first message.
async fn channel(pair: &Pair) -> (Box<dyn Channel>, Box<dyn Channel>) {
    let mut ours = pair.dialled.open().await.unwrap();
    ours.send(Bytes::from_static(b"open")).await.unwrap();
    let mut theirs = within(pair.accepted.accept()).await.unwrap();
    assert_eq!(within(theirs.recv()).await.unwrap().unwrap(), &b"open"[..]);
    (ours, theirs)
}

async fn messages_keep_order_and_size(world: &dyn World) {
    let (a, b) = (world.peer(1).await, world.peer(2).await);
    spawn_echo(b.clone());
    let session = within(a.connect(&b.addr(), ECHO)).await.unwrap();
    assert_eq!((session.peer(), session.protocol()), (b.id(), ECHO));
    let mut channel = session.open().await.unwrap();
    for size in [0, 1, 200, 65_536, FRAME_BYTES_MAX] {
        let message = Bytes::from(vec![size as u8 ^ 0x5a; size]);
        channel.send(message.clone()).await.unwrap();
        assert_eq!(within(channel.recv()).await.unwrap().unwrap(), message);
    }
    for number in 0..1000_u32 {
        channel.send(Bytes::copy_from_slice(&number.to_be_bytes())).await.unwrap();
    }
    for number in 0..1000_u32 {
        assert_eq!(within(channel.recv()).await.unwrap().unwrap(), &number.to_be_bytes()[..]);
    }
}

async fn each_direction_ends_by_itself(world: &dyn World) {
    let pair = pair(world).await;
    let (mut ours, mut theirs) = channel(&pair).await;
    ours.finish().await.unwrap();
    ours.finish().await.unwrap();
    assert_eq!(within(theirs.recv()).await, Ok(None));
    assert_eq!(within(theirs.recv()).await, Ok(None));
    theirs.send(Bytes::from_static(b"still here")).await.unwrap();
    theirs.finish().await.unwrap();
    assert_eq!(within(ours.recv()).await.unwrap().unwrap(), &b"still here"[..]);
    assert_eq!(within(ours.recv()).await, Ok(None));
    let late = ours.send(Bytes::from_static(b"late")).await;
    assert_eq!(late, Err(TransportError::Finished));
}

async fn many_channels_share_a_session(world: &dyn World) {
    let (a, b) = (world.peer(1).await, world.peer(2).await);
    spawn_echo(b.clone());
    let session = within(a.connect(&b.addr(), ECHO)).await.unwrap();
    let mut tasks = Vec::new();
    for name in 0..64_u8 {
        let mut channel = within(session.open()).await.unwrap();
        tasks.push(tokio::spawn(async move {
            for round in 0..20_u8 {
                let message = Bytes::from([vec![name, round], vec![0; 200]].concat());
                channel.send(message.clone()).await.unwrap();
                assert_eq!(within(channel.recv()).await.unwrap().unwrap(), message);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

async fn channels_are_accepted_in_opening_order(world: &dyn World) {
    let pair = pair(world).await;
    let mut silent = pair.dialled.open().await.unwrap();
    let nothing = timeout(Duration::from_millis(200), pair.accepted.accept()).await;
    assert!(nothing.is_err(), "a channel without bytes is not seen");
    let mut loud = pair.dialled.open().await.unwrap();
    loud.send(Bytes::from_static(b"second")).await.unwrap();
    let mut first = within(pair.accepted.accept()).await.unwrap();
    let mut second = within(pair.accepted.accept()).await.unwrap();
    assert_eq!(within(second.recv()).await.unwrap().unwrap(), &b"second"[..]);
    silent.send(Bytes::from_static(b"first")).await.unwrap();
    assert_eq!(within(first.recv()).await.unwrap().unwrap(), &b"first"[..]);
}

async fn an_oversized_frame_is_not_sent(world: &dyn World) {
    let pair = pair(world).await;
    let (mut ours, mut theirs) = channel(&pair).await;
    let bytes = FRAME_BYTES_MAX + 1;
    let error = ours.send(Bytes::from(vec![0; bytes])).await.unwrap_err();
    assert_eq!(error, TransportError::FrameTooBig { bytes });
    assert_eq!(error.culprit(), Culprit::Caller);
    ours.send(Bytes::from_static(b"next")).await.unwrap();
    assert_eq!(within(theirs.recv()).await.unwrap().unwrap(), &b"next"[..]);
}

async fn an_oversized_length_closes_the_session(world: &dyn World) {
    let b = world.peer(2).await;
    let hostile = world.hostile(1, &b.addr()).await;
    let mut raw = hostile.open().await;
    assert!(raw.write(&u32::MAX.to_be_bytes()).await);
    let session = within(b.accept()).await.unwrap();
    let mut channel = within(session.accept()).await.unwrap();
    let error = within(channel.recv()).await.unwrap_err();
    assert_eq!(error, TransportError::PeerFrameTooBig { bytes: u32::MAX.into() });
    assert_eq!(error.culprit(), Culprit::Peer);
    assert_eq!(within(session.closed()).await, TransportError::ClosedLocally);
    let told = within(hostile.closed()).await;
    assert!(told.contains("over the limit"), "{told}");
}

/// How much a sender gets rid of while nobody reads.
async fn sent_unread(channel: &mut dyn Channel) -> usize {
    let message = Bytes::from(vec![0; 64 << 10]);
    let mut sent = 0;
    while let Ok(outcome) = timeout(Duration::from_millis(300), channel.send(message.clone())).await
    {
        outcome.unwrap();
        sent += message.len();
        assert!(sent < 64 << 20, "nothing bounds what an unread channel takes");
    }
    sent
}

async fn a_sender_waits_for_its_reader(world: &dyn World) {
    let pair = pair(world).await;
    let (mut ours, mut theirs) = channel(&pair).await;
    let sent = sent_unread(&mut *ours).await;
    let window = quick().channel_window_bytes as usize;
    assert!(sent <= window + quick().send_window_bytes as usize, "{sent}");
    assert!(FRAME_BYTES_MAX <= sent, "{sent}");
    // Reading lets the sender go on.
    let reader = tokio::spawn(async move {
        while let Some(message) = within(theirs.recv()).await.unwrap() {
            assert_eq!(message.len(), 64 << 10);
        }
    });
    for _ in 0..64 {
        within(ours.send(Bytes::from(vec![0; 64 << 10]))).await.unwrap();
    }
    ours.finish().await.unwrap();
    reader.await.unwrap();
}

async fn a_cancelled_call_loses_and_splits_nothing(world: &dyn World) {
    let pair = pair(world).await;
    let (mut ours, mut theirs) = channel(&pair).await;
    let nothing = timeout(Duration::from_millis(50), theirs.recv()).await;
    assert!(nothing.is_err());
    // Numbered messages, sent until one is cancelled half way, then a few more.
    let message = |number: u32| {
        let mut bytes = vec![number as u8; 300_000];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Bytes::from(bytes)
    };
    let mut number = 0;
    while timeout(Duration::from_millis(300), ours.send(message(number))).await.is_ok() {
        number += 1;
    }
    let cancelled = number;
    let writer = tokio::spawn(async move {
        for number in cancelled + 1..cancelled + 4 {
            ours.send(message(number)).await.unwrap();
        }
        ours.finish().await.unwrap();
        ours
    });
    let mut got = Vec::new();
    while let Some(bytes) = within(theirs.recv()).await.unwrap() {
        let number = u32::from_be_bytes(bytes[..4].try_into().unwrap());
        assert_eq!(bytes, message(number), "message {number} arrived whole");
        got.push(number);
    }
    let mut expected: Vec<_> = (0..cancelled + 4).collect();
    if !got.contains(&cancelled) {
        expected.retain(|it| *it != cancelled);
    }
    assert_eq!(got, expected);
    writer.await.unwrap();
}

async fn an_unknown_protocol_is_named(world: &dyn World) {
    let (a, b) = (world.peer(1).await, world.peer(2).await);
    let error = within(a.connect(&b.addr(), "aura/test/2")).await.err().unwrap();
    let protocol = "aura/test/2".to_owned();
    assert_eq!(error, TransportError::NoProtocol { peer: b.id(), protocol });
}

async fn assert_unreachable(from: &dyn Transport, addr: PeerAddr) {
    let error = within(from.connect(&addr, ECHO)).await.err().unwrap();
    assert!(
        matches!(&error, TransportError::Unreachable { peer, .. } if *peer == addr.id),
        "{error}"
    );
    assert_eq!(error.culprit(), Culprit::Network);
}

async fn a_ghost_is_unreachable(world: &dyn World) {
    // Its socket is gone, its address was real.
    let ghost = world.peer(9).await;
    let addr = ghost.addr();
    within(ghost.close()).await;
    drop(ghost);
    let a = world.peer(1).await;
    assert_unreachable(&*a, addr).await;
    assert_unreachable(&*a, PeerAddr::new(id(9), Vec::new())).await;
    assert_unreachable(&*a, PeerAddr::new(PeerId([0xff; 32]), Vec::new())).await;
    assert_unreachable(&*a, a.addr()).await;
}

async fn a_wrong_key_at_a_live_address_is_unreachable(world: &dyn World) {
    let b = world.peer(2).await;
    spawn_echo(b.clone());
    let a = world.peer(1).await;
    assert_unreachable(&*a, PeerAddr { id: id(9), ..b.addr() }).await;
}

async fn a_stranger_is_denied_with_a_reason(world: &dyn World) {
    let admission = |peer: PeerId, protocol: &str| {
        assert_eq!(protocol, ECHO);
        if peer == id(1) {
            return Verdict::Allow;
        }
        Verdict::Deny { reason: "not in the roster".to_owned() }
    };
    let b = world.peer_with(2, Arc::new(admission), quick()).await;
    let stranger = world.peer(3).await;
    let session = within(stranger.connect(&b.addr(), ECHO)).await.unwrap();
    let reason = "not in the roster".to_owned();
    let denied = TransportError::Closed { code: close::DENIED, reason };
    assert_eq!(within(session.closed()).await, denied);
    assert_eq!(session.open().await.err(), Some(denied));
    // The first session that is handed out is the friend's.
    let friend = world.peer(1).await;
    let session = within(friend.connect(&b.addr(), ECHO)).await.unwrap();
    assert_eq!(within(b.accept()).await.unwrap().peer(), friend.id());
    drop(session);
}

async fn a_close_carries_code_and_reason(world: &dyn World) {
    let pair = pair(world).await;
    let (_ours, mut theirs) = channel(&pair).await;
    let code = close::APPLICATION_MIN + 7;
    pair.dialled.close(code, "bye\x1b[2J");
    pair.dialled.close(99, "not the first");
    assert_eq!(within(pair.dialled.closed()).await, TransportError::ClosedLocally);
    assert_eq!(pair.dialled.open().await.err(), Some(TransportError::ClosedLocally));
    let closed = TransportError::Closed { code, reason: "bye[2J".to_owned() };
    assert_eq!(within(pair.accepted.closed()).await, closed);
    assert_eq!(within(pair.accepted.accept()).await.err(), Some(closed.clone()));
    assert_eq!(within(theirs.recv()).await, Err(closed.clone()));
    assert_eq!(theirs.send(Bytes::from_static(b"x")).await, Err(closed));
}

async fn a_dropped_session_closes(world: &dyn World) {
    let Pair { dialled, accepted, a: _a, b: _b } = pair(world).await;
    drop(dialled);
    let closed = TransportError::Closed { code: close::NORMAL, reason: String::new() };
    assert_eq!(within(accepted.closed()).await, closed);
}

async fn an_unfinished_channel_breaks(world: &dyn World) {
    let pair = pair(world).await;
    let (mut ours, theirs) = channel(&pair).await;
    drop(theirs);
    assert_eq!(within(ours.recv()).await, Err(TransportError::Reset { code: close::ABANDONED }));
    // Nobody reads any more, which a sender learns sooner or later.
    let error = loop {
        if let Err(error) = within(ours.send(Bytes::from(vec![0; 1000]))).await {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(error, TransportError::Reset { .. }), "{error}");
    // The session does not mind.
    channel(&pair).await;
}

async fn finished_channels_outlive_the_transport(world: &dyn World) {
    let pair = pair(world).await;
    let (mut ours, mut theirs) = channel(&pair).await;
    let (ours_read, message) =
        (tokio::spawn(async move { (theirs.recv().await, theirs) }), 900_000);
    ours.send(Bytes::from(vec![5; message])).await.unwrap();
    ours.finish().await.unwrap();
    drop(ours);
    within(pair.a.close()).await;
    let (received, _theirs) = within(ours_read).await.unwrap();
    assert_eq!(received.unwrap().unwrap().len(), message);
    let told = within(pair.accepted.closed()).await;
    assert!(matches!(told, TransportError::Closed { code: close::SHUTDOWN, .. }), "{told}");
}

async fn delivered_means_that_close_loses_nothing(world: &dyn World) {
    let pair = pair(world).await;
    let (mut ours, mut theirs) = channel(&pair).await;
    let reader = tokio::spawn(async move { (theirs.recv().await, theirs.recv().await) });
    ours.send(Bytes::from(vec![5; 900_000])).await.unwrap();
    ours.finish().await.unwrap();
    within(pair.dialled.delivered()).await.unwrap();
    pair.dialled.close(close::NORMAL, "done");
    let (message, end) = within(reader).await.unwrap();
    assert_eq!(message.unwrap().unwrap().len(), 900_000);
    assert_eq!(end, Ok(None));
    assert_eq!(pair.dialled.delivered().await, Err(TransportError::ClosedLocally));
}

async fn a_binding_belongs_to_one_session(world: &dyn World) {
    let pair = pair(world).await;
    let binding = pair.dialled.binding().unwrap();
    assert_eq!(pair.accepted.binding().unwrap(), binding);
    let second = within(pair.a.connect(&pair.b.addr(), ECHO)).await.unwrap();
    assert_ne!(second.binding().unwrap(), binding);
}

async fn one_peer_holds_a_bounded_number_of_sessions(world: &dyn World) {
    let settings = Settings { sessions_per_peer_max: 2, sessions_max: 3, ..quick() };
    let b = world.peer_with(2, Arc::new(aura_transport::AdmitAnyone), settings).await;
    let (a, c, d) = (world.peer(1).await, world.peer(3).await, world.peer(4).await);
    let mut held = Vec::new();
    for peer in [&a, &a, &c] {
        let ours = within(peer.connect(&b.addr(), ECHO)).await.unwrap();
        held.push((ours, within(b.accept()).await.unwrap()));
    }
    for (peer, reason) in [(&a, "too many sessions"), (&d, "too many sessions")] {
        let refused = within(peer.connect(&b.addr(), ECHO)).await.unwrap();
        let reason = reason.to_owned();
        assert_eq!(
            within(refused.closed()).await,
            TransportError::Closed { code: close::BUSY, reason }
        );
    }
    // A place becomes free when a session ends, and one peer still cannot take them all.
    let (_, theirs) = held.pop().unwrap();
    theirs.close(close::NORMAL, "");
    drop(theirs);
    let refused = within(a.connect(&b.addr(), ECHO)).await.unwrap();
    let reason = "too many sessions of this peer".to_owned();
    assert_eq!(
        within(refused.closed()).await,
        TransportError::Closed { code: close::BUSY, reason }
    );
    let welcome = within(d.connect(&b.addr(), ECHO)).await.unwrap();
    assert_eq!(within(b.accept()).await.unwrap().peer(), d.id());
    drop(welcome);
}

async fn open_channels_are_bounded(world: &dyn World) {
    let settings = Settings { channels_max: 4, ..quick() };
    let b = world.peer_with(2, Arc::new(aura_transport::AdmitAnyone), settings).await;
    let a = world.peer(1).await;
    let ours = within(a.connect(&b.addr(), ECHO)).await.unwrap();
    let theirs = within(b.accept()).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut channel = within(ours.open()).await.unwrap();
        channel.send(Bytes::from_static(b"hello")).await.unwrap();
        open.push((channel, within(theirs.accept()).await.unwrap()));
    }
    assert!(timeout(Duration::from_millis(200), ours.open()).await.is_err());
    open.pop();
    within(ours.open()).await.unwrap();
}

async fn a_closed_transport_says_so(world: &dyn World) {
    let Pair { a, b, dialled, accepted: _accepted } = pair(world).await;
    within(a.close()).await;
    assert_eq!(within(dialled.closed()).await, TransportError::ClosedLocally);
    assert!(within(a.accept()).await.is_none());
    assert_eq!(within(a.connect(&b.addr(), ECHO)).await.err(), Some(TransportError::Shutdown));
}
