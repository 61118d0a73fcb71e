//! The canonical text, by the rules in the documentation of [`super`].

use core::fmt;

use super::{Arity, Branch, BranchEnd, Condition, Group, Quorum, SessionType, Step};

impl fmt::Display for SessionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printer { f, level: 0 }.session(self)
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threshold => f.write_str("threshold"),
            Self::All => f.write_str("all"),
            Self::Among(label) => write!(f, "among {label}"),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]{}", self.label, self.quorum, Within(self.within))
    }
}

/// ` within N`, or nothing.
pub(super) struct Within(pub(super) Option<u32>);

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |epochs| write!(f, " within {epochs}"))
    }
}

/// A word before a label, or nothing.
struct Tail<'a>(&'static str, Option<&'a str>);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1.map_or(Ok(()), |label| write!(f, " {} {label}", self.0))
    }
}

struct Printer<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    level: usize,
}

impl Printer<'_, '_> {
    fn line(&mut self, text: fmt::Arguments<'_>) -> fmt::Result {
        for _ in 0..self.level {
            self.f.write_str("    ")?;
        }
        self.f.write_fmt(text)?;
        self.f.write_str("\n")
    }

    fn deeper(&mut self, inside: impl FnOnce(&mut Self) -> fmt::Result) -> fmt::Result {
        self.level += 1;
        let done = inside(self);
        self.level -= 1;
        done
    }

    fn session(&mut self, session: &SessionType) -> fmt::Result {
        self.line(format_args!("session {} {{", session.name))?;
        self.deeper(|it| {
            it.header(session)?;
            it.steps(&session.body)
        })?;
        self.line(format_args!("}}"))
    }

    fn header(&mut self, session: &SessionType) -> fmt::Result {
        if let Some(ttl) = session.ttl {
            self.line(format_args!("ttl {ttl};"))?;
        }
        self.block("roles", &session.roles, |it, role| {
            let arity = match role.arity {
                Arity::One => "one",
                Arity::Many => "many",
            };
            it.line(format_args!("{}: {arity},", role.name))
        })?;
        self.block("msg", &session.labels, |it, label| {
            it.line(format_args!("{}({}),", label.name, label.layout))
        })
    }

    /// A word and a line for each entry; nothing where there is no entry.
    fn block<T>(
        &mut self,
        word: &str,
        entries: &[T],
        print: impl Fn(&mut Self, &T) -> fmt::Result,
    ) -> fmt::Result {
        if entries.is_empty() {
            return Ok(());
        }
        self.line(format_args!("{word} {{"))?;
        self.deeper(|it| entries.iter().try_for_each(|entry| print(it, entry)))?;
        self.line(format_args!("}}"))
    }

    fn steps(&mut self, steps: &[Step]) -> fmt::Result {
        steps.iter().try_for_each(|it| self.step(it))
    }

    fn step(&mut self, step: &Step) -> fmt::Result {
        match step {
            Step::Write { op, label, by } => {
                self.line(format_args!("write {op}: {label} by {by};"))
            }
            Step::Each { op, label, among, no } => {
                let no = Tail("|", no.as_deref());
                match among {
                    Group::Role(role) => {
                        self.line(format_args!("each {op}: {label} by {role}{no};"))
                    }
                    Group::Decided(decided) => {
                        self.line(format_args!("each {op}: {label} among {decided}{no};"))
                    }
                }
            }
            Step::Gather { op, label, quorum, within } => {
                self.line(format_args!("gather {op}: {label}[{quorum}]{};", Within(*within)))
            }
            Step::Scatter { op, label, from, to } => {
                self.line(format_args!("scatter {op}: {from} -> {to}: {label};"))
            }
            Step::Decide { op, by, on, yes, no, certified, unless } => {
                let certified = if *certified { "certified " } else { "" };
                let unless = Tail("unless", unless.as_deref());
                self.line(format_args!(
                    "decide {certified}{op} by {by}: on {on} => {yes} | {no}{unless};"
                ))
            }
            Step::Choice { op, by, on, branches, no } => {
                match on {
                    Some(on) => self.line(format_args!("choice {op} by {by}: on {on} {{"))?,
                    None => self.line(format_args!("choice {op} by {by} {{"))?,
                }
                self.deeper(|it| branches.iter().try_for_each(|branch| it.branch(branch)))?;
                self.line(format_args!("}}{};", Tail("|", no.as_deref())))
            }
            Step::Rec { name, within } => self.line(format_args!("rec {name} within {within};")),
            Step::Sub { op, session, roles, finally } => {
                self.line(format_args!("sub {op} {{"))?;
                self.deeper(|it| {
                    it.block("map", roles, |it, (child, parent)| {
                        it.line(format_args!("{child}: {parent},"))
                    })?;
                    it.session(session)
                })?;
                self.line(format_args!("}}{};", Tail("finally", finally.as_deref())))
            }
            Step::Pause { op, epochs } => self.line(format_args!("pause {op}: {epochs};")),
        }
    }

    fn branch(&mut self, branch: &Branch) -> fmt::Result {
        let label = &branch.label;
        if branch.body.is_empty() {
            return match &branch.end {
                BranchEnd::Join => self.line(format_args!("{label} => {{}}")),
                BranchEnd::Continue(rec) => self.line(format_args!("{label} => continue {rec},")),
                BranchEnd::Stop => self.line(format_args!("{label} => stop,")),
            };
        }
        self.line(format_args!("{label} => {{"))?;
        self.deeper(|it| {
            it.steps(&branch.body)?;
            match &branch.end {
                BranchEnd::Join => Ok(()),
                BranchEnd::Continue(rec) => it.line(format_args!("continue {rec};")),
                BranchEnd::Stop => it.line(format_args!("stop;")),
            }
        })?;
        self.line(format_args!("}}"))
    }
}
