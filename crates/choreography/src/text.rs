//! The canonical text of a session type at compile time.
//!
//! A module's descriptor is a static that the linker places, so its bytes must be known before the
//! program runs. This writes the text whose rules stand in [`aura_protocol_core::session_type`]
//! (INV-CH5: what it writes is what that module prints).

use crate::{
    GlobalType, Layout,
    global::{Branch, End, GroupType, OnType, QuorumType, Step},
    payload::Shape,
};

impl GlobalType {
    /// The length of [`Self::text`], in bytes.
    #[must_use]
    pub const fn text_len(&self) -> usize {
        let mut counter = Writer { bytes: None, at: 0, level: 0 };
        counter.session(self);
        counter.at
    }

    /// The canonical text; `N` is [`Self::text_len`].
    ///
    /// # Panics
    /// At compile time, when used for a constant as it is meant to be: if `N` is another length.
    #[must_use]
    pub const fn text<const N: usize>(&self) -> [u8; N] {
        assert!(self.text_len() == N, "N is not the length of the text");
        let mut bytes = [0; N];
        Writer { bytes: Some(&mut bytes), at: 0, level: 0 }.session(self);
        bytes
    }
}

/// Writes one word after the other; without `bytes`, only counts.
struct Writer<'a> {
    bytes: Option<&'a mut [u8]>,
    at: usize,
    level: usize,
}

