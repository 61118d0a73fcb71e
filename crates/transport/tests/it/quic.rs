//! What only real sockets show.

use std::{sync::Arc, time::Duration};

use aura_transport::{
    AdmitAnyone, Congestion, Culprit, QuicConfig, QuicTransport, Settings, Transport,
    TransportError, TransportKey,
};
use bytes::Bytes;

use crate::world::{ECHO, quic_peer, quick, spawn_echo, within};

fn config(settings: Settings) -> QuicConfig {
    QuicConfig {
        key: TransportKey::from_bytes([7; 32]),
        listen: ([127, 0, 0, 1], 0).into(),
        protocols: vec![ECHO.to_owned()],
        admission: Arc::new(AdmitAnyone),
        settings,
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let first = QuicTransport::bind(config(quick())).await.unwrap();
    let addr = first.addr().direct[0];
    let second = QuicTransport::bind(QuicConfig { listen: addr, ..config(quick()) }).await;
    let error = second.err().unwrap();
    assert_eq!(error, TransportError::AddressInUse { addr });
    assert_eq!(error.culprit(), Culprit::Machine);
    // A transport that was closed leaves its port to the next.
    within(first.close()).await;
    drop(first);
    within(async {
        while let Err(error) =
            QuicTransport::bind(QuicConfig { listen: addr, ..config(quick()) }).await
        {
            assert_eq!(error, TransportError::AddressInUse { addr });
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_address_of_another_machine_cannot_be_listened_on() {
    let listen = ([192, 0, 2, 1], 0).into();
    let error = QuicTransport::bind(QuicConfig { listen, ..config(quick()) }).await.err().unwrap();
    assert!(matches!(error, TransportError::Bind { addr, .. } if addr == listen), "{error}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let settings = Settings { channels_max: 0, ..quick() };
    let error = QuicTransport::bind(config(settings)).await.err().unwrap();
    assert!(matches!(error, TransportError::InvalidSetting { name: "channels_max", .. }));
    let unnamed = QuicConfig { protocols: vec![String::new()], ..config(quick()) };
    let error = QuicTransport::bind(unnamed).await.err().unwrap();
    assert!(matches!(error, TransportError::InvalidSetting { name: "protocols", .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wide_area_congestion_control_works_too() {
    let settings = Settings { congestion: Congestion::Bbr3, ..quick() };
    let a = quic_peer(1, Arc::new(AdmitAnyone), settings.clone()).await;
    let b = quic_peer(2, Arc::new(AdmitAnyone), settings).await;
    spawn_echo(b.clone());
    let session = within(a.connect(&b.addr(), ECHO)).await.unwrap();
    let mut channel = session.open().await.unwrap();
    for _ in 0..4 {
        channel.send(Bytes::from(vec![1; 500_000])).await.unwrap();
        assert_eq!(within(channel.recv()).await.unwrap().unwrap().len(), 500_000);
    }
}

/// Somebody who sends a first packet and then nothing must not keep others out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_dialler_delays_nobody() {
    let settings = Settings { handshake_timeout: Duration::from_secs(30), ..quick() };
    let b = quic_peer(2, Arc::new(AdmitAnyone), settings).await;
    spawn_echo(b.clone());
    let to = b.addr().direct[0];
    let mute = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for number in 0..200_u8 {
        // A long header with version 1 and nothing behind it that makes sense.
        let mut packet = vec![0xc3, 0, 0, 0, 1, 8, number, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x44, 0x90];
        packet.resize(1200, number);
        mute.send_to(&packet, to).await.unwrap();
    }
    let a = quic_peer(1, Arc::new(AdmitAnyone), quick()).await;
    let session = within(a.connect(&b.addr(), ECHO)).await.unwrap();
    let mut channel = session.open().await.unwrap();
    channel.send(Bytes::from_static(b"through")).await.unwrap();
    assert_eq!(within(channel.recv()).await.unwrap().unwrap(), &b"through"[..]);
}

/// With room for two handshakes every dialler is asked to prove its address, and still gets in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_proof_keeps_no_honest_dialler_out() {
    let settings = Settings { handshakes_pending_max: 2, ..quick() };
    let b = quic_peer(2, Arc::new(AdmitAnyone), settings).await;
    for name in [1, 3, 4] {
        let a = quic_peer(name, Arc::new(AdmitAnyone), quick()).await;
        let ours = within(a.connect(&b.addr(), ECHO)).await.unwrap();
        assert_eq!(within(b.accept()).await.unwrap().peer(), a.id());
        drop(ours);
    }
}
