//! Providers that lie, each in its own way. Over the simulated twin in virtual time; one lie over
//! real QUIC too.

use std::{collections::BTreeMap, time::Duration};

use aura_protocol_core::{Digest, ModuleRef};
use aura_transport::{
    Channel, Culprit, ModuleError, ModuleRequest, PartialModule, Result, TransportError,
    fetch_module, modules::DATA_FRAME_BYTES_MAX, serve_module,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::{
    provider::{GROUP, Liar, Lie, Scene, bytes, reference, slow_limits, tamper},
    world::{MemoryWorld, QuicWorld, within},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_is_found_over_quic() {
    let scene = Scene::new(&QuicWorld).await;
    let bytes = bytes(1 << 20);
    let (error, partial) = scene.lie(&bytes, tamper(600_000)).await;
    assert!(matches!(error, ModuleError::DigestMismatch { .. }), "{error}");
    scene.assert_completes(&bytes, partial).await;
}

/// INV-T7, INV-T8: wherever the bit is, at most one group is wasted, and the rest is kept.
#[tokio::test(start_paused = true)]
async fn a_flipped_bit_is_found_within_its_group() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(20 * GROUP + 77);
    for at in [0, 63, 64 * 6, 5 * GROUP, 200_000, 20 * GROUP + 300] {
        let (error, partial) = scene.lie(&bytes, tamper(at)).await;
        let kept = partial.held_bytes();
        assert_eq!(
            error,
            ModuleError::DigestMismatch { digest: Digest::of(&bytes), at_byte: kept }
        );
        assert_eq!(error.culprit(), Some(Culprit::Peer));
        assert_eq!(error.code(), "DigestMismatch");
        assert!(at.saturating_sub(GROUP + 32 * 64) <= kept as usize, "{kept} kept, flipped {at}");
        scene.assert_completes(&bytes, partial).await;
    }
}

#[tokio::test(start_paused = true)]
async fn another_module_of_the_same_size_is_refused_at_once() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(10 * GROUP);
    let wrong = Bytes::from(vec![0xaa; bytes.len()]);
    let liar: Liar = Box::new(move |count, frame| match count {
        0 => Lie::Say(frame),
        _ => Lie::Say(wrong.slice(..frame.len())),
    });
    let (error, partial) = scene.lie(&bytes, liar).await;
    assert_eq!(error, ModuleError::DigestMismatch { digest: Digest::of(&bytes), at_byte: 0 });
    assert_eq!(partial.held_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_stops_is_resumed_by_the_next() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(30 * GROUP + 5);
    for stop in [0, 1, 3, 6] {
        let liar: Liar =
            Box::new(move |count, frame| if count < stop { Lie::Say(frame) } else { Lie::Stop });
        let (error, partial) = scene.lie(&bytes, liar).await;
        let (at_byte, declared) = (partial.held_bytes(), bytes.len() as u32);
        assert_eq!(error, ModuleError::TruncatedTransfer { at_byte, declared });
        assert_eq!(error.culprit(), Some(Culprit::Peer));
        assert!(stop.saturating_sub(1) * 3 * GROUP <= at_byte as usize, "{at_byte} after {stop}");
        scene.assert_completes(&bytes, partial).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_vanishes_is_resumed_by_the_next() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(30 * GROUP);
    let liar: Liar =
        Box::new(
            |count, frame| {
                if count < 4 { Lie::Wait(Duration::from_millis(50), frame) } else { Lie::Vanish }
            },
        );
    let (error, partial) = scene.lie(&bytes, liar).await;
    assert!(matches!(error, ModuleError::Transport(TransportError::Reset { .. })), "{error}");
    scene.assert_completes(&bytes, partial).await;
}

#[tokio::test(start_paused = true)]
async fn a_dripping_provider_is_dropped_after_one_window() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(30 * GROUP);
    // Never silent for long, and far too slow: every frame is cut into drops of 100 bytes.
    let mut ours = scene.pair.dialled.open().await.unwrap();
    let (module, began) = (reference(&bytes), Instant::now());
    let mut partial = PartialModule::new(&module);
    let source: BTreeMap<_, _> = [(Digest::of(&bytes), bytes.clone())].into();
    let drip = async {
        let mut channel = scene.pair.accepted.accept().await.unwrap();
        let request = ModuleRequest::read(&mut *channel).await.unwrap();
        let mut dripping = Dripping(channel);
        serve_module(&mut dripping, request, &source, &slow_limits()).await
    };
    let limits = scene.limits;
    let fetch = async {
        let outcome = fetch_module(&mut *ours, &module, &mut partial, &limits, |_| ()).await;
        drop(ours);
        outcome
    };
    let (fetched, served) = within(async { tokio::join!(fetch, drip) }).await;
    let error = fetched.unwrap_err();
    assert!(matches!(error, ModuleError::TooSlow { bytes: 1.., .. }), "{error}");
    assert_eq!((error.culprit(), error.code()), (Some(Culprit::Peer), "TooSlow"));
    assert!(began.elapsed() < limits.window + Duration::from_secs(1));
    assert!(served.is_err(), "a dropped provider notices");
    scene.assert_completes(&bytes, partial).await;
}

/// Sends each frame as drops of 100 bytes, two a second.
struct Dripping(Box<dyn Channel>);

impl Channel for Dripping {
    fn send(&mut self, message: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            for drop in message.chunks(100) {
                self.0.send(Bytes::copy_from_slice(drop)).await?;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Ok(())
        })
    }

    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        self.0.recv()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<()>> {
        self.0.finish()
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_is_dropped() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(30 * GROUP);
    for silent_from in [0, 1, 3] {
        let began = Instant::now();
        let liar: Liar = Box::new(move |count, frame| {
            if count < silent_from {
                return Lie::Say(frame);
            }
            Lie::Wait(Duration::from_secs(10), frame)
        });
        let (error, _) = scene.lie(&bytes, liar).await;
        let window = scene.limits.idle_timeout;
        assert_eq!(error, ModuleError::TooSlow { bytes: 0, window });
        assert!(began.elapsed() < Duration::from_secs(11));
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_provider_is_stopped_at_the_declared_size() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(2 * GROUP + 100);
    // The last frame goes on with more of the same.
    let liar: Liar = Box::new(|count, frame| {
        if count == 0 {
            return Lie::Say(frame);
        }
        Lie::Say([&frame[..], &[0; 5000]].concat().into())
    });
    let (error, partial) = scene.lie(&bytes, liar).await;
    assert_eq!(error, ModuleError::TooMuchData { declared: bytes.len() as u32 });
    assert_eq!(error.culprit(), Some(Culprit::Peer));
    // All of it had verified before, so nothing has to be fetched again.
    let (module, mut partial) = (reference(&bytes), partial);
    assert!(partial.is_complete());
    let mut unused = scene.pair.dialled.open().await.unwrap();
    let fetched = fetch_module(&mut *unused, &module, &mut partial, &scene.limits, |_| ()).await;
    assert_eq!(fetched.unwrap(), bytes);
}

#[tokio::test(start_paused = true)]
async fn endless_frames_without_data_are_refused() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(5 * GROUP);
    for frame in [Bytes::new(), Bytes::from(vec![0; DATA_FRAME_BYTES_MAX + 1])] {
        let liar: Liar = Box::new(move |count, honest| match count {
            0 => Lie::Say(honest),
            _ => Lie::Say(frame.clone()),
        });
        let (error, _) = scene.lie(&bytes, liar).await;
        assert!(matches!(error, ModuleError::Malformed { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_none_is_refused() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(5 * GROUP);
    for answer in [&b""[..], b"\x09", b"\x01\0\0", b"\x02"] {
        let liar: Liar = Box::new(move |count, honest| match count {
            0 => Lie::Say(Bytes::from_static(answer)),
            _ => Lie::Say(honest),
        });
        let (error, _) = scene.lie(&bytes, liar).await;
        assert!(matches!(error, ModuleError::Malformed { .. }), "{answer:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_size_other_than_declared_is_refused_before_any_data() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(5 * GROUP);
    let module = ModuleRef { size: bytes.len() as u32 - 1, ..reference(&bytes) };
    let error = scene.fetch(&module, Some(&bytes)).await.unwrap_err();
    let (declared, offered) = (module.size, bytes.len() as u32);
    assert_eq!(error, ModuleError::SizeMismatch { declared, offered });
    assert_eq!(error.culprit(), None, "the peer may be right and the reference wrong");
}

/// Even if the provider goes along with a false size, the tree does not.
#[tokio::test(start_paused = true)]
async fn a_false_size_does_not_verify() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(5 * GROUP);
    let module = ModuleRef { size: 3 * GROUP as u32, ..reference(&bytes) };
    let liar: Liar = Box::new(|count, honest| match count {
        0 => Lie::Say([&[1][..], &(3 * GROUP as u32).to_le_bytes()].concat().into()),
        _ => Lie::Say(honest),
    });
    let mut partial = PartialModule::new(&module);
    let (fetched, _) = scene.fetch_from(&module, &mut partial, Some(&bytes), Some(liar)).await;
    assert!(matches!(fetched, Err(ModuleError::DigestMismatch { .. })), "{fetched:?}");
}
