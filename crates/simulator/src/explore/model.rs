//! What is explored: a script, how many devices run it, and what may go wrong.

use std::{collections::BTreeMap, fmt, sync::Arc};

use aura_choreography::{
    Body, Dev, DeviceSet, Ended, Event, HostCall, Label, Payload, Reason, Script, Seat,
};
use aura_protocol_core::{DeviceId, SessionId, encode, lifecycle::EffectReply};
use thiserror::Error;

/// How events reach the devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Delivery {
    /// A wait takes any set from everything said so far that satisfies it. The state of a device is
    /// its reply log alone. INV-M1: whatever can happen with [`Self::Eager`] can happen so.
    #[default]
    Lazy,
    /// Every event reaches every device by itself, each author's in order, and a device reacts as a
    /// [`Session`](aura_choreography::Session) does. Exact, and many more states.
    Eager,
}

/// What is left out without anybody being able to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reduction {
    /// Only those that somebody else can tell from silence.
    ///
    /// A crash, giving up without a word, and an event of the adversary that nobody has read are
    /// none: nobody can tell them from a device that is slow. So they are not steps, and only where
    /// nothing else happens it is asked who may have crashed, given up or kept silent. INV-M2: the
    /// verdict and the length of the shortest trace are those of [`Self::None`].
    #[default]
    Silence,
    /// All. With many crashes many times as many states; and the outcomes of devices that give up
    /// are reported too.
    None,
}

/// Answers what a device asks of its host. Must answer the same question alike.
pub type HostFn<'s> = Arc<dyn Fn(Dev, &HostCall) -> EffectReply + Send + Sync + 's>;
/// Judges what the devices ended with, by place; none where a device has not ended.
pub type InvariantFn<'s> = Arc<dyn Fn(&[Option<Ended>]) -> Result<(), String> + Send + Sync + 's>;

/// A script, its devices, and what may go wrong.
#[derive(Clone)]
pub struct Model<'s> {
    pub(super) script: &'s dyn Script,
    pub(super) devices: u8,
    pub(super) opener: Dev,
    pub(super) params: Vec<u8>,
    pub(super) crashes: u8,
    pub(super) steady: DeviceSet,
    pub(super) adversary: DeviceSet,
    pub(super) injected: Vec<Event>,
    pub(super) signals: BTreeMap<Dev, Vec<Vec<u8>>>,
    pub(super) host: HostFn<'s>,
    pub(super) rounds: u32,
    pub(super) invariant: Option<InvariantFn<'s>>,
    pub(super) delivery: Delivery,
    pub(super) reduction: Reduction,
    pub(super) states_max: usize,
    pub(super) keep_outcomes: bool,
}

impl<'s> Model<'s> {
    /// So many devices that run `script`, the first of which opens the session; nothing goes wrong
    /// but that every deadline may pass at any time.
    #[must_use]
    pub fn new(script: &'s dyn Script, devices: u8) -> Self {
        Self {
            script,
            devices,
            opener: Dev(0),
            params: Vec::new(),
            crashes: 0,
            steady: DeviceSet::EMPTY,
            adversary: DeviceSet::EMPTY,
            injected: Vec::new(),
            signals: BTreeMap::new(),
            host: Arc::new(|_, _| EffectReply::Denied("no host here".into())),
            rounds: 2,
            invariant: None,
            delivery: Delivery::Lazy,
            reduction: Reduction::Silence,
            states_max: 30_000_000,
            keep_outcomes: false,
        }
    }

    /// Opened by this device.
    #[must_use]
    pub const fn opener(mut self, opener: Dev) -> Self {
        self.opener = opener;
        self
    }

    /// With these parameters, as the opener encodes them.
    #[must_use]
    pub fn params(mut self, params: Vec<u8>) -> Self {
        self.params = params;
        self
    }

    /// Up to so many devices stop for ever, each at any point, also between two things that it says
    /// at once.
    #[must_use]
    pub const fn crashes(mut self, crashes: u8) -> Self {
        self.crashes = crashes;
        self
    }

    /// This participant never crashes: it stands for something that does not, as the control chain stands
    /// for a quorum.
    #[must_use]
    pub fn steady(mut self, dev: Dev) -> Self {
        self.steady = self.steady.with(dev);
        self
    }

    /// This device never says anything.
    #[must_use]
    pub fn silent(mut self, dev: Dev) -> Self {
        self.adversary = self.adversary.with(dev);
        self
    }

    /// The adversary may write this event at any time, or never; its author runs no script.
    #[must_use]
    pub fn may_write(mut self, event: Event) -> Self {
        self.adversary = self.adversary.with(event.author);
        self.injected.push(event);
        self
    }

    /// As [`Self::may_write`], in the first round.
    #[must_use]
    pub fn may_say(self, author: Dev, label: Label, payload: &impl Payload) -> Self {
        let body = Body::new(&encode(payload));
        self.may_write(Event { author, label, round: 0, body })
    }

    /// This device lies: the adversary may write whatever the device might honestly say in any run, in
    /// any order and as often as that differs, and each also with a bit turned over.
    ///
    /// # Errors
    /// As [`Self::explore`]: what the device might say is found by exploring.
    pub fn lying(self, dev: Dev) -> Result<Self, ExploreError> {
        self.lying_where(dev, |_| true)
    }

