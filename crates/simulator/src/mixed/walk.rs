//! The steps of a type over the runtime, as generated code takes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
};

use aura_choreography::{
    Cx, Dev, DeviceSet, Each, Exit, FromHost, GlobalType, Label, Me, Reason, RoleIx, Steps, Stop,
    global::{Branch, End, GroupType, OnType, QuorumType, Step},
    rt::{Choose, Decide, Group, Part, Quorum, body, last_word},
};
use aura_protocol_core::{
    RecordKey, decode, encode, session_type::CONTINUES_MAX, session_type::vote_label,
};

use super::{
    known::{Known, label, role},
    said::{Question, Said, Told},
    script::{Roles, roles},
};

/// A decision: its label, its round, whom it names.
pub(super) type Learned = (String, u32, DeviceSet);

/// A session on its way at one device.
pub(super) struct Walk {
    cx: Cx,
    scope: Scope,
    /// How often the session went back, and how often to each mark.
    rounds: u32,
    back: BTreeMap<String, u8>,
    pub(super) learned: BTreeSet<Learned>,
}

/// What changes from part to part.
struct Scope {
    known: &'static Known,
    prefix: String,
    round: u32,
    roles: Vec<DeviceSet>,
    decided: BTreeMap<&'static str, DeviceSet>,
    senders: BTreeMap<&'static str, Group>,
    addressed: BTreeMap<&'static str, (RoleIx, RoleIx)>,
}

/// How it goes on after a step.
pub(super) enum Flow {
    Next,
    Back(&'static str),
    Stop,
}

/// Turns what the person says into what stops a decision.
type Veto = dyn Fn(&Me, &[u8]) -> Option<Said> + Send + Sync;

type Walking = Pin<Box<dyn Future<Output = Result<(Walk, Flow), Stop>> + Send>>;

impl Steps for Walk {
    fn cx(&self) -> &Cx {
        &self.cx
    }
}

/// Takes these steps, until one leads elsewhere.
pub(super) fn walk(mut walk: Walk, steps: &'static [Step]) -> Walking {
    Box::pin(async move {
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            let flow;
            (walk, flow) = walk.step(step).await?;
            match flow {
                Flow::Next => at += 1,
                Flow::Stop => return Ok((walk, flow)),
                Flow::Back(mark) => {
                    let is_it = |it: &Step| matches!(it, Step::Rec { name, .. } if *name == mark);
                    match steps.iter().position(is_it) {
                        Some(found) => at = found,
                        None => return Ok((walk, flow)),
                    }
                }
            }
        }
        Ok((walk, Flow::Next))
    })
}

impl Scope {
    fn of(&self, role: RoleIx) -> DeviceSet {
        self.roles.get(usize::from(role.0)).copied().unwrap_or_default()
    }

    /// The one device of a role.
    fn decider(&self, role: RoleIx) -> DeviceSet {
        self.of(role).first().map(DeviceSet::one).unwrap_or_default()
    }

    /// Whom a decision named.
    fn named(&self, decided: &str) -> DeviceSet {
        self.decided.get(decided).copied().unwrap_or_default()
    }

    fn global(&self) -> &'static GlobalType {
        self.known.global
    }

    fn role(&self, name: &str) -> RoleIx {
        role(self.global(), name)
    }

    fn label(&self, name: &str) -> Label {
        label(self.global(), name)
    }

    fn layout(&self, name: &str) -> &'static str {
        let found = self.global().labels.iter().find(|it| it.name == name);
        found.map_or("", |it| it.layout.head)
    }

    /// Of whom, and of how many, a step waits. More than there are cannot be waited for.
    fn quorum(&self, label: &str, quorum: &QuorumType) -> (Group, Quorum) {
        let group = self.senders.get(label).copied().unwrap_or(Group::Role(RoleIx::ALL));
        let size = |group| match group {
            Group::Role(role) => self.of(role).len(),
            Group::Decided(label) => {
                let name = self.global().labels.get(usize::from(label.0)).map_or("", |it| it.name);
                self.decided.get(name).map_or(0, |it| it.len())
            }
        };
        match quorum {
            QuorumType::Threshold => (group, Quorum::Threshold),
            QuorumType::All => (group, Quorum::All),
            QuorumType::Among(decided) => (Group::Decided(self.label(decided)), Quorum::All),
            QuorumType::Count(count) => {
                let most = u8::try_from(size(group)).unwrap_or(u8::MAX);
                let one = matches!(group, Group::Role(_)) && most == 1;
                (group, Quorum::Count(if one { *count } else { most.min(*count) }))
            }
        }
    }
}

