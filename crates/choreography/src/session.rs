//! One session at one device, without I/O: inputs in, what is to be done out.
//!
//! Native hosts, simulators and modules all drive this and nothing else.
//!
//! **Invariants**
//! - INV-CH2: a session restored from its snapshot goes on exactly as the one that wrote it.
//! - INV-CH3: an event that is there wins over a deadline that has just passed.
//! - INV-CH4: nothing that others send panics, and what is kept of each of them is bounded.

use alloc::{collections::VecDeque, string::String, sync::Arc, vec::Vec};

use aura_protocol_core::{Epoch, decode, encode, lifecycle::EffectReply};
use thiserror::Error;

use crate::{
    Ask, Body, Dev, Ended, Event, HostCall, Label, Machine, Reply, Script, Seat,
    snapshot::Saved,
    view::{View, matches},
};

/// How far ahead of this device's round an event may be. Others go ahead while this device waits for
/// its host or lets epochs pass.
const ROUNDS_AHEAD_MAX: u32 = 64;
/// Most things that the person at this device may have said before the script asks.
const SIGNALS_MAX: usize = 64;

/// What happens to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// It begins.
    Start,
    /// A participant said something, this device included; whoever carries it vouches for the author.
    Event(Event),
    /// It is this epoch now.
    Clock(Epoch),
    /// The host's answer to the call that is under way.
    Reply(EffectReply),
    /// The person at this device says something.
    Signal(Vec<u8>),
}

/// What one input led to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// What this device says, in this order. The snapshot must be durable before it leaves.
    pub emit: Vec<Event>,
    /// What the host is to do; at most one call is under way.
    pub call: Option<HostCall>,
    /// Lines for the device's log.
    pub log: Vec<String>,
    /// When the session wants [`Input::Clock`]; epoch 0 when it does not know the time yet.
    pub wake: Option<Epoch>,
    /// How it ended, if it did now.
    pub ended: Option<Ended>,
}

impl Output {
    /// As [`Self::default`], with the memory that it has.
    fn clear(&mut self) {
        self.emit.clear();
        self.log.clear();
        (self.call, self.wake, self.ended) = (None, None, None);
    }
}

/// Why an input is set aside. The session is as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refused {
    /// It is over.
    #[error("the session has ended")]
    Ended,
    /// Somebody who takes no part.
    #[error("the author takes no part in the session")]
    NotParticipant,
    /// No such message, or none that looks like this.
    #[error("no message of this session looks like this")]
    Malformed,
    /// The message is of a round that is too far ahead.
    #[error("the message is of round {found}; {ROUNDS_AHEAD_MAX} ahead of {at} are taken")]
    TooFarAhead {
        /// The message's round.
        found: u32,
        /// This device's round.
        at: u32,
    },
    /// An answer to something that was not asked.
    #[error("the session did not ask for this")]
    NotAsked,
    /// As many signals wait as may.
    #[error("at most {SIGNALS_MAX} signals wait")]
    TooManySignals,
}

/// Why bytes are no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the bytes are no snapshot of this session")]
pub struct BadSnapshot;

/// One session at one device.
pub struct Session {
    script: &'static dyn Script,
    seat: Arc<Seat>,
    machine: Machine,
    view: View,
    now: Option<Epoch>,
    asked_at: Option<Epoch>,
    round: u32,
    signals: VecDeque<Vec<u8>>,
    called: bool,
}

impl Session {
    /// A session before its first input.
    #[must_use]
    pub fn new(script: &'static dyn Script, seat: Arc<Seat>) -> Self {
        let machine = Machine::start(script, Arc::clone(&seat));
        Self {
            script,
            seat,
            machine,
            view: View::new(),
            now: None,
            asked_at: None,
            round: 0,
            signals: VecDeque::new(),
            called: false,
        }
    }

