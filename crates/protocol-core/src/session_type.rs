//! Session types: what the devices of a session send each other, as data that travels.
//!
//! A [`SessionType`] is the global view of one session: who sends what, who decides on what, and
//! where a decision leads. A module's descriptor carries its session types as canonical text, so that
//! whoever gets two releases can [`compare()`] them instead of trusting what their numbers claim.
//!
//! # The canonical text
//!
//! [`SessionType`]'s `Display` prints exactly one text for a type, [`parse()`] reads that text and no
//! other. The rules, for whoever prints the same text elsewhere (`WORD` in capitals stands for a name
//! or a number, `[…]` for a part that may be missing; literal square brackets appear around quorums
//! only):
//!
//! 1. Every line ends with one line feed. A line is indented by four spaces per level. There are no
//!    blank lines, no comments, no spaces at the end, and one space where one is shown.
//! 2. A session at level `n` is the line `session NAME {` at level `n`, its contents at level `n + 1`,
//!    and `}` at level `n`. The outermost session is at level 0.
//! 3. The contents are, in this order, each left out when there is nothing to say:
//!    - `ttl N;`
//!    - `roles {`, then one line `NAME: one,` or `NAME: many,` for each declared role in the order of
//!      declaration, one level deeper, then `}`. `Opener` (one) and `All` (many) always exist and are
//!      never declared.
//!    - `msg {`, then one line `NAME(LAYOUT),` for each label in the order of declaration, one level
//!      deeper, then `}`.
//!    - the steps in order, at this level.
//! 4. A step is one of these lines. `by ROLE` is always printed:
//!    - `write OP: LABEL by ROLE;`
//!    - `each OP: LABEL by ROLE[ | LABEL];` or `each OP: LABEL among LABEL[ | LABEL];`
//!    - `gather OP: LABEL[QUORUM][ within N];`
//!    - `scatter OP: ROLE -> ROLE: LABEL;`
//!    - `decide [certified ]OP by ROLE: on LABEL[QUORUM][ within N] => LABEL | LABEL[ unless LABEL];`
//!    - `rec NAME within N;`
//!    - `pause OP: N;`
//! 5. A quorum stands in square brackets right after its label: `[threshold]`, `[all]`,
//!    `[among LABEL]` or a number such as `[3]`.
//! 6. A choice is the line `choice OP by ROLE[: on LABEL[QUORUM][ within N]] {`, its branches one level
//!    deeper, and `}[ | LABEL];`. A branch without steps is the one line `LABEL => {}`,
//!    `LABEL => continue REC,` or `LABEL => stop,`. A branch with steps is `LABEL => {`, its steps one
//!    level deeper, then (if it does not fall through) `continue REC;` or `stop;` as the last line at
//!    that level, then `}`.
//! 7. A sub-session is the line `sub OP {`, one level deeper (if a role is mapped) `map {`, a line
//!    `CHILD: PARENT,` for each mapped role yet one level deeper, `}`; then the whole child as a session
//!    by rule 2 at that same level; then `}[ finally LABEL];`.
//! 8. Numbers are decimal, without leading zeros. Names are `[A-Za-z_][A-Za-z0-9_]*`, not `_` alone, at
//!    most 64 bytes; no step is called `certified`. A layout is one or more of the characters
//!    `A-Z a-z 0-9 _ < > [ ] { } ( ) , : ;` without spaces, with its brackets of all four kinds
//!    balanced and properly nested.
//!
//! # Waits without a bound
//!
//! `within` may be missing wherever something is awaited, and so may `ttl`: that device then waits for
//! ever. For a decider this means that no clock ever branches its step, since only a decider's clock
//! can; the session goes on when its quorum is there, and not before. Such a type is well-formed, because
//! a type says what a protocol does and a state machine written by hand may do this. `session!` takes no
//! decision without a bound. A comparison never lets such a decider run out of time: it is found
//! waiting.
//!
//! # Invariants
//!
//! - INV-ST1: a type has one text. What [`parse()`] accepts prints as exactly what was parsed, and a
//!   well-formed type parses back to itself.
//! - INV-ST2: [`parse()`] is total over any text, bounded by the limits named here, and returns only
//!   well-formed types.
//! - INV-ST3: comparison is reflexive: a type compared with itself is a [`Change::Patch`].
//! - INV-ST4: comparison is symmetric: exchanging old and new exchanges the directions, nothing else.
//! - INV-ST5: patches are an equivalence, and types that are patches of each other compare alike with
//!   every third type if they differ in names alone, or if nobody pauses: beside a pause that another
//!   version has elsewhere, a deadline's own length counts. (`Soft` itself is not transitive: see
//!   [`compare()`].)
//! - INV-ST6: a witness is a run that can be replayed move by move and ends in the fault that it names;
//!   no run of this pair with fewer moves fails.
//! - INV-ST7: a comparison ends after a bounded number of moves, whatever the two types are.

