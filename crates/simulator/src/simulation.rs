//! Accounts whose devices run protocols together, as futures: time goes on when somebody says so.

use std::{
    future::{Future, poll_fn},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    time::Duration,
};

use aura_choreography::{Dev, DeviceSet, Ended, Reason, Script, Stop};
use aura_protocol_core::{
    AccountId, DeviceId, Digest, Outcome, UnixTime, decode, limits::UNIT_BODY_BYTES_MAX,
};

use crate::{
    draw::mix,
    engine::{Engine, Node as _},
    level::{Scripts, device_id},
    plan::{Fault, Plan},
    protocols::dkd,
    time::SimulationScheduler,
};

/// When simulated clocks begin.
const BEGIN: UnixTime = UnixTime(1_700_000_000);
/// How far a tick takes them.
const TICK: Duration = Duration::from_secs(1);

/// A participant, as long as its simulation lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantId {
    account: usize,
    dev: Dev,
}

/// Accounts of simulated devices.
pub struct Simulation {
    seed: u64,
    accounts: Vec<Account>,
    scheduler: Arc<SimulationScheduler>,
}

/// An account: its devices, the sessions that they run, and what goes wrong there.
struct Account {
    names: Vec<String>,
    shared: Arc<Mutex<Shared>>,
}

/// What an account's participants share.
struct Shared {
    seed: u64,
    devices: u8,
    threshold: u8,
    faults: Vec<Fault>,
    sessions: Vec<Session>,
    wakers: Vec<Waker>,
}

/// One session: of those who joined it before it began.
struct Session {
    script: &'static dyn Script,
    joined: DeviceSet,
    engine: Engine<Scripts>,
    /// How many ticks it has run; none before it began.
    age: Option<u64>,
    at_rest: bool,
}

/// A device in a simulation.
#[derive(Clone)]
pub struct Participant {
    name: String,
    id: DeviceId,
    dev: Dev,
    shared: Arc<Mutex<Shared>>,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Simulation {
    /// A simulation in which everything follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let scheduler = SimulationScheduler::new(BEGIN, TICK);
        Self { seed, accounts: Vec::new(), scheduler }
    }

    /// Its time, for whoever waits for it.
    #[must_use]
    pub fn scheduler(&self) -> Arc<SimulationScheduler> {
        Arc::clone(&self.scheduler)
    }

    /// Adds an account with a device for each name; more than half of them are a quorum.
    #[expect(clippy::unused_async, reason = "whoever founds a real account waits for it")]
    pub async fn add_account_with_devices(
        &mut self,
        names: &[&str],
    ) -> (AccountId, Vec<(ParticipantId, DeviceId)>) {
        let account = self.accounts.len();
        let devices = names.len().min(aura_protocol_core::limits::DEVICES_MAX) as u8;
        let shared = Shared {
            seed: mix(self.seed ^ account as u64),
            devices,
            threshold: devices / 2 + 1,
            faults: Vec::new(),
            sessions: Vec::new(),
            wakers: Vec::new(),
        };
        let names = names.iter().take(usize::from(devices)).map(|it| (*it).to_owned()).collect();
        self.accounts.push(Account { names, shared: Arc::new(Mutex::new(shared)) });
        let parts: [&[u8]; 2] = [&self.seed.to_le_bytes(), &(account as u64).to_le_bytes()];
        let id = AccountId::from_bytes(*Digest::tagged("simulated account", &parts).as_bytes());
        let participants =
            (0..devices).map(Dev).map(|dev| (ParticipantId { account, dev }, device_id(dev)));
        (id, participants.collect())
    }

    /// A device; none of that id.
    #[must_use]
    pub fn get_participant(&self, id: ParticipantId) -> Option<Participant> {
        let account = self.accounts.get(id.account)?;
        let name = account.names.get(usize::from(id.dev.0))?.clone();
        let shared = Arc::clone(&account.shared);
        Some(Participant { name, id: device_id(id.dev), dev: id.dev, shared })
    }

    /// Lets something go wrong in the sessions of this participant's account that have not begun.
    /// Devices are places among those that the account was made with, epochs count from a session's
    /// beginning.
    pub fn inject(&mut self, id: ParticipantId, fault: Fault) {
        if let Some(account) = self.accounts.get(id.account) {
            lock(&account.shared).faults.push(fault);
        }
    }

