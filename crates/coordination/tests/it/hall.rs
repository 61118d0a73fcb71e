//! Devices with real keys in one room: what one says, all hear, but for those that lie or are gone.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use aura_choreography::{Dev, Ended, Event, HostCall, Input, Label, Script, Seat, Session, Stop};
use aura_coordination::{
    choreography::dkg::{Dkg, Terms},
    keystore::{KeyStore, Owner, Refusal, Request},
};
use aura_crypto::{DualRng, SecretKey};
use aura_protocol_core::{
    AccountId, DeviceId, Epoch, Outcome, SessionId, decode, encode, lifecycle::EffectReply,
};

/// What a liar says instead, to this hearer.
pub type Lie = fn(Dev, &Event) -> Option<Event>;
/// What a liar's key store answers instead, to this question.
pub type Bend = fn(&Request, Vec<u8>) -> Vec<u8>;
/// Epochs after which a session has to be over.
const EPOCHS_MAX: u64 = 3_000_000;
/// Up to here every epoch is lived through; later ones in steps.
const EPOCHS: u64 = 1000;

pub fn account() -> AccountId {
    AccountId::from_bytes([3; 32])
}

pub fn unit(dev: u8) -> SecretKey {
    SecretKey::from_seed([dev + 1; 32])
}

pub fn id(dev: u8) -> DeviceId {
    DeviceId::from_bytes([dev + 1; 32])
}

/// The account has more devices than most sessions.
pub fn owner(dev: u8) -> Owner {
    let roster = (0..8).map(|it| (id(it), unit(it).public())).collect();
    Owner { account: account(), device: id(dev), unit: unit(dev), roster }
}

pub fn rng(seed: u64) -> DualRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    DualRng::from_seed(bytes)
}

pub struct Hall {
    script: &'static dyn Script,
    seats: Vec<Arc<Seat>>,
    sessions: Vec<Session>,
    pub stores: BTreeMap<u8, KeyStore>,
    rng: DualRng,
    air: VecDeque<Event>,
    pub said: Vec<Event>,
    liar: Option<(Dev, Lie)>,
    bent: Option<(Dev, Bend)>,
    gone: Vec<Dev>,
    /// Everything restarts before every input.
    restarts: bool,
    /// One device restarts once, when it has said so many things.
    restarts_once: Option<(Dev, usize)>,
    /// How many things a device says before it is gone.
    leaves: Option<(Dev, usize)>,
    now: u64,
    /// Whoever has to wait for its clock finds that the time is over.
    waits: bool,
    says: Vec<(Dev, &'static [u8])>,
}

impl Hall {
    pub fn new(script: &'static dyn Script, devices: u8, session: u8, params: &[u8]) -> Self {
        let stores = (0..devices).map(|it| (it, KeyStore::new(owner(it)))).collect();
        Self::with_stores(script, stores, session, params)
    }

    /// These devices, the first of which opens.
    pub fn with_stores(
        script: &'static dyn Script,
        stores: BTreeMap<u8, KeyStore>,
        session: u8,
        params: &[u8],
    ) -> Self {
        let ids: Vec<DeviceId> = stores.keys().map(|it| id(*it)).collect();
        let seat = |me: usize| {
            let session = SessionId::from_bytes([session; 32]);
            let (ids, params) = (ids.clone(), params.to_vec());
            Arc::new(Seat::new(script, session, Dev(me as u8), Dev(0), ids, params).unwrap())
        };
        let seats: Vec<_> = (0..stores.len()).map(seat).collect();
        let sessions = seats.iter().map(|it| Session::new(script, Arc::clone(it))).collect();
        Self {
            script,
            seats,
            sessions,
            stores,
            rng: rng(u64::from(session)),
            air: VecDeque::new(),
            said: Vec::new(),
            liar: None,
            bent: None,
            gone: Vec::new(),
            restarts: false,
            restarts_once: None,
            leaves: None,
            now: 0,
            waits: false,
            says: Vec::new(),
        }
    }

