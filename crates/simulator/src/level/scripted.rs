//! A script at one simulated device.

use std::sync::Arc;

use aura_choreography::{Ask, Body, Dev, Ended, Event, Input, Output, Script, Seat, Session};
use aura_protocol_core::Epoch;

use crate::{
    draw::mix,
    engine::{Heard, Message, Node, Outbox, Waits},
    hosts::Host,
    level::{Table, altered, wanted},
};

/// A session, as it runs on any device.
pub struct Scripted {
    script: &'static dyn Script,
    session: Option<Session>,
    host: Option<Box<dyn Host>>,
    corrupts: Option<u64>,
    /// How many questions were answered, and since when the next is open.
    answered: usize,
    since: Epoch,
    wake: Option<Epoch>,
}

/// What is durable of a session, and what it asked then.
pub struct Saved {
    bytes: Vec<u8>,
    host: Vec<u8>,
    pending: Option<Ask>,
    since: Epoch,
}

impl Scripted {
    pub(super) fn new(table: &Table, seat: Option<Arc<Seat>>, corrupts: Option<u64>) -> Self {
        let script = table.script;
        let host = seat.as_ref().map(|it| (table.host)(it, None));
        let session = seat.map(|it| Session::new(script, it));
        Self { script, session, host, corrupts, answered: 0, since: Epoch(0), wake: None }
    }

    /// A session after a restart. It asks what it asked before, or something is wrong with replay.
    pub(super) fn restart(
        table: &Table,
        seat: Option<Arc<Seat>>,
        saved: &Saved,
        corrupts: Option<u64>,
    ) -> Result<Self, String> {
        let seat = seat.ok_or_else(|| "a device without a seat".to_owned())?;
        let script = table.script;
        let host = Some((table.host)(&seat, Some(&saved.host)));
        let session = Session::restore(script, seat, &saved.bytes).map_err(|it| it.to_string())?;
        if session.pending() != saved.pending.as_ref() {
            return Err(format!("asked {:?}, asks {:?}", saved.pending, session.pending()));
        }
        let answered = session.log().len();
        let (session, since) = (Some(session), saved.since);
        Ok(Self { script, session, host, corrupts, answered, since, wake: None })
    }

    /// The session.
    #[must_use]
    pub const fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    fn step(&mut self, input: Input, now: Epoch, out: &mut Outbox<Event>) -> Heard {
        let Some(session) = &mut self.session else { return Heard::Refused };
        session.observe(now);
        let Ok(mut output) = session.step(input) else { return Heard::Refused };
        loop {
            self.absorb(&mut output, out);
            self.wake = output.wake;
            let (Some(call), Some(session), Some(host)) =
                (output.call.take(), &mut self.session, &mut self.host)
            else {
                break;
            };
            let Ok(next) = session.step(Input::Reply(host.reply(&call))) else { break };
            output = next;
        }
        let answered = self.session.as_ref().map_or(0, |it| it.log().len());
        if self.answered != answered {
            (self.answered, self.since) = (answered, now);
        }
        Heard::Taken
    }

    fn absorb(&self, output: &mut Output, out: &mut Outbox<Event>) {
        for event in output.emit.drain(..) {
            match self.corrupts {
                None => out.say(event),
                Some(key) => out.say(corrupted(self.script, event, key)),
            }
        }
    }
}

/// Something else than a device ought to say: sometimes a message, sometimes not.
pub(crate) fn corrupted(script: &dyn Script, event: Event, key: u64) -> Event {
    let key = mix(key ^ event.key());
    let other = if key & 1 == 0 { altered(script, &event, key) } else { None };
    other.unwrap_or_else(|| {
        let body = Body::new(&[event.body.bytes(), &[0xff]].concat());
        Event { body, ..event }
    })
}

impl Node for Scripted {
    type Message = Event;
    type Saved = Saved;

    fn start(&mut self, now: Epoch, out: &mut Outbox<Event>) {
        self.step(Input::Start, now, out);
    }

    fn hear(&mut self, _: Dev, event: &Event, now: Epoch, out: &mut Outbox<Event>) -> Heard {
        self.step(Input::Event(event.clone()), now, out)
    }

    fn clock(&mut self, now: Epoch, out: &mut Outbox<Event>) {
        self.step(Input::Clock(now), now, out);
    }

    fn signal(&mut self, said: &[u8], now: Epoch, out: &mut Outbox<Event>) {
        self.step(Input::Signal(said.to_vec()), now, out);
    }

    fn wake(&self) -> Option<Epoch> {
        self.wake
    }

    fn ended(&self) -> Option<&Ended> {
        self.session.as_ref()?.ended()
    }

    fn save(&self) -> Saved {
        let session = self.session.as_ref();
        Saved {
            bytes: session.map(Session::snapshot).unwrap_or_default(),
            host: self.host.as_ref().map(|it| it.save()).unwrap_or_default(),
            pending: session.and_then(Session::pending).cloned(),
            since: self.since,
        }
    }

    fn waits(&self) -> Option<Waits> {
        let session = self.session.as_ref()?;
        let (what, from) = match session.pending()? {
            Ask::Await { want, .. } => (wanted(self.script, want), want.from),
            Ask::Pause { epochs } => (format!("{epochs} epochs to pass"), Default::default()),
            other => (format!("{other:?}"), Default::default()),
        };
        Some(Waits { what, from, since: self.since })
    }
}
