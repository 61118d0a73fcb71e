//! `sub`: another session type as a part of this one, on the same log.

use aura_protocol_core::{Digest, SessionId};

use crate::{
    Body, Cx, Exit, GlobalType, Label, Members, RoleIx, Stop, cx::Scope, global::RoleType,
    port::Final,
};

const OPENER: &str = "Opener";
const ALL: &str = "All";

/// What is said whatever happens, and what it says of how the session ended.
pub type LastWord = (Label, fn(&Exit) -> Body);

/// A part as the session type declares it.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The step's name: a part of the part's session id.
    pub step: &'static str,
    /// Where its labels begin.
    pub base: u16,
    /// Its type.
    pub session: &'static GlobalType,
    /// Who decides around it.
    pub decider: RoleIx,
    /// Which of its roles are which around it. Of the others, `one` is who decides around it, and
    /// `many` is everybody.
    pub roles: &'static [(&'static str, RoleIx)],
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
        let role = |name: &str, many: bool| -> Members {
            let mapped = part.roles.iter().find(|it| it.0 == name).map(|it| it.1);
            self.members(mapped.unwrap_or(if many { RoleIx::ALL } else { part.decider }))
        };
        let fixed = [(OPENER, false), (ALL, true)];
        let declared = part.session.roles.iter().map(|it| (it.name, it.many));
        let inner = Scope {
            base: self.scope.base + part.base,
            round: self.scope.round,
            rounds: self.scope.rounds,
            ttl: part.session.ttl,
            session: child_id(self.scope.session, part.step, self.scope.round),
            roles: Some(fixed.into_iter().chain(declared).map(|it| role(it.0, it.1)).collect()),
            decided: alloc::vec::Vec::new(),
            marks: alloc::vec::Vec::new(),
        };
        let scope = core::mem::replace(&mut *self.scope, inner);
        (self, Around { scope, last: part.last })
    }

    /// The thread after a part.
    pub fn leave(mut self, around: Around) -> Self {
        // What was said before the part is still of this round. But no round is used twice, whichever
        // part counted it: the part may run again.
        *self.scope = Scope { rounds: self.scope.rounds, ..around.scope };
        if let Some((label, body)) = around.last {
            self.port.arm(Final { label: self.label(label), round: self.scope.round, body });
        }
        self
    }
}

/// Whether a part has a role of this name that is one device, or many.
#[must_use]
pub const fn maps(part: &GlobalType, name: &str, many: bool) -> bool {
    if same(name, OPENER) || same(name, ALL) {
        return many == same(name, ALL);
    }
    let mut roles = part.roles;
    while let [RoleType { name: found, many: found_many }, rest @ ..] = roles {
        if same(name, found) {
            return many == *found_many;
        }
        roles = rest;
    }
    false
}

/// `==`, which is not there in constants.
const fn same(left: &str, right: &str) -> bool {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while let ([first, more @ ..], [other, others @ ..]) = (left, right) {
        if *first != *other {
            return false;
        }
        (left, right) = (more, others);
    }
    left.is_empty() && right.is_empty()
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
