//! The one place where a script and its driver meet.

use alloc::{sync::Arc, vec::Vec};
use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use spin::Mutex;

use crate::{Ask, Body, Exit, Label, Reply};

/// What has to be said whatever happens, once the session came past the point that armed it.
pub(crate) struct Final {
    pub(crate) label: Label,
    pub(crate) round: u32,
    pub(crate) body: fn(&Exit) -> Body,
}

#[derive(Default)]
struct Slots {
    ask: Option<Ask>,
    reply: Option<Reply>,
    /// Whether the next question, if it is to say something, is done at once.
    passes: bool,
    passed: Option<Ask>,
    finals: Vec<Final>,
}

/// Shared by a script and its machine. Never contended: they take turns.
#[derive(Clone, Default)]
pub(crate) struct Port(Arc<Mutex<Slots>>);

impl Port {
    /// Asks at once; the future is the answer.
    pub(crate) fn ask(&self, ask: Ask) -> Asking<'_> {
        let mut slots = self.0.lock();
        if slots.passes && matches!(ask, Ask::Write { .. }) {
            slots.passes = false;
            slots.passed = Some(ask);
            return Asking::Passed;
        }
        slots.ask = Some(ask);
        Asking::Asked(self)
    }

    /// What the script said in passing, and what it asks then.
    pub(crate) fn take_asks(&self) -> (Option<Ask>, Option<Ask>) {
        let mut slots = self.0.lock();
        (slots.passed.take(), slots.ask.take())
    }

    /// Puts an answer. With `passes`, the script need not stop for the first thing that it says then.
    pub(crate) fn put_reply(&self, reply: Reply, passes: bool) {
        let mut slots = self.0.lock();
        (slots.reply, slots.passes) = (Some(reply), passes);
    }

    pub(crate) fn arm(&self, last: Final) {
        self.0.lock().finals.push(last);
    }

    /// The one armed last, which is done first.
    pub(crate) fn disarm(&self) -> Option<Final> {
        self.0.lock().finals.pop()
    }
}

/// One question under way. It is waited for where it is asked.
pub(crate) enum Asking<'a> {
    /// Done already.
    Passed,
    /// Nobody has seen it, so there is no answer.
    Asked(&'a Port),
    Seen(&'a Port),
}

impl Future for Asking<'_> {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Reply> {
        match *self {
            Self::Passed => Poll::Ready(Reply::Done),
            Self::Asked(port) => {
                *self = Self::Seen(port);
                Poll::Pending
            }
            Self::Seen(port) => port.0.lock().reply.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}
