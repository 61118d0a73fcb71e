//! A receiver with one provider, who may lie.

use std::{collections::BTreeMap, time::Duration};

use aura_protocol_core::{Digest, ModuleRef};
use aura_transport::{
    Channel, ModuleError, ModuleRequest, ModuleSource, PartialModule, Progress, Result, Served,
    Session, TransferLimits, TransportError, fetch_module, serve_module,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use sha2::Digest as _;

use crate::world::{Pair, World, pair, within};

pub const GROUP: usize = 16 << 10;

pub fn bytes(size: usize) -> Bytes {
    (0..size as u32).map(|it| (it.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

pub fn reference(bytes: &[u8]) -> ModuleRef {
    ModuleRef {
        digest: Digest::of(bytes),
        sha256: Digest::from_bytes(sha2::Sha256::digest(bytes).into()),
        size: bytes.len() as u32,
        urls: Vec::new(),
        peers_ok: true,
    }
}

pub fn quick_limits() -> TransferLimits {
    TransferLimits {
        idle_timeout: Duration::from_secs(2),
        window: Duration::from_secs(4),
        window_bytes_min: 32 << 10,
    }
}

/// What a lying provider does with its `n`th frame; the answer is frame 0.
pub enum Lie {
    /// Sends this instead.
    Say(Bytes),
    /// Ends the channel properly.
    Stop,
    /// Breaks off.
    Vanish,
    /// Sends it after a while.
    Wait(Duration, Bytes),
}

pub type Liar = Box<dyn FnMut(usize, Bytes) -> Lie + Send>;

/// A provider's channel that alters what an honest provider says.
pub struct LyingChannel {
    pub inner: Option<Box<dyn Channel>>,
    pub count: usize,
    pub liar: Liar,
}

impl Channel for LyingChannel {
    fn send(&mut self, message: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let lie = (self.liar)(self.count, message);
            self.count += 1;
            let Some(inner) = &mut self.inner else { return Err(TransportError::Finished) };
            match lie {
                Lie::Say(message) => inner.send(message).await,
                Lie::Wait(pause, message) => {
                    tokio::time::sleep(pause).await;
                    inner.send(message).await
                }
                Lie::Stop => {
                    inner.finish().await?;
                    Err(TransportError::Finished)
                }
                Lie::Vanish => {
                    self.inner = None;
                    Err(TransportError::Finished)
                }
            }
        })
    }

    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        match &mut self.inner {
            Some(inner) => inner.recv(),
            None => Box::pin(std::future::ready(Ok(None))),
        }
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<()>> {
        match &mut self.inner {
            Some(inner) => inner.finish(),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }
}

/// One receiver and one provider.
pub struct Scene {
    pub pair: Pair,
    pub limits: TransferLimits,
}

impl Scene {
    pub async fn new(world: &dyn World) -> Self {
        Self { pair: pair(world).await, limits: quick_limits() }
    }

    /// One transfer, with a provider that holds one module, or none, and may lie.
    pub async fn fetch_from(
        &self,
        module: &ModuleRef,
        partial: &mut PartialModule,
        held: Option<&Bytes>,
        liar: Option<Liar>,
    ) -> (std::result::Result<Bytes, ModuleError>, std::result::Result<Served, ModuleError>) {
        let mut ours = self.pair.dialled.open().await.unwrap();
        let source: BTreeMap<_, _> =
            held.iter().map(|it| (Digest::of(it), (*it).clone())).collect();
        let mut seen = partial.held_bytes();
        let progress = |it: Progress| {
            assert!(seen <= it.held_bytes && it.held_bytes <= it.total_bytes);
            seen = it.held_bytes;
        };
        // A liar waits for nobody but itself.
        let limits = if liar.is_some() { slow_limits() } else { self.limits };
        let serving = provide(&*self.pair.accepted, &source, &limits, liar);
        let fetching = async {
            let outcome = fetch_module(&mut *ours, module, partial, &self.limits, progress).await;
            drop(ours); // So that a provider who is still sending notices.
            outcome
        };
        within(async { tokio::join!(fetching, serving) }).await
    }

    pub async fn fetch(&self, module: &ModuleRef, held: Option<&Bytes>) -> Fetched {
        self.fetch_from(module, &mut PartialModule::new(module), held, None).await.0
    }

    /// The error that a lie ends with, and what was verified until then.
    pub async fn lie(&self, true_bytes: &Bytes, liar: Liar) -> (ModuleError, PartialModule) {
        let module = reference(true_bytes);
        let mut partial = PartialModule::new(&module);
        let (fetched, _) =
            self.fetch_from(&module, &mut partial, Some(true_bytes), Some(liar)).await;
        assert_eq!(partial.bytes(), &true_bytes[..partial.bytes().len()], "INV-T7");
        (fetched.unwrap_err(), partial)
    }

    /// What was verified is kept: an honest provider only has to bring the rest.
    pub async fn assert_completes(&self, true_bytes: &Bytes, mut partial: PartialModule) {
        let module = reference(true_bytes);
        let missing = true_bytes.len() - partial.bytes().len();
        let (fetched, served) =
            self.fetch_from(&module, &mut partial, Some(true_bytes), None).await;
        assert_eq!(fetched.unwrap(), true_bytes);
        let Served::Sent { bytes } = served.unwrap() else { panic!("nothing was sent") };
        assert!(bytes <= missing + missing / 100 + 16 * 64, "{bytes} for {missing}, INV-T8");
    }
}

pub type Fetched = std::result::Result<Bytes, ModuleError>;

pub async fn provide(
    session: &dyn Session,
    source: &dyn ModuleSource,
    limits: &TransferLimits,
    liar: Option<Liar>,
) -> std::result::Result<Served, ModuleError> {
    let mut channel = session.accept().await?;
    let request = ModuleRequest::read(&mut *channel).await?;
    match liar {
        None => serve_module(&mut *channel, request, source, limits).await,
        Some(liar) => {
            let mut lying = LyingChannel { inner: Some(channel), count: 0, liar };
            serve_module(&mut lying, request, source, limits).await
        }
    }
}

/// Flips a bit of the byte at `at` within the data of a transfer.
pub fn tamper(at: usize) -> Liar {
    let mut before = 0;
    Box::new(move |count, frame| {
        let mut bytes = frame.to_vec();
        if 0 < count {
            if (before..before + bytes.len()).contains(&at) {
                bytes[at - before] ^= 0x10;
            }
            before += bytes.len();
        }
        Lie::Say(bytes.into())
    })
}

pub fn slow_limits() -> TransferLimits {
    TransferLimits { idle_timeout: Duration::from_secs(3600), ..quick_limits() }
}
