//! What the engine drives: anything that takes inputs at one device and says messages.

use aura_choreography::{Dev, DeviceSet, Ended, Output};
use aura_protocol_core::Epoch;

use crate::plan::Plan;

/// Something that travels between devices.
pub trait Message: Clone {
    /// What it is, as a key of its draws: the same in every run in which the same device says it.
    fn key(&self) -> u64;
    /// What it is about: the same for all devices that say the like.
    fn topic(&self) -> u64;
    /// A hash of all of it.
    fn digest(&self) -> u64;
}

/// What a device says in one step.
#[derive(Debug)]
pub struct Outbox<M> {
    pub(crate) said: Vec<(Option<Dev>, M)>,
    /// Memory for what a session puts out in a step.
    pub(crate) room: Output,
}

impl<M> Default for Outbox<M> {
    fn default() -> Self {
        Self { said: Vec::new(), room: Output::default() }
    }
}

impl<M> Outbox<M> {
    /// Something for everybody else.
    pub fn say(&mut self, message: M) {
        self.said.push((None, message));
    }

    /// Something for one device.
    pub fn send(&mut self, to: Dev, message: M) {
        self.said.push((Some(to), message));
    }
}

/// What became of a message that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The device took it.
    Taken,
    /// It has it already, or keeps it until it has what it rests on.
    Known,
    /// The device refused it.
    Refused,
}

/// What a device waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    /// What: the labels of messages, or what else it is.
    pub what: String,
    /// Of whom.
    pub from: DeviceSet,
    /// Since when, by its own clock.
    pub since: Epoch,
}

/// What runs at one device. A script, a state machine that was written by hand, or a whole ledger.
pub trait Node: Sized {
    /// What travels.
    type Message: Message;
    /// What is durable.
    type Saved;

    /// It begins.
    fn start(&mut self, now: Epoch, out: &mut Outbox<Self::Message>);
    /// A message came.
    fn hear(
        &mut self,
        from: Dev,
        message: &Self::Message,
        now: Epoch,
        out: &mut Outbox<Self::Message>,
    ) -> Heard;
    /// Time passed.
    fn clock(&mut self, now: Epoch, out: &mut Outbox<Self::Message>);
    /// The person at the device said something.
    fn signal(&mut self, said: &[u8], now: Epoch, out: &mut Outbox<Self::Message>);
    /// It was restarted: what it says because of that alone.
    fn back(&mut self, now: Epoch, out: &mut Outbox<Self::Message>) {
        self.clock(now, out);
    }
    /// When it wants [`Self::clock`].
    fn wake(&self) -> Option<Epoch>;
    /// How it ended, if it did.
    fn ended(&self) -> Option<&Ended>;
    /// What is durable now.
    fn save(&self) -> Self::Saved;
    /// What it waits for; none when it has ended.
    fn waits(&self) -> Option<Waits>;
    /// In what it differs from another device, where all have to be alike in the end. What only passes
    /// messages on to a session has nothing to compare.
    fn differs(&self, _other: &Self) -> Option<&'static str> {
        None
    }
    /// Whether it still has a message that it was given. What only passes messages on to a session
    /// has nothing to lose.
    fn holds(&self, _message: &Self::Message) -> bool {
        true
    }
}

/// How a message is to be changed by whoever lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It says something else, and is a message.
    Value,
    /// Another device's name is on it.
    Author(Dev),
    /// It is of another session.
    Session,
    /// It says the same in other bytes.
    Encoding,
    /// It stands in another chain of the same device.
    Branch,
}

/// Whom a changed message reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed<M> {
    /// Whoever is at the other end; it may take it.
    Open(M),
    /// Whoever is at the other end, who has to refuse it.
    Bogus(M),
    /// Nobody: at this level whoever carries messages refuses it.
    Carrier,
}

/// A level of the simulation: what runs on the devices, and what travels between them.
pub trait Level {
    /// What runs.
    type Node: Node;
    /// Whether devices go on listening when their session has ended.
    const GOES_ON: bool;

    /// Gets ready for a run.
    ///
    /// # Errors
    /// When the plan makes no sense to the protocol.
    fn prepare(&mut self, plan: &Plan) -> Result<(), String>;
    /// A device at its beginning. One that corrupts says something else than it ought to.
    fn node(&self, dev: Dev, corrupts: Option<u64>) -> Self::Node;
    /// A device after a restart.
    ///
    /// # Errors
    /// When it does not go on where it was.
    fn restart(
        &self,
        dev: Dev,
        saved: <Self::Node as Node>::Saved,
        corrupts: Option<u64>,
    ) -> Result<Self::Node, String>;
    /// A message of `dev`, changed; none where that cannot be done.
    fn change(
        &mut self,
        dev: Dev,
        message: &MessageOf<Self>,
        how: Change,
        key: u64,
    ) -> Option<Changed<MessageOf<Self>>>;
    /// Which slot a message is a vote for, and what it votes for.
    fn vote(&self, message: &MessageOf<Self>) -> Option<(u64, u64)>;
    /// A message for people: what it is, and what it says.
    fn describe(&self, message: &MessageOf<Self>) -> (String, String);
}

/// The messages of a level.
pub type MessageOf<L> = <<L as Level>::Node as Node>::Message;
