//! Comparing versions of a session: by table, and by property over sampled types.

use aura_protocol_core::session_type::{
    Change, End, Fault, Hard, Quorum, SessionType, Side, Step, WhyMissing, Witness, compare,
    compare_all, parse, sample, sound,
};
use proptest::prelude::*;

use crate::session_text::{WHOLE, session};

const DKD: &str =
    "Init(u64) Commit([u8;32]) Freeze(devices) Reveal(u64) Finalize(u64) Abort(Reason)";
const DKD_STEPS: &str = "\
write init: Init by Opener;
each commit: Commit by All;
decide freeze by Opener: on Commit[threshold] within 50 => Freeze | Abort;
each reveal: Reveal among Freeze;
decide finalize by Opener: on Reveal[among Freeze] within 50 => Finalize | Abort;";

fn dkd() -> SessionType {
    session(DKD, DKD_STEPS)
}

/// `patch`, `soft`, or `hard` with the directions that are safe.
fn class(change: &Change) -> String {
    match change {
        Change::Patch => "patch".to_string(),
        Change::Soft => "soft".to_string(),
        Change::Hard(Hard { old_with_new, new_with_old, .. }) => {
            let old = if *old_with_new { " old-opens" } else { "" };
            let new = if *new_with_old { " new-opens" } else { "" };
            format!("hard{old}{new}")
        }
    }
}

#[track_caller]
fn check(old: &SessionType, new: &SessionType, expected: &str) {
    let change = compare(old, new);
    let why = match &change {
        Change::Hard(hard) => hard.witness.to_string(),
        _ => String::new(),
    };
    assert_eq!(class(&change), expected, "from\n{old}to\n{new}{why}");
}

