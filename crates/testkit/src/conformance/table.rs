//! All devices of a session at one table: honest, but late, lossy and mortal.
//!
//! Scripts are driven question by question, so that nothing that they ask is missed.

use std::{collections::BTreeSet, sync::Arc};

use aura_choreography::{
    Ask, Body, Dev, DeviceSet, Event, HostCall, Machine, Reason, Reply, Seat, Want,
};
use aura_protocol_core::{DeviceId, Epoch, Outcome, SessionId, lifecycle::EffectReply};

use super::paths::{Departed, Home, Subject};
use crate::seed::Seeded;

/// Most questions of one device in one run.
const ASKS_MAX: usize = 20_000;
/// How often at most a person speaks while a device waits for others.
const WORDS_MAX: u64 = 8;

/// One device.
pub(super) struct Place {
    pub(super) seat: Arc<Seat>,
    pub(super) machine: Machine,
    /// All that it asked: one more than it was answered, unless it ended.
    pub(super) asks: Vec<Ask>,
    heard: Vec<Event>,
    coming: Vec<Event>,
    words: u64,
    /// After how many questions it is gone.
    crashes: Option<usize>,
}

/// What goes wrong in a run, each out of 100.
struct Fate {
    lost: u64,
    late: u64,
    crashes: u64,
}

/// All devices, in one run.
pub(super) struct Table<'a> {
    subject: &'a Subject<'a>,
    home: Option<&'a Home>,
    run: u64,
    random: Seeded,
    fate: Fate,
    now: u64,
    places: Vec<Place>,
}

/// The seats of all devices.
pub(super) fn seats(subject: &Subject<'_>, home: Option<&Home>) -> Result<Vec<Arc<Seat>>, Reason> {
    let session = SessionId::from_bytes([0x5e; 32]);
    let plain = |it: Dev| DeviceId::from_bytes([it.0; 32]);
    let id = |it| home.map_or_else(|| plain(it), |home| (home.device)(it));
    let ids: Vec<DeviceId> = (0..subject.devices).map(|it| id(Dev(it))).collect();
    let seat = |it| {
        let (ids, params) = (ids.clone(), subject.params.clone());
        Seat::new(subject.script, session, Dev(it), Dev(0), ids, params).map(Arc::new)
    };
    (0..subject.devices).map(seat).collect()
}

impl<'a> Table<'a> {
    /// Everything about it follows from `run`.
    pub(super) fn new(
        subject: &'a Subject<'a>,
        home: Option<&'a Home>,
        seats: &[Arc<Seat>],
        run: u64,
    ) -> Self {
        let mut random = Seeded::new(run);
        let mut of = |choices: &[u64]| random.pick(choices).copied().unwrap_or_default();
        let fate =
            Fate { lost: of(&[0, 0, 5, 30]), late: of(&[0, 0, 1, 10]), crashes: of(&[0, 0, 20]) };
        let place = |seat: &Arc<Seat>| Place {
            machine: Machine::start(subject.script, Arc::clone(seat)),
            seat: Arc::clone(seat),
            asks: Vec::new(),
            heard: Vec::new(),
            coming: Vec::new(),
            words: random.below(WORDS_MAX),
            crashes: (random.below(100) < fate.crashes).then(|| random.below(12) as usize),
        };
        let places = seats.iter().map(place).collect();
        Self { subject, home, run, random, fate, now: 0, places }
    }

    /// Goes on until nothing can happen any more.
    pub(super) fn run(mut self) -> Result<Vec<Place>, Departed> {
        for place in &mut self.places {
            place.note(self.run)?;
        }
        while self.turn()? || self.deadline()? {}
        Ok(self.places)
    }

