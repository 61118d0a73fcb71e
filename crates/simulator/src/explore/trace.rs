//! A run, as data and as text: what an exploration found to be wrong.

use std::fmt;

use aura_choreography::{Ask, Dev, DeviceSet, Event, GlobalType, LabelSet};

use super::{
    code::{How, Stage},
    key::Key,
    search::{Activity, Search, Unfit},
    show,
    world::{Brief, Place, Via, Way, World},
};

/// What happens in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A wait ends with these events; of events that all say the same, one.
    Takes(Vec<Event>),
    /// One event is delivered.
    Hears(Event),
    /// A deadline passes.
    TimesOut,
    /// The person at the device says something.
    IsTold(Vec<u8>),
    /// The device sees whether enough epochs have passed.
    SeesTime(bool),
    /// A pause ends.
    Rests,
    /// The device stops for ever, after having said these.
    Crashes(Vec<Event>),
    /// The adversary writes an event in its name.
    Writes(Event),
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceStep {
    /// At which device.
    pub dev: Dev,
    /// What.
    pub act: Act,
    /// The same for people.
    pub text: String,
}

/// A device that waits for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub dev: Dev,
    /// What for; nothing if it is its person.
    pub labels: LabelSet,
    /// Of whom.
    pub from: DeviceSet,
    /// Of how many.
    pub count: u8,
    /// The same for people.
    pub text: String,
}

