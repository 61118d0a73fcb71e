//! A projection as a flat list of instructions, for a device whose role is known.

use alloc::{collections::BTreeMap, vec::Vec};

use super::{
    Group, Local, LocalBranch, LocalEnd, LocalType, Quorum,
    local::Wait,
    spread::{DEVICES, Devices, Names, Spread, threshold},
};

/// A label, interned for both versions.
pub(super) type Label = u16;

/// A set of labels. Two types of 128 labels each have at most 256 between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Labels([u128; 2]);

impl Labels {
    pub(super) fn insert(&mut self, label: Label) {
        if let Some(word) = self.0.get_mut(usize::from(label / 128)) {
            *word |= 1 << (label % 128);
        }
    }

    pub(super) fn contains(self, label: Label) -> bool {
        self.0.get(usize::from(label / 128)).is_some_and(|word| word >> (label % 128) & 1 == 1)
    }

    pub(super) fn union(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        Self([a | c, b | d])
    }
}

/// How much a device waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Need {
    /// This many authors.
    Count(u32),
    /// All of these.
    Devices(Devices),
    /// All in a decision's payload.
    Decided(Label),
    /// This many, but no more than a decision's payload names.
    CountIn(u32, Label),
    /// The default threshold of as many devices as a decision's payload names.
    ThresholdIn(Label),
}

/// What a device waits for.
#[derive(Debug, Clone)]
pub(super) struct Awaited {
    pub(super) label: Label,
    pub(super) need: Need,
    pub(super) from: Senders,
    pub(super) unless: Option<Label>,
    pub(super) within: Option<u32>,
}

/// Who is expected to send.
#[derive(Debug, Clone, Copy)]
pub(super) enum Senders {
    Devices(Devices),
    Decided(Label),
}

/// A decision's label and where it leads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) label: Label,
    pub(super) to: usize,
    /// Whether it ends the session.
    pub(super) aborts: bool,
    /// The mark that it goes back to.
    pub(super) again: Option<u16>,
}

/// One instruction.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Send {
        label: Label,
        to: Devices,
        among: Option<Label>,
        /// What may be sent instead, if the person at the device wants that.
        no: Option<Label>,
    },
    Await(Awaited),
    /// Time passes for everyone; nothing is sent.
    Pause(u32),
    Decide {
        on: Option<Awaited>,
        ways: Vec<Way>,
    },
    Follow {
        from: usize,
        ways: Vec<Way>,
        signal: Option<Label>,
        on: Option<Awaited>,
        within: Option<u32>,
    },
    Go(usize),
    /// Goes back to a mark, into the next round.
    Again {
        rec: u16,
        to: usize,
    },
    /// A sub-session begins.
    Enter,
    /// A sub-session ends.
    Leave,
    Owe(Label),
    Abort,
    Finish,
    /// The end of a device that waited in vain.
    GiveUp,
}

/// What one device runs.
#[derive(Debug, Default)]
pub(super) struct Code {
    pub(super) ops: Vec<Op>,
    /// For each instruction, what can still be awaited from there on.
    pub(super) wants: Vec<Labels>,
    /// For each instruction, what can still be sent from there on.
    pub(super) sends: Vec<Labels>,
    /// For each instruction, whose payload can still say who does something.
    pub(super) subsets: Vec<Labels>,
    pub(super) recs: usize,
}

impl Code {
    pub(super) fn new(local: &LocalType, names: &Names, spread: &Spread) -> Self {
        let mut writer = Writer { names, spread, ops: Vec::new(), recs: BTreeMap::new() };
        writer.steps(&local.steps);
        let finish = writer.ops.len();
        writer.ops.push(Op::Finish);
        writer.ops.push(Op::GiveUp);
        writer.leave_to(0, finish);
        let mut code = Self { ops: writer.ops, recs: writer.recs.len(), ..Self::default() };
        code.look_ahead();
        code
    }

    /// Where a device goes that gives up.
    pub(super) const fn gives_up(&self) -> usize {
        self.ops.len().saturating_sub(1)
    }

    /// Every label whose payload says who does something.
    pub(super) fn all_subsets(&self) -> Labels {
        self.subsets.first().copied().unwrap_or_default()
    }