    /// Lets one epoch pass. Says whether anything is still to happen.
    pub fn tick(&mut self) -> bool {
        self.scheduler.tick();
        let mut alive = false;
        for account in &self.accounts {
            let mut shared = lock(&account.shared);
            alive |= shared.tick();
            for waker in shared.wakers.drain(..) {
                waker.wake();
            }
        }
        alive
    }
}

impl Shared {
    /// The session of a script that this device can still join.
    fn join(&mut self, dev: Dev, script: &'static dyn Script) -> usize {
        let name = script.global().name;
        let open = |it: &Session| {
            it.age.is_none() && it.script.global().name == name && !it.joined.contains(dev)
        };
        let index = self.sessions.iter().position(open).unwrap_or_else(|| {
            let engine = Engine::new(Scripts::of(script));
            let joined = DeviceSet::EMPTY;
            self.sessions.push(Session { script, joined, engine, age: None, at_rest: false });
            self.sessions.len() - 1
        });
        if let Some(session) = self.sessions.get_mut(index) {
            session.joined = session.joined.with(dev);
        }
        index
    }

    fn tick(&mut self) -> bool {
        let Self { seed, devices, threshold, faults, sessions, .. } = self;
        let mut alive = false;
        for (index, session) in sessions.iter_mut().enumerate() {
            if session.age.is_none() {
                let absent = DeviceSet::all(usize::from(*devices)).difference(session.joined);
                let gone = |it: Dev| Fault::Absent { dev: it.0 };
                let faults = faults.iter().copied().chain(absent.iter().map(gone)).collect();
                let plan = Plan {
                    seed: mix(*seed ^ index as u64),
                    devices: *devices,
                    threshold: *threshold,
                    jitter: 4,
                    faults,
                };
                session.engine.begin(&plan);
            }
            let age = session.age.map_or(0, |it| it + 1);
            session.age = Some(age);
            session.at_rest = !session.engine.advance(age);
            alive |= !session.at_rest;
        }
        alive
    }

    /// How a session ended at a device, if it did; a device that waits for ever is told so.
    fn ended(&self, session: usize, dev: Dev) -> Option<Ended> {
        let session = self.sessions.get(session)?;
        let node = session.engine.node(dev);
        if let Some(ended) = node.and_then(|it| it.ended()) {
            return Some(ended.clone());
        }
        session.at_rest.then(|| {
            let waits = node.and_then(|it| it.waits());
            let what = waits.map_or_else(
                || "the device is gone".to_owned(),
                |it| {
                    let (what, from, since) = (it.what, it.from, it.since);
                    format!("deadlock: waits since epoch {since} for {what} of devices {from}")
                },
            );
            Err(Stop::Failed(Reason::Other(what)))
        })
    }
}

impl Participant {
    /// The name that it was added under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The device.
    #[must_use]
    pub const fn device_id(&self) -> DeviceId {
        self.id
    }

    /// Runs a script together with those participants of the account that do so before time goes on.
    ///
    /// # Errors
    /// [`Stop`] when the session ends here without a result.
    pub fn execute<S: Script>(
        &self,
        script: &'static S,
    ) -> impl Future<Output = Result<Outcome, Stop>> + Send + use<S> {
        let (shared, dev) = (Arc::clone(&self.shared), self.dev);
        let mut session = None;
        poll_fn(move |cx| {
            let mut shared = lock(&shared);
            let session = *session.get_or_insert_with(|| shared.join(dev, script));
            match shared.ended(session, dev) {
                Some(ended) => Poll::Ready(ended),
                None => {
                    shared.wakers.push(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
    }

    /// Derives a key together with the others: the symbolic key derivation.
    ///
    /// # Errors
    /// [`Stop`] when there is no key.
    pub fn execute_dkd_protocol(&self) -> impl Future<Output = Result<u64, Stop>> + Send + use<> {
        static DKD: dkd::Dkd = dkd::Dkd;
        let ended = self.execute(&DKD);
        async move {
            let other = |reason: String| Stop::Failed(Reason::Other(reason));
            match ended.await? {
                Outcome::Completed { result, .. } => {
                    decode(&result, UNIT_BODY_BYTES_MAX).map_err(|it| other(it.to_string()))
                }
                Outcome::Aborted { reason } | Outcome::Left { reason } => Err(other(reason)),
            }
        }
    }
}
