//! A script at one device, driven question by question.
//!
//! **Invariants**
//! - INV-CH1: a machine that is fed the answers of another's log asks the same question as that one.
//!   The log is therefore the state: what crash recovery, moving a session into another host, and
//!   exploring every run rest on.

use alloc::{sync::Arc, vec::Vec};
use core::task::{Context, Poll, Waker};

use aura_protocol_core::Outcome;

use crate::{Ask, Cx, Reply, Running, Script, Seat, Stop, port::Port};

/// How a script ended at one device.
pub type Ended = Result<Outcome, Stop>;

/// Answers that a machine has room for at its beginning.
const ANSWERS_EXPECTED: usize = 8;

/// A script at one device.
pub struct Machine {
    running: Option<Running>,
    port: Port,
    log: Vec<Reply>,
    pending: Option<Ask>,
    ended: Option<Ended>,
}

impl Machine {
    /// A script before its first answer.
    #[must_use]
    pub fn start(script: &dyn Script, seat: Arc<Seat>) -> Self {
        Self::start_with(script, seat, Vec::with_capacity(ANSWERS_EXPECTED))
    }

    fn start_with(script: &dyn Script, seat: Arc<Seat>, log: Vec<Reply>) -> Self {
        let port = Port::default();
        let running = script.run(Cx::new(port.clone(), seat));
        let mut machine = Self { running: Some(running), port, log, pending: None, ended: None };
        machine.resume();
        machine
    }

    /// The script after these answers (INV-CH1).
    #[must_use]
    pub fn replay(script: &dyn Script, seat: Arc<Seat>, log: Vec<Reply>) -> Self {
        let mut machine = Self::start_with(script, seat, Vec::new());
        for reply in &log {
            machine.port.put_reply(reply.clone(), false);
            machine.resume();
        }
        machine.log = log;
        machine
    }

    /// Answers the question that is pending. Without one it does nothing.
    pub fn answer(&mut self, reply: Reply) {
        if self.pending.is_some() {
            self.log.push(reply.clone());
            self.port.put_reply(reply, false);
            self.resume();
        }
    }

    /// [`Self::answer`]; and if what the script asks next is to say something, that counts as answered:
    /// it is returned, and what is pending comes after it. The log is the same.
    pub(crate) fn answer_in_passing(&mut self, reply: Reply) -> Option<Ask> {
        self.pending.as_ref()?;
        self.log.push(reply.clone());
        self.port.put_reply(reply, true);
        let passed = self.resume();
        if passed.is_some() {
            self.log.push(Reply::Done);
        }
        passed
    }

    /// What the script asks; none when it has ended.
    #[must_use]
    pub const fn pending(&self) -> Option<&Ask> {
        self.pending.as_ref()
    }

    /// All answers so far.
    #[must_use]
    pub fn log(&self) -> &[Reply] {
        &self.log
    }

    /// How it ended, if it did.
    #[must_use]
    pub const fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// Runs the script to its next question; gives what it said in passing.
    fn resume(&mut self) -> Option<Ask> {
        let running = self.running.as_mut()?;
        let polled = running.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let (passed, asked) = self.port.take_asks();
        self.pending = asked;
        if let Poll::Ready(ended) = polled {
            self.pending = None;
            self.ended = Some(ended);
            self.running = None;
        }
        passed
    }
}
