//! Modules from peer to peer, between honest peers: everything arrives, and references, stores and
//! requests are held to what they say. Over the simulated twin in virtual time, and over real QUIC.

use std::collections::BTreeMap;

use aura_protocol_core::{Digest, ModuleRef};
use aura_transport::{
    Culprit, Link, ModuleError, PartialModule, Served, fetch_module, memory::TraceKind,
};
use bytes::Bytes;

use crate::{
    provider::{GROUP, Scene, bytes, provide, reference},
    world::{MemoryWorld, QuicWorld, id, within},
};

#[tokio::test(start_paused = true)]
async fn modules_of_every_size_arrive() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    for size in [1, 1000, GROUP - 1, GROUP, GROUP + 1, 5 * GROUP, (1 << 20) + 5, 4 << 20] {
        let bytes = bytes(size);
        assert_eq!(scene.fetch(&reference(&bytes), Some(&bytes)).await.unwrap(), bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_module_arrives_over_a_lossy_link() {
    let world = MemoryWorld::new();
    world.0.set_link(id(1), id(2), Link { loss_per_mille: 50, ..Link::default() });
    let scene = Scene::new(&world).await;
    let bytes = bytes(1 << 20);
    assert_eq!(scene.fetch(&reference(&bytes), Some(&bytes)).await.unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_arrives_over_quic() {
    let scene = Scene::new(&QuicWorld).await;
    let bytes = bytes(4 << 20);
    assert_eq!(scene.fetch(&reference(&bytes), Some(&bytes)).await.unwrap(), bytes);
}

#[tokio::test(start_paused = true)]
async fn a_provider_without_the_module_says_so() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(GROUP);
    let module = reference(&bytes);
    let mut partial = PartialModule::new(&module);
    let (fetched, served) = scene.fetch_from(&module, &mut partial, None, None).await;
    assert_eq!(fetched, Err(ModuleError::NotOffered { digest: module.digest }));
    assert_eq!(served, Ok(Served::NotOffered));
    assert_eq!(scene.fetch(&module, Some(&bytes)).await.unwrap(), bytes);
}

/// INV-T9.
#[tokio::test(start_paused = true)]
async fn references_are_held_to_what_they_say() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(2 * GROUP);
    let (module, digest) = (reference(&bytes), Digest::of(&bytes));
    let check = async |module: &ModuleRef, expected: ModuleError, culprit: Culprit| {
        let scene = Scene::new(&MemoryWorld::new()).await;
        let mut channel = scene.pair.dialled.open().await.unwrap();
        let mut partial = PartialModule::new(module);
        let fetched =
            fetch_module(&mut *channel, module, &mut partial, &scene.limits, |_| ()).await;
        assert_eq!(fetched, Err(expected.clone()));
        assert_eq!(expected.culprit(), Some(culprit));
    };
    let private = ModuleRef { peers_ok: false, ..module.clone() };
    check(&private, ModuleError::PeersNotAllowed { digest }, Culprit::Caller).await;
    for size in [0, (4 << 20) + 1] {
        let huge = ModuleRef { size, ..module.clone() };
        check(&huge, ModuleError::ReferenceOutOfLimits { digest }, Culprit::Publisher).await;
    }
    let confused = ModuleRef { sha256: Digest::ZERO, ..module.clone() };
    let error = scene.fetch(&confused, Some(&bytes)).await.unwrap_err();
    assert_eq!(error, ModuleError::Sha256Mismatch { digest });
    assert_eq!(error.culprit(), Some(Culprit::Publisher));
    let mut another = PartialModule::new(&reference(b"another"));
    let mut channel = scene.pair.dialled.open().await.unwrap();
    let fetched = fetch_module(&mut *channel, &module, &mut another, &scene.limits, |_| ()).await;
    assert_eq!(fetched, Err(ModuleError::PartialOfAnother { digest }));
}

#[tokio::test(start_paused = true)]
async fn a_stored_part_is_taken_up_and_never_believed() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(10 * GROUP + 1);
    let module = reference(&bytes);
    // Half a group is not worth keeping.
    let good = PartialModule::restore(&module, bytes[..4 * GROUP + 999].to_vec());
    assert_eq!(good.bytes(), &bytes[..4 * GROUP]);
    scene.assert_completes(&bytes, good).await;
    let longer = [&bytes[..], b"more"].concat();
    assert!(PartialModule::restore(&module, longer).is_complete());
    // A damaged part is found at the end, blamed on this machine, and given up.
    let mut stored = bytes[..4 * GROUP].to_vec();
    stored[5] ^= 1;
    let mut damaged = PartialModule::restore(&module, stored);
    let (fetched, _) = scene.fetch_from(&module, &mut damaged, Some(&bytes), None).await;
    let error = fetched.unwrap_err();
    assert_eq!(error, ModuleError::PartialDamaged { digest: module.digest });
    assert_eq!(error.culprit(), Some(Culprit::Machine));
    assert_eq!(damaged.held_bytes(), 0);
    scene.assert_completes(&bytes, damaged).await;
}

/// What a provider finds damaged in its own store is not sent.
#[tokio::test(start_paused = true)]
async fn a_damaged_source_is_not_served() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(3 * GROUP);
    let module = reference(&bytes);
    for damaged in
        [Bytes::from(vec![1; bytes.len()]), Bytes::new(), Bytes::from(vec![0; (4 << 20) + 1])]
    {
        let source: BTreeMap<_, _> = [(module.digest, damaged)].into();
        let mut ours = scene.pair.dialled.open().await.unwrap();
        let mut partial = PartialModule::new(&module);
        let (fetched, served) = within(async {
            tokio::join!(
                fetch_module(&mut *ours, &module, &mut partial, &scene.limits, |_| ()),
                provide(&*scene.pair.accepted, &source, &scene.limits, None)
            )
        })
        .await;
        assert_eq!(fetched, Err(ModuleError::NotOffered { digest: module.digest }));
        assert_eq!(served, Err(ModuleError::SourceDamaged { digest: module.digest }));
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_none_are_refused() {
    let scene = Scene::new(&MemoryWorld::new()).await;
    let bytes = bytes(3 * GROUP);
    let source: BTreeMap<_, _> = [(Digest::of(&bytes), bytes.clone())].into();
    let request = |from_byte: u32| {
        [&[0][..], Digest::of(&bytes).as_bytes(), &from_byte.to_le_bytes()].concat()
    };
    let requests =
        [b"give me".to_vec(), Vec::new(), request(5), request(3 * GROUP as u32), request(u32::MAX)];
    for request in requests {
        let mut ours = scene.pair.dialled.open().await.unwrap();
        ours.send(request.clone().into()).await.unwrap();
        let served = within(provide(&*scene.pair.accepted, &source, &scene.limits, None)).await;
        let error = served.unwrap_err();
        assert!(matches!(error, ModuleError::Malformed { .. }), "{request:?}: {error}");
        assert_eq!(error.culprit(), Some(Culprit::Peer));
    }
    let mut ours = scene.pair.dialled.open().await.unwrap();
    ours.finish().await.unwrap();
    let served = within(provide(&*scene.pair.accepted, &source, &scene.limits, None)).await;
    assert!(matches!(served, Err(ModuleError::Malformed { .. })), "{served:?}");
}

/// A peer that asks for modules and reads none holds its own window, and not us.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_does_not_read_is_dropped() {
    let world = MemoryWorld::new();
    let scene = Scene::new(&world).await;
    let bytes = bytes(4 << 20);
    let source: BTreeMap<_, _> = [(Digest::of(&bytes), bytes.clone())].into();
    let mut ours = scene.pair.dialled.open().await.unwrap();
    let request = [&[0][..], Digest::of(&bytes).as_bytes(), &[0; 4]].concat();
    ours.send(request.into()).await.unwrap();
    let served = within(provide(&*scene.pair.accepted, &source, &scene.limits, None)).await;
    let window = scene.limits.idle_timeout;
    assert_eq!(served, Err(ModuleError::TooSlow { bytes: 0, window }));
    let sent: usize = world
        .0
        .trace()
        .iter()
        .filter_map(|it| match it.kind {
            TraceKind::Data { bytes } if it.from == id(2) => Some(bytes),
            _ => None,
        })
        .sum();
    assert!(sent <= 2 << 20, "{sent}");
}
