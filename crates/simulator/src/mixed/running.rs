//! Three sessions on their way.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use aura_choreography::{Ask, Dev, Event, HostCall, Input, Output, Reason, Seat, Session};
use aura_protocol_core::{Epoch, SessionId, decode, encode, lifecycle::EffectReply};

use super::{
    End, Interpreted, Mix, Verdict,
    said::{NEVER, Question, Told},
};
use crate::level::device_id;

/// Devices of a mixed run: as many as a comparison follows.
pub(super) const COUNT: usize = 3;

/// Something that may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Deliver {
        author: usize,
        reader: usize,
    },
    Pause(usize),
    /// A decider goes on to its decision, or a person answers.
    Decide(usize),
}

/// Sessions, and what is on its way between them.
pub(super) struct Running {
    pub(super) devices: Vec<Device>,
    /// All that was said or declined: by whom, as what, in which round.
    answers: BTreeSet<(usize, String, u32)>,
    late: BTreeSet<(u8, String)>,
    gave_up: BTreeSet<u8>,
}

/// One device.
pub(super) struct Device {
    pub(super) script: &'static Interpreted,
    pub(super) session: Session,
    /// What it has not read yet of each author, in the order in which it was said.
    unread: [VecDeque<Event>; COUNT],
    /// What it is to decide, how it may, and after how many answers it was asked or told.
    question: Option<(Question, usize)>,
    wake: Option<Epoch>,
    /// Labels of what it said.
    pub(super) said: Vec<String>,
}

impl Running {
    pub(super) fn new(mix: &Mix) -> Result<Self, Reason> {
        let ids: Vec<_> = (0..COUNT as u8).map(|it| device_id(Dev(it))).collect();
        let mut devices = Vec::new();
        for (script, place) in mix.scripts.into_iter().zip(0..) {
            let params = encode(&mix.roles);
            let id = SessionId::from_bytes([1; 32]);
            let seat = Seat::new(script, id, Dev(place), Dev(0), ids.clone(), params)?;
            devices.push(Device {
                script,
                session: Session::new(script, Arc::new(seat)),
                unread: Default::default(),
                question: None,
                wake: None,
                said: Vec::new(),
            });
        }
        let (answers, late, gave_up) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut running = Self { devices, answers, late, gave_up };
        for device in 0..COUNT {
            running.input(device, Input::Clock(Epoch(1)));
        }
        Ok(running)
    }

    fn device(&mut self, device: usize) -> Option<&mut Device> {
        self.devices.get_mut(device)
    }

