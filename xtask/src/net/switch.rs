//! The switch between the hosts: reads what leaves them, decides what becomes of it, and writes what
//! arrives.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::Result;

use super::hosts::Hosts;
use super::link::{Dice, Fate, Link};
use super::tun;

/// More than any packet of these hosts has.
const PACKET_BYTES_MAX: usize = 64 << 10;
/// Packets under way. What comes on top is dropped.
const UNDER_WAY_MAX: usize = 50_000;

/// A running switch. Its threads end with the process.
pub struct Switch(Arc<Shared>);

struct Shared {
    ports: Vec<File>,
    places: BTreeMap<Ipv4Addr, usize>,
    state: Mutex<State>,
    /// There is something to deliver earlier than before.
    earlier: Condvar,
}

struct State {
    dice: Dice,
    links: BTreeMap<(usize, usize), Wire>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    number: u64,
    counts: Counts,
}

struct Wire {
    link: Link,
    busy: Instant,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    at: Instant,
    number: u64,
    to: usize,
    packet: Vec<u8>,
}

/// What the switch has done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Packets that arrived, or will.
    pub passed: u64,
    /// Packets lost by chance.
    pub lost: u64,
    /// Packets that came to a cut link.
    pub cut: u64,
    /// Packets for which there was no room.
    pub dropped: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, lost, cut, dropped } = self;
        write!(f, "{passed} packets passed, {lost} were lost, {cut} cut off, {dropped} dropped")
    }
}

impl Switch {
    /// Connects the hosts. Every link is perfect at first.
    pub fn start(hosts: &Hosts, seed: u64) -> Result<Self> {
        let mut ports = Vec::new();
        let mut places = BTreeMap::new();
        for (index, host) in hosts.iter().enumerate() {
            ports.push(tun::open_in(&host.namespace)?);
            host.connect()?;
            places.insert(host.address, index);
        }
        let now = Instant::now();
        let pairs = (0..ports.len()).flat_map(|a| (0..ports.len()).map(move |b| (a, b)));
        let links = pairs.map(|it| (it, Wire { link: Link::default(), busy: now })).collect();
        let state = State {
            dice: Dice(seed),
            links,
            under_way: BinaryHeap::new(),
            number: 0,
            counts: Counts::default(),
        };
        let shared =
            Arc::new(Shared { ports, places, state: Mutex::new(state), earlier: Condvar::new() });
        for port in 0..shared.ports.len() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.take_in(port));
        }
        let delivering = Arc::clone(&shared);
        thread::spawn(move || delivering.deliver());
        Ok(Self(shared))
    }

    /// Makes every link so.
    pub fn set_all(&self, link: Link) {
        for wire in self.0.state().links.values_mut() {
            wire.link = link;
        }
    }

    /// Cuts a host off from all others, or lets it be heard again.
    pub fn isolate(&self, host: usize, down: bool) {
        for ((from, to), wire) in &mut self.0.state().links {
            if *from == host || *to == host {
                wire.link.down = down;
            }
        }
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        self.0.state().counts
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what leaves a host, until the process ends.
    fn take_in(&self, from: usize) {
        let Some(mut port) = self.ports.get(from) else { return };
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        loop {
            match port.read(&mut buffer) {
                Ok(length) => {
                    let packet = buffer.get(..length).unwrap_or_default();
                    if let Some(to) = destination(packet).and_then(|it| self.places.get(&it)) {
                        self.state().take(from, *to, packet);
                        self.earlier.notify_one();
                    }
                }
                Err(error) => return eprintln!("net: a host is unplugged: {error}"),
            }
        }
    }

    /// Writes what is due, until the process ends.
    fn deliver(&self) {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let next = state.under_way.peek().map(|Reverse(it)| it.at);
            state = match next {
                Some(at) if at <= now => {
                    let due = state.under_way.pop();
                    drop(state);
                    if let Some(Reverse(due)) = due {
                        self.write(&due);
                    }
                    self.state()
                }
                Some(at) => {
                    let waited = self.earlier.wait_timeout(state, at - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.earlier.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn write(&self, due: &UnderWay) {
        let Some(mut port) = self.ports.get(due.to) else { return };
        if let Err(error) = port.write_all(&due.packet) {
            eprintln!("net: a packet could not be delivered: {error}");
        }
    }
}

impl State {
    fn take(&mut self, from: usize, to: usize, packet: &[u8]) {
        let Some(wire) = self.links.get_mut(&(from, to)) else { return };
        let now = Instant::now();
        let fate = wire.link.fate(packet.len(), now, &mut wire.busy, &mut self.dice);
        match fate {
            Fate::Arrives(at) if self.under_way.len() < UNDER_WAY_MAX => {
                self.number += 1;
                self.counts.passed += 1;
                let (number, packet) = (self.number, packet.to_vec());
                self.under_way.push(Reverse(UnderWay { at, number, to, packet }));
            }
            Fate::Arrives(_) | Fate::Dropped => self.counts.dropped += 1,
            Fate::Lost => self.counts.lost += 1,
            Fate::Cut => self.counts.cut += 1,
        }
    }
}

/// Where an IPv4 packet is bound for.
fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let header = packet.first_chunk::<20>()?;
    let [version, .., a, b, c, d] = *header;
    (version >> 4 == 4).then_some(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packets_of_ipv4_have_a_destination() {
        let mut packet = vec![0x45; 40];
        packet[16..20].copy_from_slice(&[10, 9, 0, 3]);
        assert_eq!(destination(&packet), Some(Ipv4Addr::new(10, 9, 0, 3)));
        packet[0] = 0x60;
        assert_eq!(destination(&packet), None);
        assert_eq!(destination(&[0x45; 19]), None);
    }
}