/// A run that breaks a property: no other run that breaks one has fewer steps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// What happens.
    pub steps: Vec<TraceStep>,
    /// Who waits for ever at the end of it.
    pub waiting: Vec<Waiting>,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.steps.iter().map(|it| &it.text);
        for line in lines.chain(self.waiting.iter().map(|it| &it.text)) {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// The run along these states, and what is left to happen where it is stuck.
pub(super) fn explain<K: Key>(
    search: &mut Search<'_, '_, K>,
    path: &[K],
    stuck: Option<Activity>,
) -> Result<Trace, Unfit> {
    let global = search.global();
    let mut trace = Trace::default();
    let mut written = 0;
    for pair in path.windows(2) {
        let &[before, after] = pair else { continue };
        let moved = (0..search.world.slots.len()).find(|it| before.at(*it) != after.at(*it));
        let Some(slot) = moved else { continue };
        let (from, to) = (before.at(slot), after.at(slot));
        let via = search.all_ways(slot, before)?.into_iter().find(|it| it.to == to);
        let via = via.map_or(Via::Crash, |it| it.via);
        let reads = search.world.brief(slot, to).reads & !written;
        written |= reads;
        for event in (0..search.world.rules.injected).filter(|it| reads >> it & 1 == 1) {
            trace.steps.extend(tell(&search.world, global, slot, from, from, &Via::Writes(event)));
        }
        trace.steps.extend(tell(&search.world, global, slot, from, to, &via));
    }
    if let (Some(stuck), Some(last)) = (stuck, path.last()) {
        finish(search, *last, stuck, &mut trace)?;
    }
    Ok(trace)
}

/// Who crashes, who gives up, and who then waits for ever.
fn finish<K: Key>(
    search: &mut Search<'_, '_, K>,
    last: K,
    stuck: Activity,
    trace: &mut Trace,
) -> Result<(), Unfit> {
    let global = search.global();
    for slot in 0..search.world.slots.len() {
        let (place, bit) = (last.at(slot), |set: u32| set >> slot & 1 == 1);
        if bit(stuck.busy) {
            trace.steps.extend(tell(&search.world, global, slot, place, place, &Via::Crash));
        }
        if bit(stuck.free) {
            let quits = search.all_ways(slot, last)?.into_iter().find(|it| it.silent);
            let quits = quits.map(|Way { to, via, .. }| (to, via));
            trace.steps.extend(
                quits.and_then(|(to, via)| tell(&search.world, global, slot, place, to, &via)),
            );
        }
        if bit(stuck.blocked) {
            trace.waiting.extend(waiting(&search.world, global, slot, place));
        }
    }
    Ok(())
}

fn tell(
    world: &World<'_>,
    global: &GlobalType,
    slot: usize,
    from: u32,
    to: u32,
    via: &Via,
) -> Option<TraceStep> {
    let event = |it: &u32| world.code.ledger.events.get(*it).cloned();
    let (before, after) = (world.brief(slot, from), world.brief(slot, to));
    if let Via::Writes(written) = via {
        let event = event(written)?;
        let text = format!("adversary {} writes {}", event.author, show::say(global, &event));
        return Some(TraceStep { dev: event.author, act: Act::Writes(event), text });
    }
    let dev = world.slots.get(slot)?.dev?;
    let said = said(world, before, after);
    let (act, mut text) = match via {
        Via::On(How::Took(events)) => {
            let events = world.code.ledger.read(events);
            let text = format!("{dev} <- {}", took(world, global, slot, from, &events));
            (Act::Takes(events), text)
        }
        Via::Delivery(number) => {
            let event = event(number)?;
            let text = format!("{dev} <- {} of {}", show::say(global, &event), event.author);
            (Act::Hears(event), text)
        }
        Via::On(How::Timeout) => (Act::TimesOut, format!("{dev} times out")),
        Via::On(How::Signal) => {
            let told = world.signal_at(slot, from).unwrap_or_default().to_vec();
            let text = format!("{dev} is told {}", String::from_utf8_lossy(&told));
            (Act::IsTold(told), text)
        }
        Via::On(How::Passed(passed)) => {
            let text = if *passed { "the time is over" } else { "there is time" };
            (Act::SeesTime(*passed), format!("{dev} sees that {text}"))
        }
        Via::On(How::Rested | How::Start) => (Act::Rests, format!("{dev} has rested")),
        Via::Crash | Via::Writes(_) => {
            let mut text = format!("{dev} crashes");
            if !said.is_empty() {
                text.push_str(", having said only ");
                text.push_str(&list(global, &said));
            }
            return Some(TraceStep { dev, act: Act::Crashes(said), text });
        }
    };
    if !said.is_empty() {
        text.push_str("; says ");
        text.push_str(&list(global, &said));
    }
    match world.code.outcome(after.outcome) {
        Some(Ok(_)) => text.push_str("; finishes"),
        Some(Err(stop)) => text.push_str(&format!("; {stop}")),
        None => {}
    }
    Some(TraceStep { dev, act, text })
}

fn said(world: &World<'_>, before: Brief, after: Brief) -> Vec<Event> {
    let known = world.code.ledger.list(before.sent);
    let all = world.code.ledger.list(after.sent);
    // Who crashes in the beginning has said less than in the place that it comes from.
    let known = if all.len() < known.len() { &[] } else { known };
    let new: Vec<u32> = all.iter().filter(|it| !known.contains(it)).copied().collect();
    world.code.ledger.read(&new)
}

fn list(global: &GlobalType, events: &[Event]) -> String {
    let texts: Vec<_> = events.iter().map(|it| show::say(global, it)).collect();
    texts.join(", ")
}

/// `Commit(…) of 0 2`, or each by itself when they say different things.
fn took(
    world: &World<'_>,
    global: &GlobalType,
    slot: usize,
    from: u32,
    events: &[Event],
) -> String {
    let Some(first) = events.first() else { return "nothing".to_string() };
    let ask = world.ask_at(slot, from);
    if let Some(Ask::Await { want, .. }) = ask
        && want.same
        && want.labels.contains(first.label)
    {
        return format!("{} of {} devices", show::say(global, first), want.count);
    }
    let authors: DeviceSet = events.iter().map(|it| it.author).collect();
    if let [only] = events {
        return format!("{} of {}", show::say(global, only), only.author);
    }
    if events.iter().all(|it| it.label == first.label) {
        let label = global.label_text(first.label, first.round);
        return format!("{label}(…) of {authors}");
    }
    list(global, events)
}

fn waiting(world: &World<'_>, global: &GlobalType, slot: usize, place: u32) -> Option<Waiting> {
    let dev = world.slots.get(slot)?.dev?;
    let Some(Ask::Await { want, .. }) = world.ask_at(slot, place) else {
        let text = format!("{dev} waits for its person for ever");
        let (labels, from) = (LabelSet::default(), DeviceSet::EMPTY);
        return Some(Waiting { dev, labels, from, count: 0, text });
    };
    let labels = show::labels(global, want.labels.iter(), want.round);
    let (from, count) = (want.from, want.count);
    let whom = if from.len() == usize::from(count) {
        from.to_string()
    } else {
        format!("{count} of the devices {from}")
    };
    let text = format!("{dev} waits for {labels} of {whom} for ever");
    Some(Waiting { dev, labels: want.labels, from, count, text })
}

impl World<'_> {
    /// What the code at a place asks.
    fn ask_at(&self, slot: usize, place: u32) -> Option<&Ask> {
        let Place::Waits { node, .. } = self.at(slot, place)? else { return None };
        match &self.code.node(*node)?.stage {
            Stage::Waits(ask) => Some(ask),
            Stage::Ended(_) => None,
        }
    }

    /// What the person at a device says next.
    fn signal_at(&self, slot: usize, place: u32) -> Option<&[u8]> {
        let Place::Waits { node, .. } = self.at(slot, place)? else { return None };
        let node = self.code.node(*node)?;
        self.code.signal(node.dev, node.signals)
    }
}