    pub fn without(mut self, dev: u8) -> Self {
        self.gone.push(Dev(dev));
        self
    }

    pub fn with_liar(mut self, dev: u8, lie: Lie) -> Self {
        self.liar = Some((Dev(dev), lie));
        self
    }

    /// A liar that believes what it says.
    pub fn with_bent(mut self, dev: u8, bend: Bend) -> Self {
        self.bent = Some((Dev(dev), bend));
        self
    }

    pub const fn with_restarts(mut self) -> Self {
        self.restarts = true;
        self
    }

    pub const fn restarting(mut self, dev: u8, after: usize) -> Self {
        self.restarts_once = Some((Dev(dev), after));
        self
    }

    /// A device is gone for good after it said so many things.
    pub const fn leaving(mut self, dev: u8, after: usize) -> Self {
        self.leaves = Some((Dev(dev), after));
        self
    }

    /// Time passes for guardians that wait.
    pub const fn waiting(mut self) -> Self {
        self.waits = true;
        self
    }

    /// The person at a device says something.
    pub fn saying(mut self, dev: u8, said: &'static [u8]) -> Self {
        self.says.push((Dev(dev), said));
        self
    }

    /// Something that was said before is said again.
    pub fn repeat(&mut self, event: Event) {
        self.air.push_back(event);
    }

    pub fn run(mut self) -> Self {
        for place in 0..self.sessions.len() {
            self.input(Dev(place as u8), Input::Clock(Epoch(0)));
        }
        for (dev, said) in std::mem::take(&mut self.says) {
            self.input(dev, Input::Signal(said.to_vec()));
        }
        while !self.is_over() && self.now < EPOCHS_MAX {
            while let Some(event) = self.air.pop_front() {
                self.spread(&event);
            }
            self.now += if self.now < EPOCHS { 1 } else { self.now / 50 };
            for place in 0..self.sessions.len() {
                self.input(Dev(place as u8), Input::Clock(Epoch(self.now)));
            }
        }
        assert!(self.is_over(), "somebody waits for ever: {:?}", self.pending());
        let liars = self.liar.map(|it| it.0).into_iter().chain(self.bent.map(|it| it.0));
        let liar = liars.collect();
        for ended in self.sessions.iter().filter_map(Session::ended) {
            if let Err(Stop::Aborted(reason) | Stop::Failed(reason)) = ended {
                assert!(reason.culprits().is_subset(liar), "false blame: {reason}");
            }
        }
        self
    }

    fn pending(&self) -> Vec<String> {
        self.sessions.iter().map(|it| format!("{:?}", it.pending())).collect()
    }

    fn is_over(&self) -> bool {
        let over = |it: &Session| it.ended().is_some() || self.gone.contains(&it.me());
        self.air.is_empty() && self.sessions.iter().all(over)
    }

    fn spread(&mut self, event: &Event) {
        for place in (0..self.sessions.len()).map(|it| Dev(it as u8)) {
            let heard = match self.liar {
                Some((liar, lie)) if liar == event.author && place != liar => lie(place, event),
                _ => Some(event.clone()),
            };
            if let Some(event) = heard.filter(|it| it.author != place) {
                self.input(place, Input::Event(event));
            }
        }
    }

    fn input(&mut self, dev: Dev, input: Input) {
        let place = usize::from(dev.0);
        if self.gone.contains(&dev) || self.sessions[place].ended().is_some() {
            return;
        }
        let said = self.said.iter().filter(|it| it.author == dev).count();
        if self.restarts || self.restarts_once == Some((dev, said)) {
            self.restart(dev);
        }
        let Ok(mut output) = self.sessions[place].step(input) else { return };
        loop {
            for event in output.emit.drain(..) {
                self.said.push(event.clone());
                self.air.push_back(event);
                let said = self.said.iter().filter(|it| it.author == dev).count();
                if self.leaves == Some((dev, said)) {
                    self.gone.push(dev);
                    return;
                }
            }
            let Some(call) = output.call.take() else { return };
            let reply = self.reply(dev, &call);
            if self.restarts {
                // Between the answer and what is said of it: the call is made again.
                self.restart(dev);
                assert_eq!(self.sessions[place].call_under_way(), Some(&call));
                assert_eq!(self.reply(dev, &call), reply, "the same question, another answer");
            }
            output = self.sessions[place].step(Input::Reply(reply)).unwrap();
        }
    }

