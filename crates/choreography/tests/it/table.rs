//! Sessions of one script around one table: what one says, all hear.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use aura_choreography::{
    Dev, Ended, Event, HostCall, Input, Label, Output, Refused, Script, Seat, Session,
};
use aura_protocol_core::{DeviceId, Epoch, Outcome, SessionId, decode, lifecycle::EffectReply};
use borsh::{BorshDeserialize, BorshSerialize};

/// What a host answers a device.
pub type Host = fn(Dev, &HostCall) -> EffectReply;
/// What a device says to one of the others instead of an event.
pub type Lie = fn(Dev, Event) -> Vec<Event>;

/// Sessions of one script, in one room.
pub struct Table {
    script: &'static dyn Script,
    seats: Vec<Arc<Seat>>,
    sessions: Vec<Session>,
    /// What is said but not heard: by whom, and what.
    air: VecDeque<(Dev, Event)>,
    /// Everything said, in its order.
    pub said: Vec<Event>,
    /// The lines of the devices' logs.
    pub logs: Vec<(Dev, String)>,
    /// Who hears and does nothing.
    gone: Vec<Dev>,
    /// What a device says instead of what its session says.
    liar: Option<(Dev, Lie)>,
    /// Who never hears what.
    deaf: Vec<(Dev, Label)>,
    /// What is not heard for the time being.
    held: Option<fn(&Event) -> bool>,
    host: Host,
    now: Epoch,
    wakes: BTreeMap<u8, Epoch>,
    /// Whether every session is restored from its snapshot before every input.
    restores: bool,
}

pub fn ids(count: u8) -> Vec<DeviceId> {
    (0..count).map(|it| DeviceId::from_bytes([it + 1; 32])).collect()
}

impl Table {
    /// `count` devices; the first one opens.
    pub fn new(script: &'static dyn Script, count: u8) -> Self {
        Self::with_params(script, count, &[])
    }

    pub fn with_params(script: &'static dyn Script, count: u8, params: &[u8]) -> Self {
        let seat = |me: u8| {
            let id = SessionId::from_bytes([7; 32]);
            let seat = Seat::new(script, id, Dev(me), Dev(0), ids(count), params.to_vec()).unwrap();
            Arc::new(seat)
        };
        let seats: Vec<_> = (0..count).map(seat).collect();
        let sessions = seats.iter().map(|it| Session::new(script, Arc::clone(it))).collect();
        Self {
            script,
            seats,
            sessions,
            air: VecDeque::new(),
            said: Vec::new(),
            logs: Vec::new(),
            gone: Vec::new(),
            liar: None,
            deaf: Vec::new(),
            held: None,
            host: |_, call| panic!("nobody expected {call:?}"),
            now: Epoch(0),
            wakes: BTreeMap::new(),
            restores: false,
        }
    }

    /// These devices never do anything.
    pub fn without(mut self, gone: &[u8]) -> Self {
        self.gone = gone.iter().copied().map(Dev).collect();
        self
    }

    /// What `dev` says is replaced, for each of its hearers.
    pub fn with_liar(mut self, dev: u8, says: Lie) -> Self {
        self.liar = Some((Dev(dev), says));
        self
    }

    /// These devices never hear this label.
    pub fn with_deaf(mut self, devs: &[u8], label: Label) -> Self {
        self.deaf = devs.iter().map(|it| (Dev(*it), label)).collect();
        self
    }

    pub fn with_host(mut self, host: Host) -> Self {
        self.host = host;
        self
    }

    pub fn restoring(mut self) -> Self {
        self.restores = true;
        self
    }

    pub fn start(mut self) -> Self {
        for dev in 0..self.sessions.len() as u8 {
            self.input(Dev(dev), Input::Start).unwrap();
            self.input(Dev(dev), Input::Clock(Epoch(0))).ok();
        }
        self
    }

    /// Starts, and goes on until nothing happens any more.
    pub fn run(self) -> Self {
        let mut table = self.start();
        table.settle();
        while let Some(next) = table.wakes.values().min().copied() {
            assert!(next.0 < 1_000_000, "time goes on for ever");
            table.tick(next);
            table.settle();
        }
        table
    }

    /// From now on nobody hears these.
    pub fn hold(&mut self, which: fn(&Event) -> bool) {
        self.held = Some(which);
    }

    /// They can be heard again.
    pub fn release(&mut self) {
        self.held = None;
    }

