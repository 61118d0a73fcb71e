//! What one device finds out for itself at any state: always an [`Each`], so that it cannot steer a
//! session without a decision.

use alloc::{string::String, vec::Vec};
use core::{future::Future, marker::PhantomData};

use aura_protocol_core::{
    Capability, Epoch, Outcome, ProtocolName, RecordKey, SessionId, decode, lifecycle::EffectReply,
    limits::UNIT_BODY_BYTES_MAX,
};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    Ask, Cx, Dev, Each, HostCall, Label, Me, Payload, Pub, Reason, Reply, Stop,
    cx::{Group, Quorum, read_all},
};

/// What a host answered this device, or why it did not do it.
pub type FromHost<T> = Each<Result<T, String>>;

/// Records in the order of their keys.
pub type Page = Vec<(RecordKey, Vec<u8>)>;

/// A message of a session type, and by whom it is said: what [`Steps::peek`] looks for. That of
/// `Commit` is the constant `SAID_COMMIT` of the session's module.
#[derive(Debug, Clone, Copy)]
pub struct Said<T> {
    label: Label,
    by: Group,
    payload: PhantomData<fn() -> T>,
}

impl<T> Said<T> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(label: Label, by: Group) -> Self {
        Self { label, by, payload: PhantomData }
    }
}

/// What every state of a session offers beside its own step.
pub trait Steps: Sized + Send {
    #[doc(hidden)]
    fn cx(&self) -> &Cx;

    /// The session's parameters: the same at every device, since its opener wrote them into its first
    /// event.
    ///
    /// # Errors
    /// [`Stop::Failed`] when they are no encoding of `T`.
    fn params<T: BorshSerialize + BorshDeserialize>(&self) -> Result<Pub<T>, Stop> {
        let bytes = &self.cx().seat.params;
        let other = |error| Stop::Failed(Reason::Other(alloc::format!("its parameters: {error}")));
        decode(bytes, UNIT_BODY_BYTES_MAX).map(Pub::new).map_err(other)
    }

    /// The session's parameters as they are.
    fn params_bytes(&self) -> Pub<Vec<u8>> {
        Pub::new(self.cx().seat.params.clone())
    }

    /// The session, or the part of it that runs here: the same at every device, and no other's.
    fn session(&self) -> Pub<SessionId> {
        Pub::new(self.cx().scope.session)
    }

    /// Which devices take part, by their long names, in the order of their places.
    fn participants(&self) -> Pub<Vec<aura_protocol_core::DeviceId>> {
        Pub::new(self.cx().seat.devices.clone())
    }

    /// Uses a right on what this device has to say. Keys stay with the host.
    fn invoke(
        &mut self,
        capability: Capability,
        argument: impl Fn(&Me) -> Result<Vec<u8>, Reason> + Send,
    ) -> impl Future<Output = Result<FromHost<Vec<u8>>, Stop>> + Send {
        let bytes = argument(&self.cx().me());
        self.cx().used(capability, bytes)
    }

    /// Reads one record of this app, as it is when the host answers: not as it was when the session or
    /// the step began. Two devices, or two reads at one device, may get different answers; each is logged,
    /// and what everybody must go by needs a decision.
    fn read(
        &mut self,
        key: impl Fn(&Me) -> Result<RecordKey, Reason> + Send,
    ) -> impl Future<Output = Result<FromHost<Option<Vec<u8>>>, Stop>> + Send {
        async move {
            let key = key(&self.cx().me()).map_err(Stop::Failed)?;
            Ok(Each::new(Some(match self.cx().host(HostCall::Read(key)).await {
                EffectReply::Record(record) => Ok(record),
                other => Err(denied(other)),
            })))
        }
    }

    /// Reads the records of this app whose keys begin with `prefix`: at most `limit`, from after
    /// `after`, as they are when the host answers.
    fn list(
        &mut self,
        prefix: Vec<u8>,
        after: Option<RecordKey>,
        limit: u32,
    ) -> impl Future<Output = Result<FromHost<Page>, Stop>> + Send {
        async move {
            let call = HostCall::List { prefix, after, limit };
            Ok(Each::new(Some(match self.cx().host(call).await {
                EffectReply::Records(records) => Ok(records),
                other => Err(denied(other)),
            })))
        }
    }

