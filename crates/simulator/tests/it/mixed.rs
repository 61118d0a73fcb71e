//! Versions mixed in the running code, against what their comparison says of them.

use aura_protocol_core::session_type::{
    Change, Hard, SessionType, Witness, compare, parse,
    sample::{mutate, sample},
    sound,
};
use aura_simulator::mixed::{End, Interpreted, Mix, Verdict, arrangements, mixes, replay};

/// Pairs of versions, and runs of each mix of each: `AURA_MIXED_PAIRS`, `AURA_MIXED_RUNS`.
const PAIRS: u64 = 300;
const RUNS: u64 = 12;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |it| it.parse().unwrap())
}

fn scripts(old: &SessionType, new: &SessionType) -> (&'static Interpreted, &'static Interpreted) {
    (Interpreted::new(old), Interpreted::new(new))
}

/// The first run of every mix that does not go well.
fn wrong(old: &SessionType, new: &SessionType, runs: u64) -> Option<(String, Verdict)> {
    let scripts = scripts(old, new);
    for roles in arrangements(old, new) {
        for versions in mixes() {
            let mix = Mix::new(scripts, versions, &roles);
            for seed in 0..runs {
                let verdict = mix.run(seed).unwrap();
                if !verdict.is_well() {
                    return Some((format!("{versions:?} {roles:?} {seed}"), verdict));
                }
            }
        }
    }
    None
}

/// INV-MX1, INV-MX2, over sampled pairs.
#[test]
fn a_comparison_agrees_with_the_running_code() {
    let pairs = number("AURA_MIXED_PAIRS", PAIRS);
    let runs = number("AURA_MIXED_RUNS", RUNS);
    let first = number("AURA_MIXED_FIRST", 0);
    let (mut safe, mut replayed, mut bound) = (0, 0, 0);
    let mut failures = Vec::new();
    for seed in first..first + pairs {
        let old = sample(seed);
        let new = mutate(seed, &old);
        match compare(&old, &new) {
            // Equal, but it goes wrong by itself.
            Change::Patch if sound(&old).is_err() => {}
            Change::Patch | Change::Soft => {
                safe += 1;
                if let Some((which, verdict)) = wrong(&old, &new, runs) {
                    failures.push(format!("pair {seed} {which}\n{verdict}{old}{new}"));
                }
            }
            Change::Hard(Hard { witness, .. }) => {
                let (Witness::Mixed(run) | Witness::Alone { run, .. }) = witness else {
                    bound += 1;
                    continue;
                };
                replayed += 1;
                if let Err(differs) = replay(scripts(&old, &new), &run) {
                    failures.push(format!("pair {seed}: {differs}\n{run}{old}{new}"));
                }
            }
        }
    }
    eprintln!("{safe} safe, {replayed} replayed, {bound} beyond the bounds");
    assert!(failures.is_empty(), "{} of them:\n{}", failures.len(), failures.join("\n---\n"));
    assert!(pairs / 4 < safe && pairs / 8 < replayed, "{safe} safe, {replayed} replayed");
}

/// A version of the table: everybody votes, the opener decides.
const BASE: &str = "session s {
    msg {
        Vote(u64),
        Fix(devices),
        Abort(Reason),
    }
    each vote: Vote by All;
    decide fix by Opener: on Vote[threshold] => Fix | Abort;
}
";

