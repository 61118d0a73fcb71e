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
    finals: Vec<Final>,
}

/// Shared by a script and its machine. Never contended: they take turns.
#[derive(Clone, Default)]
pub(crate) struct Port(Arc<Mutex<Slots>>);

impl Port {
    /// Asks at once; the future is the answer.
    pub(crate) fn ask(&self, ask: Ask) -> Asking<'_> {
        self.0.lock().ask = Some(ask);
        Asking(self)
    }

    pub(crate) fn take_ask(&self) -> Option<Ask> {
        self.0.lock().ask.take()
    }

    pub(crate) fn put_reply(&self, reply: Reply) {
        self.0.lock().reply = Some(reply);
    }

    pub(crate) fn arm(&self, last: Final) {
        self.0.lock().finals.push(last);
    }

    /// The one armed last, which is done first.
    pub(crate) fn disarm(&self) -> Option<Final> {
        self.0.lock().finals.pop()
    }
}

/// One question under way.
pub(crate) struct Asking<'a>(&'a Port);

impl Future for Asking<'_> {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Reply> {
        self.0.0.lock().reply.take().map_or(Poll::Pending, Poll::Ready)
    }
}