impl Walk {
    pub(super) fn new(cx: Cx, known: &'static Known) -> Self {
        let scope = Scope {
            known,
            prefix: String::new(),
            round: 0,
            roles: Vec::new(),
            decided: BTreeMap::new(),
            senders: BTreeMap::new(),
            addressed: BTreeMap::new(),
        };
        let back = BTreeMap::new();
        let mut walk = Self { cx, scope, rounds: 0, back, learned: BTreeSet::new() };
        let played: Roles = roles(&walk.params_bytes());
        let declared = known.global.roles.iter().map(|it| it.name);
        walk.scope.roles = ["Opener", "All"]
            .into_iter()
            .chain(declared)
            .map(|it| played.get(it).copied().unwrap_or_default())
            .collect();
        walk
    }

    async fn step(mut self, step: &'static Step) -> Result<(Self, Flow), Stop> {
        match step {
            Step::Write { label, by, .. } => {
                let (place, by) = (self.scope.label(label), self.scope.role(by));
                let layout = self.scope.layout(label);
                let said = move |_: &Me| Ok(Said::of(layout, DeviceSet::EMPTY));
                self.cx.write(place, by, said).await?;
                self.scope.senders.insert(label, Group::Role(by));
            }
            Step::Each { label, among, no, .. } => self.each(label, among, *no).await?,
            Step::Gather { label, quorum, within, .. } => {
                self.gather(label, quorum, *within).await?;
            }
            Step::Scatter { label, from, to, .. } => {
                let roles = (self.scope.role(from), self.scope.role(to));
                let (place, layout) = (self.scope.label(label), self.scope.layout(label));
                let said = move |_: &Me, (): &(), _: Dev| Ok(Said::of(layout, DeviceSet::EMPTY));
                self.cx.scatter(place, roles, |_| Ok(()), said).await?;
                self.scope.senders.insert(label, Group::Role(roles.0));
                self.scope.addressed.insert(label, roles);
            }
            Step::Decide { .. } => self.decide(step).await?,
            Step::Choice { op, by, on, branches, no } => {
                return self.choose((op, by, no.as_ref()), on.as_ref(), branches).await;
            }
            Step::Rec { name, .. } => {
                let mark = self.scope.known.mark(name).unwrap_or_default();
                let by = self.scope.known.marks.iter().find(|it| it.name == *name);
                self.cx.mark(mark, by.map_or(RoleIx::OPENER, |it| it.by)).await?;
            }
            Step::Sub { op, last, .. } => return self.sub(op, last.as_ref()).await,
            Step::Pause { epochs, .. } => self.cx.pause(*epochs).await?,
        }
        Ok((self, Flow::Next))
    }

    async fn each(
        &mut self,
        label: &'static str,
        among: &GroupType,
        no: Option<&str>,
    ) -> Result<(), Stop> {
        let (place, layout) = (self.scope.label(label), self.scope.layout(label));
        let group = match among {
            GroupType::Role(role) => Group::Role(self.scope.role(role)),
            GroupType::Decided(decided) => Group::Decided(self.scope.label(decided)),
        };
        let no = match no {
            None => None,
            Some(no) => {
                let who = match among {
                    GroupType::Role(role) => self.scope.of(self.scope.role(role)),
                    GroupType::Decided(decided) => self.scope.named(decided),
                };
                let round = Some(self.scope.round);
                Some((self.scope.label(no), self.told(who, vec![label, no], round).await?))
            }
        };
        let (no, told) = no.unzip();
        let said = move |me: &Me| match &told {
            Some(told) if answer(told, me)?.way != 0 => {
                Err(Reason::Other("it was told to".to_owned()))
            }
            _ => Ok((Said::of(layout, DeviceSet::EMPTY), ())),
        };
        self.cx.each(place, group, no, said).await?;
        self.scope.senders.insert(label, group);
        Ok(())
    }

