//! What can be wrong with a session type and with its text.

use alloc::string::String;

use thiserror::Error;

use super::{LABELS_MAX, NESTING_MAX, STEPS_MAX, TEXT_BYTES_MAX, WORD_BYTES_MAX};

/// Why a text is no session type, and where. Whoever wrote the text is at fault; a descriptor that
/// holds it is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct SessionTypeError {
    /// The line, from 1.
    pub line: usize,
    /// The byte in the line, from 1.
    pub column: usize,
    /// What is wrong there.
    pub fault: TextFault,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TextFault {
    /// It has more than [`TEXT_BYTES_MAX`] bytes.
    #[error("a session type has at most {TEXT_BYTES_MAX} bytes of text, found {found}")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// Something else should stand here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What should stand here.
        expected: &'static str,
        /// What stands here.
        found: String,
    },
    /// The same type has another text: print it and use that.
    #[error("this is not the canonical text: print the type again from here on")]
    NotCanonical,
    /// The type that it describes breaks a rule.
    #[error(transparent)]
    IllFormed(IllFormed),
}

/// A rule that a type breaks, and in which step.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{broken}")]
pub struct IllFormed {
    /// The step, counted from 0 in the order in which steps begin in the text; `None` for the head.
    pub step: Option<usize>,
    /// The rule.
    pub broken: Broken,
}

/// A rule of session types that is broken. Each message says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Broken {
    /// A name is no identifier.
    #[error("`{0}` is no name: use letters, digits and `_`, at most {WORD_BYTES_MAX} bytes")]
    Name(String),
    /// A layout has other characters than the canonical ones, or unbalanced brackets.
    #[error("`{0}` is no layout: use letters, digits, `_` and balanced `<> [] {{}} () , : ;`")]
    Layout(String),
    /// Two steps have the same name.
    #[error("two steps are called `{0}`: rename one")]
    DuplicateOp(String),
    /// Two labels have the same name.
    #[error("two labels are called `{0}`: rename one")]
    DuplicateLabel(String),
    /// Two roles have the same name, or a role is called `Opener` or `All`.
    #[error("the role `{0}` exists already: rename this one")]
    DuplicateRole(String),
    /// Two marks have the same name.
    #[error("two `rec` are called `{0}`: rename one")]
    DuplicateRec(String),
    /// No such label.
    #[error("there is no label `{0}`: declare it in `msg`")]
    UnknownLabel(String),
    /// No such role.
    #[error("there is no role `{0}`: declare it in `roles`")]
    UnknownRole(String),
    /// No such mark earlier on this path.
    #[error("no `rec {0}` comes before this: `continue` goes back only")]
    UnknownRec(String),
    /// One device has to do this.
    #[error("`{0}` is a role of many: this step needs a role of `one`")]
    NeedsOne(String),
    /// Many devices have to do this.
    #[error("`{0}` is a role of one: this step needs a role of `many`")]
    NeedsMany(String),
    /// A label is awaited that nobody sent before on this path.
    #[error("deadlock: nobody sends `{0}` before this waits for it: send it first")]
    NeverSent(String),
    /// A label is awaited that was sent before a mark only, and so in an earlier round.
    #[error(
        "deadlock: `{0}` was sent before a `rec`, in an earlier round: send it after the `rec`"
    )]
    EarlierRound(String),
    /// A label is sent twice on one path, in one round.
    #[error("`{0}` was sent before on this path: give the second its own label")]
    SentTwice(String),
    /// A subset is used that was not decided before on this path.
    #[error("`among {0}`: no `decide` on every path to this decides `{0}`")]
    NotDecided(String),
    /// A decision rests on a label that is addressed to single devices.
    #[error("`{0}` is addressed to single devices: gather it")]
    Scattered(String),
    /// A label is the outcome of two decisions.
    #[error("`{0}` is the outcome of two decisions: give each its own label")]
    DecidedTwice(String),
    /// A label is used in two ways that exclude each other.
    #[error("`{0}` is used in two ways: give each use its own label")]
    MixedUse(String),
    /// A label is declared and not used.
    #[error("nothing uses the label `{0}`: remove it")]
    Unused(String),
    /// The payload of a label that ends the session is not a reason.
    #[error("`{0}` ends the session, so its payload must be `Reason`")]
    NotAReason(String),
    /// A choice has no branch.
    #[error("the choice `{0}` has no branch: add one")]
    NoBranches(String),
    /// A choice that can time out, or that goes back, cannot end the session.
    #[error("the choice `{0}` must be able to end the session: add `| Abort`")]
    NoAbort(String),
    /// A label has the name of the votes of a certified decision.
    #[error("`{0}` is the label of a certified decision's votes: rename yours")]
    VoteLabel(String),
    /// The label of a `finally` is used elsewhere.
    #[error("`{0}` is sent finally and used elsewhere: give `finally` its own label")]
    FinallyElsewhere(String),
    /// Nothing can come here.
    #[error("nothing leads to what comes after this choice: every branch stops or goes back")]
    Unreachable,
    /// No path leads to the end.
    #[error("no path leads to the end: let one branch go on, or `stop`")]
    NoEnd,
    /// Nobody goes back to a mark.
    #[error("nobody continues `rec {0}`: remove it")]
    NeverContinued(String),
    /// A mapped role is unknown to the child, mapped twice, or of another arity.
    #[error("the role `{0}` of the sub-session cannot be mapped like this")]
    Mapping(String),
    /// A count that no session can meet.
    #[error("a quorum of {0} devices: use 1 to 128")]
    Count(u16),
    /// Too many labels.
    #[error("{found} labels, with those of sub-sessions and votes: at most {LABELS_MAX}")]
    Labels {
        /// Labels found.
        found: usize,
    },
    /// Too many steps.
    #[error("more than {STEPS_MAX} steps: split the session")]
    Steps,
    /// Nested too deeply.
    #[error("nested more than {NESTING_MAX} deep: use fewer branches within branches")]
    Nesting,
    /// Its text would be too long.
    #[error("its text has {found} bytes, more than {TEXT_BYTES_MAX}: split the session")]
    Text {
        /// Bytes of its text.
        found: usize,
    },
}
