//! Level 1: sessions only. What travels are the events themselves; whoever carries them is believed
//! to check signatures and to keep sessions apart.

mod scripted;
mod votes;

pub use scripted::Scripted;
pub(crate) use scripted::corrupted;

use std::sync::Arc;

use aura_choreography::{Body, Dev, Event, Label, LabelSet, Reason, Script, Seat, Want};
use aura_protocol_core::{DeviceId, SessionId, encode};

use crate::{
    draw::{hash_bytes, mix},
    engine::{Change, Changed, Level, Message},
    hosts::{MakeHost, plain},
    plan::Plan,
    protocols::{Protocol, just_quorum},
};

/// How often a liar tries to find something else that is a message too.
const ALTERATIONS_MAX: u64 = 32;

impl Message for Event {
    fn key(&self) -> u64 {
        // The first byte tells apart what is said to several devices under one label.
        let first = self.body.bytes().first().copied().unwrap_or(0);
        let [author, first] = [self.author.0, first].map(u64::from);
        first << 56 | author << 48 | u64::from(self.label.0) << 32 | u64::from(self.round)
    }

    fn topic(&self) -> u64 {
        u64::from(self.label.0) << 32 | u64::from(self.round)
    }

    fn digest(&self) -> u64 {
        hash_bytes(self.key(), self.body.bytes())
    }
}

/// Scripts on devices.
pub struct Scripts {
    table: Table,
}

impl Scripts {
    /// All devices run this protocol.
    #[must_use]
    pub fn new(protocol: &'static Protocol) -> Self {
        Self { table: Table::of(protocol) }
    }

    /// All devices run this script, whose parameters are one byte and whose hosts know nothing.
    #[must_use]
    pub fn of(script: &'static dyn Script) -> Self {
        Self { table: Table::new(script, just_quorum, plain) }
    }
}

impl Level for Scripts {
    type Node = Scripted;
    const GOES_ON: bool = false;

    fn prepare(&mut self, plan: &Plan) -> Result<(), String> {
        self.table.prepare(plan)
    }

    fn node(&self, dev: Dev, corrupts: Option<u64>) -> Scripted {
        Scripted::new(&self.table, self.table.seat(dev), corrupts)
    }

    fn restart(
        &self,
        dev: Dev,
        saved: scripted::Saved,
        corrupts: Option<u64>,
    ) -> Result<Scripted, String> {
        Scripted::restart(&self.table, self.table.seat(dev), &saved, corrupts)
    }

    fn change(&mut self, dev: Dev, event: &Event, how: Change, key: u64) -> Option<Changed<Event>> {
        self.table.change(dev, event, how, key)
    }

    fn vote(&self, event: &Event) -> Option<(u64, u64)> {
        self.table.vote(event)
    }

    fn describe(&self, event: &Event) -> (String, String) {
        self.table.describe(event)
    }
}

/// The seats of a run, and what can be said at them.
pub(crate) struct Table {
    pub(crate) script: &'static dyn Script,
    pub(crate) params: fn(u8, u8) -> Vec<u8>,
    pub(crate) host: MakeHost,
    /// What the person at each device says right after the session began there.
    pub(crate) says: Option<fn(Dev) -> Vec<u8>>,
    votes: LabelSet,
    /// What each decision says when it works, and when it does not.
    decisions: Vec<(Label, Label)>,
    /// For how many devices, and which quorum, the run is.
    wanted: (u8, u8),
    /// The seats of all runs so far, by those.
    seats: Vec<Seats>,
    /// Which of them are this run's.
    current: usize,
}

/// The seats of so many devices with such a quorum.
type Seats = ((u8, u8), Vec<Arc<Seat>>);

/// The name of a simulated device.
#[must_use]
pub fn device_id(dev: Dev) -> DeviceId {
    // Ascending, so that a device's place is its number.
    let mut bytes = [0; 32];
    bytes[0] = dev.0;
    for (index, chunk) in bytes.chunks_exact_mut(8).enumerate().skip(1) {
        chunk.copy_from_slice(&mix(u64::from(dev.0) << 8 | index as u64).to_le_bytes());
    }
    DeviceId::from_bytes(bytes)
}

impl Table {
    pub(crate) fn of(protocol: &'static Protocol) -> Self {
        let table = Self::new(protocol.script, protocol.params, protocol.host);
        Self { says: protocol.says, ..table }
    }

    pub(crate) fn new(
        script: &'static dyn Script,
        params: fn(u8, u8) -> Vec<u8>,
        host: MakeHost,
    ) -> Self {
        let global = script.global();
        let (votes, decisions) = (votes::labels(global), votes::decisions(global));
        let (wanted, seats) = ((0, 0), Vec::new());
        Self { script, params, host, says: None, votes, decisions, wanted, seats, current: 0 }
    }

