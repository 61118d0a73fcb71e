//! Reads the canonical text.

use alloc::{
    boxed::Box,
    string::{String, ToString},
    vec::Vec,
};

use super::{
    Arity, Branch, BranchEnd, Broken, Condition, Group, IllFormed, LabelType, NESTING_MAX, Quorum,
    Role, STEPS_MAX, SessionType, SessionTypeError, Step, TEXT_BYTES_MAX, TextFault,
    reader::{Reader, error_at},
};

/// Reads the canonical text of a session type, and checks the type.
///
/// # Errors
/// [`SessionTypeError`] with line and column when the text is too long, is not written by the grammar,
/// describes a type that is not well-formed, or is not the one text of its type.
pub fn parse(text: &str) -> Result<SessionType, SessionTypeError> {
    if TEXT_BYTES_MAX < text.len() {
        return Err(error_at(text, 0, TextFault::TooLong { found: text.len() }));
    }
    let mut parser = Parser { reader: Reader::new(text), steps: Vec::new(), level: 0 };
    let session = parser.session()?;
    if !parser.reader.at_end() {
        return Err(parser.reader.expected("the end"));
    }
    let printed = session.to_string();
    if printed != text {
        let same = printed.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
        return Err(error_at(text, same, TextFault::NotCanonical));
    }
    session.check().map_err(|broken| {
        let place = broken.step.and_then(|it| parser.steps.get(it)).copied().unwrap_or(0);
        error_at(text, place, TextFault::IllFormed(broken))
    })?;
    Ok(session)
}

struct Parser<'a> {
    reader: Reader<'a>,
    /// Where each step begins.
    steps: Vec<usize>,
    level: usize,
}

type Parsed<T> = Result<T, SessionTypeError>;

