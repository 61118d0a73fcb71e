//! A script behind the one vocabulary of protocols: `ProtocolInput` in, `ProtocolStep` out.
//!
//! What a native host and a module share, byte for byte; `protocol-sdk` makes a module of it.

use alloc::{
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use aura_protocol_core::{
    DeviceId, Outcome, ProtocolEffect, ProtocolError, ProtocolInput, ProtocolStep, SessionStart,
    decode, encode, limits::SESSION_STATE_BYTES_MAX,
};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{Body, Dev, Event, Input, Output, Refused, Script, Seat, Session, Stop};

/// A session of a script at one device, as a protocol.
pub struct Hosted {
    script: &'static dyn Script,
    running: Option<Running>,
}

struct Running {
    start: SessionStart,
    session: Session,
    effects: u64,
    call: Option<u64>,
}

/// What [`Hosted::snapshot`] writes.
#[derive(BorshSerialize, BorshDeserialize)]
struct State {
    start: SessionStart,
    effects: u64,
    call: Option<u64>,
    session: Vec<u8>,
}

impl Hosted {
    /// A session before its start.
    #[must_use]
    pub const fn new(script: &'static dyn Script) -> Self {
        Self { script, running: None }
    }

    /// The session that [`Self::snapshot`] wrote.
    ///
    /// # Errors
    /// [`ProtocolError::BadState`].
    pub fn restore(script: &'static dyn Script, state: &[u8]) -> Result<Self, ProtocolError> {
        if state.is_empty() {
            return Ok(Self::new(script));
        }
        let bad = ProtocolError::BadState;
        let state: State = decode(state, SESSION_STATE_BYTES_MAX).map_err(|_| bad.clone())?;
        let seat = Seat::take(script, &state.start).map_err(|_| bad.clone())?;
        let session = Session::restore(script, Arc::new(seat), &state.session).map_err(|_| bad)?;
        let running =
            Running { start: state.start, session, effects: state.effects, call: state.call };
        Ok(Self { script, running: Some(running) })
    }

    /// Everything that a later step needs; nothing before the start.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        self.running.as_ref().map_or_else(Vec::new, |it| {
            encode(&State {
                start: it.start.clone(),
                effects: it.effects,
                call: it.call,
                session: it.session.snapshot(),
            })
        })
    }

    /// Takes one input.
    ///
    /// # Errors
    /// [`ProtocolError`]; the session is then as before.
    pub fn step(&mut self, input: ProtocolInput) -> Result<ProtocolStep, ProtocolError> {
        match (&mut self.running, input) {
            (Some(running), input) => running.step(self.script, input),
            (None, ProtocolInput::Start(start)) => {
                let bad = |it: crate::Reason| ProtocolError::BadInput { reason: it.to_string() };
                let seat = Seat::take(self.script, &start).map_err(bad)?;
                let session = Session::new(self.script, Arc::new(seat));
                let mut running = Running { start, session, effects: 0, call: None };
                let output = running.session.step(Input::Start).map_err(|it| unexpected(&it))?;
                let step = running.step_of(self.script, output);
                self.running = Some(running);
                Ok(step)
            }
            (None, _) => {
                let reason = "the session has not begun".to_string();
                Err(ProtocolError::Unexpected { reason })
            }
        }
    }

    /// The session, once it began.
    #[must_use]
    pub const fn session(&self) -> Option<&Session> {
        match &self.running {
            Some(running) => Some(&running.session),
            None => None,
        }
    }
}

impl Running {
    fn step(
        &mut self,
        script: &'static dyn Script,
        input: ProtocolInput,
    ) -> Result<ProtocolStep, ProtocolError> {
        let output = match input {
            ProtocolInput::Start(_) => {
                let reason = "the session has already begun".to_string();
                return Err(ProtocolError::Unexpected { reason });
            }
            ProtocolInput::Event { author, label, payload } => {
                self.event(script, author, label, &payload)?
            }
            ProtocolInput::Clock(now) => {
                self.session.step(Input::Clock(now)).map_err(|it| unexpected(&it))?
            }
            ProtocolInput::Signal(said) => {
                let bad = |it: Refused| ProtocolError::BadInput { reason: it.to_string() };
                self.session.step(Input::Signal(said)).map_err(bad)?
            }
            ProtocolInput::Reply { effect, result } => {
                if self.call != Some(effect) {
                    return Err(unexpected(&Refused::NotAsked));
                }
                self.session.step(Input::Reply(result)).map_err(|it| unexpected(&it))?
            }
        };
        Ok(self.step_of(script, output))
    }

    fn event(
        &mut self,
        script: &dyn Script,
        author: DeviceId,
        label: String,
        payload: &[u8],
    ) -> Result<Output, ProtocolError> {
        let input = place(self.session.seat(), &author).and_then(|author| {
            let (label, round) = script.global().parse_label(&label)?;
            Some(Event { author, label, round, body: Body::new(payload) })
        });
        let taken = input.map_or(Err(Refused::Malformed), |it| self.session.step(Input::Event(it)));
        taken.map_err(|refused| match refused {
            Refused::Ended => unexpected(&refused),
            _ => ProtocolError::BadEvent { culprit: author, label, reason: refused.to_string() },
        })
    }

    /// What is to be done, in the words of the lifecycle.
    fn step_of(&mut self, script: &dyn Script, output: Output) -> ProtocolStep {
        let mut effects = Vec::new();
        effects.extend(output.log.into_iter().map(ProtocolEffect::Log));
        effects.extend(output.emit.into_iter().map(|it| ProtocolEffect::Append {
            label: script.global().label_text(it.label, it.round),
            payload: it.body.bytes().to_vec(),
        }));
        if let Some(call) = output.call {
            self.call = Some(self.effects + effects.len() as u64);
            effects.push(call.into());
        }
        self.effects += effects.len() as u64;
        let outcome = output.ended.map(|ended| {
            ended.unwrap_or_else(|stop| match stop {
                Stop::Aborted(_) => Outcome::Aborted { reason: stop.to_string() },
                // Only what was decided is the session's end; this is this device's.
                Stop::Stalled { .. } | Stop::Failed(_) | Stop::Byzantine { .. } => {
                    Outcome::Left { reason: stop.to_string() }
                }
            })
        });
        ProtocolStep { effects, wake: output.wake, outcome }
    }
}

fn place(seat: &Seat, id: &DeviceId) -> Option<Dev> {
    let index = seat.devices.binary_search(id).ok()?;
    u8::try_from(index).ok().map(Dev)
}

fn unexpected(refused: &Refused) -> ProtocolError {
    ProtocolError::Unexpected { reason: refused.to_string() }
}
