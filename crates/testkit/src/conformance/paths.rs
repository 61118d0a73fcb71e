//! Whether what a script asks is, at every device, a path of the projection of its global type.

use std::collections::BTreeSet;

use aura_choreography::{Dev, Ended, HostCall, Label, Machine, RoleIx, Script, Seat};
use aura_protocol_core::{
    DeviceId,
    lifecycle::EffectReply,
    session_type::{self, Local, LocalType, Observed, SessionType},
};
use thiserror::Error;

use super::{
    seen::{observed, place_of_end},
    table::{Place, Table, seats},
};
use crate::seed::Seeded;

/// Where a script runs that asks for more than others can say.
#[derive(Clone, Copy)]
pub struct Home {
    /// What the host of a device answers. The same to all of them: what it is asked says by whom.
    pub host: fn(&HostCall) -> EffectReply,
    /// The long names of the devices, ascending.
    pub device: fn(Dev) -> DeviceId,
}

/// A choreography, and how it is run.
#[derive(Clone)]
pub struct Subject<'a> {
    /// What runs.
    pub script: &'static dyn Script,
    /// The canonical text of its global type.
    pub text: &'a str,
    /// How many devices take part. The first opens the session.
    pub devices: u8,
    /// What the opener passes to everybody.
    pub params: Vec<u8>,
    /// What the person at a device says, good or bad, when the script asks; and what a session of another
    /// protocol comes to that the script runs, when it completes.
    pub says: fn(Dev, &mut Seeded) -> Vec<u8>,
}

/// What was seen over all runs: what a test needs to know that it tried something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paths {
    /// How often a device came to a result.
    pub finished: u64,
    /// How often one ended without.
    pub stopped: u64,
    /// How often one still waited when nothing could happen any more, or had crashed.
    pub left: u64,
    /// How many instructions were looked at.
    pub instructions: u64,
    /// The labels, those of parts included, that no device ever said.
    pub unsaid: BTreeSet<String>,
}

/// Where a script leaves what it declares. The script's fault, except for the first two.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Departed {
    /// The text is no session type, or not the script's.
    #[error("the text is not the script's session type: {0}")]
    Text(String),
    /// So many devices cannot run it with these parameters.
    #[error("there are no seats for these devices: {0}")]
    Seats(String),
    /// It issued an instruction that cannot come there.
    #[error("run {run}, device {dev}: {departure}, but {:?} was", seen.get(departure.at))]
    Path {
        /// The run, which is its seed.
        run: u64,
        /// Where.
        dev: Dev,
        /// All that the device issued.
        seen: Vec<Observed>,
        /// What could have come.
        departure: session_type::Departure,
    },
    /// It came to a result before its projection did.
    #[error("run {run}, device {dev}: a result although steps are left")]
    Early {
        /// The run.
        run: u64,
        /// Where.
        dev: Dev,
        /// All that the device issued.
        seen: Vec<Observed>,
    },
    /// Run again on the same answers, it asks or ends otherwise: its log is not its state.
    #[error("run {run}, device {dev}: another course on the same {answers} answers")]
    Fickle {
        /// The run.
        run: u64,
        /// Where.
        dev: Dev,
        /// After how many answers.
        answers: usize,
    },
    /// It waits for something that is no question.
    #[error("run {run}, device {dev}: it neither asks nor ends")]
    Mute {
        /// The run.
        run: u64,
        /// Where.
        dev: Dev,
    },
    /// It asked more than any run needs.
    #[error("run {run}, device {dev}: it asks without end")]
    Endless {
        /// The run.
        run: u64,
        /// Where.
        dev: Dev,
    },
}

/// Runs all devices of `subject` together, as often as `runs` says, and demands that each followed the
/// projection of the global type for its roles (INV-K3). Devices are honest; events come in any order
/// or never, waits with a deadline end at any time, devices crash, and people say what `says` makes.
///
/// # Errors
/// [`Departed`], in the first run in which a device did not.
pub fn choreography(subject: &Subject<'_>, runs: u64) -> Result<Paths, Departed> {
    all_runs(subject, None, runs)
}