    /// Lets everybody hear everything that is not held.
    pub fn settle(&mut self) {
        loop {
            let held = self.held;
            let is_free = |it: &(Dev, Event)| !held.is_some_and(|held| held(&it.1));
            let Some(next) = self.air.iter().position(is_free) else { break };
            let (to, event) = self.air.remove(next).unwrap();
            if self.deaf.contains(&(to, event.label)) {
                continue;
            }
            match self.input(to, Input::Event(event)) {
                Ok(()) | Err(Refused::Ended | Refused::Malformed) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// It is `now`, for everybody.
    pub fn tick(&mut self, now: Epoch) {
        self.now = self.now.max(now);
        for dev in 0..self.sessions.len() as u8 {
            self.input(Dev(dev), Input::Clock(self.now)).ok();
        }
    }

    /// The person at a device says something.
    pub fn signal(&mut self, dev: u8, said: &[u8]) {
        self.input(Dev(dev), Input::Signal(said.to_vec())).unwrap();
    }

    pub fn input(&mut self, dev: Dev, input: Input) -> Result<(), Refused> {
        if self.gone.contains(&dev) {
            return Ok(());
        }
        if self.restores {
            self.restore(dev);
        }
        let mut output = self.sessions[usize::from(dev.0)].step(input)?;
        while let Some(call) = self.take(dev, output) {
            let reply = Input::Reply((self.host)(dev, &call));
            output = self.sessions[usize::from(dev.0)].step(reply).unwrap();
        }
        Ok(())
    }

    /// Puts a session restored from its snapshot in the place of the one that wrote it.
    fn restore(&mut self, dev: Dev) {
        let index = usize::from(dev.0);
        let old = &self.sessions[index];
        let snapshot = old.snapshot();
        let seat = Arc::clone(&self.seats[index]);
        let new = Session::restore(self.script, seat, &snapshot).unwrap();
        assert_eq!(new.pending(), old.pending());
        assert_eq!(new.ended(), old.ended());
        assert_eq!(new.log(), old.log());
        assert_eq!(new.snapshot(), snapshot);
        self.sessions[index] = new;
    }

    fn take(&mut self, dev: Dev, output: Output) -> Option<HostCall> {
        match output.wake.filter(|_| output.ended.is_none()) {
            Some(wake) => self.wakes.insert(dev.0, wake.max(Epoch(self.now.0))),
            None => self.wakes.remove(&dev.0),
        };
        self.logs.extend(output.log.into_iter().map(|it| (dev, it)));
        for event in output.emit {
            assert!(self.script.accepts(event.label, event.body.bytes()), "{event:?}");
            self.said.push(event.clone());
            for to in 0..self.sessions.len() as u8 {
                match self.liar.filter(|it| it.0 == dev && dev != Dev(to)) {
                    Some((_, says)) => {
                        let events = says(Dev(to), event.clone());
                        self.air.extend(events.into_iter().map(|it| (Dev(to), it)));
                    }
                    None => self.air.push_back((Dev(to), event.clone())),
                }
            }
        }
        output.call
    }

    pub fn count(&self) -> u8 {
        self.sessions.len() as u8
    }

    pub fn seat(&self, dev: u8) -> Arc<Seat> {
        Arc::clone(&self.seats[usize::from(dev)])
    }

    pub fn session(&self, dev: u8) -> &Session {
        &self.sessions[usize::from(dev)]
    }

    /// How each session ended so far.
    pub fn ended(&self) -> Vec<Option<Ended>> {
        self.sessions.iter().map(|it| it.ended().cloned()).collect()
    }

    /// How one session ended.
    pub fn end(&self, dev: u8) -> Ended {
        self.session(dev).ended().unwrap_or_else(|| panic!("{dev} goes on")).clone()
    }

    /// The value that a session finished with.
    pub fn value<T: BorshSerialize + BorshDeserialize>(&self, dev: u8) -> T {
        match self.end(dev) {
            Ok(Outcome::Completed { result, .. }) => decode(&result, 1 << 20).unwrap(),
            other => panic!("{dev} ended with {other:?}"),
        }
    }

    /// The one value that these sessions finished with.
    pub fn agreed<T>(&self, devs: &[u8]) -> T
    where
        T: BorshSerialize + BorshDeserialize + PartialEq + std::fmt::Debug,
    {
        let mut values = devs.iter().map(|it| self.value::<T>(*it));
        let first = values.next().unwrap();
        values.for_each(|it| assert_eq!(it, first));
        first
    }

    /// The texts of everything said by a device.
    pub fn said_by(&self, dev: u8) -> Vec<String> {
        let global = self.script.global();
        let own = self.said.iter().filter(|it| it.author == Dev(dev));
        own.map(|it| global.label_text(it.label, it.round)).collect()
    }
}