    fn reply(&mut self, dev: Dev, call: &HostCall) -> EffectReply {
        let HostCall::Use { bytes, .. } = call else { panic!("nobody expected {call:?}") };
        let mut rng = DualRng::from_seed(*self.rng.bytes());
        let bent = self.bent.filter(|it| it.0 == dev).map(|it| it.1);
        let waits = self.waits;
        let store = self.store(dev).1;
        let mut answer = store.answer(bytes, &mut rng);
        if let (Err(Refusal::NotYet(at)), true) = (&answer, waits) {
            store.observe_time(*at);
            answer = store.answer(bytes, &mut rng);
        }
        match answer {
            Ok(answer) => EffectReply::Used(match bent {
                Some(bend) => bend(&decode(bytes, bytes.len()).unwrap(), answer),
                None => answer,
            }),
            Err(refusal) => EffectReply::Denied(refusal.to_string()),
        }
    }

    fn store(&mut self, dev: Dev) -> (u8, &mut KeyStore) {
        let (number, store) = self.stores.iter_mut().nth(usize::from(dev.0)).unwrap();
        (*number, store)
    }

    fn restart(&mut self, dev: Dev) {
        let place = usize::from(dev.0);
        let (seat, snapshot) = (self.seats[place].clone(), self.sessions[place].snapshot());
        self.sessions[place] = Session::restore(self.script, seat, &snapshot).unwrap();
        let (number, store) = self.store(dev);
        let saved = store.save();
        *store = KeyStore::restore(owner(number), &saved).unwrap();
    }

    pub fn end(&self, dev: u8) -> &Ended {
        self.try_end(dev).unwrap()
    }

    /// None for a device that is gone.
    pub fn try_end(&self, dev: u8) -> Option<&Ended> {
        self.sessions[usize::from(dev)].ended()
    }

    /// The result of everybody who finished; these did.
    #[track_caller]
    pub fn agreed<T: borsh::BorshSerialize + borsh::BorshDeserialize>(&self, who: &[u8]) -> T {
        let result = |dev: &u8| match self.end(*dev) {
            Ok(Outcome::Completed { result, .. }) => result.clone(),
            other => panic!("device {dev} ended with {other:?}"),
        };
        let results: Vec<_> = who.iter().map(result).collect();
        assert!(results.iter().all(|it| *it == results[0]));
        decode(&results[0], usize::MAX).unwrap()
    }

    pub fn session(&self) -> SessionId {
        self.seats[0].session
    }

    pub fn said(&self, label: Label) -> usize {
        self.said.iter().filter(|it| it.label == label).count()
    }
}

/// Devices that hold shares of one account's keys.
pub fn with_keys(threshold: u16, devices: u8) -> BTreeMap<u8, KeyStore> {
    static DKG: Dkg = Dkg;
    let indices = (0..devices).map(|it| u16::from(it) * 3 + 2).collect();
    let terms = Terms { epoch: 1, threshold, indices };
    let mut hall = Hall::new(&DKG, devices, 200, &encode(&terms)).run();
    let session = hall.session();
    hall.stores.values_mut().for_each(|it| it.adopt(session).unwrap());
    hall.stores
}

/// These of them.
pub fn only(mut stores: BTreeMap<u8, KeyStore>, who: &[u8]) -> BTreeMap<u8, KeyStore> {
    stores.retain(|it, _| who.contains(it));
    stores
}

/// The same event, with a byte from the end turned over.
pub fn turned(event: &Event, from_end: usize) -> Event {
    let mut bytes = event.body.bytes().to_vec();
    let at = bytes.len() - 1 - from_end;
    bytes[at] ^= 1;
    Event { body: aura_choreography::Body::new(&bytes), ..event.clone() }
}