    /// Lets one device do something; says whether any could.
    fn turn(&mut self) -> Result<bool, Departed> {
        self.now += self.random.below(2);
        let count = self.places.len();
        let first = self.random.below(count as u64) as usize;
        for step in 0..count {
            if self.act((first + step) % count)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn act(&mut self, at: usize) -> Result<bool, Departed> {
        let Some(place) = self.places.get_mut(at) else { return Ok(false) };
        let Some(ask) = place.question() else { return Ok(false) };
        let hears = !place.coming.is_empty();
        if hears && self.random.below(2) == 0 {
            place.hear(&mut self.random);
            return Ok(true);
        }
        match self.reply(at, &ask) {
            Some(reply) => self.answer(at, reply).map(|()| true),
            None if hears => {
                let place = self.places.get_mut(at);
                place.into_iter().for_each(|it| it.hear(&mut self.random));
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn answer(&mut self, at: usize, reply: Reply) -> Result<(), Departed> {
        let run = self.run;
        self.places.get_mut(at).map_or(Ok(()), |it| {
            it.machine.answer(reply);
            it.note(run)
        })
    }

    /// The answer to a question, if there is one now.
    fn reply(&mut self, at: usize, ask: &Ask) -> Option<Reply> {
        match ask {
            Ask::Write { label, round, body } => {
                let author = self.places.get(at)?.seat.me;
                self.say(&Event { author, label: *label, round: *round, body: body.clone() });
                Some(Reply::Done)
            }
            Ask::Host(call) => {
                self.hurries(call.within()).or_else(|| Some(Reply::Host(self.host(call))))
            }
            Ask::Now => Some(Reply::Epoch(Epoch(self.now))),
            Ask::HasPassed { since, epochs, .. } => {
                let end = since.saturating_add(u64::from(*epochs));
                Some(Reply::Passed(end <= Epoch(self.now)))
            }
            Ask::Peek(want) => {
                let place = self.places.get(at)?;
                Some(Reply::Events(place.matching(want).into()))
            }
            Ask::Signal { within } => self.signal(at).or_else(|| self.hurries(*within)),
            Ask::Await { want, unless, within, signals } => {
                let place = self.places.get(at)?;
                let stop = unless.and_then(|it| place.satisfy(&it));
                let events =
                    stop.or_else(|| place.satisfy(want)).map(|it| Reply::Events(it.into()));
                let speaks = *signals && events.is_none() && self.random.below(4) == 0;
                let said = if speaks { self.signal(at) } else { None };
                events.or(said).or_else(|| self.hurries(*within))
            }
            _ => Some(Reply::Done),
        }
    }

    fn signal(&mut self, at: usize) -> Option<Reply> {
        let place = self.places.get_mut(at)?;
        place.words = place.words.checked_sub(1)?;
        Some(Reply::Signal((self.subject.says)(place.seat.me, &mut self.random)))
    }

    /// A deadline that passes before all that could come has come.
    fn hurries(&mut self, within: Option<u32>) -> Option<Reply> {
        (within.is_some() && self.random.below(100) < self.fate.late).then_some(Reply::Timeout)
    }

    fn host(&mut self, call: &HostCall) -> EffectReply {
        if let Some(Home { host, .. }) = self.home {
            // A session asks often, and ends with the first refusal.
            let refuses = self.random.below(32) == 0;
            return if refuses { EffectReply::Denied("not here".to_owned()) } else { host(call) };
        }
        match call {
            _ if self.random.below(8) == 0 => EffectReply::Denied("not here".to_owned()),
            HostCall::Use { .. } => EffectReply::Used(self.random.bytes(32)),
            HostCall::Read(_) => EffectReply::Record(None),
            HostCall::Run { .. } => EffectReply::SubProtocol(match self.random.below(3) {
                0 => Outcome::Aborted { reason: "it was aborted".to_owned() },
                1 => Outcome::Left { reason: "its opener gave up".to_owned() },
                _ => {
                    let result = (self.subject.says)(Dev(0), &mut self.random);
                    Outcome::Completed { result, batch: Vec::new() }
                }
            }),
            _ => EffectReply::Records(Vec::new()),
        }
    }

    fn say(&mut self, event: &Event) {
        let script = self.subject.script;
        for place in &mut self.places {
            let me = place.seat.me;
            let is_addressed = script.is_addressed(event.label);
            if is_addressed && event.body.bytes().first() != Some(&me.0) {
                continue;
            }
            if me == event.author {
                place.heard.push(event.clone());
            } else if self.fate.lost <= self.random.below(100)
                && script.accepts(event.label, event.body.bytes())
            {
                place.coming.push(event.clone());
            }
        }
    }

    /// Nothing happens any more: the deadline of one wait passes, if there is one.
    fn deadline(&mut self) -> Result<bool, Departed> {
        let patience = |it: &Place| match it.question()? {
            Ask::Await { within, .. } | Ask::Signal { within } => within,
            _ => None,
        };
        let waiting: Vec<(usize, u32)> = self
            .places
            .iter()
            .enumerate()
            .filter_map(|(at, it)| patience(it).map(|it| (at, it)))
            .collect();
        let Some((at, within)) = self.random.pick(&waiting).copied() else { return Ok(false) };
        self.now += u64::from(within);
        self.answer(at, Reply::Timeout).map(|()| true)
    }
}

impl Place {
    /// What it asks, while it lives.
    fn question(&self) -> Option<Ask> {
        let is_gone = self.crashes.is_some_and(|it| it < self.asks.len());
        if is_gone { None } else { self.machine.pending().cloned() }
    }

    /// Writes down what it asks now.
    fn note(&mut self, run: u64) -> Result<(), Departed> {
        let dev = self.seat.me;
        match self.machine.pending() {
            Some(_) if ASKS_MAX <= self.asks.len() => Err(Departed::Endless { run, dev }),
            Some(ask) => {
                self.asks.push(ask.clone());
                Ok(())
            }
            None if self.machine.ended().is_none() => Err(Departed::Mute { run, dev }),
            None => Ok(()),
        }
    }

    /// Takes any of what is on its way.
    fn hear(&mut self, random: &mut Seeded) {
        let index = random.below(self.coming.len().max(1) as u64) as usize;
        if index < self.coming.len() {
            self.heard.push(self.coming.swap_remove(index));
        }
    }

    /// What was heard first of each author, by author.
    fn matching(&self, want: &Want) -> Vec<Event> {
        let mut authors = DeviceSet::EMPTY;
        let mut events = Vec::new();
        for event in self.heard.iter().filter(|it| self.fits(want, it)) {
            if !authors.contains(event.author) {
                authors = authors.with(event.author);
                events.push(event.clone());
            }
        }
        events.sort_unstable_by_key(|it: &Event| it.author);
        events
    }

    fn satisfy(&self, want: &Want) -> Option<Vec<Event>> {
        let count = usize::from(want.count);
        let matching = self.matching(want);
        if !want.same {
            return (count <= matching.len()).then_some(matching);
        }
        let bodies: BTreeSet<&Body> = matching.iter().map(|it| &it.body).collect();
        bodies.into_iter().find_map(|body| {
            let said = || matching.iter().filter(|it| it.body == *body);
            (count <= said().count()).then(|| said().take(1).cloned().collect())
        })
    }

    fn fits(&self, want: &Want, event: &Event) -> bool {
        want.labels.contains(event.label)
            && want.round == event.round
            && want.from.contains(event.author)
            && (!want.to_me || event.body.bytes().first() == Some(&self.seat.me.0))
    }
}
