//! What only the simulated twin can show: the same run for the same seed, cuts, and crashes.

use std::{sync::Arc, time::Duration};

use aura_transport::{
    AdmitAnyone, Link, MemoryNetwork, Settings, Transport, TransportError,
    memory::{TraceEvent, TraceKind},
};
use bytes::Bytes;
use tokio::time::Instant;

use crate::world::{ECHO, MemoryWorld, Pair, World, id, pair, quick, spawn_echo, within};

async fn run(seed: u64) -> (Vec<TraceEvent>, [u8; 32]) {
    let world = MemoryWorld(MemoryNetwork::new(seed));
    world.0.set_link(id(1), id(2), Link { loss_per_mille: 100, ..Link::default() });
    let (a, b) = (world.peer(1).await, world.peer(2).await);
    spawn_echo(b.clone());
    let session = within(a.connect(&b.addr(), ECHO)).await.unwrap();
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let mut channel = session.open().await.unwrap();
        tasks.push(tokio::spawn(async move {
            for round in 0..50_u8 {
                channel.send(Bytes::from(vec![round; 100])).await.unwrap();
                assert_eq!(channel.recv().await.unwrap().unwrap()[0], round);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    (world.0.trace(), world.0.trace_hash())
}

/// INV-T6: the same seed gives the same run.
#[test]
fn a_seed_is_a_run() {
    let run = |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(seed))
    };
    let (first, again, other) = (run(1), run(1), run(2));
    assert!(800 < first.0.len(), "{}", first.0.len());
    assert_eq!(first, again);
    assert_ne!(first.1, other.1);
}

#[tokio::test(start_paused = true)]
async fn a_short_cut_only_delays() {
    let world = MemoryWorld::new();
    let pair = pair(&world).await;
    let mut ours = pair.dialled.open().await.unwrap();
    world.0.partition(id(1), id(2));
    let began = Instant::now();
    ours.send(Bytes::from_static(b"later")).await.unwrap();
    let network = world.0.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        network.heal(id(1), id(2));
    });
    let mut theirs = within(pair.accepted.accept()).await.unwrap();
    assert_eq!(within(theirs.recv()).await.unwrap().unwrap(), &b"later"[..]);
    assert!(Duration::from_secs(2) <= began.elapsed());
}

fn lost(error: &TransportError) -> bool {
    matches!(error, TransportError::Lost { .. })
}

#[tokio::test(start_paused = true)]
async fn a_long_cut_breaks_the_session_for_both() {
    let world = MemoryWorld::new();
    let pair = pair(&world).await;
    let mut ours = pair.dialled.open().await.unwrap();
    world.0.cut_one_way(id(1), id(2));
    let began = Instant::now();
    assert!(lost(&within(pair.accepted.closed()).await));
    assert!(lost(&within(ours.recv()).await.unwrap_err()));
    assert_eq!(began.elapsed(), quick().idle_timeout);
    let error = within(pair.a.connect(&pair.b.addr(), ECHO)).await.err().unwrap();
    assert!(matches!(error, TransportError::Unreachable { .. }), "{error}");
    world.0.heal(id(1), id(2));
    within(pair.a.connect(&pair.b.addr(), ECHO)).await.unwrap();
    assert!(lost(&pair.dialled.open().await.err().unwrap()), "a broken session stays broken");
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_nobody_watched_breaks_too() {
    let world = MemoryWorld::new();
    let pair = pair(&world).await;
    world.0.partition(id(1), id(2));
    tokio::time::sleep(quick().idle_timeout).await;
    world.0.heal(id(1), id(2));
    assert!(lost(&pair.dialled.open().await.err().unwrap()));
    assert!(lost(&within(pair.accepted.closed()).await));
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_silence() {
    let world = MemoryWorld::new();
    let Pair { dialled, a, b: _b, accepted } = pair(&world).await;
    let began = Instant::now();
    world.0.crash(id(2));
    assert!(lost(&accepted.closed().await));
    assert!(lost(&within(dialled.closed()).await));
    assert_eq!(began.elapsed(), quick().idle_timeout);
    // Back at its old address.
    let back = world.peer(2).await;
    within(a.connect(&back.addr(), ECHO)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_peers_cannot_have_one_address() {
    let network = MemoryNetwork::new(1);
    let peer = || network.transport(id(1), &[ECHO], Arc::new(AdmitAnyone), Settings::default());
    let first = peer().unwrap();
    assert!(matches!(peer().err(), Some(TransportError::AddressInUse { .. })));
    first.close().await;
    peer().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_trace_tells_what_was_sent() {
    let world = MemoryWorld::new();
    let pair = pair(&world).await;
    let mut ours = pair.dialled.open().await.unwrap();
    ours.send(Bytes::from_static(b"hello")).await.unwrap();
    ours.finish().await.unwrap();
    within(pair.dialled.delivered()).await.unwrap();
    pair.dialled.close(20, "done");
    let kinds: Vec<_> = world.0.trace().iter().map(|it| (it.from == id(1), it.kind)).collect();
    assert_eq!(
        kinds,
        [
            (true, TraceKind::Handshake),
            (false, TraceKind::Handshake),
            (true, TraceKind::Data { bytes: 9 }),
            (true, TraceKind::Finish),
            (false, TraceKind::Acknowledge),
            (true, TraceKind::Close),
        ]
    );
}
