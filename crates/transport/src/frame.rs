//! Messages on a byte stream: a length of four big-endian bytes, then so many bytes.
//!
//! Invariants:
//! - INV-T1: a length over the limit is refused before anything is allocated for it.
//! - INV-T2: memory grows with bytes that arrived, never with bytes that were announced.
//! - INV-T3: a frame once begun brings bytes at a minimum rate, or the peer is named as stalling.
//! - INV-T4: reading is cancel-safe; what arrived before a cancellation is kept.

use std::{future::Future, mem, time::Duration};

use aura_protocol_core::limits::FRAME_BYTES_MAX;
use bytes::{Buf, Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};

use crate::{Result, Settings, TransportError};

/// Length of the length.
pub(crate) const HEADER_BYTES: usize = 4;
/// Most bytes taken from a stream at once, so that one chunk never pins more memory than this.
const CHUNK_BYTES_MAX: usize = 64 << 10;

/// The header of a frame that may be sent.
pub(crate) fn header(message: &Bytes) -> Result<[u8; HEADER_BYTES]> {
    let bytes = message.len();
    match u32::try_from(bytes) {
        Ok(length) if bytes <= FRAME_BYTES_MAX => Ok(length.to_be_bytes()),
        _ => Err(TransportError::FrameTooBig { bytes }),
    }
}

/// Where the bytes of one direction of a channel come from.
pub(crate) trait ChunkSource: Send {
    /// The next bytes, between one and `bytes_max` of them; `None` after the peer finished. Must be
    /// cancel-safe.
    fn read_chunk(
        &mut self,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Option<Bytes>>> + Send;
}

/// Cuts a byte stream into messages and watches that they keep coming.
#[derive(Debug)]
pub(crate) struct FrameReader {
    window_length: Duration,
    window_bytes_min: usize,
    window: Option<Window>,
    /// Arrived, not looked at yet.
    unread: Bytes,
    header: BytesMut,
    body: BytesMut,
    /// The first error is final: after it nobody knows where a frame begins.
    failed: Option<TransportError>,
}

/// The stretch of time in which a begun frame has to progress.
#[derive(Debug, Clone, Copy)]
struct Window {
    ends: Instant,
    bytes: usize,
}

impl FrameReader {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            window_length: settings.frame_window,
            window_bytes_min: settings.frame_window_bytes_min,
            window: None,
            unread: Bytes::new(),
            header: BytesMut::new(),
            body: BytesMut::new(),
            failed: None,
        }
    }

    /// The next message; `None` when the peer finished between two messages.
    pub(crate) async fn next<S: ChunkSource>(&mut self, source: &mut S) -> Result<Option<Bytes>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let outcome = self.read(source).await;
        if let Err(error) = &outcome {
            self.failed = Some(error.clone());
            // What was half received is of no use to anybody.
            (self.unread, self.body) = (Bytes::new(), BytesMut::new());
        }
        outcome
    }

    async fn read<S: ChunkSource>(&mut self, source: &mut S) -> Result<Option<Bytes>> {
        // A window that ended while nobody was reading proves nothing about the peer.
        if self.window.is_some_and(|it| it.ends <= Instant::now()) {
            self.window = None;
        }
        loop {
            if let Some(message) = self.decode()? {
                self.window = None;
                return Ok(Some(message));
            }
            let begun = !self.header.is_empty();
            let chunk = if begun {
                self.read_in_window(source).await?
            } else {
                source.read_chunk(CHUNK_BYTES_MAX).await?
            };
            match chunk {
                Some(chunk) => self.unread = chunk,
                None if begun => return Err(TransportError::Truncated),
                None => return Ok(None),
            }
        }
    }

    async fn read_in_window<S: ChunkSource>(&mut self, source: &mut S) -> Result<Option<Bytes>> {
        loop {
            let window = *self.window.get_or_insert_with(|| Window {
                ends: Instant::now() + self.window_length,
                bytes: 0,
            });
            let Ok(chunk) = timeout_at(window.ends, source.read_chunk(CHUNK_BYTES_MAX)).await
            else {
                if window.bytes < self.window_bytes_min {
                    return Err(TransportError::FrameStalled {
                        bytes: window.bytes,
                        window: self.window_length,
                    });
                }
                self.window = None;
                continue;
            };
            let chunk = chunk?;
            let arrived = chunk.as_ref().map_or(0, Bytes::len);
            self.window = Some(Window { bytes: window.bytes + arrived, ..window });
            return Ok(chunk);
        }
    }

    /// Takes what arrived; a message when it is complete.
    fn decode(&mut self) -> Result<Option<Bytes>> {
        take(&mut self.unread, &mut self.header, HEADER_BYTES);
        if self.header.len() < HEADER_BYTES {
            return Ok(None);
        }
        let announced = self.header.as_ref().get_u32();
        let length = match usize::try_from(announced) {
            Ok(length) if length <= FRAME_BYTES_MAX => length,
            _ => return Err(TransportError::PeerFrameTooBig { bytes: announced.into() }),
        };
        take(&mut self.unread, &mut self.body, length);
        if self.body.len() < length {
            return Ok(None);
        }
        self.header.clear();
        Ok(Some(mem::take(&mut self.body).freeze()))
    }
}