mod check;
mod clock;
mod code;
mod compare;
mod error;
mod explore;
mod fault;
mod late;
mod local;
mod mermaid;
mod parse;
mod print;
mod reader;
#[doc(hidden)]
pub mod sample;
mod spread;
mod trace;
mod witness;

use alloc::{boxed::Box, string::String, vec::Vec};

pub use compare::{Change, Hard, compare, compare_all, sound};
pub use error::{Broken, IllFormed, SessionTypeError, TextFault};
pub use local::{Local, LocalBranch, LocalEnd, LocalType, Wait};
pub use parse::parse;
pub use trace::{Departure, Observed};
pub use witness::{
    Action, Decision, End, Fault, MissingEvent, Move, Run, Side, WhyMissing, Witness,
};

/// Longest canonical text of one session type, in bytes. Two fit into a descriptor.
pub const TEXT_BYTES_MAX: usize = 8 << 10;
/// Deepest nesting of branches and sub-sessions. It bounds every recursion over a type.
pub const NESTING_MAX: usize = 16;
/// Most labels of a session, its sub-sessions' labels and the vote labels of certified decisions
/// included: a set of labels is one 128-bit word.
pub const LABELS_MAX: usize = 128;
/// Most steps of a session, its branches' and sub-sessions' steps included.
pub const STEPS_MAX: usize = 512;
/// Longest name, in bytes.
pub const WORD_BYTES_MAX: usize = 64;
/// How often a loop goes back in one run of a comparison; then its decider must leave it.
pub const CONTINUES_MAX: u8 = 2;
/// Most moves that a comparison follows in one arrangement of versions and roles. A key derivation
/// takes below 500; at this number a comparison still ends within seconds.
pub const MOVES_MAX: usize = 100_000;
/// Most states that a comparison keeps in one arrangement. The largest take some kilobytes each, so
/// that a comparison stays below 100 MB whatever the types are.
pub const STATES_MAX: usize = 20_000;

/// The role of whoever opened the session. It always exists, and is one device.
pub const OPENER: &str = "Opener";
/// The role of every participant. It always exists, and is many devices.
pub const ALL: &str = "All";

/// What the devices of one session do, from everyone's point of view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionType {
    /// The session's name.
    pub name: String,
    /// How long a device waits for others at one step, in epochs; without it, for ever.
    pub ttl: Option<u32>,
    /// The declared roles. [`OPENER`] and [`ALL`] exist beside them.
    pub roles: Vec<Role>,
    /// What can be sent, in the order of declaration.
    pub labels: Vec<LabelType>,
    /// The steps.
    pub body: Vec<Step>,
}

/// A part that a device can play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// How many devices play it.
    pub arity: Arity,
}

/// How many devices play a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arity {
    /// Exactly one.
    One,
    /// Any number.
    Many,
}

/// Something that can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelType {
    /// Its name.
    pub name: String,
    /// The layout of its payload, as opaque canonical text such as `u64` or `vec<u64>`.
    pub layout: String,
}

