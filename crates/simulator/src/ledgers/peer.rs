//! A device with a ledger: what an agent does with units and sessions, without network and store.

use std::{collections::BTreeMap, sync::Arc};

use aura_choreography::{
    Ask, Body, Dev, DeviceSet, Ended, Event as Said, HostCall, Hosted, Reason, Seat, Stop,
};
use aura_coordination::execution::{Instruction, InstructionResult, ProtocolContext};
use aura_journal::{
    Event, Ledger, NamedUnit, Outcome, PeerTag, Strict,
    event::{OpenSession, SessionMessage},
    session_id,
    sync::{Frontier, Hello, SyncMessage, answer, hello},
};
use aura_protocol_core::{
    Agreement, AppId, Capability, Digest, Epoch, ProtocolVersion, SessionId, SessionStart,
    lifecycle::EffectReply,
};

use crate::{
    engine::{Heard, Node, Outbox, Waits},
    hosts::Host,
    ledgers::{Packet, Signing, account::Account, message},
    level::{Table, corrupted},
};

/// The device that opens the session.
const OPENER: Dev = Dev(0);
/// The module that simulated sessions run.
const MODULE: Digest = Digest::ZERO;

/// How many epochs after a unit came that rests on others its sender is asked for them: they may be on
/// their way.
const ASK_EPOCHS: u64 = 2;
/// How many epochs after news the others are told how far a device is.
const COMPARE_EPOCHS: u64 = 25;

/// Which device it is, and in what kind of run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) dev: Dev,
    pub(super) threshold: u8,
    /// Whether devices tell each other how far they are after news. Where nobody lies, whatever is said
    /// reaches everybody anyway.
    pub(super) compares: bool,
}

/// A device with a ledger and a session.
pub struct Peer<S = Strict> {
    account: Arc<Account>,
    table: Arc<Table>,
    place: Place,
    greetings: Greetings,
    corrupts: Option<u64>,
    /// Nothing where the account cannot be founded, which it was before.
    ledger: Option<Ledger<S>>,
    session: Option<Running>,
}

/// Who is to be told how far this device is, and when.
#[derive(Debug, Default)]
struct Greetings {
    to: DeviceSet,
    due: Option<Epoch>,
    /// What others said of themselves last.
    heard: BTreeMap<u8, Frontier>,
}

impl Greetings {
    fn plan(&mut self, to: DeviceSet, due: Epoch) {
        self.to = self.to.union(to);
        self.due = Some(self.due.map_or(due, |it| it.min(due)));
    }
}

/// A session: what the host keeps of it, and the script. A context is given the number of the step for
/// the state that it carries; the state itself stays here, as in a host that keeps modules loaded.
struct Running {
    context: ProtocolContext,
    hosted: Hosted,
    host: Option<Box<dyn Host>>,
    steps: u64,
    failed: Option<Ended>,
    answered: usize,
    since: Epoch,
}

/// What is durable of a device.
pub struct Saved<S: Signing> {
    /// The chain, and the units in the order in which they arrived.
    ledger: Option<(S::Stored, Vec<NamedUnit>)>,
    session: Option<SavedSession>,
}

struct SavedSession {
    context: Vec<u8>,
    hosted: Vec<u8>,
    host: Vec<u8>,
    steps: u64,
    failed: Option<Ended>,
    pending: Option<Ask>,
    since: Epoch,
}

impl<S: Signing> Peer<S> {
    pub(super) fn new(
        account: Arc<Account>,
        table: Arc<Table>,
        place: Place,
        corrupts: Option<u64>,
    ) -> Self {
        // Founded, and stored already.
        let chain = account.chain.as_ref();
        let ledger = chain.and_then(|it| Ledger::restore_units(Arc::clone(it), &[]).ok());
        let greetings = Greetings::default();
        Self { account, table, place, greetings, corrupts, ledger, session: None }
    }