    async fn gather(
        &mut self,
        label: &str,
        quorum: &QuorumType,
        within: Option<u32>,
    ) -> Result<(), Stop> {
        let (group, quorum) = self.scope.quorum(label, quorum);
        let place = self.scope.label(label);
        match self.scope.addressed.get(label) {
            Some(roles) => self.cx.gather_own::<Said>(place, *roles, quorum, within).await?,
            None => self.cx.gather::<Said>(place, (group, quorum), within).await?,
        };
        Ok(())
    }

    /// What the hosts of these devices tell them to do.
    async fn told(
        &mut self,
        who: DeviceSet,
        ways: Vec<&str>,
        declines: Option<u32>,
    ) -> Result<FromHost<Option<Vec<u8>>>, Stop> {
        let prefix = &self.scope.prefix;
        let ways = ways.into_iter().map(|it| format!("{prefix}{it}")).collect();
        let question = encode(&Question { who, ways, declines });
        self.read(move |_| Ok(RecordKey(question.clone()))).await
    }

    async fn decide(&mut self, step: &'static Step) -> Result<(), Stop> {
        let Step::Decide { by, on, yes, no, certified, unless, .. } = step else { return Ok(()) };
        let scope = &self.scope;
        let by = scope.role(by);
        let (from, quorum) = scope.quorum(on.label, &on.quorum);
        let naming: fn(&Said) -> DeviceSet = Said::devices;
        let decide = Decide {
            by,
            on: scope.label(on.label),
            from,
            quorum,
            within: on.within,
            yes: scope.label(yes),
            no: scope.label(no),
            vote: certified.then(|| scope.label(&vote_label(yes))),
            unless: unless.map(|it| scope.label(it)),
            names: scope.known.naming.contains(yes).then_some(naming),
        };
        let (layout, veto) = (scope.layout(yes), unless.map_or("", |it| scope.layout(it)));
        let told = self.told(self.scope.decider(by), vec![yes, no], None).await?;
        let decided = move |me: &Me, heard: &[(Dev, Said)]| {
            let told = answer(&told, me)?;
            if told.way != 0 {
                return Err(Reason::Other("it was told to".to_owned()));
            }
            let all = || heard.iter().map(|it| it.0).collect();
            Ok((Said::of(layout, told.devices.unwrap_or_else(all)), ()))
        };
        let vetoed = move |_: &Me, _: &[u8]| Some(Said::of(veto, DeviceSet::EMPTY));
        let unless: Option<&Veto> = if unless.is_some() { Some(&vetoed) } else { None };
        let (value, _) = self.cx.decide::<Said, Said, Said, ()>(&decide, decided, unless).await?;
        self.scope.decided.insert(yes, value.devices);
        self.learn(yes, value.devices);
        Ok(())
    }

    fn learn(&mut self, label: &str, devices: DeviceSet) {
        let label = format!("{}{label}", self.scope.prefix);
        self.learned.insert((label, self.scope.round, devices));
    }