/// One step of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// One device sends, everyone else waits for it.
    Write {
        /// The step's name.
        op: String,
        /// What is sent.
        label: String,
        /// Who sends, a role of one device.
        by: String,
    },
    /// Each member of a group sends; nobody waits.
    Each {
        /// The step's name.
        op: String,
        /// What is sent.
        label: String,
        /// Who sends.
        among: Group,
        /// What a member sends instead that does not take part in the step; the session goes on.
        no: Option<String>,
    },
    /// Each device waits for a quorum, and has a view of its own afterwards.
    Gather {
        /// The step's name.
        op: String,
        /// What it waits for.
        label: String,
        /// How much of it.
        quorum: Quorum,
        /// For how many epochs.
        within: Option<u32>,
    },
    /// Each member of one role sends one payload to each member of another.
    Scatter {
        /// The step's name.
        op: String,
        /// What is sent.
        label: String,
        /// Who sends, a role of many devices.
        from: String,
        /// To whom, a role of many devices.
        to: String,
    },
    /// One device decides, once it has seen a quorum; everyone else waits for its decision.
    Decide {
        /// The step's name.
        op: String,
        /// Who decides, a role of one device.
        by: String,
        /// What the decider waits for.
        on: Condition,
        /// What it sends to go on.
        yes: String,
        /// What it sends to end the session.
        no: String,
        /// Whether a threshold of equal votes must confirm the decision.
        certified: bool,
        /// A signal on which the decider ends the session instead.
        unless: Option<String>,
    },
    /// One device chooses how the session goes on; everyone else waits for its choice.
    Choice {
        /// The step's name.
        op: String,
        /// Who chooses, a role of one device.
        by: String,
        /// What the decider waits for, if anything.
        on: Option<Condition>,
        /// The ways to go on.
        branches: Vec<Branch>,
        /// What the decider sends to end the session.
        no: Option<String>,
    },
    /// A mark to which a branch can go back.
    Rec {
        /// The mark's name.
        name: String,
        /// For how many epochs branches may come back to it.
        within: u32,
    },
    /// A whole session as one step.
    Sub {
        /// The step's name, which goes before the child's labels: `op/Label`.
        op: String,
        /// The child's type.
        session: Box<SessionType>,
        /// Which of the child's roles is which of this session's roles.
        roles: Vec<(String, String)>,
        /// What each device that came past this step sends when this session ends, however it ends.
        finally: Option<String>,
    },
    /// Everyone waits for some epochs.
    Pause {
        /// The step's name.
        op: String,
        /// For how many epochs.
        epochs: u32,
    },
}

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The members of a role.
    Role(String),
    /// The devices in the payload of a decision.
    Decided(String),
}

/// How many devices must have sent something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quorum {
    /// The session's threshold.
    Threshold,
    /// All who send it.
    All,
    /// All devices in the payload of a decision.
    Among(String),
    /// This many.
    Count(u16),
}

/// What a decider waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What must have been sent.
    pub label: String,
    /// By how many.
    pub quorum: Quorum,
    /// For how many epochs the decider waits before it ends the session.
    pub within: Option<u32>,
}

/// One way in which a choice can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// What the decider sends to choose it.
    pub label: String,
    /// Its steps.
    pub body: Vec<Step>,
    /// What comes after them.
    pub end: BranchEnd,
}

/// What comes after a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BranchEnd {
    /// The step after the choice.
    Join,
    /// The step after a mark.
    Continue(String),
    /// Nothing: the session ends here.
    Stop,
}

impl SessionType {
    /// The role that decides where no role is named: the first declared role of one device, else
    /// [`OPENER`].
    #[must_use]
    pub fn default_decider(&self) -> &str {
        let first = self.roles.iter().find(|it| it.arity == Arity::One);
        first.map_or(OPENER, |it| it.name.as_str())
    }

    /// How many devices play `role`, if there is such a role.
    #[must_use]
    pub fn arity(&self, role: &str) -> Option<Arity> {
        match role {
            OPENER => Some(Arity::One),
            ALL => Some(Arity::Many),
            _ => self.roles.iter().find(|it| it.name == role).map(|it| it.arity),
        }
    }

    /// The layout of `label`, if there is such a label.
    #[must_use]
    pub fn layout(&self, label: &str) -> Option<&str> {
        self.labels.iter().find(|it| it.name == label).map(|it| it.layout.as_str())
    }
}

/// The label of the votes that confirm a certified decision.
#[must_use]
pub fn vote_label(yes: &str) -> String {
    alloc::format!("{yes}Vote")
}