    /// The same, but it turns bits only in what it says under some labels. Where a session has parts that
    /// are explored by themselves, their lies need not be tried at every state of the whole.
    ///
    /// # Errors
    /// As [`Self::lying`].
    pub fn lying_where(
        self,
        dev: Dev,
        lies_under: impl Fn(Label) -> bool,
    ) -> Result<Self, ExploreError> {
        let mut words = self.words(dev)?;
        let turned = |event: &Event, last: bool| {
            let mut bytes = event.body.bytes().to_vec();
            let byte = if last { bytes.last_mut() } else { bytes.first_mut() };
            byte.into_iter().for_each(|it| *it ^= 1);
            Event { body: Body::new(&bytes), ..event.clone() }
        };
        let candidates = words.iter().filter(|it| lies_under(it.label));
        let lies: Vec<_> =
            candidates.flat_map(|it| [turned(it, false), turned(it, true)]).collect();
        words.extend(lies.into_iter().filter(|it| self.script.accepts(it.label, it.body.bytes())));
        Ok(words.into_iter().fold(self, Self::may_write))
    }

    /// What the adversary may write.
    #[must_use]
    pub fn lies(&self) -> &[Event] {
        &self.injected
    }

    /// What the person at a device says, in this order, each at any time or never.
    #[must_use]
    pub fn signals(mut self, dev: Dev, said: Vec<Vec<u8>>) -> Self {
        self.signals.insert(dev, said);
        self
    }

    /// Whoever answers the devices' calls. Without it every call is denied.
    #[must_use]
    pub fn host(mut self, host: impl Fn(Dev, &HostCall) -> EffectReply + Send + Sync + 's) -> Self {
        self.host = Arc::new(host);
        self
    }

    /// A session goes back so often at most: then the time for it is over. 2 without.
    #[must_use]
    pub const fn rounds(mut self, rounds: u32) -> Self {
        self.rounds = rounds;
        self
    }

    /// Something that has to hold whenever a device has ended. With [`Reduction::Silence`] it does not
    /// see devices that gave up without a word.
    #[must_use]
    pub fn invariant(
        mut self,
        holds: impl Fn(&[Option<Ended>]) -> Result<(), String> + Send + Sync + 's,
    ) -> Self {
        self.invariant = Some(Arc::new(holds));
        self
    }

    /// How events reach the devices.
    #[must_use]
    pub const fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// Which steps are explored.
    #[must_use]
    pub const fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// Gives up after so many states.
    #[must_use]
    pub const fn states_max(mut self, states: usize) -> Self {
        self.states_max = states;
        self
    }

    /// Reports how the devices ended wherever nothing more happens.
    #[must_use]
    pub const fn keep_outcomes(mut self) -> Self {
        self.keep_outcomes = true;
        self
    }

    /// The devices that run the script.
    pub(super) fn running(&self) -> impl Iterator<Item = Dev> {
        DeviceSet::all(usize::from(self.devices)).difference(self.adversary).iter()
    }

    pub(super) fn seat(&self, me: Dev) -> Result<Seat, ExploreError> {
        let id = |place: u8| DeviceId::from_bytes([place; 32]);
        let devices = (0..self.devices).map(id).collect();
        let session = SessionId::from_bytes([0x5e; 32]);
        Ok(Seat::new(self.script, session, me, self.opener, devices, self.params.clone())?)
    }

    /// Whether the adversary's events are such as a session listens to.
    pub(super) fn check(&self) -> Result<(), ExploreError> {
        if self.running().next().is_none() {
            return Err(ExploreError::NobodyRuns);
        }
        let deaf = |it: &&Event| {
            self.devices <= it.author.0 || !self.script.accepts(it.label, it.body.bytes())
        };
        self.injected.iter().find(deaf).map_or(Ok(()), |it| {
            Err(ExploreError::Unheard {
                label: self.script.global().label_text(it.label, it.round),
            })
        })
    }
}

impl fmt::Debug for Model<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} devices", self.script.global().name, self.devices)
    }
}

/// Why a model cannot be explored. The model's author mends it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExploreError {
    /// The script has no seats for these devices.
    #[error("the script does not start: {0}")]
    NoSeat(Reason),
    /// No device that runs the script.
    #[error("no device runs the script")]
    NobodyRuns,
    /// More devices than a state holds.
    #[error("at most {0} devices can be explored")]
    TooManyDevices(usize),
    /// More events than can be told apart.
    #[error("more than {} different events", super::ledger::EVENTS_MAX)]
    TooManyEvents,
    /// More events of the adversary than are kept account of.
    #[error("the adversary has more than {} events", super::choices::INJECTED_MAX)]
    TooManyInjected,
    /// More ways to go on than are listed.
    #[error("one wait can be satisfied in more than {} ways", super::choices::CHOICES_MAX)]
    TooManyChoices,
    /// A script that goes on without ever waiting.
    #[error("device {dev} asks more than {} times without waiting", super::code::ANSWERS_MAX)]
    Endless {
        /// Where.
        dev: Dev,
    },
    /// A script that waits for something that is no question.
    #[error("device {dev} waits and asks nothing")]
    Stuck {
        /// Where.
        dev: Dev,
    },
    /// The adversary has an event that every session sets aside.
    #[error("no session takes the adversary's {label:?}")]
    Unheard {
        /// Its label.
        label: String,
    },
}

impl From<Reason> for ExploreError {
    fn from(reason: Reason) -> Self {
        Self::NoSeat(reason)
    }
}
