//! Smaller plans that fail in the same way.
//!
//! Randomness is keyed, so leaving something out moves nothing else: greedy steps get far.

use aura_choreography::Dev;

use crate::plan::{FOR_EVER, Fault, Plan, Strategy};

/// Runs after which the smallest plan found so far has to do.
const TRIES_MAX: u32 = 20_000;

/// The smallest plan that `fails` can be led to from a plan that does: no fault of it can be left
/// out, no number in it made smaller, and no device spared. Also how many plans were tried.
///
/// `threshold` says the quorum of so many devices.
pub fn shrink(
    plan: &Plan,
    threshold: impl Fn(u8) -> u8,
    mut fails: impl FnMut(&Plan) -> bool,
) -> (Plan, u32) {
    let mut best = plan.clone();
    let mut tries = 0;
    loop {
        let better = smaller(&best, &threshold).into_iter().find(|it| {
            tries += 1;
            tries < TRIES_MAX && fails(it)
        });
        match better {
            Some(plan) => best = plan,
            None => return (best, tries),
        }
    }
}

/// Plans that are one step smaller, the boldest steps first.
fn smaller(plan: &Plan, threshold: &impl Fn(u8) -> u8) -> Vec<Plan> {
    let mut plans = Vec::new();
    let faults = plan.faults.len();
    if 2 < faults {
        let halves = [plan.faults.get(..faults / 2), plan.faults.get(faults / 2..)];
        plans.extend(halves.into_iter().flatten().map(|it| with_faults(plan, it.to_vec())));
    }
    for index in 0..faults {
        let mut rest = plan.faults.clone();
        rest.remove(index);
        plans.push(with_faults(plan, rest));
    }
    if 1 < plan.devices {
        let devices = plan.devices - 1;
        let faults = plan.faults.iter().filter_map(|it| among(it, devices)).collect();
        let threshold = threshold(devices);
        plans.push(Plan { devices, threshold, ..with_faults(plan, faults) });
    }
    for jitter in down(plan.jitter, 1) {
        plans.push(Plan { jitter, ..plan.clone() });
    }
    for (index, fault) in plan.faults.iter().enumerate() {
        for weaker in weaker(fault) {
            let mut plan = plan.clone();
            if let Some(fault) = plan.faults.get_mut(index) {
                *fault = weaker;
            }
            plans.push(plan);
        }
    }
    plans
}

fn with_faults(plan: &Plan, faults: Vec<Fault>) -> Plan {
    Plan { faults, ..plan.clone() }
}

/// The fault among the first devices only.
fn among(fault: &Fault, devices: u8) -> Option<Fault> {
    match *fault {
        Fault::Partition { side, at, len } => {
            Some(Fault::Partition { side: side.without(Dev(devices)), at, len })
        }
        Fault::Slow { dev, .. }
        | Fault::ClockSkew { dev, .. }
        | Fault::Crash { dev, .. }
        | Fault::TornWrite { dev, .. }
        | Fault::Byzantine { dev, .. }
        | Fault::Eclipse { dev, .. }
        | Fault::Absent { dev }
        | Fault::Signal { dev, .. }
            if devices <= dev =>
        {
            None
        }
        other => Some(other),
    }
}

/// Smaller numbers: the least, half way, one less.
fn down(number: u32, least: u32) -> Vec<u32> {
    let mut numbers = vec![least, u32::midpoint(least, number), number.saturating_sub(1)];
    numbers.retain(|it| least <= *it && *it < number);
    numbers.dedup();
    numbers
}

/// The same fault, weaker in one of its numbers.
fn weaker(fault: &Fault) -> Vec<Fault> {
    let with = |number, least, fault: fn(u32) -> Fault| {
        down(number, least).into_iter().map(fault).collect::<Vec<_>>()
    };
    match *fault {
        Fault::Latency { by } => with(by, 1, |by| Fault::Latency { by }),
        Fault::Loss { per_mille } => with(per_mille, 1, |per_mille| Fault::Loss { per_mille }),
        Fault::Duplicate { per_mille } => {
            with(per_mille, 1, |per_mille| Fault::Duplicate { per_mille })
        }
        Fault::Reorder { by } => with(by, 1, |by| Fault::Reorder { by }),
        Fault::BatchedSync { every } => with(every, 2, |every| Fault::BatchedSync { every }),
        Fault::Slow { dev, by } => {
            down(by, 1).into_iter().map(|by| Fault::Slow { dev, by }).collect()
        }
        Fault::Partition { side, at, len } => {
            let mut weaker: Vec<_> =
                down(len, 1).into_iter().map(|len| Fault::Partition { side, at, len }).collect();
            weaker.extend(down(at, 0).into_iter().map(|at| Fault::Partition { side, at, len }));
            weaker
        }
        Fault::Eclipse { dev, at, len } => {
            let mut weaker: Vec<_> =
                down(len, 1).into_iter().map(|len| Fault::Eclipse { dev, at, len }).collect();
            weaker.extend(down(at, 0).into_iter().map(|at| Fault::Eclipse { dev, at, len }));
            weaker
        }
        Fault::Crash { dev, at, down: time } => {
            // Never coming back is simpler than coming back at some time.
            let times = if time < FOR_EVER { down(time, 1) } else { Vec::new() };
            let mut weaker: Vec<_> =
                times.into_iter().map(|down| Fault::Crash { dev, at, down }).collect();
            let ats = down(at, 0);
            weaker.extend(ats.into_iter().map(|at| Fault::Crash { dev, at, down: time }));
            weaker
        }
        Fault::TornWrite { dev, boundary, down: time } => {
            let times = down(time, 1).into_iter();
            times.map(|down| Fault::TornWrite { dev, boundary, down }).collect()
        }
        Fault::Byzantine { dev, strategy: Strategy::Hold { epochs } } => {
            let hold = |epochs| Fault::Byzantine { dev, strategy: Strategy::Hold { epochs } };
            down(epochs, 1).into_iter().map(hold).collect()
        }
        Fault::Sybil { count } => down(u32::from(count), 1)
            .into_iter()
            .map(|it| Fault::Sybil { count: it as u8 })
            .collect(),
        Fault::Signal { dev, at } => {
            down(at, 0).into_iter().map(|at| Fault::Signal { dev, at }).collect()
        }
        Fault::ClockSkew { .. } | Fault::Byzantine { .. } | Fault::Absent { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Promise, Shape};

    /// INV-Z6: a shrunk plan fails, and nothing of it can be left out.
    #[test]
    fn what_does_not_matter_is_left_out() {
        // Fails when device 1 is slow by 5 or more, and there are at least 3 devices.
        let fails = |plan: &Plan| {
            let slow = |it: &Fault| matches!(it, Fault::Slow { dev: 1, by } if 5 <= *by);
            3 <= plan.devices && plan.faults.iter().any(slow)
        };
        let shape = Shape::within(Promise::NOBODY, 7, 4, aura_choreography::DeviceSet::EMPTY);
        let mut shrunk = 0;
        for seed in 0..2_000 {
            let plan = Plan::from_seed(seed, &shape);
            if fails(&plan) {
                let (small, _) = shrink(&plan, |it| it / 2 + 1, fails);
                let only = vec![Fault::Slow { dev: 1, by: 5 }];
                assert_eq!(small, Plan { seed, devices: 3, threshold: 2, jitter: 1, faults: only });
                shrunk += 1;
            }
        }
        assert!(0 < shrunk, "no plan of these fails");
    }
}