    /// Fills in what can still happen from each instruction on.
    fn look_ahead(&mut self) {
        let count = self.ops.len();
        self.wants = alloc::vec![Labels::default(); count];
        self.sends = alloc::vec![Labels::default(); count];
        self.subsets = alloc::vec![Labels::default(); count];
        let mut changed = true;
        while changed {
            changed = false;
            for (at, op) in self.ops.iter().enumerate().rev() {
                let (mut wants, mut sends, mut subsets) = op.mentions();
                op.leads_to(at, |next| {
                    let of = |list: &[Labels]| list.get(next).copied().unwrap_or_default();
                    wants = wants.union(of(&self.wants));
                    sends = sends.union(of(&self.sends));
                    subsets = subsets.union(of(&self.subsets));
                });
                for (list, new) in [
                    (&mut self.wants, wants),
                    (&mut self.sends, sends),
                    (&mut self.subsets, subsets),
                ] {
                    if let Some(old) = list.get_mut(at)
                        && *old != new
                    {
                        *old = new;
                        changed = true;
                    }
                }
            }
        }
    }
}

impl Op {
    /// Labels awaited, sent and used as subsets by this instruction itself.
    fn mentions(&self) -> (Labels, Labels, Labels) {
        let mut all = (Labels::default(), Labels::default(), Labels::default());
        let (wants, sends, subsets) = (&mut all.0, &mut all.1, &mut all.2);
        match self {
            Self::Send { label, among, .. } => {
                sends.insert(*label);
                among.iter().for_each(|it| subsets.insert(*it));
            }
            Self::Await(wait) => wait.mentions(wants, subsets),
            Self::Decide { on, ways } => {
                on.iter().for_each(|it| it.mentions(wants, subsets));
                ways.iter().for_each(|it| sends.insert(it.label));
            }
            Self::Follow { ways, signal, on, .. } => {
                on.iter().for_each(|it| it.subsets(subsets));
                ways.iter().for_each(|it| wants.insert(it.label));
                signal.iter().for_each(|it| sends.insert(*it));
            }
            Self::Owe(label) => sends.insert(*label),
            Self::Pause(_) | Self::Go(_) | Self::Again { .. } | Self::Enter => {}
            Self::Leave | Self::Abort | Self::Finish | Self::GiveUp => {}
        }
        all
    }

    fn leads_to(&self, at: usize, mut visit: impl FnMut(usize)) {
        match self {
            Self::Decide { ways, .. } | Self::Follow { ways, .. } => {
                ways.iter().for_each(|it| visit(it.to));
            }
            Self::Go(to) | Self::Again { to, .. } => visit(*to),
            Self::Abort | Self::Finish | Self::GiveUp => {}
            _ => visit(at + 1),
        }
    }
}

impl Awaited {
    /// What one device waits for, if it waits.
    pub(super) fn at(op: &Op) -> Option<&Self> {
        match op {
            Op::Await(wait) | Op::Decide { on: Some(wait), .. } => Some(wait),
            _ => None,
        }
    }

    fn mentions(&self, wants: &mut Labels, subsets: &mut Labels) {
        wants.insert(self.label);
        self.unless.iter().for_each(|it| wants.insert(*it));
        self.subsets(subsets);
    }

    fn subsets(&self, subsets: &mut Labels) {
        match self.need {
            Need::Decided(label) | Need::CountIn(_, label) | Need::ThresholdIn(label) => {
                subsets.insert(label);
            }
            Need::Count(_) | Need::Devices(_) => {}
        }
        match self.from {
            Senders::Decided(label) => subsets.insert(label),
            Senders::Devices(_) => {}
        }
    }
}

/// Where a branch that stops goes, until the end of its session is known.
const OPEN: usize = usize::MAX;

struct Writer<'a> {
    names: &'a Names,
    spread: &'a Spread,
    ops: Vec<Op>,
    /// Each mark: its number and the instruction after it.
    recs: BTreeMap<&'a str, (u16, usize)>,
}

impl<'a> Writer<'a> {
    fn label(&self, label: &str) -> Label {
        self.names.label(label)
    }

    fn steps(&mut self, steps: &'a [Local]) {
        for step in steps {
            self.step(step);
        }
    }