    /// Runs a session of another protocol among the same participants: with its own release, rights and
    /// records. The descriptor's `uses` names the protocol, and `run-sub-protocol` has to be granted.
    ///
    /// What a device learns is how that session was closed in the ledger, or why it did not begin; or,
    /// after `within` epochs, that it has waited long enough. Whoever waits without a number waits for
    /// ever if the opener never comes back. The session itself goes on by itself. That a device may have
    /// stopped waiting is why this is its own knowledge: a decision makes the result everybody's.
    ///
    /// # Errors
    /// [`Stop::Failed`] when `protocol` is no protocol's name.
    fn run_protocol(
        &mut self,
        protocol: &str,
        params: Vec<u8>,
        within: Option<u32>,
    ) -> impl Future<Output = Result<FromHost<Outcome>, Stop>> + Send {
        let protocol: Result<ProtocolName, _> = protocol.parse();
        async move {
            let no_name = |_| Stop::Failed(Reason::InvalidState("no protocol's name".into()));
            let call = HostCall::Run { protocol: protocol.map_err(no_name)?, params, within };
            Ok(Each::new(Some(match self.cx().host(call).await {
                EffectReply::SubProtocol(outcome) => Ok(outcome),
                other => Err(denied(other)),
            })))
        }
    }

    /// Who has said a message already in this round, and what.
    fn peek<T: Payload>(
        &mut self,
        what: Said<T>,
    ) -> impl Future<Output = Result<Each<Vec<(Dev, T)>>, Stop>> + Send {
        async move {
            let want = self.cx().quorum_of(what.label, what.by, Quorum::Count(0));
            match self.cx().ask(Ask::Peek(want)).await {
                Reply::Events(events) => read_all(&events, 0).map(|it| Each::new(Some(it))),
                _ => Ok(Each::new(None)),
            }
        }
    }

    /// What epoch it is at this device.
    fn epoch(&mut self) -> impl Future<Output = Each<Epoch>> + Send {
        async move {
            let reply = self.cx().ask(Ask::Now).await;
            Each::new(if let Reply::Epoch(epoch) = reply { Some(epoch) } else { None })
        }
    }

    /// What the person at this device says next.
    ///
    /// # Errors
    /// [`Stop::Stalled`] when nothing came within so many epochs.
    fn signal(
        &mut self,
        within: Option<u32>,
    ) -> impl Future<Output = Result<Each<Vec<u8>>, Stop>> + Send {
        async move {
            match self.cx().ask(Ask::Signal { within }).await {
                Reply::Signal(said) => Ok(Each::new(Some(said))),
                _ => Err(Stop::Stalled { labels: Default::default(), from: Default::default() }),
            }
        }
    }

    /// Puts a line into this device's log.
    fn log(&mut self, line: impl Fn(&Me) -> String + Send) -> impl Future<Output = ()> + Send {
        async move {
            let line = line(&self.cx().me());
            self.cx().ask(Ask::Log(line)).await;
        }
    }
}

impl Cx {
    // Not in the trait: there it is written once for each state and question of a module.
    async fn used(
        &self,
        capability: Capability,
        bytes: Result<Vec<u8>, Reason>,
    ) -> Result<FromHost<Vec<u8>>, Stop> {
        let bytes = bytes.map_err(Stop::Failed)?;
        Ok(Each::new(Some(match self.host(HostCall::Use { capability, bytes }).await {
            EffectReply::Used(bytes) => Ok(bytes),
            other => Err(denied(other)),
        })))
    }

    async fn host(&self, call: HostCall) -> EffectReply {
        match self.ask(Ask::Host(call)).await {
            Reply::Host(reply) => reply,
            Reply::Timeout => EffectReply::Denied("it took too long".into()),
            _ => EffectReply::Denied("the host does not answer".into()),
        }
    }
}

fn denied(reply: EffectReply) -> String {
    match reply {
        EffectReply::Denied(reason) => reason,
        _ => "the host answered something else".into(),
    }
}
