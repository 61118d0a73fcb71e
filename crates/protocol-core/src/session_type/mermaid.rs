//! A session type as a Mermaid sequence diagram.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
};
use core::fmt::{self, Write};

use super::{ALL, BranchEnd, Group, OPENER, SessionType, Step, local::child_roles, print::Within};

impl SessionType {
    /// The session as a Mermaid `sequenceDiagram`: roles are participants, an arrow to `All` reaches
    /// everyone, waiting and deciding are notes.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut drawing = Drawing { text: String::new(), level: 0, roles: BTreeMap::new() };
        // Writing to a text cannot fail.
        match drawing.session(self) {
            Ok(()) => drawing.text,
            Err(fmt::Error) => String::new(),
        }
    }
}

struct Drawing {
    text: String,
    level: usize,
    /// The outermost session's roles for those of a sub-session.
    roles: BTreeMap<String, String>,
}

impl Drawing {
    fn line(&mut self, line: fmt::Arguments<'_>) -> fmt::Result {
        for _ in 0..self.level {
            self.text.write_str("    ")?;
        }
        writeln!(self.text, "{line}")
    }

    fn role(&self, role: &str) -> String {
        self.roles.get(role).cloned().unwrap_or_else(|| role.to_string())
    }

    fn session(&mut self, session: &SessionType) -> fmt::Result {
        self.line(format_args!("sequenceDiagram"))?;
        self.level += 1;
        for role in [OPENER].into_iter().chain(session.roles.iter().map(|it| it.name.as_str())) {
            self.line(format_args!("participant {role}"))?;
        }
        self.line(format_args!("participant {ALL}"))?;
        self.steps(session, &session.body)
    }

    /// Steps; from a mark to the last step that goes back to it is a loop.
    fn steps(&mut self, session: &SessionType, steps: &[Step]) -> fmt::Result {
        let mut ends = alloc::vec![0_usize; steps.len()];
        for (index, step) in steps.iter().enumerate() {
            if let Step::Rec { name, within } = step {
                let last = steps.iter().rposition(|it| continues(it, name)).unwrap_or(index);
                self.line(format_args!("loop {name} within {within} epochs"))?;
                self.level += 1;
                if let Some(count) = ends.get_mut(last) {
                    *count += 1;
                }
            } else {
                self.step(session, step)?;
            }
            for _ in 0..ends.get(index).copied().unwrap_or_default() {
                self.end()?;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> fmt::Result {
        self.level = self.level.saturating_sub(1);
        self.line(format_args!("end"))
    }

    fn step(&mut self, session: &SessionType, step: &Step) -> fmt::Result {
        match step {
            Step::Write { op, label, by } => {
                let by = self.role(by);
                self.line(format_args!("{by}->>{ALL}: {op}: {label}"))
            }
            Step::Each { op, label, among, no } => {
                let or = no.as_ref().map(|it| alloc::format!(" (or {it})")).unwrap_or_default();
                match among {
                    Group::Role(role) => {
                        let role = self.role(role);
                        self.line(format_args!("{role}->>{ALL}: {op}: {label}{or}"))
                    }
                    Group::Decided(decided) => self.line(format_args!(
                        "{ALL}->>{ALL}: {op}: {label}{or} (those in {decided})"
                    )),
                }
            }
            Step::Gather { op, label, quorum, within } => self.line(format_args!(
                "Note over {ALL}: {op}: each waits for {label}[{quorum}]{}",
                Within(*within)
            )),
            Step::Scatter { op, label, from, to } => {
                let (from, to) = (self.role(from), self.role(to));
                self.line(format_args!("{from}->>{to}: {op}: {label} (one for each)"))
            }
            Step::Decide { op, by, on, yes, no, certified, unless } => {
                let by = self.role(by);
                let unless = unless.as_ref().map(|it| alloc::format!(" unless {it}"));
                let unless = unless.unwrap_or_default();
                self.line(format_args!("Note over {by}: {op}: decides on {on}{unless}"))?;
                self.line(format_args!("{by}->>{ALL}: {yes} (or {no}: the end)"))?;
                if *certified {
                    self.line(format_args!(
                        "{ALL}->>{ALL}: {yes}Vote (a threshold of equal votes)"
                    ))?;
                }
                Ok(())
            }
            Step::Choice { op, by, on, branches, no } => {
                let by = &self.role(by);
                let on = on.as_ref().map(|it| alloc::format!(" on {it}")).unwrap_or_default();
                self.line(format_args!("Note over {by}: {op}: chooses{on}"))?;
                for (index, branch) in branches.iter().enumerate() {
                    self.way(index, &branch.label, by)?;
                    self.steps(session, &branch.body)?;
                    match &branch.end {
                        BranchEnd::Join => {}
                        BranchEnd::Continue(rec) => {
                            self.line(format_args!("Note over {ALL}: back to {rec}"))?;
                        }
                        BranchEnd::Stop => self.line(format_args!("Note over {ALL}: the end"))?,
                    }
                }
                if let Some(no) = no {
                    self.way(branches.len(), no, by)?;
                    self.line(format_args!("Note over {ALL}: the end"))?;
                }
                self.end()
            }
            Step::Rec { .. } => Ok(()),
            Step::Sub { op, session: child, roles, finally } => {
                self.sub(session, op, child, roles, finally.as_deref())
            }
            Step::Pause { op, epochs } => {
                self.line(format_args!("Note over {ALL}: {op}: {epochs} epochs pass"))
            }
        }
    }

    fn way(&mut self, index: usize, label: &str, by: &str) -> fmt::Result {
        if index == 0 {
            self.line(format_args!("alt {label}"))?;
        } else {
            self.level = self.level.saturating_sub(1);
            self.line(format_args!("else {label}"))?;
        }
        self.level += 1;
        self.line(format_args!("{by}->>{ALL}: {label}"))
    }

    /// A sub-session in a frame, drawn with this session's roles.
    fn sub(
        &mut self,
        session: &SessionType,
        op: &str,
        child: &SessionType,
        roles: &[(String, String)],
        finally: Option<&str>,
    ) -> fmt::Result {
        self.line(format_args!("rect rgb(240, 240, 240)"))?;
        self.level += 1;
        self.line(format_args!("Note over {ALL}: {op}: {}", child.name))?;
        let inner = child_roles(session, child, roles, |it| self.role(it));
        let outer = core::mem::replace(&mut self.roles, inner);
        self.steps(child, &child.body)?;
        self.roles = outer;
        self.end()?;
        finally.map_or(Ok(()), |label| {
            self.line(format_args!("Note over {ALL}: each sends {label} when the session ends"))
        })
    }
}

/// Whether a branch in a step goes back to a mark.
fn continues(step: &Step, rec: &str) -> bool {
    let Step::Choice { branches, .. } = step else { return false };
    branches.iter().any(|it| {
        it.end == BranchEnd::Continue(rec.to_string())
            || it.body.iter().any(|inner| continues(inner, rec))
    })
}