    fn step(&mut self, step: &'a Local) {
        match step {
            Local::Send { label, to, among, no } => {
                let to = to.as_ref().map_or(DEVICES, |role| self.spread.members(role));
                let among = among.as_ref().map(|it| self.label(it));
                let no = no.as_ref().map(|it| self.label(it));
                self.ops.push(Op::Send { label: self.label(label), to, among, no });
            }
            Local::Await(wait) => {
                let wait = self.wait(wait);
                self.ops.push(Op::Await(wait));
            }
            Local::Decide { on, branches } => {
                let on = on.as_ref().map(|it| self.wait(it));
                self.branches(branches, |ways| Op::Decide { on, ways });
            }
            Local::Follow { by, branches, signal, on, within } => {
                let from = self.spread.one(by);
                let signal = signal.as_ref().map(|it| self.label(it));
                let on = on.as_ref().map(|it| self.wait(it));
                let within = *within;
                self.branches(branches, |ways| Op::Follow { from, ways, signal, on, within });
            }
            Local::Rec { name } => {
                let number = u16::try_from(self.recs.len()).unwrap_or(u16::MAX);
                self.recs.insert(name, (number, self.ops.len()));
            }
            Local::Sub { steps } => {
                self.ops.push(Op::Enter);
                let start = self.ops.len();
                self.steps(steps);
                let end = self.ops.len();
                self.ops.push(Op::Leave);
                self.leave_to(start, end);
            }
            Local::Finally { label } => self.ops.push(Op::Owe(self.label(label))),
            Local::Pause { epochs } => self.ops.push(Op::Pause(*epochs)),
        }
    }

    /// A decision, its branches one after the other, and the step after them.
    fn branches(&mut self, branches: &'a [LocalBranch], op: impl FnOnce(Vec<Way>) -> Op) {
        let place = self.ops.len();
        self.ops.push(Op::Abort);
        let mut ways = Vec::new();
        let mut joins = Vec::new();
        for branch in branches {
            let (aborts, again) = match &branch.end {
                LocalEnd::Abort => (true, None),
                LocalEnd::Continue(rec) => (false, self.recs.get(rec.as_str()).map(|it| it.0)),
                LocalEnd::Join | LocalEnd::Stop => (false, None),
            };
            let label = self.label(&branch.label);
            ways.push(Way { label, to: self.ops.len(), aborts, again });
            self.steps(&branch.steps);
            let end = match &branch.end {
                LocalEnd::Join => {
                    joins.push(self.ops.len());
                    Op::Abort
                }
                LocalEnd::Continue(rec) => match self.recs.get(rec.as_str()) {
                    Some((rec, to)) => Op::Again { rec: *rec, to: *to },
                    None => Op::Abort,
                },
                LocalEnd::Stop => Op::Go(OPEN),
                LocalEnd::Abort => Op::Abort,
            };
            self.ops.push(end);
        }
        let after = self.ops.len();
        for at in joins {
            self.put(at, Op::Go(after));
        }
        self.put(place, op(ways));
    }

    fn put(&mut self, at: usize, op: Op) {
        if let Some(place) = self.ops.get_mut(at) {
            *place = op;
        }
    }

    /// Leads the branches since `start` that stop to the end of their session.
    fn leave_to(&mut self, start: usize, end: usize) {
        for op in self.ops.iter_mut().skip(start) {
            if let Op::Go(to) = op
                && *to == OPEN
            {
                *to = end;
            }
        }
    }

    fn wait(&self, wait: &Wait) -> Awaited {
        let from = match &wait.from {
            Group::Role(role) => Senders::Devices(self.spread.members(role)),
            Group::Decided(label) => Senders::Decided(self.label(label)),
        };
        let need = match (&wait.quorum, from) {
            (Quorum::Threshold, Senders::Devices(devices)) => Need::Count(threshold(devices)),
            (Quorum::Threshold, Senders::Decided(label)) => Need::ThresholdIn(label),
            (Quorum::All, Senders::Devices(devices)) => Need::Devices(devices),
            (Quorum::All, Senders::Decided(label)) => Need::Decided(label),
            (Quorum::Among(label), _) => Need::Decided(self.label(label)),
            // A real session has more devices than this one: what is counted here is capped at how
            // many there are. One sender stays one sender.
            (Quorum::Count(count), Senders::Devices(devices)) if devices.count_ones() == 1 => {
                Need::Count(u32::from(*count))
            }
            (Quorum::Count(count), Senders::Devices(devices)) => {
                Need::Count(u32::from(*count).min(devices.count_ones()))
            }
            (Quorum::Count(count), Senders::Decided(label)) => {
                Need::CountIn(u32::from(*count), label)
            }
        };
        Awaited {
            label: self.label(&wait.label),
            need,
            from,
            unless: wait.unless.as_ref().map(|it| self.label(it)),
            within: wait.within,
        }
    }
}
