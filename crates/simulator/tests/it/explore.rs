//! What the explorer finds, and what it must not miss.

use aura_choreography::{Dev, DeviceSet, Event, Input, Label, Script, Session, Stop};
use aura_simulator::{
    explore::{
        Act, Delivery, Expected, ExploreError, Model, Property, Reduction, Report, Trace, Verdict,
        run_suite, suite,
    },
    protocols::{
        dkd::{Dkd, derivation},
        dkd_certified::DkdCertified,
        dkd_naive::DkdNaive,
        dkd_no_ttl::DkdNoTtl,
        locking::Locking,
        tour::Tour,
    },
};

use crate::explore_scripts::{Asks, Chatter, Deaf, Loop, Parting, Patient, Spread, Veto, seat};

fn model(script: &'static dyn Script, quorum: u8, devices: u8) -> Model<'static> {
    Model::new(script, devices).params(vec![quorum])
}

#[track_caller]
fn violated(report: &Report) -> (&Property, &Trace) {
    match &report.verdict {
        Verdict::Violated { property, trace } => (property, trace),
        other => panic!("{other}"),
    }
}

/// Two devices freeze two quorums and derive two keys, without any fault.
#[test]
fn the_flow_that_suggests_itself_gives_two_keys() {
    let report = model(&DkdNaive, 2, 3).explore().unwrap();
    let (property, trace) = violated(&report);
    assert_eq!((property, trace.steps.len()), (&Property::Agreement, 7));
    let text = trace.to_string();
    assert!(text.starts_with("1 <- Init(0x"), "{text}");
    assert!(text.contains("\n0 <- Commit(…) of 0 1; says Reveal(0x"), "{text}");
    assert_eq!(text.matches("; finishes\n").count(), 2, "{text}");
}

/// INV-M5: a trace is a run: real sessions that hear what it says end as it says.
#[test]
fn sessions_can_run_what_a_trace_says() {
    let report = model(&DkdNaive, 2, 3).explore().unwrap();
    let results = replay(&DkdNaive, 2, 3, violated(&report).1);
    assert_ne!(results[0], results[1]);
    let report = two_keys(&Dkd).explore().unwrap();
    let results = replay(&Dkd, 3, 4, violated(&report).1);
    assert_eq!(results.len(), 2);
    assert_ne!(results[0], results[1]);
}

/// The results of all devices that finish when sessions do what a trace says.
fn replay(
    script: &'static dyn Script,
    quorum: u8,
    devices: u8,
    trace: &Trace,
) -> Vec<aura_protocol_core::Outcome> {
    let mut heard = vec![Vec::new(); usize::from(devices)];
    let mut sessions: Vec<Session> =
        (0..devices).map(|it| Session::new(script, seat(script, it, devices, quorum))).collect();
    let mut results = Vec::new();
    for (dev, session) in sessions.iter_mut().enumerate() {
        heard[dev] = session.step(Input::Start).unwrap().emit;
    }
    for step in &trace.steps {
        let Act::Takes(events) = &step.act else { continue };
        let dev = usize::from(step.dev.0);
        for event in events {
            if heard[dev].contains(event) {
                continue;
            }
            let output = sessions[dev].step(Input::Event(event.clone())).unwrap();
            heard[dev].push(event.clone());
            heard[dev].extend(output.emit);
            results.extend(output.ended.and_then(Result::ok));
        }
    }
    results
}

/// A dead decider blocks everybody, and the trace says who waits for what.
#[test]
fn without_a_ttl_a_crash_blocks() {
    let report = model(&DkdNoTtl, 2, 3).crashes(1).explore().unwrap();
    let (property, trace) = violated(&report);
    assert_eq!((property, trace.steps.len(), trace.waiting.len()), (&Property::Progress, 3, 2));
    assert!(trace.steps.iter().any(|it| it.text == "0 crashes"), "{trace}");
    assert_eq!(trace.waiting[0].text, "1 waits for Freeze or Abort of 0 for ever");
    assert_eq!(trace.waiting[1].from, DeviceSet::one(Dev(0)));
    assert_eq!(model(&DkdNoTtl, 2, 3).explore().unwrap().verdict, Verdict::Holds);
}

fn two_keys(script: &'static dyn Script) -> Model<'static> {
    let zero = Dev(0);
    model(script, 3, 4)
        .may_say(zero, derivation::INIT, &1_u64)
        .may_say(zero, derivation::FREEZE, &DeviceSet::all(4))
        .may_say(zero, derivation::FINALIZE, &1_u64)
        .may_say(zero, derivation::FINALIZE, &2_u64)
}

/// A coordinator that says two keys makes two devices disagree, unless decisions are certified.
#[test]
fn a_coordinator_with_two_faces_is_found() {
    let report = two_keys(&Dkd).explore().unwrap();
    let (property, trace) = violated(&report);
    assert_eq!((property, trace.steps.len()), (&Property::Agreement, 10));
    let lie = trace.steps.iter().find(|it| matches!(it.act, Act::Writes(_))).unwrap();
    assert_eq!(lie.text, "adversary 0 writes Init(1)");
    assert!(trace.to_string().contains("adversary 0 writes Freeze({0 1 2 3})"), "{trace}");
}

/// INV-M2: the figures with nothing left out are those of the design where the models are one.
#[test]
fn nothing_is_left_out_on_demand() {
    let all = |it: Model<'static>| it.reduction(Reduction::None).explore().unwrap();
    let table: [(Model<'_>, usize); 4] = [
        (model(&Dkd, 2, 3), 276),
        (model(&Dkd, 3, 4), 1_729),
        (model(&Dkd, 3, 5).crashes(2), 114_872),
        (model(&DkdCertified, 3, 4).crashes(1), 129_666),
    ];
    for (model, unique) in table {
        let report = all(model);
        assert_eq!((report.unique, &report.verdict), (unique, &Verdict::Holds));
    }
}

/// INV-M5: the same model, the same report.
#[test]
fn reports_do_not_change() {
    for model in [model(&DkdNaive, 2, 3), model(&DkdCertified, 2, 3).crashes(1)] {
        assert_eq!(model.explore().unwrap(), model.explore().unwrap());
    }
}

/// Every model of the suite comes out as it must.
#[test]
fn the_suite_comes_out_as_it_must() {
    let mut wrong = Vec::new();
    let fits = run_suite("", |case, result, fits| {
        if !fits {
            wrong.push(format!("{}: {result:?}", case.name));
        }
    });
    assert!(fits, "{wrong:#?}");
    assert!(!run_suite("no such model", |_, _, _| ()));
    let names: std::collections::BTreeSet<_> = suite().into_iter().map(|it| it.name).collect();
    assert_eq!(names.len(), suite().len());
}

#[test]
fn a_verdict_is_what_was_expected_or_not() {
    let broken = model(&DkdNaive, 2, 3).explore().unwrap().verdict;
    assert!(Expected::Disagrees.is(&broken) && !Expected::Holds.is(&broken));
    assert!(!Expected::Divides.is(&broken) && !Expected::Blocks.is(&broken));
    assert!(Expected::Holds.is(&Verdict::Holds) && !Expected::Holds.is(&Verdict::Capped));
}

/// More devices than fit into a word, and hundreds of different events.
#[test]
fn large_models_are_explored_too() {
    let report = model(&Locking, 8, 9).explore().unwrap();
    assert_eq!((report.verdict, report.unique), (Verdict::Holds, 769));
    let report = model(&DkdCertified, 4, 5).explore().unwrap();
    assert_eq!((report.unique, report.verdict), (50_982, Verdict::Holds));
    assert_eq!(model(&Locking, 9, 17).explore(), Err(ExploreError::TooManyDevices(16)));
}

#[test]
fn a_cap_is_no_verdict() {
    let report = model(&DkdCertified, 3, 4).states_max(1000).explore().unwrap();
    assert_eq!(report.verdict, Verdict::Capped);
    assert!((1000..9_384).contains(&report.unique));
}

/// Whatever the model's author asks for beside.
#[test]
fn an_invariant_is_judged_where_devices_have_ended() {
    let aborts = |it: &Option<_>| matches!(it, Some(Err(Stop::Aborted(_))));
    let nobody_aborts = model(&Dkd, 2, 3).invariant(move |ended| {
        if ended.iter().any(aborts) { Err("somebody aborts".to_owned()) } else { Ok(()) }
    });
    let report = nobody_aborts.explore().unwrap();
    let (property, trace) = violated(&report);
    assert_eq!(*property, Property::Invariant("somebody aborts".to_owned()));
    assert_eq!(
        trace.to_string(),
        "0 times out; says Abort(not enough was there in time); aborted: not enough was there in time\n"
    );
    let sizes = model(&Dkd, 2, 3)
        .invariant(|ended| if ended.len() == 3 { Ok(()) } else { Err("three devices".to_owned()) });
    assert_eq!(sizes.explore().unwrap().verdict, Verdict::Holds);
}

/// What a model cannot be is said, and never a panic.
#[test]
fn unfit_models_are_refused() {
    assert!(matches!(model(&Dkd, 4, 3).explore(), Err(ExploreError::NoSeat(_))));
    let deaf = model(&Dkd, 2, 3).may_say(Dev(1), derivation::COMMIT, &DeviceSet::EMPTY);
    assert_eq!(deaf.explore(), Err(ExploreError::Unheard { label: "Commit".to_owned() }));
    let nobody = model(&Dkd, 2, 3).may_say(Dev(3), derivation::COMMIT, &1_u64);
    assert!(matches!(nobody.explore(), Err(ExploreError::Unheard { .. })));
    assert_eq!(Model::new(&Chatter, 1).explore(), Err(ExploreError::Endless { dev: Dev(0) }));
    assert_eq!(Model::new(&Deaf, 1).explore(), Err(ExploreError::Stuck { dev: Dev(0) }));
    let many = (0..129_u64)
        .fold(model(&Dkd, 2, 3), |it, value| it.may_say(Dev(1), derivation::COMMIT, &value));
    assert_eq!(many.explore(), Err(ExploreError::TooManyInjected));
    assert_eq!(model(&Dkd, 1, 0).explore(), Err(ExploreError::NobodyRuns));
    assert_eq!(model(&Dkd, 1, 1).silent(Dev(0)).explore(), Err(ExploreError::NobodyRuns));
}

/// A device that may lie in every way it could speak does no harm as a member, and much as the
/// coordinator.
#[test]
fn liars_say_whatever_they_might() {
    let member = model(&Dkd, 2, 3).lying(Dev(1)).unwrap();
    assert_eq!(member.explore().unwrap().verdict, Verdict::Holds);
    let coordinator = model(&Dkd, 2, 3).lying(Dev(0)).unwrap().explore().unwrap();
    assert_eq!(violated(&coordinator).0, &Property::Decision);
    let text = violated(&coordinator).1.to_string();
    assert!(text.contains("adversary 0 writes"), "{text}");
}

/// What the person says, and may not say, at any time.
#[test]
fn a_signal_may_come_at_any_time_or_never() {
    let outcomes = |said: Vec<Vec<u8>>| {
        let model = Model::new(&Veto, 3).signals(Dev(1), said).keep_outcomes();
        let report = model.explore().unwrap();
        assert_eq!(report.verdict, Verdict::Holds);
        let vetoed = |it: &Vec<Option<_>>| matches!(&it[0], Some(Err(Stop::Aborted(reason))) if reason.code() == "Vetoed");
        let finished = |it: &Vec<Option<_>>| matches!(it[0], Some(Ok(_)));
        (report.outcomes.iter().any(vetoed), report.outcomes.iter().any(finished))
    };
    assert_eq!(outcomes(vec![]), (false, true));
    assert_eq!(outcomes(vec![vec![0]]), (false, true));
    assert_eq!(outcomes(vec![vec![1]]), (true, true));
    assert_eq!(outcomes(vec![vec![0], vec![1]]), (true, true));
}

/// INV-M5: a run of two steps is shorter than one step for which the adversary writes three events.
#[test]
fn what_has_to_be_written_counts() {
    let ends = |it: &Option<_>| match it {
        Some(Err(Stop::Aborted(reason))) => reason.code() == "Vetoed",
        it => matches!(it, Some(Ok(_))),
    };
    let nobody_ends = (1..5).fold(Model::new(&Veto, 5), |it, dev| {
        it.may_say(Dev(dev), crate::explore_scripts::objection::VOTE, &1_u8)
    });
    let nobody_ends = nobody_ends.signals(Dev(0), vec![vec![0], vec![1]]).invariant(move |ended| {
        if ended.iter().any(ends) { Err("ends".to_owned()) } else { Ok(()) }
    });
    for reduction in [Reduction::Silence, Reduction::None] {
        let report = nobody_ends.clone().reduction(reduction).explore().unwrap();
        let (_, trace) = violated(&report);
        assert_eq!((trace.steps.len(), &trace.steps[1].act), (2, &Act::IsTold(vec![1])), "{trace}");
    }
}

/// The time for going back is over when the model says so; until then it may be or not.
#[test]
fn a_session_goes_back_as_often_as_the_model_says() {
    let unique: Vec<_> = (0..4)
        .map(|rounds| {
            let report = Model::new(&Loop, 2).rounds(rounds).explore().unwrap();
            assert_eq!(report.verdict, Verdict::Holds, "{rounds}");
            report.unique
        })
        .collect();
    let goes_back = Model::new(&Loop, 2).rounds(3).invariant(|ended| {
        let second = |it: &Stop| matches!(it, Stop::Stalled { .. });
        let left = ended.iter().flatten().filter_map(|it| it.as_ref().err()).any(second);
        if left { Err("somebody gives up".to_owned()) } else { Ok(()) }
    });
    assert_eq!(goes_back.explore().unwrap().verdict, Verdict::Holds, "it is not told of silence");
    assert!(unique.windows(2).all(|it| it[0] < it[1]), "{unique:?}");
}

/// A host's answers come from the model.
#[test]
fn hosts_are_part_of_the_model() {
    use aura_protocol_core::lifecycle::EffectReply;
    let same = Model::new(&Asks, 2).host(|_, _| EffectReply::Used(vec![7]));
    assert_eq!(same.explore().unwrap().verdict, Verdict::Holds);
    let denied = Model::new(&Asks, 2).keep_outcomes().reduction(Reduction::None);
    let outcomes = denied.explore().unwrap().outcomes;
    assert!(outcomes.iter().all(|it| matches!(it[0], Some(Err(Stop::Failed(_))))), "{outcomes:?}");
}

/// Traces of addressed messages, parts and later rounds are readable.
#[test]
fn traces_read_well() {
    let somebody_ends = model(&Tour, 2, 3).invariant(|ended| {
        if ended.iter().flatten().any(Result::is_ok) { Err("ends".to_owned()) } else { Ok(()) }
    });
    let report = somebody_ends.explore().unwrap();
    let text = violated(&report).1.to_string();
    assert!(text.contains("lock/Request("), "{text}");
    let nobody_aborts = Model::new(&Loop, 2).rounds(1).invariant(|ended| {
        let bounded = |it: &Stop| matches!(it, Stop::Aborted(reason) if reason.code() == "Bounded");
        let fails = ended.iter().flatten().filter_map(|it| it.as_ref().err()).any(bounded);
        if fails { Err("bounded".to_owned()) } else { Ok(()) }
    });
    let report = nobody_aborts.explore().unwrap();
    let text = violated(&report).1.to_string();
    assert!(text.contains("0 sees that the time is over; says Abort(it went back"), "{text}");
    let twice = Model::new(&Loop, 2)
        .rounds(2)
        .invariant(|ended| if ended[1].is_some() { Err("ends".to_owned()) } else { Ok(()) });
    let text = twice.reduction(Reduction::None).explore().unwrap().verdict.to_string();
    assert!(text.starts_with("violated after 1 steps: invariant: ends\n1 times out"), "{text}");
    let somebody_ends = Model::new(&Spread, 3).invariant(|ended| {
        if ended.iter().flatten().any(Result::is_ok) { Err("ends".to_owned()) } else { Ok(()) }
    });
    let report = somebody_ends.explore().unwrap();
    assert_eq!(violated(&report).1.to_string(), "0 <- Deal(…) of 0 1 2; says Sum(30); finishes\n");
}

/// Whoever crashes while it deals has dealt to the first ones only; and without a deadline that
/// blocks the rest.
#[test]
fn a_crash_may_come_between_two_words() {
    let report = Model::new(&Spread, 3).crashes(1).explore().unwrap();
    let (property, trace) = violated(&report);
    assert_eq!(*property, Property::Progress);
    let crash = trace.steps.iter().find(|it| matches!(it.act, Act::Crashes(_))).unwrap();
    assert_eq!(crash.text, "0 crashes, having said only Deal(0) to 0");
    assert_eq!(Model::new(&Spread, 3).explore().unwrap().verdict, Verdict::Holds);
}

/// Whoever gives up without a word needs no crash to leave others waiting.
#[test]
fn giving_up_leaves_others_waiting() {
    let report = Model::new(&Patient, 2).explore().unwrap();
    let (property, trace) = violated(&report);
    assert_eq!(*property, Property::Progress);
    let expected = "1 times out; gave up waiting for devices 0\n0 waits for Word of 0 1 for ever\n";
    assert_eq!(trace.to_string(), expected);
    let report = Model::new(&Parting, 3).explore().unwrap();
    assert_eq!(report.verdict, Verdict::Holds, "those who fail have said what is waited for");
}

/// Eager delivery finds the same fault.
#[test]
fn delivery_one_by_one_finds_it_too() {
    let report = model(&DkdNaive, 2, 3).delivery(Delivery::Eager).explore().unwrap();
    let (property, trace) = violated(&report);
    assert_eq!((property, trace.steps.len()), (&Property::Agreement, 7));
    assert!(
        trace.steps.iter().any(|it| matches!(&it.act, Act::Hears(event) if event.author == Dev(0)))
    );
    let _: &Event = match &trace.steps[0].act {
        Act::Hears(event) => event,
        other => panic!("{other:?}"),
    };
    assert_eq!(Label(0), derivation::INIT);
}