impl Parser<'_> {
    fn session(&mut self) -> Parsed<SessionType> {
        self.reader.expect("session")?;
        let name = self.reader.word("the session's name")?;
        self.reader.expect("{")?;
        let ttl = if self.reader.eat("ttl") { Some(self.last_number()?) } else { None };
        let mut roles = Vec::new();
        if self.reader.eat("roles") {
            self.block(|it| {
                roles.push(it.role()?);
                Ok(())
            })?;
        }
        let mut labels = Vec::new();
        if self.reader.eat("msg") {
            self.block(|it| {
                labels.push(it.label()?);
                Ok(())
            })?;
        }
        let (body, _) = self.body(false)?;
        Ok(SessionType { name, ttl, roles, labels, body })
    }

    /// Entries with a comma after each, in braces.
    fn block(&mut self, mut entry: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.reader.expect("{")?;
        while !self.reader.eat("}") {
            entry(self)?;
            self.reader.expect(",")?;
        }
        Ok(())
    }

    fn role(&mut self) -> Parsed<Role> {
        let name = self.reader.word("a role's name")?;
        self.reader.expect(":")?;
        let arity = match self.reader.eat("many") {
            true => Arity::Many,
            false => self.reader.expect("one").map(|()| Arity::One)?,
        };
        Ok(Role { name, arity })
    }

    fn label(&mut self) -> Parsed<LabelType> {
        let name = self.reader.word("a label's name")?;
        self.reader.expect("(")?;
        let layout = self.reader.layout()?;
        self.reader.expect(")")?;
        Ok(LabelType { name, layout })
    }

    /// Steps up to and with the closing brace; in a branch, with its end.
    fn body(&mut self, branch: bool) -> Parsed<(Vec<Step>, BranchEnd)> {
        self.level += 1;
        if NESTING_MAX < self.level {
            return Err(self.too_many(Broken::Nesting));
        }
        let mut steps = Vec::new();
        let mut end = BranchEnd::Join;
        while !self.reader.eat("}") {
            if branch && self.reader.eat("stop") {
                end = BranchEnd::Stop;
            } else if branch && self.reader.eat("continue") {
                end = BranchEnd::Continue(self.reader.word("the name of a `rec`")?);
            } else {
                steps.push(self.step()?);
                continue;
            }
            self.reader.expect(";")?;
            self.reader.expect("}")?;
            break;
        }
        self.level -= 1;
        Ok((steps, end))
    }

    fn step(&mut self) -> Parsed<Step> {
        let place = self.reader.place();
        if STEPS_MAX <= self.steps.len() {
            return Err(self.too_many(Broken::Steps));
        }
        self.steps.push(place);
        let step = self.step_without_sign()?;
        self.reader.expect(";")?;
        Ok(step)
    }

    fn step_without_sign(&mut self) -> Parsed<Step> {
        if self.reader.eat("write") {
            let (op, label) = self.op_and_label()?;
            self.reader.expect("by")?;
            Ok(Step::Write { op, label, by: self.role_name()? })
        } else if self.reader.eat("each") {
            let (op, label) = self.op_and_label()?;
            let among = self.group()?;
            let no = if self.reader.eat("|") { Some(self.label_name()?) } else { None };
            Ok(Step::Each { op, label, among, no })
        } else if self.reader.eat("gather") {
            let op = self.op_and_colon()?;
            let Condition { label, quorum, within } = self.condition()?;
            Ok(Step::Gather { op, label, quorum, within })
        } else if self.reader.eat("scatter") {
            let op = self.op_and_colon()?;
            let from = self.role_name()?;
            self.reader.expect("->")?;
            let to = self.role_name()?;
            self.reader.expect(":")?;
            Ok(Step::Scatter { op, label: self.label_name()?, from, to })
        } else if self.reader.eat("decide") {
            self.decide()
        } else if self.reader.eat("choice") {
            self.choice()
        } else if self.reader.eat("rec") {
            let name = self.reader.word("the name of the `rec`")?;
            self.reader.expect("within")?;
            Ok(Step::Rec { name, within: self.reader.number()? })
        } else if self.reader.eat("sub") {
            self.sub()
        } else if self.reader.eat("pause") {
            Ok(Step::Pause { op: self.op_and_colon()?, epochs: self.reader.number()? })
        } else {
            Err(self.reader.expected("a step or `}`"))
        }
    }

    fn decide(&mut self) -> Parsed<Step> {
        let certified = self.reader.eat("certified");
        let op = self.op()?;
        self.reader.expect("by")?;
        let by = self.role_name()?;
        self.reader.expect(":")?;
        self.reader.expect("on")?;
        let on = self.condition()?;
        self.reader.expect("=>")?;
        let yes = self.label_name()?;
        self.reader.expect("|")?;
        let no = self.label_name()?;
        let unless = if self.reader.eat("unless") { Some(self.label_name()?) } else { None };
        Ok(Step::Decide { op, by, on, yes, no, certified, unless })
    }

    fn choice(&mut self) -> Parsed<Step> {
        let op = self.op()?;
        self.reader.expect("by")?;
        let by = self.role_name()?;
        let on = match self.reader.eat(":") {
            true => {
                self.reader.expect("on")?;
                Some(self.condition()?)
            }
            false => None,
        };
        self.reader.expect("{")?;
        let mut branches = Vec::new();
        while !self.reader.eat("}") {
            branches.push(self.branch()?);
        }
        let no = if self.reader.eat("|") { Some(self.label_name()?) } else { None };
        Ok(Step::Choice { op, by, on, branches, no })
    }

    fn branch(&mut self) -> Parsed<Branch> {
        let label = self.label_name()?;
        self.reader.expect("=>")?;
        let end = if self.reader.eat("stop") {
            BranchEnd::Stop
        } else if self.reader.eat("continue") {
            BranchEnd::Continue(self.reader.word("the name of a `rec`")?)
        } else {
            self.reader.expect("{")?;
            let (body, end) = self.body(true)?;
            return Ok(Branch { label, body, end });
        };
        self.reader.expect(",")?;
        Ok(Branch { label, body: Vec::new(), end })
    }

    fn sub(&mut self) -> Parsed<Step> {
        let op = self.op()?;
        self.reader.expect("{")?;
        let mut roles = Vec::new();
        if self.reader.eat("map") {
            self.block(|it| {
                let child = it.role_name()?;
                it.reader.expect(":")?;
                roles.push((child, it.role_name()?));
                Ok(())
            })?;
        }
        let session = Box::new(self.session()?);
        self.reader.expect("}")?;
        let finally = if self.reader.eat("finally") { Some(self.label_name()?) } else { None };
        Ok(Step::Sub { op, session, roles, finally })
    }

    fn condition(&mut self) -> Parsed<Condition> {
        let label = self.label_name()?;
        self.reader.expect("[")?;
        let quorum = if self.reader.eat("threshold") {
            Quorum::Threshold
        } else if self.reader.eat("all") {
            Quorum::All
        } else if self.reader.eat("among") {
            Quorum::Among(self.label_name()?)
        } else {
            Quorum::Count(self.reader.number()?)
        };
        self.reader.expect("]")?;
        let within = if self.reader.eat("within") { Some(self.reader.number()?) } else { None };
        Ok(Condition { label, quorum, within })
    }

    fn group(&mut self) -> Parsed<Group> {
        if self.reader.eat("among") {
            return Ok(Group::Decided(self.label_name()?));
        }
        self.reader.expect("by")?;
        Ok(Group::Role(self.role_name()?))
    }

    fn op_and_label(&mut self) -> Parsed<(String, String)> {
        Ok((self.op_and_colon()?, self.label_name()?))
    }

    fn op_and_colon(&mut self) -> Parsed<String> {
        let op = self.op()?;
        self.reader.expect(":")?;
        Ok(op)
    }

    fn op(&mut self) -> Parsed<String> {
        self.reader.word("the step's name")
    }

    fn role_name(&mut self) -> Parsed<String> {
        self.reader.word("a role")
    }

    fn label_name(&mut self) -> Parsed<String> {
        self.reader.word("a label")
    }

    fn last_number(&mut self) -> Parsed<u32> {
        let number = self.reader.number()?;
        self.reader.expect(";")?;
        Ok(number)
    }

    fn too_many(&mut self, broken: Broken) -> SessionTypeError {
        let place = self.reader.place();
        let step = self.steps.len().checked_sub(1);
        self.reader.error(place, TextFault::IllFormed(IllFormed { step, broken }))
    }
}