/// Moves bytes over until `into` holds `length`. Growth doubles at most what is there, so it stays
/// proportional to what arrived.
fn take(from: &mut Bytes, into: &mut BytesMut, length: usize) {
    let missing = length.saturating_sub(into.len()).min(from.len());
    into.extend_from_slice(&from.split_to(missing));
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Hands out the given chunks, then stays silent, or ends.
    struct Script {
        chunks: VecDeque<(Duration, Bytes)>,
        ends: bool,
    }

    impl ChunkSource for Script {
        async fn read_chunk(&mut self, bytes_max: usize) -> Result<Option<Bytes>> {
            let Some((pause, _)) = self.chunks.front() else {
                if self.ends {
                    return Ok(None);
                }
                return std::future::pending().await;
            };
            tokio::time::sleep(*pause).await;
            let (_, mut chunk) = self.chunks.pop_front().unwrap();
            let rest = chunk.split_off(bytes_max.min(chunk.len()));
            if !rest.is_empty() {
                self.chunks.push_front((Duration::ZERO, rest));
            }
            Ok(Some(chunk))
        }
    }

    fn script(chunks: impl IntoIterator<Item = Vec<u8>>) -> Script {
        let chunks = chunks.into_iter().map(|it| (Duration::ZERO, it.into())).collect();
        Script { chunks, ends: true }
    }

    fn reader() -> FrameReader {
        FrameReader::new(&Settings::default())
    }

    fn frame(message: &[u8]) -> Vec<u8> {
        [&header(&Bytes::copy_from_slice(message)).unwrap()[..], message].concat()
    }

    #[tokio::test]
    async fn messages_survive_every_cut() {
        let stream = [frame(b""), frame(b"a"), frame(b"hello"), frame(&[7; 300])].concat();
        for size in 1..stream.len() {
            let mut source = script(stream.chunks(size).map(<[u8]>::to_vec));
            let mut reader = reader();
            for expected in [&b""[..], b"a", b"hello", &[7; 300]] {
                assert_eq!(reader.next(&mut source).await.unwrap().unwrap(), expected);
            }
            assert_eq!(reader.next(&mut source).await, Ok(None));
        }
    }

    /// INV-T1.
    #[tokio::test]
    async fn an_oversized_length_allocates_nothing() {
        for bytes in [FRAME_BYTES_MAX as u32 + 1, u32::MAX] {
            let mut source = script([bytes.to_be_bytes().to_vec()]);
            let mut reader = reader();
            let refused = Err(TransportError::PeerFrameTooBig { bytes: bytes.into() });
            assert_eq!(reader.next(&mut source).await, refused);
            assert_eq!(reader.body.capacity(), 0);
            assert_eq!(reader.next(&mut source).await, refused, "the first error is final");
        }
    }

    /// INV-T2.
    #[tokio::test(start_paused = true)]
    async fn memory_follows_what_arrived() {
        let announced = (FRAME_BYTES_MAX as u32).to_be_bytes().to_vec();
        let mut source = script([announced, vec![0; 1000]]);
        source.ends = false;
        let mut reader = reader();
        let waited = tokio::time::timeout(Duration::from_secs(1), reader.next(&mut source)).await;
        assert!(waited.is_err());
        assert_eq!(reader.body.len(), 1000);
        assert!(reader.body.capacity() <= 2048, "{}", reader.body.capacity());
    }

    /// INV-T3: one byte a second is cut off after one window, although it never falls silent.
    #[tokio::test(start_paused = true)]
    async fn a_dripping_frame_is_cut_off() {
        let drops =
            frame(&[1; 5000]).into_iter().map(|it| (Duration::from_secs(1), vec![it].into()));
        let mut source = Script { chunks: drops.collect(), ends: true };
        let begin = Instant::now();
        let error = reader().next(&mut source).await.unwrap_err();
        assert!(matches!(error, TransportError::FrameStalled { bytes: 9..=10, .. }), "{error}");
        assert!(begin.elapsed() <= Duration::from_secs(12));
    }

    /// A slow frame above the minimum rate is honest, and silence between frames is too.
    #[tokio::test(start_paused = true)]
    async fn slow_is_not_stalled() {
        let message = vec![1; 100_000];
        let bytes = frame(&message);
        let chunks =
            bytes.chunks(2000).map(|it| (Duration::from_secs(2), Bytes::copy_from_slice(it)));
        let mut source = Script { chunks: chunks.collect(), ends: true };
        source.chunks.push_back((Duration::from_secs(3600), frame(b"later").into()));
        let mut reader = reader();
        assert_eq!(reader.next(&mut source).await.unwrap().unwrap(), message);
        assert_eq!(reader.next(&mut source).await.unwrap().unwrap(), &b"later"[..]);
    }

    /// INV-T4.
    #[tokio::test(start_paused = true)]
    async fn a_cancelled_read_loses_nothing() {
        let stream = [frame(b"one"), frame(b"two")].concat();
        let chunks = stream.iter().map(|it| (Duration::from_millis(400), vec![*it].into()));
        let mut source = Script { chunks: chunks.collect(), ends: true };
        let (mut reader, mut got) = (reader(), Vec::new());
        while got.len() < 2 {
            let wait = tokio::time::timeout(Duration::from_millis(900), reader.next(&mut source));
            if let Ok(message) = wait.await {
                got.push(message.unwrap().unwrap());
            }
        }
        assert_eq!(got, [&b"one"[..], b"two"]);
    }

    #[tokio::test]
    async fn an_end_inside_a_frame_is_no_end() {
        for cut in 1..8 {
            let mut source = script([frame(b"full")[..cut].to_vec()]);
            assert_eq!(reader().next(&mut source).await, Err(TransportError::Truncated), "{cut}");
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_the_callers_fault() {
        assert!(header(&Bytes::from(vec![0; FRAME_BYTES_MAX])).is_ok());
        let bytes = FRAME_BYTES_MAX + 1;
        assert_eq!(
            header(&Bytes::from(vec![0; bytes])),
            Err(TransportError::FrameTooBig { bytes })
        );
    }
}