    pub(super) fn restart(
        account: Arc<Account>,
        table: Arc<Table>,
        place: Place,
        saved: Saved<S>,
        corrupts: Option<u64>,
    ) -> Result<Self, String> {
        let (chain, units) = saved.ledger.ok_or("a device without a ledger")?;
        let chain = S::restore(chain).map_err(|error| error.to_string())?;
        let ledger = Ledger::restore_units(chain, &units).map_err(|error| error.to_string())?;
        let session = saved.session.map(|saved| saved.restore(&table)).transpose()?;
        let greetings = Greetings::default();
        Ok(Self { account, table, place, greetings, corrupts, ledger: Some(ledger), session })
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger(&self) -> Option<&Ledger<S>> {
        self.ledger.as_ref()
    }

    fn write(&mut self, session: SessionId, event: Event, out: &mut Outbox<Packet>) {
        let (Some(ledger), Some(me)) = (&mut self.ledger, self.account.member(self.place.dev))
        else {
            return;
        };
        let seq = ledger.next_seq(me.id);
        let Ok(unit) = ledger.author(me.id, &me.unit_key, Some(session), event) else { return };
        if let Some(bytes) = ledger.unit_bytes(&unit) {
            out.say(Packet::written(self.place.dev, seq, unit, bytes));
        }
    }

    fn open(&mut self, now: Epoch, out: &mut Outbox<Packet>) {
        let (Some(ledger), Some(me)) = (&self.ledger, self.account.member(self.place.dev)) else {
            return;
        };
        let session = session_id(ledger.account(), me.id, ledger.next_seq(me.id));
        let version = ProtocolVersion::new(1, 0, 0);
        let Ok(protocol) = self.table.script.global().name.parse() else { return };
        let open = OpenSession {
            app: AppId::from(Digest::of(self.table.script.global().name.as_bytes())),
            protocol,
            agreement: Agreement {
                spoken: version,
                runs: self.account.devices.iter().map(|it| (it.id, (version, MODULE))).collect(),
            },
            transcript: Digest::ZERO,
            manifests: Default::default(),
            params: (self.table.params)(self.account.devices.len() as u8, self.place.threshold),
        };
        self.write(session, Event::OpenSession(Box::new(open)), out);
        self.look(&[], now);
        self.pump(now, out);
    }

    /// Begins the session if it is open now, and gives it its messages.
    fn look(&mut self, units: &[Digest], now: Epoch) {
        let (Some(ledger), Some(me)) = (&self.ledger, self.account.member(self.place.dev)) else {
            return;
        };
        if self.session.is_none()
            && let Some((id, state)) = ledger.state().sessions.iter().next()
            && self.account.place(&state.opener) == Some(OPENER)
        {
            let start = SessionStart {
                session: *id,
                me: me.id,
                opener: state.opener,
                participants: state.open.agreement.runs.keys().copied().collect(),
                spoken: state.open.agreement.spoken,
                params: state.open.params.clone(),
            };
            let host = host(&self.table, &start, None);
            let rights = [
                Capability::WriteRecords,
                Capability::Sign,
                Capability::DeriveKey,
                Capability::Seal,
                Capability::RunSubProtocol,
            ];
            let mut context = ProtocolContext::new(start, MODULE, rights.into_iter().collect());
            if let Some(says) = self.table.says {
                // A session that has just begun listens.
                let _taken = context.signal(says(self.place.dev));
            }
            let hosted = Hosted::new(self.table.script);
            let (steps, failed, answered) = (0, None, 0);
            let since = now;
            self.session = Some(Running { context, hosted, host, steps, failed, answered, since });
        }
        let Some(running) = &mut self.session else { return };
        for unit in units {
            let Some(body) = ledger.unit(unit).map(|it| it.body) else { continue };
            let Event::SessionMessage(SessionMessage { label, payload }) = body.event else {
                continue;
            };
            let of_session = body.session == Some(running.context.start().session);
            if of_session && body.author != me.id {
                // What comes after the end, or when too much waits, stays in the ledger.
                let _taken = running.context.event(*unit, body.author, label, payload, now);
            }
        }
    }

    /// Runs the session as far as what is here allows.
    fn pump(&mut self, now: Epoch, out: &mut Outbox<Packet>) {
        if let Some(running) = &mut self.session {
            running.context.clock(now);
        }
        while let Some(instruction) = self.session.as_mut().and_then(|it| it.context.next_step()) {
            let Some(running) = &mut self.session else { return };
            let Ok(instructions) = running.step(instruction, now) else { return };
            for instruction in instructions {
                self.carry_out(instruction, out);
            }
        }
    }

    fn carry_out(&mut self, instruction: Instruction, out: &mut Outbox<Packet>) {
        let Some(running) = &mut self.session else { return };
        let session = running.context.start().session;
        match instruction {
            Instruction::WriteToLedger { label, payload } => {
                let event = self.message(label, payload);
                self.write(session, event, out);
            }
            Instruction::GetRecord { effect, .. } => {
                running.reply(effect, EffectReply::Record(None));
            }
            Instruction::ListRecords { effect, .. } => {
                running.reply(effect, EffectReply::Records(Vec::new()));
            }
            Instruction::UseCapability { effect, capability, bytes } => {
                let call = HostCall::Use { capability, bytes };
                if let Some(reply) = running.host.as_mut().map(|it| it.reply(&call)) {
                    running.reply(effect, reply);
                }
            }
            Instruction::RunSubProtocol { effect, protocol, params, .. } => {
                let call = HostCall::Run { protocol, params, within: None };
                if let Some(reply) = running.host.as_mut().map(|it| it.reply(&call)) {
                    running.reply(effect, reply);
                }
            }
            Instruction::Fail { reason, .. } => {
                running.failed = Some(Err(Stop::Failed(Reason::Other(reason))));
            }
            _ => {}
        }
    }

    /// What the session says, unless this device says something else.
    fn message(&self, label: String, payload: Vec<u8>) -> Event {
        let script = self.table.script;
        match (self.corrupts, script.global().parse_label(&label)) {
            (Some(key), Some((label, round))) => {
                let said = Said { author: self.place.dev, label, round, body: Body::new(&payload) };
                message(&self.table, &corrupted(script, said, key))
            }
            _ => Event::SessionMessage(SessionMessage { label, payload }),
        }
    }

    fn import(
        &mut self,
        from: Dev,
        units: &[&[u8]],
        now: Epoch,
        out: &mut Outbox<Packet>,
    ) -> Heard {
        let Some(ledger) = &mut self.ledger else { return Heard::Refused };
        let peer = PeerTag([from.0; 32]);
        let (mut applied, mut heard, mut lacks) = (Vec::new(), Heard::Refused, false);
        for outcome in ledger.import_all(peer, units.iter().copied()) {
            match outcome {
                Ok(Outcome::Applied(units) | Outcome::Fork { applied: units, .. }) => {
                    applied.extend(units);
                    heard = Heard::Taken;
                }
                Ok(outcome) => {
                    lacks |= outcome == Outcome::Parked;
                    heard = if heard == Heard::Refused { Heard::Known } else { heard };
                }
                Err(_) => {}
            }
        }
        if lacks {
            // What it rests on may be a branch that only its sender has.
            let due = Epoch(now.0.saturating_add(ASK_EPOCHS));
            self.greetings.plan(DeviceSet::one(from), due);
        }
        if !applied.is_empty() {
            self.compare_soon(self.others(), now);
            self.look(&applied, now);
            self.pump(now, out);
        }
        heard
    }

    fn others(&self) -> DeviceSet {
        DeviceSet::all(self.account.devices.len()).without(self.place.dev)
    }

    fn compare_soon(&mut self, with: DeviceSet, now: Epoch) {
        if self.place.compares {
            self.greetings.plan(with, Epoch(now.0.saturating_add(COMPARE_EPOCHS)));
        }
    }

    /// Tells these devices how far this one is.
    fn greet(&self, devices: DeviceSet, out: &mut Outbox<Packet>) {
        let Some(greeting) = self.ledger.as_ref().map(|it| Arc::new(hello(it))) else { return };
        for dev in devices.iter() {
            out.send(dev, Packet::Hello(Arc::clone(&greeting)));
        }
    }

    /// Answers a device that says how far it is, and compares with it once more if it said that for the
    /// first time and is not as far as this one, or further.
    fn greeted(&mut self, from: Dev, greeting: &Hello, now: Epoch, out: &mut Outbox<Packet>) {
        let Some(ledger) = &self.ledger else { return };
        let messages = answer(ledger, greeting);
        if !messages.is_empty() {
            out.send(from, Packet::Answer(Arc::new(messages)));
        }
        let frontier = &greeting.frontier;
        if self.place.compares
            && *frontier != ledger.frontier()
            && self.greetings.heard.get(&from.0) != Some(frontier)
        {
            self.greetings.heard.insert(from.0, frontier.clone());
            self.compare_soon(DeviceSet::one(from), now);
        }
    }
}

/// The host of a device in a session; none where it has no seat, and so no script.
fn host(table: &Table, start: &SessionStart, saved: Option<&[u8]>) -> Option<Box<dyn Host>> {
    let seat = Seat::take(table.script, start).ok()?;
    Some((table.host)(&seat, saved))
}

impl Running {
    fn step(&mut self, step: Instruction, now: Epoch) -> Result<Vec<Instruction>, String> {
        let Instruction::Step { input, .. } = step else { return Ok(Vec::new()) };
        let result = match self.hosted.step(*input) {
            Ok(step) => {
                self.steps += 1;
                InstructionResult::Stepped { state: self.steps.to_le_bytes().to_vec(), step }
            }
            Err(error) => InstructionResult::Refused(error),
        };
        let answered = self.hosted.session().map_or(0, |it| it.log().len());
        if self.answered != answered {
            (self.answered, self.since) = (answered, now);
        }
        self.context.complete(result).map_err(|error| error.to_string())
    }

