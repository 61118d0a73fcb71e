//! Projections, what follows them, and the drawing of a session.

use std::collections::BTreeSet;

use aura_protocol_core::session_type::{
    Local, LocalEnd, LocalType, Observed, Quorum, parse, sample,
};

use crate::session_text::{WHOLE, session};

fn whole(roles: &[&str]) -> LocalType {
    parse(WHOLE).unwrap().project(&|role| roles.contains(&role))
}

/// A projection in one line: `!X` sends, `?X` waits, `{…}` branches.
fn brief(steps: &[Local]) -> String {
    let one = |step: &Local| match step {
        Local::Send { label, to: Some(to), .. } => format!("!{label}@{to}"),
        Local::Send { label, among: Some(among), .. } => format!("!{label}/{among}"),
        Local::Send { label, .. } => format!("!{label}"),
        Local::Await(wait) => {
            format!(
                "?{}[{}]{}",
                wait.label,
                wait.quorum,
                if wait.within.is_some() { "*" } else { "" }
            )
        }
        Local::Decide { on, branches } => {
            let on = on.iter().map(|on| format!("{}[{}]", on.label, on.quorum)).collect::<String>();
            let unless = on_unless(step);
            format!("decide({on}{unless}){{{}}}", ways(branches))
        }
        Local::Follow { branches, signal, within, by, .. } => {
            let signal = signal.as_ref().map(|it| format!(" or say {it}")).unwrap_or_default();
            let deadline = if within.is_some() { "*" } else { "" };
            format!("follow({by}{signal}){deadline}{{{}}}", ways(branches))
        }
        Local::Rec { name } => format!("rec {name}"),
        Local::Sub { steps } => format!("sub({})", brief(steps)),
        Local::Finally { label } => format!("finally {label}"),
        Local::Pause { epochs } => format!("pause {epochs}"),
    };
    steps.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn on_unless(step: &Local) -> String {
    match step {
        Local::Decide { on: Some(on), .. } => {
            on.unless.as_ref().map(|it| format!(" or {it}")).unwrap_or_default()
        }
        _ => String::new(),
    }
}

fn ways(branches: &[aura_protocol_core::session_type::LocalBranch]) -> String {
    let one = |it: &aura_protocol_core::session_type::LocalBranch| {
        let end = match &it.end {
            LocalEnd::Join => String::new(),
            LocalEnd::Continue(rec) => format!("->{rec}"),
            LocalEnd::Stop => "->stop".to_string(),
            LocalEnd::Abort => "->abort".to_string(),
        };
        let steps = brief(&it.steps);
        let space = if steps.is_empty() { "" } else { " " };
        format!("{}{space}{steps}{end}", it.label)
    };
    branches.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn one_session_seen_by_each_role() {
    assert_eq!(
        brief(&whole(&["Coord", "Old"]).steps),
        "!Init rec round !Commit ?Commit[all]* decide(Commit[threshold]){Freeze, Abort->abort} \
         !Reveal/Freeze decide(Reveal[among Freeze] or Veto){Finalize !FinalizeVote \
         ?FinalizeVote[threshold]*, Abort !FinalizeVote ?FinalizeVote[threshold]*->abort} \
         !Sealed@New sub(!lock/Take) finally Release \
         follow(Opener)*{Again->round, Slow !Extra pause 5, Done, Quit->stop, Abort->abort} pause 100"
    );
    assert_eq!(
        brief(&whole(&["Opener", "New"]).steps),
        "?Init[1]* rec round !Commit ?Commit[all]* follow(Coord)*{Freeze, Abort->abort} \
         !Reveal/Freeze follow(Coord or say Veto)*{Finalize !FinalizeVote \
         ?FinalizeVote[threshold]*, Abort !FinalizeVote ?FinalizeVote[threshold]*->abort} \
         ?Sealed[1] sub(?lock/Take[1]) finally Release \
         decide(Reveal[2]){Again->round, Slow pause 5, Done, Quit->stop, Abort->abort} pause 100"
    );
}

#[test]
fn roles_of_a_sub_session() {
    let child = "sub u {\nMAP    session t {\n        roles {\n            One: one,\n            Some: many,\n        }\n        msg {\n            T(u8),\n            U(u8),\n            V(u8),\n        }\n        write t: T by One;\n        write u: U by Opener;\n        each v: V by Some;\n    }\n};\neach a: A by All;";
    let text = crate::session_text::text("A(u8)", child);
    let head = "session s {\n    roles {\n        Coord: one,\n        Old: many,\n    }\n";
    let plain = text.replace("session s {\n", head).replace("MAP", "");
    let as_coord = |text: &str| brief(&parse(text).unwrap().project(&|it| it == "Coord").steps);
    // By default one device is the parent's decider, and many are everyone.
    assert_eq!(as_coord(&plain), "sub(!u/T !u/U !u/V) !A");
    let map = "        map {\n            One: Opener,\n            Some: Old,\n        }\n";
    let mapped =
        text.replace("session s {\n", head).replace("    MAP    ", &format!("{map}        "));
    assert_eq!(as_coord(&mapped), "sub(?u/T[1] !u/U) !A");
}

fn sent(label: &str) -> Observed {
    Observed::Sent(label.to_string())
}

fn awaited(labels: &str) -> Observed {
    Observed::Awaited(labels.split(' ').map(str::to_string).collect::<BTreeSet<_>>())
}

#[track_caller]
fn departs(local: &LocalType, seen: &[Observed], at: usize, expected: &str) {
    let departure = local.follow(seen).unwrap_err();
    assert_eq!((departure.at, departure.expected.join(", ").as_str()), (at, expected));
}

#[test]
fn what_a_device_does_follows_its_projection() {
    let local = whole(&["Coord", "Old"]);
    let start = [sent("Init"), sent("Commit"), awaited("Commit"), awaited("Commit")];
    let mut run = start.to_vec();
    run.extend([sent("Freeze"), sent("Reveal"), awaited("Reveal Veto"), sent("Finalize")]);
    run.extend([sent("FinalizeVote"), awaited("FinalizeVote"), sent("Sealed"), sent("Sealed")]);
    run.extend([sent("lock/Take"), awaited("Again Slow Done Quit Abort")]);
    assert_eq!(local.follow(&run), Ok(()));
    let with = |more: &[Observed]| [run.clone(), more.to_vec()].concat();
    // Every way of the choice; what is owed comes last, and once.
    let slow = [sent("Extra"), Observed::Paused(5), Observed::Paused(100), sent("Release")];
    assert_eq!(local.follow(&with(&slow)), Ok(()));
    assert_eq!(local.follow(&with(&start[1..])), Ok(()));
    assert_eq!(local.follow(&with(&[sent("Release")])), Ok(()));
    departs(&local, &with(&[sent("Release"), sent("Release")]), run.len() + 1, "");
    departs(
        &local,
        &with(&[Observed::Paused(6)]),
        run.len(),
        "send Commit, send Extra, send Release, wait 100 epochs",
    );
    // A device outside a decided subset sends nothing; one that gives up owes nothing yet.
    let skipped = [&start[..], &[sent("Freeze"), awaited("Reveal Veto")]].concat();
    assert_eq!(local.follow(&skipped), Ok(()));
    departs(&local, &[&start[..], &[sent("Reveal")]].concat(), 4, "send Abort, send Freeze");
    departs(&local, &start[1..], 0, "send Init");
    departs(&local, &[sent("Init"), awaited("Commit")], 1, "send Commit");
    let member = whole(&["New"]);
    departs(&member, &[awaited("Commit")], 0, "wait for Init");
    assert_eq!(member.follow(&[awaited("Init"), sent("Commit")]), Ok(()));
}

#[test]
fn every_sample_projects() {
    for seed in 0..200 {
        let session = sample::sample(seed);
        for coordinates in [false, true] {
            let local = session.project(&|role| coordinates || role == "New");
            assert_eq!(local.follow(&[]), Ok(()), "seed {seed}");
            assert!(session.mermaid().starts_with("sequenceDiagram\n"), "seed {seed}");
        }
    }
}

/// A wait of a decision by votes is by all, and a count stays a count.
#[test]
fn waits_name_their_senders() {
    let steps = "each a: A by All;\ndecide d by Opener: on A[2] within 5 => B | C;\neach x: X among B;\ngather g: X[among B];";
    let session = session("A(u8) B(devices) C(Reason) X(u8)", steps);
    let local = session.project(&|_| false);
    let Some(Local::Follow { on: Some(on), .. }) = local.steps.get(1) else { panic!("{local:?}") };
    assert_eq!((on.label.as_str(), &on.quorum), ("A", &Quorum::Count(2)));
}

#[test]
fn the_drawing_of_a_session() {
    assert_eq!(
        parse(WHOLE).unwrap().mermaid(),
        "\
sequenceDiagram
    participant Opener
    participant Coord
    participant Old
    participant New
    participant All
    Coord->>All: init: Init
    loop round within 200 epochs
        All->>All: commit: Commit
        Note over All: seen: each waits for Commit[all] within 10
        Note over Coord: freeze: decides on Commit[threshold] within 50
        Coord->>All: Freeze (or Abort: the end)
        All->>All: reveal: Reveal (those in Freeze)
        Note over Coord: finalize: decides on Reveal[among Freeze] within 50 unless Veto
        Coord->>All: Finalize (or Abort: the end)
        All->>All: FinalizeVote (a threshold of equal votes)
        Old->>New: deal: Sealed (one for each)
        Note over All: opened: each waits for Sealed[1]
        rect rgb(240, 240, 240)
            Note over All: lock: locking
            Coord->>All: take: Take
        end
        Note over All: each sends Release when the session ends
        Note over Opener: route: chooses on Reveal[2]
        alt Again
            Opener->>All: Again
            Note over All: back to round
        else Slow
            Opener->>All: Slow
            Old->>All: extra: Extra
            Note over All: cool: 5 epochs pass
        else Done
            Opener->>All: Done
        else Quit
            Opener->>All: Quit
            Note over All: the end
        else Abort
            Opener->>All: Abort
            Note over All: the end
        end
    end
    Note over All: cooldown: 100 epochs pass
"
    );
}
