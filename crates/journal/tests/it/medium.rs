//! A disk in memory that fails where it is told to, and forgets what a real one may forget.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use aura_journal::store::Medium;
use aura_protocol_core::Digest;

/// Numbers from a seed.
pub fn draw(seed: u64, nth: u64) -> usize {
    let digest = Digest::of(&[seed.to_le_bytes(), nth.to_le_bytes()].concat());
    usize::from_le_bytes(*digest.as_bytes().first_chunk().unwrap())
}

#[derive(Debug, Clone)]
enum Op {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Debug, Clone, Copy)]
enum Fail {
    /// This operation and all later ones.
    Crash(u64),
    /// From this operation on whatever needs room.
    Full(u64),
}

#[derive(Debug, Default)]
struct Inner {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Op>,
    operations: u64,
    fail: Option<Fail>,
}

/// The disk. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Twin(Arc<Mutex<Inner>>);

impl Twin {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Operations that change something so far.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Fails for good at the nth operation from now on.
    pub fn crash_at(&self, nth: u64) {
        let mut inner = self.lock();
        inner.fail = Some(Fail::Crash(inner.operations + nth));
    }

    /// Has no room from the nth operation on.
    pub fn full_at(&self, nth: u64) {
        let mut inner = self.lock();
        inner.fail = Some(Fail::Full(inner.operations + nth));
    }

    /// Has room again.
    pub fn free(&self) {
        self.lock().fail = None;
    }

    /// What a disk has after the power failed: all that was synced, and of the rest what the seed says,
    /// the last write perhaps in part.
    pub fn after_power_failure(&self, seed: u64) -> Self {
        let inner = self.lock();
        let mut bytes = inner.durable.clone();
        for (nth, op) in inner.unsynced.iter().enumerate() {
            match draw(seed, nth as u64) % 4 {
                0 => {}
                1 => apply(&mut bytes, &cut(op)),
                _ => apply(&mut bytes, op),
            }
        }
        Self::of(bytes)
    }

    /// What a disk has after a process ended: all that was written.
    pub fn after_kill(&self) -> Self {
        Self::of(self.lock().bytes.clone())
    }

    fn of(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Inner { durable: bytes.clone(), bytes, ..Inner::default() })))
    }

    fn change(&self, op: Op) -> io::Result<()> {
        let mut inner = self.lock();
        let nth = inner.operations;
        inner.operations += 1;
        let grows = match &op {
            Op::Write(..) => true,
            Op::Length(length) => (inner.bytes.len() as u64) < *length,
        };
        match inner.fail {
            Some(Fail::Crash(at)) if at <= nth => Err(io::Error::other("crashed")),
            Some(Fail::Full(at)) if at <= nth && grows => {
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            _ => {
                apply(&mut inner.bytes, &op);
                inner.unsynced.push(op);
                Ok(())
            }
        }
    }
}

fn cut(op: &Op) -> Op {
    match op {
        Op::Write(offset, bytes) => Op::Write(*offset, bytes[..bytes.len() / 2].to_vec()),
        Op::Length(length) => Op::Length(*length),
    }
}

fn apply(bytes: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(offset, written) => {
            let (begin, end) = (*offset as usize, *offset as usize + written.len());
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[begin..end].copy_from_slice(written);
        }
        Op::Length(length) => bytes.resize(*length as usize, 0),
    }
}

impl Medium for Twin {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.lock();
        let begin = offset as usize;
        let bytes = inner.bytes.get(begin..begin + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Op::Length(len))
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.lock();
        let nth = inner.operations;
        inner.operations += 1;
        if matches!(inner.fail, Some(Fail::Crash(at)) if at <= nth) {
            return Err(io::Error::other("crashed"));
        }
        inner.durable = inner.bytes.clone();
        inner.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(Op::Write(offset, bytes.to_vec()))
    }
}
