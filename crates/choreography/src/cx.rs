//! What the states that `session!` generates own: the thread of one session at one device.
//!
//! Scripts never see it. Its methods are the steps of a session type, one file a kind in
//! `cx/`; generated code adds the names and the payload types.

mod certify;
mod choice;
mod decide;
mod local;
mod part;
mod plain;

use alloc::{boxed::Box, string::ToString, sync::Arc, vec::Vec};

use core::future::Future;

use aura_protocol_core::{Epoch, Outcome, SessionId, decode, limits::UNIT_BODY_BYTES_MAX};

use crate::{
    Ask, Body, Conclude, Dev, DeviceSet, Event, Label, LabelSet, Me, Members, Payload, Pub, Reason,
    Reply, RoleIx, Seat, Stop, Want,
    port::{Asking, Port},
};

pub use choice::{Choose, ROUNDS_MAX};
pub use decide::{Decide, Unless};
pub use local::{FromHost, Page, Said, Steps};
pub use part::{Around, LastWord, Part, maps};

/// A group of devices, as a session type names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// All of a role.
    Role(RoleIx),
    /// Those that a decision named.
    Decided(Label),
}

/// How many of a group a step waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quorum {
    /// The group's quorum.
    Threshold,
    /// Every one.
    All,
    /// So many.
    Count(u8),
}

/// The thread of one session at one device.
pub struct Cx {
    port: Port,
    seat: Arc<Seat>,
    /// Apart, since every step hands the thread on.
    scope: Box<Scope>,
}

/// What changes from part to part of a session.
#[derive(Clone)]
struct Scope {
    /// The first label of this part.
    base: u16,
    /// The round of what is said now.
    round: u32,
    /// How often the session went back, over all its parts: every device takes the same way.
    rounds: u32,
    /// How long this device waits for others.
    ttl: Option<u32>,
    session: SessionId,
    /// Those of a part; of the session itself, the seat has them.
    roles: Option<Vec<Members>>,
    decided: Vec<(Label, DeviceSet)>,
    marks: Vec<Option<Epoch>>,
}

impl Cx {
    pub(crate) fn new(port: Port, seat: Arc<Seat>) -> Self {
        let scope = Scope {
            base: 0,
            round: 0,
            rounds: 0,
            ttl: None,
            session: seat.session,
            roles: None,
            decided: Vec::new(),
            marks: Vec::new(),
        };
        Self { port, seat, scope: Box::new(scope) }
    }

    /// The same session, where a device waits for others for `ttl` epochs at most.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Option<u32>) -> Self {
        self.scope.ttl = ttl;
        self
    }

    pub(crate) fn port(&self) -> Port {
        self.port.clone()
    }

    fn me(&self) -> Me {
        Me::new(&self.seat, self.scope.session)
    }

    fn dev(&self) -> Dev {
        self.seat.me
    }

    fn ask(&self, ask: Ask) -> Asking<'_> {
        self.port.ask(ask)
    }

    fn label(&self, label: Label) -> Label {
        Label(self.scope.base + label.0)
    }

    fn members(&self, role: RoleIx) -> Members {
        // The macro numbers roles as the cast does, and a seat has all of them.
        let nobody = Members { devices: DeviceSet::EMPTY, threshold: 0 };
        let roles = self.scope.roles.as_deref().unwrap_or(self.seat.roles());
        roles.get(usize::from(role.0)).copied().unwrap_or(nobody)
    }

    /// The one device of a `one` role.
    fn holder(&self, role: RoleIx) -> Result<Dev, Stop> {
        let unheld = || Stop::Failed(Reason::InvalidState("a role has no device".to_string()));
        self.members(role).devices.first().ok_or_else(unheld)
    }

    fn group(&self, group: Group) -> Members {
        match group {
            Group::Role(role) => self.members(role),
            Group::Decided(label) => {
                let decided = self.scope.decided.iter().rev().find(|(it, _)| *it == label);
                Members::of(decided.map_or(DeviceSet::EMPTY, |(_, set)| *set))
            }
        }
    }

    fn want(&self, labels: LabelSet, from: DeviceSet, count: u8) -> Want {
        Want { labels, from, count, round: self.scope.round, same: false, to_me: false }
    }

    fn quorum_of(&self, label: Label, group: Group, quorum: Quorum) -> Want {
        let members = self.group(group);
        let count = match quorum {
            Quorum::Threshold => members.threshold,
            Quorum::All => members.devices.len() as u8,
            Quorum::Count(count) => count,
        };
        self.want(LabelSet::one(self.label(label)), members.devices, count)
    }

    /// Says something under a label of this part, as soon as it is asked; to be awaited.
    // No `async fn`: each is a layer through which every later poll goes.
    fn say(&self, label: Label, body: Body) -> Result<Asking<'_>, Stop> {
        if UNIT_BODY_BYTES_MAX < body.bytes().len() {
            let what = "a message is longer than a unit may be";
            return Err(Stop::Failed(Reason::InvalidState(what.to_string())));
        }
        let (label, round) = (self.label(label), self.scope.round);
        Ok(self.ask(Ask::Write { label, round, body }))
    }

    fn say_value(&self, label: Label, value: &impl Payload) -> Result<Asking<'_>, Stop> {
        self.say(label, Body::of(value))
    }

    /// Waits for one event of one device, as long as this device waits for others.
    async fn hear(&self, labels: LabelSet, from: Dev) -> Result<Event, Stop> {
        let wanted = || self.want(labels, DeviceSet::one(from), 1);
        let within = self.scope.ttl;
        match self.ask(Ask::Await { want: wanted(), unless: None, within, signals: false }).await {
            Reply::Events(events) => events.into_first().ok_or_else(|| stalled(&wanted())),
            _ => Err(stalled(&wanted())),
        }
    }

    /// A label as this part knows it.
    const fn own_label(&self, event: &Event) -> Label {
        Label(event.label.0.saturating_sub(self.scope.base))
    }
}

const fn stalled(want: &Want) -> Stop {
    Stop::Stalled { labels: want.labels, from: want.from }
}

/// A payload that was checked when it came in.
fn read<T: Payload>(author: Dev, bytes: &[u8]) -> Result<T, Stop> {
    decode(bytes, UNIT_BODY_BYTES_MAX).map_err(|error| Stop::Byzantine {
        culprit: author,
        what: alloc::format!("wrote what is no payload of its label: {error}"),
    })
}

/// The payloads of gathered events with their authors.
fn read_all<T: Payload>(events: &[Event], skip: usize) -> Result<Vec<(Dev, T)>, Stop> {
    let one = |it: &Event| {
        let bytes = it.body.bytes().get(skip..).unwrap_or_default();
        read(it.author, bytes).map(|value| (it.author, value))
    };
    events.iter().map(one).collect()
}

/// The first thread of a script, for the state that `session!` calls `Start`; and the script's end,
/// with what has to be said whatever happened.
pub async fn start<S, T, Fut>(
    cx: Cx,
    into: impl FnOnce(Cx) -> S + Send,
    text: impl FnOnce(S) -> Fut + Send,
) -> Result<Outcome, Stop>
where
    S: Send,
    T: Conclude,
    Fut: Future<Output = Result<T, Stop>> + Send,
{
    let port = cx.port();
    let result = text(into(cx)).await.map(Conclude::conclude);
    part::close(port, result).await
}

/// The value of a finished part, as common as it was in there.
pub fn finish<T>(value: Pub<T>) -> T {
    value.into_inner()
}