/// The run that shows why the change is hard.
#[track_caller]
fn witness(old: &SessionType, new: &SessionType) -> String {
    match compare(old, new) {
        Change::Hard(hard) => hard.witness.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_and_names_of_steps_are_patches() {
    let wider = DKD_STEPS.replace("within 50", "within 500").replace("freeze by", "fix by");
    check(&dkd(), &session(DKD, &wider), "patch");
    let looping =
        "rec again within 9;\nchoice c by Opener {\n    B => continue again,\n    D => {}\n} | C;";
    let labels = "B(u8) C(Reason) D(u8)";
    let other = looping.replace("again", "back").replace("9", "90");
    check(&session(labels, looping), &session(labels, &other), "patch");
    // Not a number: there was no deadline.
    let never = DKD_STEPS.replace(" within 50", "");
    check(&dkd(), &session(DKD, &never), "soft");
    // A sub-session's name is the prefix of what it sends.
    let sub = "sub u {\n    session t {\n        msg {\n            T(u8),\n        }\n        write t: T by Opener;\n    }\n};\neach a: A by All;";
    check(&session("A(u8)", sub), &session("A(u8)", &sub.replace("sub u", "sub v")), "hard");
    check(&session("A(u8)", sub), &session("A(u8)", &sub.replace("write t:", "write x:")), "patch");
}

#[test]
fn what_only_one_version_sends() {
    // Sent and not needed by anyone.
    let more = format!("{DKD} Extra(u8)");
    let extra = format!("{DKD_STEPS}\neach extra: Extra by All;");
    check(&dkd(), &session(&more, &extra), "soft");
    // Sent, and everyone waits for it.
    let waits = format!("{extra}\ngather extras: Extra[all];");
    check(&dkd(), &session(&more, &waits), "hard");
    // One sends it: if that one is new, everyone new has it.
    let write = format!("{DKD_STEPS}\nwrite extra: Extra by Opener;");
    check(&dkd(), &session(&more, &write), "hard new-opens");
    // A decision on something that the old version does not send.
    let decides =
        format!("{extra}\ndecide d by Opener: on Extra[threshold] within 9 => Fix | Abort;");
    check(&dkd(), &session(&format!("{more} Fix(u8)"), &decides), "hard");
    // A quorum that members of the new version alone can meet, but not in every mix.
    let two = format!("{extra}\ngather extras: Extra[1];");
    check(&dkd(), &session(&more, &two), "soft");
}

#[test]
fn order_does_not_matter_where_nobody_waits_in_between() {
    let labels = "A(u8) B(u8)";
    let sends = "each a: A by All;\neach b: B by All;\ngather x: A[all];\ngather y: B[all];";
    let swapped = "each b: B by All;\neach a: A by All;\ngather y: B[all];\ngather x: A[all];";
    check(&session(labels, sends), &session(labels, swapped), "soft");
    // A device that sends only after it has seen the other's waits for one that does the same.
    let first = "each a: A by All;\ngather x: A[all];\neach b: B by All;\ngather y: B[all];";
    let second = "each b: B by All;\ngather y: B[all];\neach a: A by All;\ngather x: A[all];";
    check(&session(labels, first), &session(labels, second), "hard");
    check(&session(labels, first), &session(labels, sends), "soft");
}

#[test]
fn layouts_and_names_of_labels() {
    check(&dkd(), &session(&DKD.replace("Commit([u8;32])", "Commit([u8;64])"), DKD_STEPS), "hard");
    let renamed = [DKD, DKD_STEPS].map(|it| it.replace("Reveal", "Show"));
    check(&dkd(), &session(&renamed[0], &renamed[1]), "hard");
    // The order in which labels are declared is no part of what is sent.
    let turned: Vec<&str> = DKD.split(' ').rev().collect();
    check(&dkd(), &session(&turned.join(" "), DKD_STEPS), "soft");
    // Nobody waits for it, so nobody minds.
    let layouts = ["A(u8)", "A(u16)"].map(|it| session(it, "each a: A by All;"));
    check(&layouts[0], &layouts[1], "soft");
}

#[test]
fn branches() {
    let labels = "Go(u8) Stop(u8)";
    let one = "choice c by Opener {\n    Go => {}\n};";
    let two = "choice c by Opener {\n    Go => {}\n    Stop => stop,\n};";
    // Only the new decider can take it.
    let (old, new) = (session("Go(u8)", one), session(labels, two));
    check(&old, &new, "hard old-opens");
    check(&new, &old, "hard new-opens");
    // A decision that the old version does not know, though it does not wait for it either.
    let plain = session("A(u8)", "each a: A by All;");
    let chooses = session("A(u8) Go(u8)", &format!("each a: A by All;\n{one}"));
    check(&plain, &chooses, "hard");
    let Change::Hard(Hard { witness: Witness::Mixed(run), .. }) = compare(&plain, &chooses) else {
        panic!("hard");
    };
    assert!(matches!(run.fault, Fault::Unlearned { .. } | Fault::Waits { .. }), "{run}");
    // A branch that leads elsewhere.
    let ends = session(labels, &two.replace("Go => {}", "Go => stop,"));
    let tail = "each a: A by All;\ngather g: A[all];";
    let goes_on = session("A(u8) Go(u8) Stop(u8)", &format!("{two}\n{tail}"));
    let stops = two.replace("Stop => stop,", "Stop => {}");
    let joins = session("A(u8) Go(u8) Stop(u8)", &format!("{stops}\n{tail}"));
    check(&goes_on, &joins, "hard");
    check(&ends, &new, "soft");
}

#[test]
fn a_decision_that_can_end_the_session() {
    let decide = "each a: A by All;\ndecide d by Opener: on A[threshold] within 9 => Fix | Abort;";
    let labels = "A(u8) Fix(u8) Abort(Reason)";
    // The old version does not wait for it, and finishes where the new one aborts.
    check(&session("A(u8)", "each a: A by All;"), &session(labels, decide), "hard");
    // Votes that only one version sends.
    let certified = decide.replace("decide d", "decide certified d");
    check(&session(labels, decide), &session(labels, &certified), "hard");
    // More or fewer than the threshold: every device sends, so both are met.
    let all = decide.replace("[threshold]", "[all]");
    check(&session(labels, decide), &session(labels, &all), "soft");
}

#[test]
fn pauses() {
    let labels = "A(u8) B(u8) Fix(u8) Abort(Reason)";
    let rests = |pause: u32, within: &str| {
        session(
            labels,
            &format!(
                "write a: A by Opener;\npause rest: {pause};\neach b: B by All;\ndecide d by Opener: on B[all]{within} => Fix | Abort;"
            ),
        )
    };
    check(&rests(50, " within 9"), &rests(59, " within 9"), "soft");
    check(&rests(50, ""), &rests(5000, ""), "soft");
    // The decider of the old version aborts before members of the new one speak.
    check(&rests(50, " within 9"), &rests(60, " within 9"), "hard new-opens");
    let Change::Hard(hard) = compare(&rests(50, " within 9"), &rests(100, " within 9")) else {
        panic!("hard")
    };
    let said = "the two versions of `s` pause differently: B may come after 50 epochs, and the old \
                version waits 9";
    assert_eq!(hard.witness.to_string(), said);
    // Where they pause alike, how long does not matter.
    let more = session(
        &format!("{labels} Extra(u8)"),
        "write a: A by Opener;\neach extra: Extra by All;\npause rest: 50;\neach b: B by All;\ndecide d by Opener: on B[all] within 9 => Fix | Abort;",
    );
    check(&rests(50, " within 9"), &more, "soft");
    // Another place for the same pause.
    let later = session(
        labels,
        "write a: A by Opener;\neach b: B by All;\ndecide d by Opener: on B[all] within 9 => Fix | Abort;\npause rest: 50;",
    );
    check(&rests(50, " within 9"), &later, "hard old-opens");
}

/// Who waited for one that rests is as late as that one: what is behind both is no difference.
#[test]
fn pauses_do_not_add_up_where_everybody_waits() {
    let rounds = |pause: u32, quorum: &str, waits: bool| {
        let (mut labels, mut steps) = ("Abort(Reason)".to_string(), Vec::new());
        for it in 0..4 {
            labels += &format!(" B{it}(u8) Fix{it}(u8)");
            steps.push(format!("pause rest{it}: {pause};\neach b{it}: B{it} by All;"));
            if waits {
                steps.push(format!(
                    "decide d{it} by Opener: on B{it}[{quorum}] within 9 => Fix{it} | Abort;"
                ));
            }
        }
        if !waits {
            steps.push(format!("decide d by Opener: on B3[{quorum}] within 9 => Fix0 | Abort;"));
            labels =
                labels.replace(" Fix1(u8)", "").replace(" Fix2(u8)", "").replace(" Fix3(u8)", "");
        }
        session(&labels, &steps.join("\n"))
    };
    for quorum in ["all", "threshold"] {
        check(&rounds(1, quorum, true), &rounds(9, quorum, true), "soft");
        check(&rounds(1, quorum, false), &rounds(9, quorum, false), "hard new-opens");
    }
}

const DECLINE_STEPS: &str = "\
each ready: Ready by All | No;
decide go by Opener: on Ready[threshold] within 9 => Go | Abort;";
const DECLINE: &str = "Ready(u8) No(Reason) Go(u8) Abort(Reason)";

#[test]
fn a_step_that_may_be_declined() {
    let declines = session(DECLINE, DECLINE_STEPS);
    // Time runs out where too many decline, and that ends the session for everyone.
    assert_eq!(sound(&declines), Ok(()));
    let labels = DECLINE.replace(" No(Reason)", "");
    let must = session(&labels, &DECLINE_STEPS.replace(" | No", ""));
    check(&must, &declines, "soft");
    // What is said instead is awaited by nobody.
    let other = session(&DECLINE.replace("No(", "Never("), &DECLINE_STEPS.replace("No;", "Never;"));
    check(&declines, &other, "soft");
    // One who declines leaves a quorum, but not everyone, to the other version.
    let all = session(DECLINE, &DECLINE_STEPS.replace("[threshold]", "[all]"));
    check(&declines, &all, "soft");
    // A decider without a deadline waits for ever for who declines.
    let patient = session(&labels, &DECLINE_STEPS.replace(" | No", "").replace(" within 9", ""));
    assert_eq!(sound(&patient), Ok(()));
    check(&must, &patient, "soft");
    check(&patient, &declines, "hard new-opens");
    let Change::Hard(Hard { witness: Witness::Mixed(run), .. }) = compare(&patient, &declines)
    else {
        panic!("hard")
    };
    let Fault::Waits { device, missing, .. } = &run.fault else { panic!("{run}") };
    assert_eq!(run.versions[usize::from(*device)], Side::Old);
    assert!(missing.iter().all(|it| it.why == WhyMissing::Declined), "{run}");
    // That nobody needs to decline does not excuse a step that the other version does not take.
    let shows = [DECLINE, DECLINE_STEPS].map(|it| it.replace("Ready", "Set"));
    check(&declines, &session(&shows[0], &shows[1]), "hard");
}

#[test]
fn who_waits_for_what_others_may_decline() {
    let gathers = DECLINE_STEPS.replace("decide", "gather all: Ready[all] within 5;\ndecide");
    let gathers = session(DECLINE, &gathers);
    // All give up at the same place.
    assert_eq!(sound(&gathers), Ok(()));
    // But not all would, if some do not wait there.
    let declines = session(DECLINE, DECLINE_STEPS);
    check(&declines, &gathers, "hard");
    let for_ever = session(DECLINE, &gathers_of(&gathers).replace(" within 5", ""));
    let Err(Witness::Alone { run, .. }) = sound(&for_ever) else { panic!("waits") };
    assert_eq!(
        run.lines().join("\n"),
        "\
device 0 (new) sends Ready
device 1 (new) sends Ready
device 2 (new) sends No instead of Ready
device 0 (new) waits for Ready of 3 devices
device 2 (new) declined to send Ready"
    );
    // Members who give up beside a decider that aborts: nobody has a result. Who waits for a decider
    // that gave up waits for ever.
    let threshold = gathers_of(&gathers).replace("all: Ready[all]", "all: Ready[threshold]");
    check(&declines, &session(DECLINE, &threshold), "hard old-opens");
}

fn gathers_of(session: &SessionType) -> String {
    let text = session.to_string();
    let steps = text.lines().filter(|it| it.ends_with(';')).map(str::trim_start);
    steps.collect::<Vec<_>>().join("\n")
}

#[test]
fn who_declines_is_not_named() {
    let names = "\
each ready: Ready by All | No;
decide chosen by Opener: on Ready[1] within 9 => Chosen | Abort;
each share: Share among Chosen;
decide go by Opener: on Share[among Chosen] within 9 => Go | Abort;";
    let labels = "Ready(u8) No(Reason) Chosen(devices) Share(u8) Go(u8) Abort(Reason)";
    let old = session(labels, names);
    assert_eq!(sound(&old), Ok(()));
    check(&old, &session(labels, &names.replace("[1]", "[2]")), "hard new-opens");
    let gathers =
        names.replace("each share", "gather seen: Ready[among Chosen] within 9;\neach share");
    check(&old, &session(labels, &gathers), "soft");
    // In the second round everybody is asked again.
    let again = "rec again within 99;\neach ready: Ready by All | No;\nchoice c by Opener: on Ready[threshold] within 9 {\n    More => continue again,\n    Done => {}\n} | Abort;";
    let labels = "Ready(u8) No(Reason) More(u8) Done(u8) Abort(Reason)";
    let rounds = session(labels, again);
    assert_eq!(sound(&rounds), Ok(()));
    let gathers = again.replace("choice", "gather g: Ready[2] within 3;\nchoice");
    check(&rounds, &session(labels, &gathers), "hard old-opens");
    check(&rounds, &session(labels, &gathers.replace("[2]", "[3]")), "hard");
    let other = session(
        "Ready(u8) No(Reason) More(u8) Done(u8) Abort(Reason) Extra(u8)",
        &format!("each extra: Extra by All;\n{again}"),
    );
    check(&rounds, &other, "soft");
}

#[test]
fn signals() {
    let decide = "each a: A by All;\ndecide d by Opener: on A[threshold] within 9 => Fix | Abort unless Veto;";
    let labels = "A(u8) Fix(u8) Abort(Reason) Veto(u8)";
    let with = session(labels, decide);
    let without = session(&labels.replace(" Veto(u8)", ""), &decide.replace(" unless Veto", ""));
    check(&without, &with, "soft");
    let other = session(&labels.replace("Veto(u8)", "Veto(u16)"), decide);
    check(&with, &other, "hard");
    assert_eq!(
        witness(&with, &other).lines().last(),
        Some(
            "device 1 (old) can send Veto, and device 0 (new), which waits for it, cannot read it"
        )
    );
}

#[test]
fn who_decides() {
    let roles = |text: &str| {
        let text = text.replace("session s {\n", "session s {\n    roles {\n        Coord: one,\n        Old: many,\n        New: many,\n    }\n");
        parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    };
    let of = |steps: &str| roles(&crate::session_text::text("A(u8) B(u8)", steps));
    let opener = of("write a: A by Opener;\neach b: B by Old;");
    check(&opener, &of("write a: A by Coord;\neach b: B by Old;"), "hard");
    check(&opener, &of("write a: A by Opener;\neach b: B by New;"), "soft");
    let waits = of("write a: A by Opener;\neach b: B by Old;\ngather g: B[all];");
    check(&waits, &of("write a: A by Opener;\neach b: B by New;\ngather g: B[all];"), "hard");
    let deals = of("write a: A by Opener;\nscatter b: Old -> New: B;\ngather g: B[all];");
    check(
        &deals,
        &of("write a: A by Opener;\nscatter b: Old -> Old: B;\ngather g: B[all];"),
        "hard",
    );
    check(
        &deals,
        &of("write a: A by Opener;\nscatter b: Old -> All: B;\ngather g: B[all];"),
        "hard",
    );
    check(
        &deals,
        &of("scatter b: Old -> New: B;\nwrite a: A by Opener;\ngather g: B[all];"),
        "soft",
    );
}

#[test]
fn a_decision_that_names_devices() {
    // A member accepts only a decision that its own version could have taken.
    let all = DKD_STEPS.replace("Commit[threshold]", "Commit[all]");
    check(&dkd(), &session(DKD, &all), "hard new-opens");
    let Change::Hard(Hard { witness: Witness::Mixed(run), .. }) =
        compare(&dkd(), &session(DKD, &all))
    else {
        panic!("hard")
    };
    let Fault::Waits { missing, .. } = &run.fault else { panic!("{run}") };
    assert_eq!(missing[0].why, WhyMissing::Refused { label: "Freeze".to_string() });
}

#[test]
fn loops() {
    let labels = "A(u8) More(u8) Done(u8) Abort(Reason)";
    let round = "rec r within 9;\neach a: A by All;\nchoice c by Opener: on A[threshold] within 5 {\n    More => continue r,\n    Done => {}\n} | Abort;";
    assert_eq!(sound(&session(labels, round)), Ok(()));
    let gathers = round.replace("choice c", "gather g: A[all];\nchoice c");
    check(&session(labels, round), &session(labels, &gathers), "soft");
    // Who speaks once, before the loop, is not heard in its second round.
    let once = "each a: A by All;\nrec r within 9;\nchoice c by Opener {\n    More => continue r,\n    Done => {}\n} | Abort;";
    check(&session(labels, round), &session(labels, once), "hard new-opens");
    check(&session(labels, &gathers), &session(labels, once), "hard");
    let run = witness(&session(labels, &gathers), &session(labels, once));
    assert_eq!(run.matches("sees A").count(), 1, "{run}");
    // Rounds of a sub-session are its own: what was sent before it is still of this round after it.
    let inside = "each a: A by All;\nsub u {\n    session t {\n        msg {\n            More(u8),\n            Done(u8),\n            Abort(Reason),\n        }\n        rec r within 9;\n        choice c by Opener {\n            More => continue r,\n            Done => {}\n        } | Abort;\n    }\n};\ngather g: A[all];";
    assert_eq!(sound(&session("A(u8)", inside)), Ok(()));
    // A loop that only the new version knows.
    let once = "each a: A by All;\nchoice c by Opener: on A[threshold] within 5 {\n    Done => {}\n} | Abort;";
    let once = session("A(u8) Done(u8) Abort(Reason)", once);
    check(&once, &session(labels, round), "hard old-opens");
}

#[test]
fn a_version_that_goes_wrong_by_itself_is_not_blamed_on_the_mix() {
    let waits = session("A(u8)", "write a: A by Opener;\ngather g: A[all];");
    let stuck = session("A(u8)", "write a: A by Opener;\ngather g: A[2];");
    // The threshold of one device is one.
    let met = session("A(u8)", "write a: A by Opener;\ngather g: A[threshold];");
    assert_eq!(sound(&met), Ok(()));
    assert_eq!(sound(&waits), Ok(()));
    let Err(Witness::Alone { run, .. }) = sound(&stuck) else { panic!("stuck") };
    assert!(run.schedule.len() < 6, "{run}");
    let Change::Hard(hard) = compare(&waits, &stuck) else { panic!("hard") };
    assert!(matches!(hard.witness, Witness::Alone { side: Side::New, .. }), "{}", hard.witness);
    let Change::Hard(hard) = compare(&stuck, &waits) else { panic!("hard") };
    assert!(matches!(hard.witness, Witness::Alone { side: Side::Old, .. }), "{}", hard.witness);
    // A decision that always runs out of time ends well, for everyone alike.
    let late = "write a: A by Opener;\ndecide d by Opener: on A[2] within 5 => Fix | Abort;";
    let late = session("A(u8) Fix(u8) Abort(Reason)", late);
    assert_eq!(sound(&late), Ok(()));
    // Opened by the new version it aborts, and old members, who wait for nothing, finish.
    let finishes = session("A(u8)", "write a: A by Opener;");
    check(&finishes, &late, "hard");
    // The shorter of the two ways in which that goes wrong is told: nobody tells a new member.
    assert_eq!(witness(&finishes, &late).lines().count(), 3 + 2);
    // What ends the session in one version is a way to finish in the other.
    let quits = "write a: A by Opener;\nchoice c by Opener {\n    Abort => stop,\n};";
    let quits = session("A(u8) Abort(Reason)", quits);
    let Change::Hard(Hard { witness: Witness::Mixed(run), .. }) = compare(&quits, &late) else {
        panic!("hard")
    };
    let Fault::EndsDiffer { ends } = run.fault else { panic!("{run}") };
    let by_version = |it: Side| if it == Side::Old { End::Finished } else { End::Aborted };
    assert_eq!(ends, run.versions.map(by_version));
}

#[test]
fn a_witness_reads_as_a_run() {
    let labels = format!("{DKD} Extra(u8)");
    let steps = DKD_STEPS.replace(
        "each reveal",
        "each extra: Extra by All;\ngather extras: Extra[all];\neach reveal",
    );
    let new = session(&labels, &steps);
    assert_eq!(
        witness(&dkd(), &new),
        "\
device 0 (new) sends Init
device 0 (new) sends Commit
device 1 (old) sees Init of device 0
device 1 (old) sends Commit
device 2 (old) sees Init of device 0
device 2 (old) sends Commit
device 0 (new) decides Freeze with devices 0, 1
device 0 (new) sends Extra
device 1 (old) follows Freeze
device 1 (old) sends Reveal
device 2 (old) follows Freeze
device 0 (new) waits for Extra of 3 devices
device 1 (old) never sends Extra
device 2 (old) never sends Extra
"
    );
}

#[test]
fn a_witness_says_why_nothing_comes() {
    let why = |old: &SessionType, new: &SessionType| {
        let Change::Hard(Hard { witness: Witness::Mixed(run), .. }) = compare(old, new) else {
            panic!("hard");
        };
        let Fault::Waits { missing, .. } = &run.fault else { panic!("{run}") };
        missing.first().map(|it| it.why.clone())
    };
    let other = session(&DKD.replace("Init(u64)", "Init(u32)"), DKD_STEPS);
    assert_eq!(why(&dkd(), &other), Some(WhyMissing::OtherLayout));
    let silent = session("A(u8)", "each a: A by All;");
    let waits = session("A(u8) B(u8)", "each a: A by All;\nwrite b: B by Opener;");
    assert_eq!(why(&silent, &waits), Some(WhyMissing::NeverSends));
    let one = session("Go(u8)", "choice c by Opener {\n    Go => {}\n};");
    let two = session("Go(u8) Run(u8)", "choice c by Opener {\n    Go => {}\n    Run => {}\n};");
    assert_eq!(why(&one, &two), Some(WhyMissing::Decides { label: "Run".to_string() }));
}

#[test]
fn modules_with_several_sessions() {
    let named = |name: &str, session: &SessionType| SessionType {
        name: name.to_string(),
        ..session.clone()
    };
    let (one, two) = (named("one", &dkd()), named("two", &dkd()));
    let both = [one.clone(), two.clone()];
    assert_eq!(compare_all(&both, &both), Change::Patch);
    assert_eq!(compare_all(&both, &[two.clone(), one.clone()]), Change::Patch);
    assert_eq!(compare_all(&both[..1], &both), Change::Soft);
    let Change::Hard(hard) = compare_all(&both, &both[..1]) else { panic!("hard") };
    assert_eq!(hard.witness, Witness::Dropped { session: "two".to_string() });
    assert!(!hard.old_with_new && hard.new_with_old);
    let other = named("one", &session("A(u8)", "each a: A by All;"));
    let Change::Hard(hard) = compare_all(&both, &[other.clone(), two]) else { panic!("hard") };
    assert!(matches!(hard.witness, Witness::Mixed(_)), "{}", hard.witness);
    let Change::Hard(hard) = compare_all(&both, &[one, other]) else { panic!("hard") };
    assert_eq!(hard.witness, Witness::Ambiguous { session: "one".to_string() });
}

/// Soft is no equivalence: what the middle version sends for the sake of the old one, the new one may
/// not send any more.
#[test]
fn soft_is_not_transitive() {
    let needs = session("A(u8)", "each a: A by All;\ngather g: A[all];");
    let sends = session("A(u8)", "each a: A by All;");
    let silent = session("B(u8)", "each b: B by All;");
    check(&needs, &sends, "soft");
    check(&sends, &silent, "soft");
    check(&needs, &silent, "hard");
}

/// INV-ST7: decisions upon decisions end at the bound, and say so.
#[test]
fn a_comparison_is_bounded() {
    let mut labels = "A(u8) Abort(Reason) ".to_string();
    let mut steps = "each a: A by All;".to_string();
    for index in 0..12 {
        labels += &format!("F{index}(devices) R{index}(u8) ");
        steps += &format!("\ndecide f{index} by Opener: on A[1] => F{index} | Abort;");
    }
    for index in 0..12 {
        steps += &format!("\neach r{index}: R{index} among F{index};");
    }
    let old = session(&labels, &steps);
    let new = session(&labels.replace("R0(u8)", "R0(u16)"), &steps);
    let Change::Hard(hard) = compare(&old, &new) else { panic!("hard") };
    assert!(matches!(hard.witness, Witness::BoundReached { .. }), "{}", hard.witness);
}

#[test]
fn a_whole_session_is_compared_quickly() {
    let old = parse(WHOLE).unwrap();
    let mut new = old.clone();
    new.body.push(Step::Gather {
        op: "late".to_string(),
        label: "Commit".to_string(),
        quorum: Quorum::Threshold,
        within: None,
    });
    assert_eq!(sound(&old), Ok(()));
    check(&old, &new, "soft");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// INV-ST3: a type compared with itself is a patch.
    #[test]
    fn comparison_is_reflexive(seed: u64) {
        let session = sample::sample(seed);
        prop_assert_eq!(compare(&session, &session), Change::Patch);
    }

    /// INV-ST4: exchanging the two exchanges the directions.
    #[test]
    fn comparison_is_symmetric(seed: u64, change: u64) {
        let old = sample::sample(seed);
        let new = sample::mutate(change, &old);
        let turned = match compare(&new, &old) {
            Change::Hard(hard) => class(&Change::Hard(Hard {
                old_with_new: hard.new_with_old,
                new_with_old: hard.old_with_new,
                ..hard
            })),
            other => class(&other),
        };
        prop_assert_eq!(class(&compare(&old, &new)), turned);
    }

    /// INV-ST5: types that are patches of each other compare alike with every third if they differ in
    /// names alone, or if nobody pauses.
    #[test]
    fn patches_compare_alike(seed: u64, change: u64) {
        let old = sample::sample(seed);
        let third = sample::mutate(change, &old);
        let mut patched = old.clone();
        if !rests(&old.body) && !rests(&third.body) {
            patched.ttl = patched.ttl.map(|it| it + 7);
        }
        for step in &mut patched.body {
            if let Step::Each { op, .. } | Step::Pause { op, .. } = step {
                op.push('x');
            }
        }
        prop_assert_eq!(compare(&old, &patched), Change::Patch);
        prop_assert_eq!(compare(&patched, &old), Change::Patch);
        let (one, two) = (compare(&old, &third), compare(&patched, &third));
        prop_assert_eq!(class(&one), class(&two));
        // A patch of a patch is a patch.
        if two == Change::Patch {
            prop_assert_eq!(one, Change::Patch);
        }
    }
}

/// Whether anybody pauses.
fn rests(steps: &[Step]) -> bool {
    steps.iter().any(|step| match step {
        Step::Pause { .. } => true,
        Step::Choice { branches, .. } => branches.iter().any(|it| rests(&it.body)),
        Step::Sub { session, .. } => rests(&session.body),
        _ => false,
    })
}

/// A longer deadline is a patch, and decides whether a longer pause is late.
#[test]
fn a_deadline_counts_where_pauses_differ() {
    let of = |ttl: u32, pause: u32| {
        let text = format!("pause rest: {pause};\nwrite a: A by Opener;");
        let mut session = session("A(u8)", &text);
        session.ttl = Some(ttl);
        session
    };
    check(&of(40, 10), &of(60, 10), "patch");
    check(&of(40, 10), &of(40, 60), "hard old-opens");
    check(&of(60, 10), &of(60, 60), "soft");
}