    pub(crate) fn prepare(&mut self, plan: &Plan) -> Result<(), String> {
        self.wanted = (plan.devices, plan.threshold);
        if let Some(index) = self.seats.iter().position(|it| it.0 == self.wanted) {
            self.current = index;
            return Ok(());
        }
        let devices: Vec<DeviceId> = (0..plan.devices).map(|it| device_id(Dev(it))).collect();
        let params = (self.params)(plan.devices, plan.threshold);
        let seat = |dev: u8| {
            let session = SessionId::from_bytes([7; 32]);
            let (devices, params) = (devices.clone(), params.clone());
            Seat::new(self.script, session, Dev(dev), Dev(0), devices, params)
                .map(Arc::new)
                .map_err(|reason| reason.to_string())
        };
        let seats = (0..plan.devices).map(seat).collect::<Result<_, _>>()?;
        self.current = self.seats.len();
        self.seats.push((self.wanted, seats));
        Ok(())
    }

    /// The seat of a device.
    pub(crate) fn seat(&self, dev: Dev) -> Option<Arc<Seat>> {
        self.seats.get(self.current)?.1.get(usize::from(dev.0)).map(Arc::clone)
    }

    pub(crate) fn change(
        &self,
        _: Dev,
        event: &Event,
        how: Change,
        key: u64,
    ) -> Option<Changed<Event>> {
        let script = self.script;
        match how {
            Change::Value => self.lie(event, mix(key ^ event.topic())).map(Changed::Open),
            Change::Branch => None,
            Change::Session => Some(Changed::Carrier),
            Change::Author(Dev(author)) if author < self.wanted.0 => Some(Changed::Carrier),
            Change::Author(author) => Some(Changed::Bogus(Event { author, ..event.clone() })),
            Change::Encoding => {
                let body = Body::new(&[event.body.bytes(), &[0]].concat());
                let accepted = script.accepts(event.label, body.bytes());
                let other = Event { body, ..event.clone() };
                Some(if accepted { Changed::Open(other) } else { Changed::Bogus(other) })
            }
        }
    }

    /// Something else that could be said instead: another value; or, where that is possible, that
    /// nothing came of it.
    pub(crate) fn lie(&self, event: &Event, key: u64) -> Option<Event> {
        let giving_up = encode(&Reason::Timeout);
        let no = self.decisions.iter().find(|(yes, _)| *yes == event.label);
        if key & 1 == 0 {
            if let Some((_, no)) = no {
                return Some(Event { label: *no, body: Body::new(&giving_up), ..event.clone() });
            }
            if self.votes.contains(event.label) {
                let body = Body::new(&encode(&Err::<(), _>(Reason::Timeout)));
                return (body != event.body).then(|| Event { body, ..event.clone() });
            }
        }
        altered(self.script, event, key)
    }

    /// Whether any decision is certified.
    pub(crate) fn certifies(&self) -> bool {
        self.votes != LabelSet::default()
    }

    /// What is waited for, for people.
    pub(crate) fn wanted(&self, want: &Want) -> String {
        wanted(self.script, want)
    }

    pub(crate) fn vote(&self, event: &Event) -> Option<(u64, u64)> {
        let slot = event.topic();
        self.votes.contains(event.label).then(|| (slot, hash_bytes(0, event.body.bytes())))
    }

    pub(crate) fn describe(&self, event: &Event) -> (String, String) {
        let label = self.script.global().label_text(event.label, event.round);
        (label, format!("{:?}", event.body))
    }
}

/// What is waited for, for people.
pub(crate) fn wanted(script: &dyn Script, want: &Want) -> String {
    let global = script.global();
    let labels: Vec<String> =
        want.labels.iter().map(|it| global.label_text(it, want.round)).collect();
    format!("{} times {}", want.count, labels.join(" or "))
}

/// The same event with something else in it that is a message too, if one is found.
pub(crate) fn altered(script: &dyn Script, event: &Event, key: u64) -> Option<Event> {
    let bits = event.body.bytes().len() as u64 * 8;
    if bits == 0 {
        return None;
    }
    (0..ALTERATIONS_MAX).find_map(|attempt| {
        let bit = mix(key ^ mix(attempt)) % bits;
        let mut bytes = event.body.bytes().to_vec();
        *bytes.get_mut((bit / 8) as usize)? ^= 1 << (bit % 8);
        script
            .accepts(event.label, &bytes)
            .then(|| Event { body: Body::new(&bytes), ..event.clone() })
    })
}