    /// Gives an input, and what follows from it to everybody. What the runtime sets aside is lost.
    fn input(&mut self, index: usize, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let Some(device) = self.device(index) else { return };
            let Ok(Output { emit, call, wake, .. }) = device.session.step(input) else { return };
            device.wake = wake;
            let author = device.script;
            device.said.extend(emit.iter().map(|it| author.name(it.label).to_owned()));
            if let Some(HostCall::Read(key)) = call {
                let question = decode::<Question>(&key.0, key.0.len()).ok();
                if let Some(it) = question.filter(|it| it.who.contains(Dev(index as u8))) {
                    device.question = Some((it, device.session.log().len()));
                } else {
                    next = Some(Input::Reply(EffectReply::Record(None)));
                }
            }
            for event in emit {
                self.send(index, author, &event);
            }
        }
    }

    fn send(&mut self, author: usize, from: &Interpreted, event: &Event) {
        self.answers.insert((author, from.name(event.label).to_owned(), event.round));
        for (reader, device) in self.devices.iter_mut().enumerate() {
            if reader == author || device.session.ended().is_some() {
                continue;
            }
            if let Some(label) = device.script.translate(from, event.label)
                && let Some(unread) = device.unread.get_mut(author)
            {
                unread.push_back(Event { label, ..event.clone() });
            }
        }
    }

    /// All that can happen without time running out.
    pub(super) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (index, device) in self.devices.iter().enumerate() {
            if device.session.ended().is_some() {
                continue;
            }
            let unread = device.unread.iter().enumerate().filter(|it| !it.1.is_empty());
            moves.extend(unread.map(|(author, _)| Move::Deliver { author, reader: index }));
            match device.session.pending() {
                Some(Ask::Pause { .. }) => moves.push(Move::Pause(index)),
                Some(Ask::Host(_)) => moves.push(Move::Decide(index)),
                _ => {}
            }
        }
        moves
    }

    /// Makes a move that is no decision.
    pub(super) fn make(&mut self, next: Move) {
        match next {
            Move::Deliver { author, reader } => {
                let unread = self.device(reader).and_then(|it| it.unread.get_mut(author));
                if let Some(event) = unread.and_then(VecDeque::pop_front) {
                    self.input(reader, Input::Event(event));
                }
            }
            Move::Pause(device) => self.wake(device),
            Move::Decide(_) => {}
        }
    }

    /// Makes every move that is no decision.
    pub(super) fn settle(&mut self) {
        loop {
            let is_plain = |it: &Move| !matches!(it, Move::Decide(_));
            let Some(next) = self.moves().into_iter().find(is_plain) else { return };
            self.make(next);
        }
    }

    fn wake(&mut self, index: usize) {
        if let Some(wake) = self.device(index).and_then(|it| it.wake) {
            self.input(index, Input::Clock(wake));
        }
    }

    /// How many ways a decider has.
    pub(super) fn ways(&self, device: usize) -> usize {
        self.question(device).map_or(0, |it| it.ways.len())
    }

    /// What a device that is asked is to decide.
    pub(super) fn question(&self, device: usize) -> Option<&Question> {
        let device = self.devices.get(device)?;
        matches!(device.session.pending(), Some(Ask::Host(_))).then_some(())?;
        device.question.as_ref().map(|it| &it.0)
    }

    /// Tells a decider what to decide, once it can.
    pub(super) fn tell(&mut self, index: usize, told: &Told) {
        let reply = EffectReply::Record(Some(encode(told)));
        if let Some((question, asked)) = self.device(index).and_then(|it| it.question.as_mut()) {
            *asked += 1;
            if let (Some(round), 1) = (question.declines, told.way) {
                let declined = question.ways.first().cloned().unwrap_or_default();
                self.answers.insert((index, declined, round));
            }
        }
        self.input(index, Input::Reply(reply));
    }

    /// Those for whom time may run out: deciders, and who waits for what enough devices would have said
    /// if some had not declined.
    pub(super) fn late(&self) -> Vec<usize> {
        let waits = |it: &Device| {
            let Some(Ask::Await { within: Some(within), .. }) = it.session.pending() else {
                return false;
            };
            *within != NEVER && (it.decides() || self.is_declined(it))
        };
        let all = self.devices.iter().enumerate();
        all.filter(|it| waits(it.1)).map(|it| it.0).collect()
    }

    /// Whether a device lacks only what others declined.
    fn is_declined(&self, device: &Device) -> bool {
        let Some(Ask::Await { want, .. }) = device.session.pending() else { return false };
        let answered = |author: &usize| {
            let Some(from) = self.devices.get(*author) else { return false };
            want.labels.iter().any(|label| {
                let name = device.script.name(label);
                let answer = (*author, name.to_owned(), want.round);
                device.script.shares(from.script, name) && self.answers.contains(&answer)
            })
        };
        let authors = want.from.iter().map(|it| usize::from(it.0)).filter(answered);
        !want.to_me && !want.same && usize::from(want.count) <= authors.count()
    }

    /// Time runs out for a device.
    pub(super) fn time_out(&mut self, index: usize) {
        let Some(device) = self.devices.get(index) else { return };
        match device.question.as_ref().and_then(|it| it.0.ways.first()) {
            Some(first) if device.decides() => {
                self.late.insert((index as u8, first.clone()));
            }
            _ => {
                self.gave_up.insert(index as u8);
            }
        }
        self.wake(index);
    }

    /// Who may say that a decision is to be stopped.
    pub(super) fn signallers(&self) -> Vec<usize> {
        let may =
            |it: &Device| matches!(it.session.pending(), Some(Ask::Await { signals: true, .. }));
        let all = self.devices.iter().enumerate();
        all.filter(|it| may(it.1)).map(|it| it.0).collect()
    }

    /// The person at a device says something.
    pub(super) fn signal(&mut self, index: Option<usize>) {
        if let Some(index) = index {
            self.input(index, Input::Signal(Vec::new()));
        }
    }

    /// What a device waits for.
    pub(super) fn awaited(&self, index: usize) -> BTreeSet<String> {
        let Some(device) = self.devices.get(index) else { return BTreeSet::new() };
        match device.session.pending() {
            Some(Ask::Await { want, .. }) => {
                want.labels.iter().map(|it| device.script.name(it).to_owned()).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    pub(super) fn verdict(self) -> Verdict {
        let end = |index: usize| match self.devices.get(index).and_then(|it| it.session.ended()) {
            Some(ended) => End::of(ended),
            None => End::Waits(self.awaited(index)),
        };
        let (late, gave_up) = (self.late.clone(), self.gave_up.clone());
        Verdict { ends: std::array::from_fn(end), late, gave_up }
    }
}

impl Device {
    /// Whether it waits for what it decides on.
    fn decides(&self) -> bool {
        self.question.as_ref().is_some_and(|it| it.1 == self.session.log().len())
    }
}
