//! Replays the run of a witness in the running code.

use aura_choreography::{Dev, Reason};
use aura_protocol_core::session_type::{self as compared, Action, Fault, Run, WhyMissing};
use thiserror::Error;

use super::{
    End, Interpreted, Mix, Verdict,
    running::{COUNT, Running},
    said::Told,
};

/// Where the running code does something else than a run says.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Differs {
    /// The roles do not fit the types.
    #[error("no device can take its seat: {0}")]
    NoSeat(Reason),
    /// A device does not do what the run says.
    #[error("move {at}: device {device} does not come to decide {label}")]
    Decides {
        /// Which move of the schedule, from 0.
        at: usize,
        /// The device.
        device: u8,
        /// What it should decide.
        label: String,
    },
    /// A device does not answer, or wait, as the run says.
    #[error("move {at}: device {device} does not come to answer or give up {label}")]
    Answers {
        /// Which move of the schedule, from 0.
        at: usize,
        /// The device.
        device: u8,
        /// What it is asked for, or waits for.
        label: String,
    },
    /// The run does not go wrong as it says.
    #[error("it does not go wrong as it says, but so:\n{0}")]
    Fault(Box<Verdict>),
}

/// Replays a run of these two versions: it must go wrong exactly as it says.
///
/// # Errors
/// [`Differs`], where the running code and the comparison disagree.
pub fn replay(
    versions: (&'static Interpreted, &'static Interpreted),
    run: &Run,
) -> Result<(), Differs> {
    let mix = Mix::new(versions, run.versions, &run.roles);
    let mut running = Running::new(&mix).map_err(Differs::NoSeat)?;
    running.settle();
    for (at, step) in run.schedule.iter().enumerate() {
        let device = usize::from(step.device);
        let (label, devices, late) = match &step.action {
            Action::Decides { label, devices } => (label, devices.as_ref(), false),
            Action::TimesOut { label, .. } => (label, None, true),
            action => {
                answer(&mut running, device, action).ok_or_else(|| {
                    let label = match action {
                        Action::Declines { label, .. } | Action::GivesUp { awaited: label } => {
                            label
                        }
                        _ => "",
                    };
                    Differs::Answers { at, device: step.device, label: label.to_owned() }
                })?;
                running.settle();
                continue;
            }
        };
        let differs = || Differs::Decides { at, device: step.device, label: label.clone() };
        let question = running.question(device).ok_or_else(differs)?;
        let way = question.ways.iter().position(|it| it == label).ok_or_else(differs)?;
        let way = u8::try_from(way).map_err(|_| differs())?;
        let devices = devices.map(|it| it.iter().map(|it| Dev(*it)).collect());
        let said = running.devices.get(device).map_or(0, |it| it.said.len());
        running.tell(device, &Told { way, devices });
        if late {
            if !running.late().contains(&device) {
                return Err(differs());
            }
            running.time_out(device);
        }
        let says = running.devices.get(device).and_then(|it| it.said.get(said));
        if says != Some(label) {
            return Err(differs());
        }
        running.settle();
    }
    if is_reproduced(&mut running, &run.fault) {
        Ok(())
    } else {
        Err(Differs::Fault(Box::new(running.verdict())))
    }
}

/// Makes a move that is no decision. Most of them the runtime makes by itself.
fn answer(running: &mut Running, device: usize, action: &Action) -> Option<()> {
    let asked = running.question(device).filter(|it| it.declines.is_some());
    let asked = asked.and_then(|it| it.ways.first()).cloned();
    match action {
        Action::Sends { label, .. } if asked.as_ref() == Some(label) => {
            running.tell(device, &Told { way: 0, devices: None });
        }
        Action::Declines { label, .. } => {
            asked.filter(|it| it == label)?;
            running.tell(device, &Told { way: 1, devices: None });
        }
        Action::GivesUp { awaited } => {
            let is_it = running.late().contains(&device)
                && running.awaited(device).iter().eq(core::iter::once(awaited));
            is_it.then(|| running.time_out(device))?;
        }
        _ => {}
    }
    Some(())
}

/// Lets every decider that stands before a decision try to take it.
fn try_all(running: &mut Running) {
    for device in 0..COUNT {
        if running.question(device).is_some() {
            running.tell(device, &Told { way: 0, devices: None });
        }
    }
    running.settle();
}

fn is_reproduced(running: &mut Running, fault: &Fault) -> bool {
    match fault {
        Fault::Waits { device, labels, missing, .. } => {
            try_all(running);
            let device = usize::from(*device);
            let refused = missing.iter().any(|it| matches!(it.why, WhyMissing::Refused { .. }));
            let ended = running.devices.get(device).and_then(|it| it.session.ended()).map(End::of);
            match ended {
                // The runtime does not wait on when a decision cannot be right. Who votes on it
                // may win a quorum for blaming its decider.
                Some(End::Aborted(blamed)) => refused && !blamed.is_empty(),
                Some(End::Left(_)) => refused,
                Some(_) => false,
                None => running.awaited(device).iter().eq(sorted(labels)),
            }
        }
        Fault::Unheard { device, decider, label } => {
            let (device, decider) = (usize::from(*device), usize::from(*decider));
            let Some(question) = running.question(decider) else { return false };
            let gives_up = question.ways.last().cloned().unwrap_or_default();
            running.signal(Some(device));
            running.settle();
            try_all(running);
            let says = |device: usize, label: &String| {
                running.devices.get(device).is_some_and(|it| it.said.contains(label))
            };
            // It never stops by itself. Where others vote, they may still overrule it.
            says(device, label) && !says(decider, &gives_up)
        }
        Fault::EndsDiffer { ends } => {
            let alike = |(device, end): (&super::running::Device, &compared::End)| {
                let ended = device.session.ended().map(End::of);
                match end {
                    compared::End::Finished => matches!(ended, Some(End::Finished(_))),
                    compared::End::Aborted => matches!(ended, Some(End::Aborted(_))),
                    compared::End::GaveUp => matches!(ended, Some(End::Left(_))),
                }
            };
            running.devices.iter().zip(ends).all(alike)
        }
        Fault::Unlearned { decision, device } => {
            let knows = |device: u8| {
                let device = running.devices.get(usize::from(device))?;
                match End::of(device.session.ended()?) {
                    End::Finished(all) => Some(all.iter().any(|it| it.0 == decision.label)),
                    _ => None,
                }
            };
            knows(decision.device) == Some(true) && knows(*device) == Some(false)
        }
        _ => false,
    }
}

fn sorted(labels: &[String]) -> impl Iterator<Item = &String> {
    let mut all: Vec<&String> = labels.iter().collect();
    all.sort();
    all.into_iter()
}