    fn reply(&mut self, effect: u64, reply: EffectReply) {
        // An answer that is not due any more is for nobody.
        let _taken = self.context.complete(InstructionResult::Replied { effect, reply });
    }

    fn pending(&self) -> Option<&Ask> {
        self.hosted.session()?.pending()
    }

    fn save(&self) -> SavedSession {
        SavedSession {
            context: self.context.snapshot(),
            hosted: self.hosted.snapshot(),
            host: self.host.as_ref().map(|it| it.save()).unwrap_or_default(),
            steps: self.steps,
            failed: self.failed.clone(),
            pending: self.pending().cloned(),
            since: self.since,
        }
    }
}

impl SavedSession {
    fn restore(self, table: &Table) -> Result<Running, String> {
        let Self { context, hosted, host: saved, steps, failed, pending, since } = self;
        let context = ProtocolContext::restore(&context).map_err(|error| error.to_string())?;
        let host = host(table, context.start(), Some(&saved));
        let hosted = Hosted::restore(table.script, &hosted).map_err(|error| error.to_string())?;
        let answered = hosted.session().map_or(0, |it| it.log().len());
        let running = Running { context, hosted, host, steps, failed, answered, since };
        if running.pending() == pending.as_ref() {
            Ok(running)
        } else {
            Err(format!("asked {pending:?}, asks {:?}", running.pending()))
        }
    }
}

impl<S: Signing> Node for Peer<S> {
    type Message = Packet;
    type Saved = Saved<S>;