    async fn choose(
        mut self,
        (op, by, no): (&'static str, &str, Option<&&'static str>),
        on: Option<&OnType>,
        branches: &'static [Branch],
    ) -> Result<(Self, Flow), Stop> {
        let scope = &self.scope;
        let by = scope.role(by);
        let (all, back) = scope.known.choices.get(op).copied().unwrap_or_default();
        let on = on.map(|on| {
            let (from, quorum) = scope.quorum(on.label, &on.quorum);
            (scope.label(on.label), from, quorum, on.within)
        });
        let no_label = no.map(|it| scope.label(it));
        let step = Choose { by, on, branches: all, back, no: no_label };
        let open: Vec<&'static Branch> =
            branches.iter().filter(|it| self.may_take(&it.end)).collect();
        let ways = open.iter().map(|it| it.label).chain(no.copied()).collect();
        let told = self.told(self.scope.decider(by), ways, None).await?;
        let said: Vec<_> = open
            .iter()
            .map(|it| {
                let said = Said::of(self.scope.layout(it.label), DeviceSet::EMPTY);
                (self.scope.label(it.label), body(&said))
            })
            .collect();
        let chosen = move |me: &Me, _: &[(Dev, Said)]| {
            let told = answer(&told, me)?;
            let way = said.get(usize::from(told.way)).cloned();
            way.map(|it| (it, ())).ok_or_else(|| Reason::Other("it was told to".to_owned()))
        };
        let (label, said, _) = self.cx.choose::<Said, ()>(&step, chosen).await?;
        self.cx.chosen::<Said>(by, &said)?;
        let taken = branches.iter().find(|it| self.scope.label(it.label) == label);
        let branch = taken.ok_or_else(aura_choreography::rt::no_branch)?;
        self.learn(branch.label, DeviceSet::EMPTY);
        let (mut after, flow) = walk(self, branch.steps).await?;
        match (flow, branch.end) {
            (Flow::Next, End::Join) => Ok((after, Flow::Next)),
            (Flow::Next, End::Stop) => Ok((after, Flow::Stop)),
            (Flow::Next, End::Continue(mark)) => {
                after.go_back(mark, by)?;
                Ok((after, Flow::Back(mark)))
            }
            (flow, _) => Ok((after, flow)),
        }
    }

    fn may_take(&self, end: &End) -> bool {
        let End::Continue(mark) = end else { return true };
        let taken = self.back.get(&format!("{}{mark}", self.scope.prefix));
        taken.is_none_or(|it| *it < CONTINUES_MAX)
    }

    fn go_back(&mut self, mark: &str, by: RoleIx) -> Result<(), Stop> {
        *self.back.entry(format!("{}{mark}", self.scope.prefix)).or_default() += 1;
        self.rounds += 1;
        self.scope.round = self.rounds;
        self.cx.go_back(self.scope.known.mark(mark).unwrap_or_default(), by)
    }

    async fn sub(
        self,
        op: &'static str,
        last: Option<&&'static str>,
    ) -> Result<(Self, Flow), Stop> {
        let Self { cx, scope, rounds, back, learned } = self;
        let Some(of) = scope.known.parts.get(op) else {
            return Err(aura_choreography::rt::no_branch());
        };
        let first = scope.global().roles.iter().find(|it| !it.many).map_or("Opener", |it| it.name);
        let decider = scope.role(first);
        let session = of.known.global;
        let part = Part {
            step: op,
            base: of.base,
            session,
            decider,
            roles: of.roles,
            last: last.map(|it| (scope.label(it), last_word::<Exit> as fn(&Exit) -> _)),
        };
        let role = |name: &str, many: bool| {
            let mapped = of.roles.iter().find(|it| it.0 == name).map(|it| it.1);
            scope.of(mapped.unwrap_or(if many { RoleIx::ALL } else { decider }))
        };
        let declared = session.roles.iter().map(|it| (it.name, it.many));
        let fixed = [("Opener", false), ("All", true)];
        let inner = Scope {
            known: &of.known,
            prefix: format!("{}{op}/", scope.prefix),
            round: scope.round,
            roles: fixed.into_iter().chain(declared).map(|it| role(it.0, it.1)).collect(),
            decided: BTreeMap::new(),
            senders: BTreeMap::new(),
            addressed: BTreeMap::new(),
        };
        let (cx, around) = cx.enter(&part);
        let within = Self { cx, scope: inner, rounds, back, learned };
        let (after, _) = walk(within, session.steps).await?;
        Ok((Self { cx: after.cx.leave(around), scope, ..after }, Flow::Next))
    }
}

fn answer(told: &Each<Result<Option<Vec<u8>>, String>>, me: &Me) -> Result<Told, Reason> {
    let bytes = told.here(me)?.as_ref().map_err(|it| Reason::Other(it.clone()))?;
    let told = bytes.as_ref().and_then(|it| decode::<Told>(it, it.len()).ok());
    told.ok_or_else(|| Reason::Other("nobody told it what to decide".to_owned()))
}
