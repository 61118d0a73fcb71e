//! Nothing that matters is lost by what is left out, nor by delivering lazily.

use aura_choreography::{Dev, Event, Script};
use aura_simulator::{
    draw::mix,
    explore::{Delivery, Model, Reduction, Report, Verdict},
    protocols::{
        dkd::{Dkd, derivation},
        dkd_certified::DkdCertified,
        dkd_naive::DkdNaive,
        dkd_no_ttl::DkdNoTtl,
        locking::Locking,
    },
};

use crate::explore_scripts::{Loop, Parting, Patient, Rest, Spread, Veto};

fn scripts() -> [(&'static str, &'static dyn Script); 11] {
    [
        ("dkd", &Dkd),
        ("no ttl", &DkdNoTtl),
        ("naive", &DkdNaive),
        ("certified", &DkdCertified),
        ("locking", &Locking),
        ("spread", &Spread),
        ("veto", &Veto),
        ("loop", &Loop),
        ("rest", &Rest),
        ("patient", &Patient),
        ("parting", &Parting),
    ]
}

fn base(script: &'static dyn Script) -> Model<'static> {
    let params = if script.cast(&opening(&[2])).is_ok() { vec![2] } else { Vec::new() };
    Model::new(script, 3).params(params).rounds(1).signals(Dev(2), vec![vec![1]])
}

fn opening(params: &[u8]) -> aura_choreography::Opening<'_> {
    static IDS: [aura_protocol_core::DeviceId; 3] = [
        aura_protocol_core::DeviceId::from_bytes([0; 32]),
        aura_protocol_core::DeviceId::from_bytes([1; 32]),
        aura_protocol_core::DeviceId::from_bytes([2; 32]),
    ];
    aura_choreography::Opening { devices: &IDS, opener: Dev(0), params }
}

/// Which property is broken, and in how many steps at least.
fn essence(report: &Report) -> Option<(String, usize)> {
    match &report.verdict {
        Verdict::Holds => None,
        Verdict::Violated { property, trace } => Some((property.to_string(), trace.steps.len())),
        Verdict::Capped => panic!("capped"),
    }
}

/// INV-M2: with and without what nobody can tell from silence, the same verdict, as early.
#[test]
fn silence_is_no_step() {
    let mut broken = 0;
    for (name, script) in scripts() {
        for crashes in 0..3 {
            for delivery in [Delivery::Lazy, Delivery::Eager] {
                if delivery == Delivery::Eager && ["certified", "spread"].contains(&name) {
                    continue;
                }
                let model = base(script).crashes(crashes).delivery(delivery);
                let few = model.explore().unwrap();
                let all = model.reduction(Reduction::None).explore().unwrap();
                let (few_steps, all_steps) =
                    (essence(&few).map(|it| it.1), essence(&all).map(|it| it.1));
                assert_eq!(few_steps, all_steps, "{name}, {crashes} crashes, {delivery:?}");
                assert_eq!(few_steps.is_none(), all_steps.is_none());
                assert!(few.unique <= all.unique);
                broken += usize::from(all_steps.is_some());
            }
        }
    }
    assert!(10 < broken, "{broken} broken models");
}

/// Some of what a device might say, and of what looks like it.
fn some_lies(script: &'static dyn Script, dev: Dev, seed: u64) -> Model<'static> {
    let lying = base(script).lying(dev).unwrap();
    let all: Vec<Event> = lying.lies().to_vec();
    let picked = (0..3_u64).map(|it| mix(seed ^ it << 32) as usize % all.len());
    picked.fold(base(script).silent(dev), |model, at| model.may_write(all[at].clone()))
}

/// INV-M2: and with an adversary that keeps silent as it likes.
#[test]
fn what_the_adversary_keeps_back_is_no_step() {
    let (mut broken, mut held) = (0, 0);
    for (at, (name, script)) in scripts().into_iter().enumerate() {
        for seed in 0..8_u64 {
            let seed = mix(seed << 8 | at as u64);
            let dev = Dev((seed % 3) as u8);
            let model = some_lies(script, dev, seed).crashes((seed >> 8) as u8 % 2);
            let few = essence(&model.explore().unwrap());
            let all = essence(&model.clone().reduction(Reduction::None).explore().unwrap());
            let steps = |it: &Option<(String, usize)>| it.as_ref().map(|it| it.1);
            assert_eq!(
                steps(&few),
                steps(&all),
                "{name}, device {dev}, seed {seed:#x}: {few:?} {all:?}"
            );
            if all.is_some() { broken += 1 } else { held += 1 }
        }
    }
    assert!(5 < broken && 5 < held, "{broken} broken, {held} hold");
}

/// INV-M1: how devices can end when events come one by one, they can end when they are taken lazily.
#[test]
fn lazy_delivery_misses_nothing() {
    let mut compared = 0;
    for (name, script) in scripts() {
        if ["certified", "spread"].contains(&name) {
            continue;
        }
        for crashes in 0..2 {
            let model = base(script).crashes(crashes).reduction(Reduction::None).keep_outcomes();
            compared += contained(name, &model);
        }
    }
    for seed in 0..6 {
        for script in [&Dkd as &'static dyn Script, &Locking] {
            let model = some_lies(script, Dev((seed % 3) as u8), seed);
            compared += contained("liar", &model.reduction(Reduction::None).keep_outcomes());
        }
    }
    assert!(250 < compared, "{compared} outcomes");
}

/// INV-M1: what a device finds when it looks may be anything that was said by then, and its own word.
#[test]
fn a_look_after_a_rest_may_find_anything() {
    for delivery in [Delivery::Lazy, Delivery::Eager] {
        let report = base(&Rest).delivery(delivery).keep_outcomes().explore().unwrap();
        let results: std::collections::BTreeSet<Vec<u8>> = report
            .outcomes
            .iter()
            .filter_map(|it| match it[0].as_ref()? {
                Ok(aura_protocol_core::Outcome::Completed { result, .. }) => Some(result.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(results, [vec![1], vec![2], vec![3]].into(), "{delivery:?}");
    }
}

/// Checks that all ways of ending are among the lazy ones; says how many there are.
fn contained(name: &str, model: &Model<'static>) -> usize {
    let eager = model.clone().delivery(Delivery::Eager).explore().unwrap();
    let lazy = model.explore().unwrap();
    if lazy.verdict != Verdict::Holds {
        return 0;
    }
    assert_eq!(eager.verdict, Verdict::Holds, "{name}");
    for outcome in &eager.outcomes {
        assert!(lazy.outcomes.contains(outcome), "{name}: {outcome:?}");
    }
    eager.outcomes.len()
}

/// INV-M4: devices that ended alike, having said the same, are at one place, whatever they had read.
#[test]
fn who_ended_alike_is_at_one_place() {
    let report = base(&Dkd).explore().unwrap();
    // Each may come to the key of three sets, or of the abort of one or the other decision; there is
    // more to be read than that.
    assert!(report.places < report.locals, "{} {}", report.places, report.locals);
    let silent = base(&Dkd).may_say(Dev(1), derivation::COMMIT, &7_u64);
    assert!(silent.explore().unwrap().places < report.places);
}
