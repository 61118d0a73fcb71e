//! `sub`: another session type as a part of this one, on the same log.

use aura_protocol_core::{Digest, SessionId};

use crate::{Body, Cx, Exit, Label, Members, RoleIx, Stop, cx::Scope, port::Final};

/// How a part gets its roles.
#[derive(Debug, Clone, Copy)]
pub enum RoleFrom {
    /// This role of the session around it.
    Role(RoleIx),
    /// One of the part's `one` roles that nothing is said about: whoever decides around it.
    Decider,
    /// One of the part's `many` roles that nothing is said about: everybody.
    Everybody,
}

/// What is said whatever happens, and what it says of how the session ended.
pub type LastWord = (Label, fn(&Exit) -> Body);

/// A part as the session type declares it.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The step's name: a part of the part's session id.
    pub step: &'static str,
    /// Where its labels begin.
    pub base: u16,
    /// How long it waits for others.
    pub ttl: Option<u32>,
    /// Who decides around it.
    pub decider: RoleIx,
    /// Its opener, its `All`, and its own roles.
    pub roles: &'static [RoleFrom],
    /// What is said whatever happens, once the part is through.
    pub last: Option<LastWord>,
}

/// What [`Cx::enter`] keeps for [`Cx::leave`].
pub struct Around {
    scope: Scope,
    last: Option<LastWord>,
}

impl Cx {
    /// The thread inside a part, and what is needed to come out of it.
    pub fn enter(mut self, part: &Part) -> (Self, Around) {
        let role = |from: &RoleFrom| -> Members {
            match from {
                RoleFrom::Role(role) => self.members(*role),
                RoleFrom::Decider => self.members(part.decider),
                RoleFrom::Everybody => self.members(RoleIx::ALL),
            }
        };
        let inner = Scope {
            base: self.scope.base + part.base,
            round: self.scope.round,
            ttl: part.ttl,
            session: child_id(self.scope.session, part.step, self.scope.round),
            roles: part.roles.iter().map(role).collect(),
            decided: alloc::vec::Vec::new(),
            marks: alloc::vec::Vec::new(),
        };
        let scope = core::mem::replace(&mut self.scope, inner);
        (self, Around { scope, last: part.last })
    }

    /// The thread after a part.
    pub fn leave(mut self, around: Around) -> Self {
        // Rounds go on: no round of this session is used twice, whichever part counted it.
        let round = self.scope.round;
        self.scope = Scope { round, ..around.scope };
        if let Some((label, body)) = around.last {
            self.port.arm(Final { label: self.label(label), round, body });
        }
        self
    }
}

/// The id of a part: H(session ‖ step ‖ round), so that no two parts share one.
fn child_id(session: SessionId, step: &str, round: u32) -> SessionId {
    let parts = [session.as_bytes().as_slice(), step.as_bytes(), &round.to_le_bytes()];
    SessionId::from_bytes(*Digest::tagged("aura session part v1", &parts).as_bytes())
}

/// What is said whatever happens, newest first; then the result.
pub(crate) async fn close<T>(port: crate::port::Port, result: Result<T, Stop>) -> Result<T, Stop> {
    let exit = Exit::of(&result);
    while let Some(last) = port.disarm() {
        let body = (last.body)(&exit);
        port.ask(crate::Ask::Write { label: last.label, round: last.round, body }).await;
    }
    result
}