impl Writer<'_> {
    #[expect(clippy::indexing_slicing, reason = "the caller sized it with `text_len`")]
    const fn byte(&mut self, byte: u8) {
        if let Some(bytes) = &mut self.bytes {
            bytes[self.at] = byte;
        }
        self.at += 1;
    }

    const fn put(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while let [first, tail @ ..] = rest {
            self.byte(*first);
            rest = tail;
        }
    }

    const fn number(&mut self, number: u32) {
        if 10 <= number {
            self.number(number / 10);
        }
        self.byte(b'0' + (number % 10) as u8);
    }

    /// Several words without anything between them.
    const fn all(&mut self, words: &[&str]) {
        let mut rest = words;
        while let [first, tail @ ..] = rest {
            self.put(first);
            rest = tail;
        }
    }

    const fn indent(&mut self) {
        let mut level = 0;
        while level < self.level {
            self.put("    ");
            level += 1;
        }
    }

    /// A whole line.
    const fn line(&mut self, words: &[&str]) {
        self.indent();
        self.all(words);
        self.byte(b'\n');
    }

    const fn session(&mut self, session: &GlobalType) {
        self.line(&["session ", session.name, " {"]);
        self.level += 1;
        if let Some(ttl) = session.ttl {
            self.numbered(&["ttl "], ttl, ";");
        }
        self.roles(session);
        self.labels(session);
        self.steps(session.steps);
        self.level -= 1;
        self.line(&["}"]);
    }

    const fn numbered(&mut self, words: &[&str], number: u32, end: &str) {
        self.indent();
        self.all(words);
        self.number(number);
        self.all(&[end, "\n"]);
    }

    const fn roles(&mut self, session: &GlobalType) {
        let mut rest = session.roles;
        if rest.is_empty() {
            return;
        }
        self.line(&["roles {"]);
        self.level += 1;
        while let [first, tail @ ..] = rest {
            self.line(&[first.name, if first.many { ": many," } else { ": one," }]);
            rest = tail;
        }
        self.level -= 1;
        self.line(&["}"]);
    }

    const fn labels(&mut self, session: &GlobalType) {
        let mut rest = session.labels;
        if rest.is_empty() {
            return;
        }
        self.line(&["msg {"]);
        self.level += 1;
        while let [first, tail @ ..] = rest {
            self.indent();
            self.all(&[first.name, "("]);
            self.layout(first.layout);
            self.put("),\n");
            rest = tail;
        }
        self.level -= 1;
        self.line(&["}"]);
    }

    const fn layout(&mut self, layout: &Layout) {
        self.put(layout.head);
        let (open, close) = match layout.shape {
            Shape::Leaf => return,
            Shape::Generic => ("<", ">"),
            Shape::Fields => ("{", "}"),
            Shape::Variants => ("[", "]"),
        };
        self.put(open);
        let mut rest = layout.parts;
        while let [(name, part), tail @ ..] = rest {
            if !name.is_empty() {
                self.all(&[name, ":"]);
            }
            self.layout(part);
            if !tail.is_empty() {
                self.put(",");
            }
            rest = tail;
        }
        self.put(close);
    }

    const fn steps(&mut self, steps: &[Step]) {
        let mut rest = steps;
        while let [first, tail @ ..] = rest {
            self.step(first);
            rest = tail;
        }
    }

    const fn step(&mut self, step: &Step) {
        match step {
            Step::Write { op, label, by } => {
                self.line(&["write ", op, ": ", label, " by ", by, ";"]);
            }
            Step::Each { op, label, among, no } => {
                let (word, name) = match among {
                    GroupType::Role(role) => (" by ", role),
                    GroupType::Decided(decided) => (" among ", decided),
                };
                match no {
                    Some(no) => {
                        self.line(&["each ", op, ": ", label, word, name, " | ", no, ";"]);
                    }
                    None => self.line(&["each ", op, ": ", label, word, name, ";"]),
                }
            }
            Step::Gather { op, label, quorum, within } => {
                self.indent();
                self.all(&["gather ", op, ": "]);
                self.quorum(label, quorum);
                if let Some(within) = within {
                    self.put(" within ");
                    self.number(*within);
                }
                self.put(";\n");
            }
            Step::Scatter { op, label, from, to } => {
                self.line(&["scatter ", op, ": ", from, " -> ", to, ": ", label, ";"]);
            }
            Step::Decide { op, by, on, yes, no, certified, unless } => {
                self.indent();
                let word = if *certified { "decide certified " } else { "decide " };
                self.all(&[word, op, " by ", by, ": "]);
                self.on(on);
                self.all(&[" => ", yes, " | ", no]);
                if let Some(unless) = unless {
                    self.all(&[" unless ", unless]);
                }
                self.put(";\n");
            }
            Step::Choice { op, by, on, branches, no } => self.choice(op, by, on, branches, no),
            Step::Rec { name, within } => self.numbered(&["rec ", name, " within "], *within, ";"),
            Step::Sub { op, session, roles, last } => self.sub(op, session, roles, last),
            Step::Pause { op, epochs } => self.numbered(&["pause ", op, ": "], *epochs, ";"),
        }
    }

    const fn quorum(&mut self, label: &str, quorum: &QuorumType) {
        self.all(&[label, "["]);
        match quorum {
            QuorumType::Threshold => self.put("threshold"),
            QuorumType::All => self.put("all"),
            QuorumType::Among(decided) => self.all(&["among ", decided]),
            QuorumType::Count(count) => self.number(*count as u32),
        }
        self.put("]");
    }

    const fn on(&mut self, on: &OnType) {
        self.put("on ");
        self.quorum(on.label, &on.quorum);
        self.put(" within ");
        self.number(on.within);
    }

    const fn choice(
        &mut self,
        op: &str,
        by: &str,
        on: &Option<OnType>,
        branches: &[Branch],
        no: &Option<&str>,
    ) {
        self.indent();
        self.all(&["choice ", op, " by ", by]);
        if let Some(on) = on {
            self.put(": ");
            self.on(on);
        }
        self.put(" {\n");
        self.level += 1;
        let mut rest = branches;
        while let [first, tail @ ..] = rest {
            self.branch(first);
            rest = tail;
        }
        self.level -= 1;
        match no {
            Some(no) => self.line(&["} | ", no, ";"]),
            None => self.line(&["};"]),
        }
    }

    const fn branch(&mut self, branch: &Branch) {
        let label = branch.label;
        if branch.steps.is_empty() {
            match branch.end {
                End::Join => self.line(&[label, " => {}"]),
                End::Continue(state) => self.line(&[label, " => continue ", state, ","]),
                End::Stop => self.line(&[label, " => stop,"]),
            }
            return;
        }
        self.line(&[label, " => {"]);
        self.level += 1;
        self.steps(branch.steps);
        match branch.end {
            End::Join => {}
            End::Continue(state) => self.line(&["continue ", state, ";"]),
            End::Stop => self.line(&["stop;"]),
        }
        self.level -= 1;
        self.line(&["}"]);
    }

    const fn sub(
        &mut self,
        op: &str,
        session: &GlobalType,
        roles: &[(&str, &str)],
        last: &Option<&str>,
    ) {
        self.line(&["sub ", op, " {"]);
        self.level += 1;
        if !roles.is_empty() {
            self.line(&["map {"]);
            self.level += 1;
            let mut rest = roles;
            while let [(child, parent), tail @ ..] = rest {
                self.line(&[child, ": ", parent, ","]);
                rest = tail;
            }
            self.level -= 1;
            self.line(&["}"]);
        }
        self.session(session);
        self.level -= 1;
        match last {
            Some(last) => self.line(&["} finally ", last, ";"]),
            None => self.line(&["};"]),
        }
    }
}