/// The base with one thing changed.
fn changed(changes: &[(&str, &str)]) -> SessionType {
    let text = changes.iter().fold(BASE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const EXTRA: (&str, &str) = ("Abort(Reason),\n", "Abort(Reason),\n        Extra(u8),\n");

/// People decline in mixes too: a decider with a deadline ends the session, one without waits for ever.
#[test]
fn somebody_declines() {
    let declines = ("Vote by All;", "Vote by All | No;");
    let label = ("Abort(Reason),\n", "Abort(Reason),\n        No(Reason),\n");
    let within = ("[threshold] =>", "[threshold] within 9 =>");
    let (patient, bounded) = (changed(&[]), changed(&[within]));
    let asks = changed(&[declines, label, within]);
    assert_eq!(compare(&bounded, &asks), Change::Soft);
    assert_eq!(wrong(&bounded, &asks, 10 * RUNS), None);
    let Change::Hard(Hard { witness: Witness::Mixed(run), .. }) = compare(&patient, &asks) else {
        panic!("hard");
    };
    assert_eq!(replay(scripts(&patient, &asks), &run), Ok(()), "{run}");
    let (_, verdict) = wrong(&patient, &asks, 10 * RUNS).unwrap();
    assert!(verdict.ends.iter().any(|it| matches!(it, End::Waits(_))), "{verdict}");
    // All who wait for what somebody declined give up; a result beside that is none.
    let gather = ("    decide", "    gather votes: Vote[all] within 5;\n    decide");
    let waits = changed(&[declines, label, within, gather]);
    let same = changed(&[
        declines,
        label,
        within,
        gather,
        EXTRA,
        ("    each vote", "    each extra: Extra by All;\n    each vote"),
    ]);
    assert_eq!(compare(&waits, &same), Change::Soft);
    assert_eq!(wrong(&waits, &same, 10 * RUNS), None);
    let Change::Hard(Hard { witness: Witness::Mixed(run), .. }) = compare(&asks, &waits) else {
        panic!("hard");
    };
    assert_eq!(replay(scripts(&asks, &waits), &run), Ok(()), "{run}");
}

/// What each change is, and what a device is found waiting for if it is hard.
#[test]
fn changes_made_by_hand() {
    let extra =
        ("each vote: Vote by All;\n", "each vote: Vote by All;\n    each extra: Extra by All;\n");
    let base = || changed(&[]);
    let choice = |more: &str, label: &str| {
        let branches = format!("choice way by Opener {{\n        Left => {{}}\n{more}    }};\n");
        changed(&[
            (
                "    decide fix by Opener: on Vote[threshold] => Fix | Abort;\n",
                &format!("    {branches}"),
            ),
            (
                "        Fix(devices),\n        Abort(Reason),\n",
                &format!("        Left(u8),\n{label}"),
            ),
        ])
    };
    // A message that nobody waits for.
    let unused = changed(&[EXTRA, extra]);
    // A decision on what the old version never sends.
    let needed = changed(&[EXTRA, extra, ("on Vote", "on Extra")]);
    // What a label carries.
    let layout = changed(&[("Vote(u64)", "Vote(u32)")]);
    let fixed = changed(&[("Fix(devices)", "Fix(u8)")]);
    // The name of a step, which nobody sends.
    let named = changed(&[("each vote:", "each ballot:")]);
    // A branch that only the new decider takes.
    let (narrow, wide) = (choice("", ""), choice("        Right => {}\n", "        Right(u8),\n"));
    let table = [
        ("unused", base(), unused, None),
        ("named", base(), named, None),
        ("needed", base(), needed, Some("Extra")),
        ("layout", base(), layout, Some("Vote")),
        ("fixed", base(), fixed, Some("Fix")),
        ("branch", narrow, wide, Some("Left")),
    ];
    for (name, old, new, stuck) in table {
        let (change, wrong) = (compare(&old, &new), wrong(&old, &new, RUNS));
        let Some(label) = stuck else {
            assert!(matches!(change, Change::Patch | Change::Soft), "{name}: {change:?}");
            assert_eq!(wrong, None, "{name}");
            continue;
        };
        let Change::Hard(Hard { witness: Witness::Mixed(run), .. }) = change else {
            panic!("{name}: {change:?}");
        };
        assert_eq!(replay(scripts(&old, &new), &run), Ok(()), "{name}");
        let (_, verdict) = wrong.unwrap_or_else(|| panic!("{name}: every run went well"));
        let waits = verdict.ends.iter().any(|it| match it {
            End::Waits(labels) => labels.contains(label),
            _ => false,
        });
        assert!(waits, "{name}:\n{verdict}");
    }
}