/// As [`choreography`], for a script that asks its host to do what it cannot do itself: that of `home`
/// answers, but for the times when it refuses.
///
/// # Errors
/// [`Departed`], in the first run in which a device did not follow its projection.
pub fn choreography_at(home: &Home, subject: &Subject<'_>, runs: u64) -> Result<Paths, Departed> {
    all_runs(subject, Some(home), runs)
}

fn all_runs(subject: &Subject<'_>, home: Option<&Home>, runs: u64) -> Result<Paths, Departed> {
    let declared = declared(subject)?;
    let seats = seats(subject, home).map_err(|it| Departed::Seats(it.to_string()))?;
    let locals: Vec<LocalType> = seats.iter().map(|it| project(subject, &declared, it)).collect();
    let global = subject.script.global();
    let labels = (0..global.label_count()).map(|it| global.label_text(Label(it), 0));
    let mut paths = Paths { unsaid: labels.collect(), ..Paths::default() };
    for run in 0..runs {
        for (place, local) in Table::new(subject, home, &seats, run).run()?.iter().zip(&locals) {
            follow(subject, run, place, local, &mut paths)?;
        }
    }
    Ok(paths)
}

fn declared(subject: &Subject<'_>) -> Result<SessionType, Departed> {
    let declared =
        session_type::parse(subject.text).map_err(|it| Departed::Text(it.to_string()))?;
    let global = subject.script.global();
    if declared.name != global.name || subject.text.len() != global.text_len() {
        return Err(Departed::Text(format!("it is that of {}", declared.name)));
    }
    Ok(declared)
}

fn project(subject: &Subject<'_>, declared: &SessionType, seat: &Seat) -> LocalType {
    let plays = |role: &str| {
        let names = subject.script.global().roles.iter().map(|it| it.name);
        let fixed = usize::from(RoleIx::ALL.0) + 1;
        let place = names.into_iter().position(|it| it == role).map_or(0, |it| fixed + it);
        seat.roles().get(place).is_some_and(|it| it.devices.contains(seat.me))
    };
    declared.project(&plays)
}

fn follow(
    subject: &Subject<'_>,
    run: u64,
    place: &Place,
    local: &LocalType,
    paths: &mut Paths,
) -> Result<(), Departed> {
    let dev = place.seat.me;
    let log = place.machine.log();
    let seen = observed(subject.script.global(), &place.asks, log);
    if let Err(departure) = local.follow(&seen) {
        return Err(Departed::Path { run, dev, seen, departure });
    }
    match place.machine.ended() {
        Some(Ok(_)) if !is_whole(local, &seen) => return Err(Departed::Early { run, dev, seen }),
        Some(Ok(_)) => paths.finished += 1,
        Some(Err(_)) => paths.stopped += 1,
        None => paths.left += 1,
    }
    paths.instructions += seen.len() as u64;
    for it in &seen {
        if let Observed::Sent(label) = it {
            paths.unsaid.remove(label);
        }
    }
    match again(subject, place) {
        Some(answers) => Err(Departed::Fickle { run, dev, answers }),
        None => Ok(()),
    }
}

/// Whether a device that issued this is through with its projection: then, and only then, it can do one
/// thing more, before it pays what it owes.
fn is_whole(local: &LocalType, seen: &[Observed]) -> bool {
    // No label of a session type begins with a space.
    let end = " end".to_owned();
    let more = Local::Send { label: end.clone(), to: None, among: None, no: None };
    // A branch that stops leads to the end of its part: here, to one thing more.
    let with_more = LocalType { steps: vec![Local::Sub { steps: local.steps.clone() }, more] };
    place_of_end(seen).any(|at| {
        let mut seen = seen.to_vec();
        seen.insert(at, Observed::Sent(end.clone()));
        with_more.follow(&seen).is_ok()
    })
}

/// After how many answers a script goes another way when it gets the same ones again, if it does.
fn again(subject: &Subject<'_>, place: &Place) -> Option<usize> {
    let log = place.machine.log();
    let mut machine = Machine::start(subject.script, place.seat.clone());
    for (answers, (ask, reply)) in place.asks.iter().zip(log).enumerate() {
        if machine.pending() != Some(ask) {
            return Some(answers);
        }
        machine.answer(reply.clone());
    }
    let state = |it: &Machine| -> (Option<_>, Option<Ended>) {
        (it.pending().cloned(), it.ended().cloned())
    };
    (state(&machine) != state(&place.machine)).then_some(log.len())
}
