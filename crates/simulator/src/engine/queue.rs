//! What is to happen, ordered by (time, sequence).
//!
//! A heap would do; but almost everything happens within a few epochs, so there is one list for each
//! of the next epochs, and a heap only for what is farther away.

use std::{cmp::Reverse, collections::BinaryHeap};

/// How many epochs ahead have a list of their own: one bit each of a word.
const NEAR: u64 = 64;
const NONE: u32 = u32::MAX;

/// Things of type `T` in the order of their time, and of their insertion where that is the same.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    /// No thing is earlier.
    now: u64,
    /// Which near epochs have something.
    filled: u64,
    first: [u32; NEAR as usize],
    last: [u32; NEAR as usize],
    cells: Vec<(u32, T)>,
    far: BinaryHeap<Reverse<(u64, u32)>>,
}

impl<T: Copy> Queue<T> {
    pub(crate) fn new() -> Self {
        Self {
            now: 0,
            filled: 0,
            first: [NONE; NEAR as usize],
            last: [NONE; NEAR as usize],
            cells: Vec::new(),
            far: BinaryHeap::new(),
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.now = 0;
        self.filled = 0;
        self.cells.clear();
        self.far.clear();
    }

    /// Puts something in. What is in the past happens now.
    pub(crate) fn push(&mut self, at: u64, what: T) {
        let cell = self.cells.len() as u32;
        self.cells.push((NONE, what));
        let at = at.max(self.now);
        if at < self.now + NEAR {
            self.link(at, cell);
        } else {
            self.far.push(Reverse((at, cell)));
        }
    }

    /// Whether nothing is to happen any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0 && self.far.is_empty()
    }

    /// Takes the next thing out, if its time has come by `until`.
    pub(crate) fn pop_until(&mut self, until: u64) -> Option<(u64, T)> {
        let ahead = self.filled.rotate_right((self.now % NEAR) as u32).trailing_zeros();
        let next = match self.far.peek() {
            Some(Reverse((at, _))) if self.filled == 0 => *at,
            _ if self.filled == 0 => return None,
            _ => self.now + u64::from(ahead),
        };
        if until < next {
            return None;
        }
        if next != self.now {
            self.advance(next);
        }
        let slot = (self.now % NEAR) as usize;
        let first = self.first.get_mut(slot)?;
        let (next, what) = *self.cells.get(*first as usize)?;
        *first = next;
        if next == NONE {
            self.filled &= !(1 << slot);
        }
        Some((self.now, what))
    }

    /// Moves the present, and with it what has come near. It was put in before anything could be put
    /// into those lists directly, so the order stays.
    fn advance(&mut self, now: u64) {
        self.now = now;
        while let Some(Reverse((at, cell))) = self.far.peek().copied() {
            if now + NEAR <= at {
                break;
            }
            self.far.pop();
            self.link(at, cell);
        }
    }

    fn link(&mut self, at: u64, cell: u32) {
        let slot = (at % NEAR) as usize;
        let (Some(first), Some(last)) = (self.first.get_mut(slot), self.last.get_mut(slot)) else {
            return;
        };
        if self.filled >> slot & 1 == 0 {
            self.filled |= 1 << slot;
            *first = cell;
        } else if let Some((next, _)) = self.cells.get_mut(*last as usize) {
            *next = cell;
        }
        *last = cell;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::mix;

    /// Against a heap ordered by (time, sequence), with insertions while things are taken out.
    #[test]
    fn things_come_by_time_and_then_in_order() {
        let mut queue = Queue::new();
        for round in 0..50_u64 {
            queue.clear();
            let mut heap = BinaryHeap::new();
            let put = |now: u64, id: u32, queue: &mut Queue<u32>, heap: &mut BinaryHeap<_>| {
                let draw = mix(round << 32 | u64::from(id));
                let at = now + if draw.is_multiple_of(7) { draw % 500 } else { draw % 9 };
                queue.push(at, id);
                heap.push(Reverse((at, id)));
            };
            let mut next = 0;
            for _ in 0..20 {
                put(0, next, &mut queue, &mut heap);
                next += 1;
            }
            while let Some(Reverse(expected)) = heap.pop() {
                if 0 < expected.0 {
                    assert_eq!(queue.pop_until(expected.0 - 1), None);
                }
                assert_eq!(queue.pop_until(expected.0), Some(expected));
                if next < 200 {
                    put(expected.0, next, &mut queue, &mut heap);
                    next += 1;
                }
            }
            assert!(queue.pop_until(u64::MAX).is_none() && queue.is_empty());
        }
    }
}
