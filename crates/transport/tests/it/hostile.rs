//! Peers that break the rules, over real QUIC: each is cut off with a typed reason or bounded, while
//! an honest peer of the same transport goes on.

use std::{sync::Arc, time::Duration};

use aura_protocol_core::limits::FRAME_BYTES_MAX;
use aura_transport::{Channel, Culprit, Session, Settings, Transport, TransportError};
use bytes::Bytes;
use tokio::time::timeout;

use crate::world::{ECHO, Hostile, QuicWorld, Raw, World, quick, within};

/// A victim with an honest friend and an attacker.
struct Scene {
    victim: Arc<dyn Transport>,
    friend: Box<dyn Session>,
    friends_channel: Box<dyn Channel>,
    victims_channel: Box<dyn Channel>,
    attacker: Box<dyn Hostile>,
    attacked: Box<dyn Session>,
    _friends_transport: Arc<dyn Transport>,
    _friends_session: Box<dyn Session>,
}

impl Scene {
    async fn new(settings: Settings) -> Self {
        let victim = QuicWorld.peer_with(2, Arc::new(aura_transport::AdmitAnyone), settings).await;
        let friends_transport = QuicWorld.peer(1).await;
        let friend = within(friends_transport.connect(&victim.addr(), ECHO)).await.unwrap();
        let accepted = within(victim.accept()).await.unwrap();
        let mut friends_channel = friend.open().await.unwrap();
        friends_channel.send(Bytes::from_static(b"hello")).await.unwrap();
        let mut victims_channel = within(accepted.accept()).await.unwrap();
        assert_eq!(within(victims_channel.recv()).await.unwrap().unwrap(), &b"hello"[..]);
        let attacker = QuicWorld.hostile(66, &victim.addr()).await;
        let attacked = within(victim.accept()).await.unwrap();
        Self {
            victim,
            friend,
            friends_channel,
            victims_channel,
            attacker,
            attacked,
            _friends_transport: friends_transport,
            _friends_session: accepted,
        }
    }

    /// Writes the first bytes of a channel; gives both ends.
    async fn attack(&self, bytes: &[u8]) -> (Box<dyn Raw>, Box<dyn Channel>) {
        let mut raw = self.attacker.open().await;
        assert!(raw.write(bytes).await);
        (raw, within(self.attacked.accept()).await.unwrap())
    }

    /// The friend's session never noticed.
    async fn assert_friend_goes_on(&mut self) {
        for size in [0, 1000, FRAME_BYTES_MAX] {
            let message = Bytes::from(vec![3; size]);
            let (sent, received) = tokio::join!(
                self.friends_channel.send(message.clone()),
                within(self.victims_channel.recv())
            );
            sent.unwrap();
            assert_eq!(received.unwrap().unwrap(), message);
        }
        let mut another = within(self.friend.open()).await.unwrap();
        another.send(Bytes::from_static(b"one more")).await.unwrap();
        let mut theirs = within(self._friends_session.accept()).await.unwrap();
        assert_eq!(within(theirs.recv()).await.unwrap().unwrap(), &b"one more"[..]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_ends_the_attackers_session() {
    let mut scene = Scene::new(quick()).await;
    let (_raw, mut channel) = scene.attack(b"GET / HTTP/1.1\r\n\r\n").await;
    let error = within(channel.recv()).await.unwrap_err();
    let bytes = u32::from_be_bytes(*b"GET ").into();
    assert_eq!(error, TransportError::PeerFrameTooBig { bytes });
    assert_eq!(error.culprit(), Culprit::Peer);
    let told = within(scene.attacker.closed()).await;
    assert!(told.contains("over the limit"), "{told}");
    scene.assert_friend_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_just_over_the_limit_is_refused() {
    let mut scene = Scene::new(quick()).await;
    let announced = FRAME_BYTES_MAX as u32 + 1;
    let (_raw, mut channel) = scene.attack(&announced.to_be_bytes()).await;
    let error = within(channel.recv()).await.unwrap_err();
    assert_eq!(error, TransportError::PeerFrameTooBig { bytes: announced.into() });
    scene.assert_friend_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dripping_frame_is_cut_off() {
    let mut scene = Scene::new(quick()).await;
    let (mut raw, mut channel) = scene.attack(&(FRAME_BYTES_MAX as u32).to_be_bytes()).await;
    let dripping = tokio::spawn(async move {
        let mut drops = 0_u32;
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        while raw.write(&[0]).await {
            drops += 1;
            pace.tick().await;
        }
        drops
    });
    let error = within(channel.recv()).await.unwrap_err();
    assert!(matches!(error, TransportError::FrameStalled { bytes, .. } if bytes < 100), "{error}");
    assert_eq!(error.culprit(), Culprit::Peer);
    scene.assert_friend_goes_on().await;
    // The attacker is told to stop, and its other channels are not held against it.
    within(dripping).await.unwrap();
    let (_raw, mut honest) = scene.attack(b"\0\0\0\x02ok").await;
    assert_eq!(within(honest.recv()).await.unwrap().unwrap(), &b"ok"[..]);
}

/// Opening is free of charge for nobody: so many and no more, and each must say something.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mute_channels_are_bounded_and_cut_off() {
    let settings = Settings { channels_max: 16, ..quick() };
    let mut scene = Scene::new(settings).await;
    let mut attacks = Vec::new();
    for _ in 0..16 {
        // One byte of a header, or the channel would not even be seen.
        attacks.push(scene.attack(&[0]).await);
    }
    let one_more = timeout(Duration::from_millis(200), scene.attacker.open()).await;
    assert!(one_more.is_err(), "a seventeenth channel was granted");
    for (_, channel) in &mut attacks {
        let error = within(channel.recv()).await.unwrap_err();
        assert!(matches!(error, TransportError::FrameStalled { .. }), "{error}");
    }
    scene.assert_friend_goes_on().await;
}

/// An endless stream of valid messages that nobody reads stops at the window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_stops_at_the_window() {
    let mut scene = Scene::new(quick()).await;
    let (mut raw, _channel) = scene.attack(&(FRAME_BYTES_MAX as u32).to_be_bytes()).await;
    let flood = vec![0; 64 << 10];
    let mut taken = 0;
    while let Ok(is_open) = timeout(Duration::from_millis(300), raw.write(&flood)).await {
        assert!(is_open);
        taken += flood.len();
        assert!(taken < 64 << 20, "nothing bounds a flood");
    }
    scene.assert_friend_goes_on().await;
    assert!(scene.victim.addr().id == crate::world::id(2));
}