    /// The session that [`Self::snapshot`] wrote (INV-CH2). A host call that was under way has to be
    /// made again: [`Self::call_under_way`].
    ///
    /// # Errors
    /// [`BadSnapshot`].
    pub fn restore(
        script: &'static dyn Script,
        seat: Arc<Seat>,
        snapshot: &[u8],
    ) -> Result<Self, BadSnapshot> {
        let saved: Saved = decode(snapshot, snapshot.len()).map_err(|_| BadSnapshot)?;
        let log = saved.log(&saved.events).ok_or(BadSnapshot)?;
        let machine = Machine::replay(script, Arc::clone(&seat), log);
        Ok(Self {
            script,
            seat,
            machine,
            view: View::of(saved.events),
            now: saved.now,
            asked_at: saved.asked_at,
            round: saved.round,
            signals: saved.signals.into(),
            called: saved.called,
        })
    }

    /// Everything that is needed to go on after a restart.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        encode(&Saved::of(
            self.view.events(),
            self.machine.log(),
            (self.now, self.asked_at, self.round),
            self.signals.iter().cloned().collect(),
            self.called,
        ))
    }

    /// Where this device sits.
    #[must_use]
    pub fn seat(&self) -> &Seat {
        &self.seat
    }

    /// What the script asks; none when it has ended.
    #[must_use]
    pub const fn pending(&self) -> Option<&Ask> {
        self.machine.pending()
    }

    /// All answers so far.
    #[must_use]
    pub fn log(&self) -> &[Reply] {
        self.machine.log()
    }

    /// How it ended, if it did.
    #[must_use]
    pub const fn ended(&self) -> Option<&Ended> {
        self.machine.ended()
    }

    /// The call that the host is making.
    #[must_use]
    pub const fn call_under_way(&self) -> Option<&HostCall> {
        match self.machine.pending() {
            Some(Ask::Host(call)) if self.called => Some(call),
            _ => None,
        }
    }

    /// Lets the session know the time without waking it: for hosts that give the time with every
    /// input. Time does not go back.
    pub fn observe(&mut self, now: Epoch) {
        if self.now.is_none() {
            // What was asked before anybody knew the time is timed from now on.
            self.asked_at = Some(now);
        }
        self.now = self.now.max(Some(now));
    }

    /// Takes one input.
    ///
    /// # Errors
    /// [`Refused`]; the session is then as before.
    pub fn step(&mut self, input: Input) -> Result<Output, Refused> {
        let mut output = Output::default();
        self.step_into(input, &mut output).map(|()| output)
    }

    /// [`Self::step`], into the memory of an earlier output, of which nothing else is left.
    ///
    /// # Errors
    /// [`Refused`]; the session is then as before.
    pub fn step_into(&mut self, input: Input, output: &mut Output) -> Result<(), Refused> {
        output.clear();
        if self.machine.ended().is_some() {
            return Err(Refused::Ended);
        }
        match input {
            Input::Start => {}
            Input::Clock(now) => self.observe(now),
            Input::Event(event) => {
                self.check(&event)?;
                let matters = self.matters(&event);
                self.keep(event);
                if !matters {
                    // Most events: the question stays open, and nothing has to be looked through.
                    output.wake = self.wake();
                    return Ok(());
                }
            }
            Input::Signal(said) if self.signals.len() < SIGNALS_MAX => {
                self.signals.push_back(said);
            }
            Input::Signal(_) => return Err(Refused::TooManySignals),
            Input::Reply(reply) => {
                if self.call_under_way().is_none() {
                    return Err(Refused::NotAsked);
                }
                self.answer(Reply::Host(reply), output);
            }
        }
        self.drive(output);
        Ok(())
    }

    fn check(&self, event: &Event) -> Result<(), Refused> {
        let Event { author, label, round, body } = event;
        if !self.seat.everyone().contains(*author) {
            return Err(Refused::NotParticipant);
        }
        if self.round.saturating_add(ROUNDS_AHEAD_MAX) < *round {
            return Err(Refused::TooFarAhead { found: *round, at: self.round });
        }
        if self.script.accepts(*label, body.bytes()) { Ok(()) } else { Err(Refused::Malformed) }
    }

    /// Whether an event, or the time at which it comes, can answer what is pending. What was there
    /// before could not, or it would have.
    fn matters(&self, event: &Event) -> bool {
        let me = self.seat.me;
        match self.machine.pending() {
            Some(Ask::Await { want, unless, .. }) => {
                matches(want, me, event)
                    || unless.is_some_and(|it| matches(&it, me, event))
                    || self.is_late()
            }
            Some(Ask::Pause { .. } | Ask::Host(_)) => self.is_late(),
            _ => true,
        }
    }

    /// Runs the script as far as what is here allows.
    fn drive(&mut self, output: &mut Output) {
        while let Some(reply) = self.reply(output) {
            self.answer(reply, output);
        }
        output.wake = self.wake();
        output.ended = self.machine.ended().cloned();
    }

    fn answer(&mut self, reply: Reply, output: &mut Output) {
        let passed = self.machine.answer_in_passing(reply);
        self.asked_at = self.now;
        self.called = false;
        if let Some(Ask::Write { label, round, body }) = passed {
            self.say(output, label, round, body);
        }
    }

    /// The answer to what is pending, if there is one now.
    fn reply(&mut self, output: &mut Output) -> Option<Reply> {
        match self.machine.pending()? {
            Ask::Write { label, round, body } => {
                let (label, round, body) = (*label, *round, body.clone());
                self.say(output, label, round, body);
                Some(Reply::Done)
            }
            Ask::Log(line) => {
                output.log.push(line.clone());
                Some(Reply::Done)
            }
            Ask::Host(call) => {
                if self.called {
                    return self.timeout();
                }
                output.call = Some(call.clone());
                self.called = true;
                None
            }
            Ask::Now => self.now.map(Reply::Epoch),
            Ask::HasPassed { since, epochs, .. } => {
                let end = since.saturating_add(u64::from(*epochs));
                self.now.map(|now| Reply::Passed(end <= now))
            }
            Ask::Peek(want) => Some(Reply::Events(self.view.first_of_each(want, self.seat.me))),
            Ask::Pause { .. } => self.is_late().then_some(Reply::Done),
            Ask::Signal { .. } => self.signal().or_else(|| self.timeout()),
            Ask::Await { want, unless, signals, .. } => {
                let (want, unless, signals) = (*want, *unless, *signals);
                let me = self.seat.me;
                self.round = self.round.max(want.round);
                let stop = unless.and_then(|it| self.view.satisfy(&it, me));
                let events = stop.or_else(|| self.view.satisfy(&want, me)).map(Reply::Events);
                let said = |it: &mut Self| if signals { it.signal() } else { None };
                events.or_else(|| said(self)).or_else(|| self.timeout())
            }
        }
    }

    fn say(&mut self, output: &mut Output, label: Label, round: u32, body: Body) {
        let event = Event { author: self.seat.me, label, round, body };
        self.round = self.round.max(round);
        self.keep(event.clone());
        output.emit.push(event);
    }

    /// Keeps an event, unless it is for another device: nothing here ever waits for that.
    fn keep(&mut self, event: Event) {
        let is_for_another = self.script.is_addressed(event.label)
            && event.body.bytes().first() != Some(&self.seat.me.0);
        if !is_for_another {
            self.view.insert(event);
        }
    }

    fn signal(&mut self) -> Option<Reply> {
        self.signals.pop_front().map(Reply::Signal)
    }

    fn timeout(&self) -> Option<Reply> {
        self.is_late().then_some(Reply::Timeout)
    }

    fn is_late(&self) -> bool {
        self.deadline().is_some_and(|end| self.now.is_some_and(|now| end <= now))
    }

    /// For how many epochs the pending question is asked.
    fn patience(&self) -> Option<u32> {
        match self.machine.pending()? {
            Ask::Await { within, .. } | Ask::Signal { within } => *within,
            Ask::Pause { epochs } => Some(*epochs),
            Ask::Host(call) => call.within(),
            _ => None,
        }
    }

    fn deadline(&self) -> Option<Epoch> {
        Some(self.asked_at?.saturating_add(u64::from(self.patience()?)))
    }

    fn wake(&self) -> Option<Epoch> {
        let wants_time = matches!(self.machine.pending(), Some(Ask::Now | Ask::HasPassed { .. }));
        if self.now.is_none() && (wants_time || self.patience().is_some()) {
            return Some(Epoch(0));
        }
        self.deadline()
    }

    /// The device whose seat this is.
    #[must_use]
    pub fn me(&self) -> Dev {
        self.seat.me
    }
}