    fn start(&mut self, now: Epoch, out: &mut Outbox<Packet>) {
        if self.place.dev == OPENER {
            self.open(now, out);
        }
    }

    fn hear(&mut self, from: Dev, packet: &Packet, now: Epoch, out: &mut Outbox<Packet>) -> Heard {
        match packet {
            Packet::Unit(sent) => self.import(from, &[&sent.bytes], now, out),
            Packet::Hello(greeting) => {
                self.greeted(from, greeting, now, out);
                Heard::Taken
            }
            Packet::Answer(messages) => {
                for message in messages.iter() {
                    match message {
                        SyncMessage::Units(units) => {
                            let units: Vec<&[u8]> = units.iter().map(Vec::as_slice).collect();
                            self.import(from, &units, now, out);
                        }
                        // Where two chains part: what this device has beside is sent at once.
                        SyncMessage::Hello(greeting) => self.greeted(from, greeting, now, out),
                        _ => {}
                    }
                }
                Heard::Taken
            }
        }
    }

    fn clock(&mut self, now: Epoch, out: &mut Outbox<Packet>) {
        if self.greetings.due.is_some_and(|it| it <= now) {
            self.greetings.due = None;
            let to = std::mem::take(&mut self.greetings.to);
            self.greet(to, out);
        }
        self.pump(now, out);
    }

    fn signal(&mut self, said: &[u8], now: Epoch, out: &mut Outbox<Packet>) {
        if let Some(running) = &mut self.session {
            // A session that has ended listens to nobody.
            let _taken = running.context.signal(said.to_vec());
        }
        self.pump(now, out);
    }

    fn back(&mut self, now: Epoch, out: &mut Outbox<Packet>) {
        self.greet(self.others(), out);
        self.pump(now, out);
    }

    fn wake(&self) -> Option<Epoch> {
        let running = self.session.as_ref().filter(|_| self.ended().is_none());
        let session = running.and_then(|it| it.context.wake());
        session.into_iter().chain(self.greetings.due).min()
    }

    fn ended(&self) -> Option<&Ended> {
        let running = self.session.as_ref()?;
        running.failed.as_ref().or_else(|| running.hosted.session()?.ended())
    }

    fn save(&self) -> Saved<S> {
        let ledger = self.ledger.as_ref().map(|ledger| {
            let units = ledger.arrivals().iter().filter_map(|it| ledger.named_unit(it));
            (S::store(ledger.shared_chain()), units.collect())
        });
        Saved { ledger, session: self.session.as_ref().map(Running::save) }
    }

    fn waits(&self) -> Option<Waits> {
        let waits = |what: String, since| Waits { what, from: Default::default(), since };
        match &self.session {
            // Nobody opened one: nobody is owed an end.
            None => None,
            Some(running) => match running.pending()? {
                Ask::Await { want, .. } => {
                    let what = self.table.wanted(want);
                    Some(Waits { what, from: want.from, since: running.since })
                }
                other => Some(waits(format!("{other:?}"), running.since)),
            },
        }
    }

    fn differs(&self, other: &Self) -> Option<&'static str> {
        let (Some(one), Some(other)) = (&self.ledger, &other.ledger) else { return None };
        let found = [
            (one.forks() != other.forks(), "who has forked"),
            (one.state() != other.state(), "what their units come to"),
            (one.epoch() != other.epoch(), "the clock of the account"),
        ];
        found.into_iter().find(|it| it.0).map(|it| it.1)
    }

    fn holds(&self, packet: &Packet) -> bool {
        match (packet, &self.ledger) {
            (Packet::Unit(sent), Some(ledger)) => ledger.contains(&sent.unit),
            _ => true,
        }
    }
}
