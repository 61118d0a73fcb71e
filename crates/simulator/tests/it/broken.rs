//! Devices and scripts that break what simulations look for.

use std::sync::atomic::{AtomicU64, Ordering};

use aura_choreography::{
    Cast, Cx, Dev, Ended, Event, GlobalType, Label, Opening, Reason, Running, Script, Steps as _,
    session,
};
use aura_protocol_core::Epoch;
use aura_simulator::{
    engine::{Change, Changed, Heard, Level, MessageOf, Node, Outbox, Waits},
    hosts::plain,
    level::{Scripted, Scripts},
    plan::{Plan, Promise},
    protocols::{Protocol, dkd, just_quorum, quorum_of},
};

/// What is wrong with all devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// They take whatever comes.
    TakesAll,
    /// They do not keep what came before a restart.
    Forgets,
    /// They never stop asking to be woken.
    Restless,
}

/// Devices of the key derivation with something wrong.
pub struct Broken(pub Scripts, pub Wrong);

pub struct BrokenNode {
    inner: Scripted,
    wrong: Wrong,
    restarted: bool,
    now: Epoch,
}

impl Broken {
    pub fn new(wrong: Wrong) -> Self {
        Self(Scripts::new(&dkd::PROTOCOL), wrong)
    }
}

impl Level for Broken {
    type Node = BrokenNode;
    const GOES_ON: bool = false;

    fn prepare(&mut self, plan: &Plan) -> Result<(), String> {
        self.0.prepare(plan)
    }

    fn node(&self, dev: Dev, corrupts: Option<u64>) -> BrokenNode {
        let inner = self.0.node(dev, corrupts);
        BrokenNode { inner, wrong: self.1, restarted: false, now: Epoch(0) }
    }

    fn restart(
        &self,
        dev: Dev,
        saved: <Scripted as Node>::Saved,
        corrupts: Option<u64>,
    ) -> Result<BrokenNode, String> {
        let inner = self.0.restart(dev, saved, corrupts)?;
        Ok(BrokenNode { inner, wrong: self.1, restarted: true, now: Epoch(0) })
    }

    fn change(&mut self, dev: Dev, event: &Event, how: Change, key: u64) -> Option<Changed<Event>> {
        self.0.change(dev, event, how, key)
    }

    fn vote(&self, event: &MessageOf<Self>) -> Option<(u64, u64)> {
        self.0.vote(event)
    }

    fn describe(&self, event: &Event) -> (String, String) {
        self.0.describe(event)
    }
}

impl Node for BrokenNode {
    type Message = Event;
    type Saved = <Scripted as Node>::Saved;

    fn start(&mut self, now: Epoch, out: &mut Outbox<Event>) {
        self.inner.start(now, out);
    }

    fn hear(&mut self, from: Dev, event: &Event, now: Epoch, out: &mut Outbox<Event>) -> Heard {
        let heard = self.inner.hear(from, event, now, out);
        if self.wrong == Wrong::TakesAll { Heard::Taken } else { heard }
    }

    fn clock(&mut self, now: Epoch, out: &mut Outbox<Event>) {
        self.now = now;
        if self.wrong != Wrong::Restless {
            self.inner.clock(now, out);
        }
    }

    fn signal(&mut self, said: &[u8], now: Epoch, out: &mut Outbox<Event>) {
        self.inner.signal(said, now, out);
    }

    fn wake(&self) -> Option<Epoch> {
        match self.wrong {
            Wrong::Restless => Some(self.now.saturating_add(1)),
            _ => self.inner.wake(),
        }
    }

    fn ended(&self) -> Option<&Ended> {
        if self.wrong == Wrong::Restless { None } else { self.inner.ended() }
    }

    fn save(&self) -> Self::Saved {
        self.inner.save()
    }

    fn waits(&self) -> Option<Waits> {
        self.inner.waits()
    }

    fn holds(&self, _: &Event) -> bool {
        !(self.wrong == Wrong::Forgets && self.restarted)
    }
}

session! {
    /// Everybody says one of two things.
    pub mod whim;
    ttl 60;
    msg { One(u64), Other(u64), Done(u64), Abort(aura_choreography::Reason) }
    each one: One;
    each other: Other;
    decide done: on Other[all] within 50 => Done | Abort;
}

/// A script that is not a function of what it was answered.
pub struct Fickle;

static CALLS: AtomicU64 = AtomicU64::new(0);

impl Script for Fickle {
    fn global(&self) -> &GlobalType {
        &whim::GLOBAL
    }

    fn run(&self, cx: Cx) -> Running {
        Box::pin(async move {
            let whim = CALLS.fetch_add(1, Ordering::Relaxed);
            let (mut s, _) = whim::start(cx).one(|_| Ok((whim, ()))).await?;
            // Whoever runs this a second time waits for longer than the first time.
            let _waited = s.signal(Some(whim as u32 + 5)).await;
            let (s, _) = s.other(|_| Ok((whim, ()))).await?;
            let (_ready, done, _) = s.done(|_, _| Ok((7, ()))).await?;
            Ok(aura_choreography::Conclude::conclude(*done))
        })
    }

    fn accepts(&self, label: Label, body: &[u8]) -> bool {
        whim::accepts(label, body)
    }

    fn cast(&self, opening: &Opening<'_>) -> Result<Cast, Reason> {
        quorum_of(opening)
    }
}

pub static FICKLE: Protocol = Protocol {
    name: "fickle",
    about: "says something else whenever it is asked",
    script: &Fickle,
    promise: Promise::NOBODY,
    params: just_quorum,
    host: plain,
    says: None,
};
