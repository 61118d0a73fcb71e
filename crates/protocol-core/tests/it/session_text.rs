//! The canonical text of session types: one text a type, and every rule for a type.

use aura_protocol_core::session_type::{
    Broken, LABELS_MAX, NESTING_MAX, STEPS_MAX, SessionType, TEXT_BYTES_MAX, TextFault, parse,
    sample,
};
use proptest::prelude::*;

/// Every kind of step, as the canonical text prints it.
pub const WHOLE: &str = "\
session whole {
    ttl 60;
    roles {
        Coord: one,
        Old: many,
        New: many,
    }
    msg {
        Init(Initiate{context:[u8;32],ttl:u32}),
        Commit([u8;32]),
        Freeze(devices),
        Reveal(u64),
        Finalize(Result<u64,()>),
        Sealed(vec<u8>),
        Again(u64),
        Slow(u8),
        Extra(u8),
        Done(u8),
        Quit(u8),
        Release(bool),
        Abort(Reason[Timeout,Refused{string}]),
        Veto(u8),
    }
    write init: Init by Coord;
    rec round within 200;
    each commit: Commit by All;
    gather seen: Commit[all] within 10;
    decide freeze by Coord: on Commit[threshold] within 50 => Freeze | Abort;
    each reveal: Reveal among Freeze;
    decide certified finalize by Coord: on Reveal[among Freeze] within 50 => Finalize | Abort unless Veto;
    scatter deal: Old -> New: Sealed;
    gather opened: Sealed[1];
    sub lock {
        map {
            Holder: Coord,
        }
        session locking {
            roles {
                Holder: one,
            }
            msg {
                Take(u64),
            }
            write take: Take by Holder;
        }
    } finally Release;
    choice route by Opener: on Reveal[2] {
        Again => continue round,
        Slow => {
            each extra: Extra by Old;
            pause cool: 5;
        }
        Done => {}
        Quit => stop,
    } | Abort;
    pause cooldown: 100;
}
";

/// A session of these labels and steps.
pub fn text(labels: &str, steps: &str) -> String {
    let labels: String = labels.split_whitespace().map(|it| format!("        {it},\n")).collect();
    let steps: String = steps.lines().map(|it| format!("    {it}\n")).collect();
    format!("session s {{\n    msg {{\n{labels}    }}\n{steps}}}\n")
}

/// The same, parsed.
#[track_caller]
pub fn session(labels: &str, steps: &str) -> SessionType {
    let text = text(labels, steps);
    parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn every_kind_of_step_is_read_and_printed() {
    let whole = parse(WHOLE).unwrap();
    assert_eq!(whole.to_string(), WHOLE);
    assert_eq!(whole.body.len(), 12);
    assert_eq!(whole.default_decider(), "Coord");
}

#[track_caller]
fn refused(text: &str, place: (usize, usize), message: &str) {
    let error = parse(text).unwrap_err();
    assert_eq!((error.line, error.column), place, "{error}");
    assert_eq!(error.fault.to_string(), message);
}

#[test]
fn a_text_that_does_not_parse_says_where_and_what() {
    refused("", (1, 1), "expected session, found the end");
    refused("session s {\n    wrote\n}\n", (2, 5), "expected a step or `}`, found `wrote`");
    refused("session s {\n    pause a 5;\n}\n", (2, 13), "expected :, found `5`");
    refused("session s {\n    pause a: x;\n}\n", (2, 14), "expected a number, found `x`");
    refused(
        "session s {\n    pause a: 4294967296;\n}\n",
        (2, 14),
        "expected a number, found `4294967296`",
    );
    refused(
        "session s {\n    msg {\n        A(u8\n",
        (3, 11),
        "expected a layout and `)` on this line, found `u8`",
    );
    refused("session s {\n}\nx", (3, 1), "expected the end, found `x`");
    refused("session s {\n    stop;\n}\n", (2, 5), "expected a step or `}`, found `stop`");
    refused("session ü {\n}\n", (1, 9), "expected the session's name, found `ü`");
}

#[test]
fn another_text_of_the_same_type_is_not_canonical() {
    let same = "this is not the canonical text: print the type again from here on";
    refused("session s {\n  pause a: 5;\n}\n", (2, 3), same);
    refused("session s {\n    pause a: 05;\n}\n", (2, 14), same);
    refused("session s {}\n", (1, 12), same);
    refused("session s {\n}", (2, 2), same);
    refused("session s {\n}\n\n", (3, 1), same);
    let branch = "choice a by Opener {\n    A => {\n        stop;\n    }\n};";
    let error = parse(&text("A(u8)", branch)).unwrap_err();
    assert_eq!((error.line, error.fault), (6, TextFault::NotCanonical));
}

#[track_caller]
fn breaks(labels: &str, steps: &str, line: usize, rule: Broken) {
    let text = text(labels, steps);
    let error = parse(&text).unwrap_err();
    match error.fault {
        TextFault::IllFormed(found) => assert_eq!(found.broken, rule, "{text}"),
        other => panic!("{other} in\n{text}"),
    }
    let head = 3 + labels.split_whitespace().count();
    let expected = if line == 0 { 1 } else { head + line };
    assert_eq!(error.line, expected, "line of {rule:?}");
}

fn name(text: &str) -> String {
    text.to_string()
}

#[test]
fn names_and_declarations() {
    let long = "a".repeat(65);
    breaks("A(u8)", &format!("each {long}: A by All;"), 1, Broken::Name(long));
    breaks("A(u8)", "each _: A by All;", 1, Broken::Name(name("_")));
    breaks("A(u8)", "each certified: A by All;", 1, Broken::Name(name("certified")));
    breaks("9(u8)", "each a: 9 by All;", 0, Broken::Name(name("9")));
    breaks("A(u8-)", "each a: A by All;", 0, Broken::Layout(name("u8-")));
    breaks("A()", "each a: A by All;", 0, Broken::Layout(name("")));
    breaks("A(<(>))", "each a: A by All;", 0, Broken::Layout(name("<(>)")));
    breaks("A([)", "each a: A by All;", 0, Broken::Layout(name("[")));
    breaks("A(u8) A(u8)", "each a: A by All;", 0, Broken::DuplicateLabel(name("A")));
    breaks("A(u8)", "each a: A by All;\npause a: 1;", 2, Broken::DuplicateOp(name("a")));
    breaks("A(u8)", "each a: B by All;", 1, Broken::UnknownLabel(name("B")));
    breaks("A(u8)", "each a: A by Some;", 1, Broken::UnknownRole(name("Some")));
    breaks("A(u8) B(u8)", "each a: A by All;", 0, Broken::Unused(name("B")));
    let role = "session s {\n    roles {\n        All: many,\n    }\n}\n";
    refused(role, (1, 1), "the role `All` exists already: rename this one");
    let twice = "session s {\n    roles {\n        A: many,\n        A: one,\n    }\n}\n";
    refused(twice, (1, 1), "the role `A` exists already: rename this one");
}

#[test]
fn who_does_what() {
    breaks("A(u8)", "write a: A by All;", 1, Broken::NeedsOne(name("All")));
    breaks("A(u8)", "each a: A by Opener;", 1, Broken::NeedsMany(name("Opener")));
    breaks("A(u8)", "scatter a: All -> Opener: A;", 1, Broken::NeedsMany(name("Opener")));
    breaks("A(u8)", "scatter a: Opener -> All: A;", 1, Broken::NeedsMany(name("Opener")));
    let decide = "each a: A by All;\ndecide b by All: on A[1] => B | C;";
    breaks("A(u8) B(u8) C(Reason)", decide, 2, Broken::NeedsOne(name("All")));
    breaks("A(u8)", "choice a by All {\n    A => {}\n};", 1, Broken::NeedsOne(name("All")));
}

#[test]
fn nothing_is_awaited_that_was_not_sent() {
    let never = || Broken::NeverSent(name("A"));
    breaks("A(u8)", "gather g: A[all];\neach a: A by All;", 1, never());
    let decide = "decide b by Opener: on A[1] => B | C;\neach a: A by All;";
    breaks("A(u8) B(u8) C(Reason)", decide, 1, never());
    // Sent on one branch only.
    let branch = "choice c by Opener {\n    X => {\n        each a: A by All;\n    }\n    Y => {}\n};\ngather g: A[1];";
    breaks("A(u8) X(u8) Y(u8)", branch, 7, never());
    // Sent on both, but by others.
    let others = branch.replace("Y => {}", "Y => {\n        write b: A by Opener;\n    }");
    breaks("A(u8) X(u8) Y(u8)", &others, 9, never());
    // Sent on both branches; the one that stops does not count.
    let both = branch.replace("Y => {}", "Y => stop,");
    session("A(u8) X(u8) Y(u8)", &both);
    breaks("A(u8)", "each a: A by All;\ngather g: A[0];", 2, Broken::Count(0));
    breaks("A(u8)", "each a: A by All;\ngather g: A[129];", 2, Broken::Count(129));
}

#[test]
fn subsets_are_decided_first() {
    let undecided = || Broken::NotDecided(name("B"));
    breaks("A(u8) B(u8)", "each a: A among B;", 1, undecided());
    let labels = "A(u8) B(devices) C(Reason)";
    breaks(labels, "each a: A by All;\ngather g: A[among B];", 2, undecided());
    let no = "each a: A by All;\ndecide d by Opener: on A[1] => B | C;\ngather g: A[among C];";
    breaks(labels, no, 3, Broken::NotDecided(name("C")));
    let branch = "choice c by Opener {\n    B => {\n        each a: A among B;\n    }\n};";
    breaks("A(u8) B(u8)", branch, 3, undecided());
}

#[test]
fn a_label_has_one_use() {
    let twice = "each a: A by All;\ndecide d by Opener: on A[1] => B | C;\ndecide e by Opener: on A[1] => B | C;";
    breaks("A(u8) B(u8) C(Reason)", twice, 3, Broken::DecidedTwice(name("B")));
    let again = "each a: A by All;\nwrite b: A by Opener;";
    breaks("A(u8)", again, 2, Broken::SentTwice(name("A")));
    let mixed = "each a: A by All;\ndecide d by Opener: on A[1] => A | C;";
    breaks("A(u8) C(Reason)", mixed, 2, Broken::MixedUse(name("A")));
    let awaited = "each a: A by All;\ndecide d by Opener: on A[1] => B | C;\ngather g: B[1];";
    breaks("A(u8) B(u8) C(Reason)", awaited, 3, Broken::MixedUse(name("B")));
    let scattered = "scatter a: All -> All: A;\ndecide d by Opener: on A[1] => B | C;";
    breaks("A(u8) B(u8) C(Reason)", scattered, 2, Broken::Scattered(name("A")));
    let reason = "each a: A by All;\ndecide d by Opener: on A[1] => B | C;";
    breaks("A(u8) B(u8) C(Reasons)", reason, 2, Broken::NotAReason(name("C")));
    let vote = "each a: BVote by All;\ndecide certified d by Opener: on BVote[1] => B | C;";
    breaks("BVote(u8) B(u8) C(Reason)", vote, 2, Broken::VoteLabel(name("BVote")));
    let finally = "each a: A by All;\nsub u {\n    session t {\n    }\n} finally A;";
    breaks("A(u8)", finally, 2, Broken::FinallyElsewhere(name("A")));
}

#[test]
fn choices_and_loops() {
    breaks(
        "A(u8)",
        "each a: A by All;\nchoice c by Opener {\n};",
        2,
        Broken::NoBranches(name("c")),
    );
    let on = "each a: A by All;\nchoice c by Opener: on A[1] {\n    B => {}\n};";
    breaks("A(u8) B(u8)", on, 2, Broken::NoAbort(name("c")));
    let back = "rec r within 5;\nchoice c by Opener {\n    B => continue r,\n    D => {}\n};";
    breaks("B(u8) D(u8)", back, 2, Broken::NoAbort(name("c")));
    let earlier = "each a: A by All;\nrec r within 5;\nchoice c by Opener: on A[1] {\n    B => continue r,\n    D => {}\n} | C;";
    breaks("A(u8) B(u8) C(Reason) D(u8)", earlier, 3, Broken::EarlierRound(name("A")));
    let never = "rec r within 5;\nchoice c by Opener {\n    B => continue r,\n} | C;";
    breaks("B(u8) C(Reason)", never, 0, Broken::NoEnd);
    let end = "choice c by Opener {\n    B => continue r,\n} | C;\nrec r within 5;";
    breaks("B(u8) C(Reason)", end, 1, Broken::UnknownRec(name("r")));
    breaks("A(u8)", "each a: A by All;\nrec r within 5;", 2, Broken::NeverContinued(name("r")));
    let loops = "rec r within 5;\nrec r within 6;";
    breaks("A(u8)", &format!("{loops}\neach a: A by All;"), 2, Broken::DuplicateRec(name("r")));
    let after = "choice c by Opener {\n    B => stop,\n};\npause p: 1;";
    breaks("B(u8)", after, 4, Broken::Unreachable);
    let inner = "choice c by Opener {\n    B => {\n        choice d by Opener {\n            D => stop,\n        };\n        stop;\n    }\n};";
    breaks("B(u8) D(u8)", inner, 3, Broken::Unreachable);
}

#[test]
fn sub_sessions() {
    let sub = |map: &str| {
        format!(
            "sub u {{\n    map {{\n        {map},\n    }}\n    session t {{\n        roles {{\n            One: one,\n        }}\n        msg {{\n            T(u8),\n        }}\n        write t: T by One;\n    }}\n}};\neach a: A by All;"
        )
    };
    session("A(u8)", &sub("One: Opener"));
    breaks("A(u8)", &sub("One: All"), 1, Broken::Mapping(name("One")));
    breaks("A(u8)", &sub("Two: Opener"), 1, Broken::Mapping(name("Two")));
    breaks("A(u8)", &sub("One: Some"), 1, Broken::UnknownRole(name("Some")));
    let twice = sub("One: Opener").replace("One: Opener,", "One: Opener,\n        One: Opener,");
    breaks("A(u8)", &twice, 1, Broken::Mapping(name("One")));
    // A child's rules are checked, and its labels are its own.
    let inner = sub("One: Opener").replace("T by One", "A by One");
    breaks("A(u8)", &inner, 12, Broken::UnknownLabel(name("A")));
}

#[test]
fn limits() {
    let many = |count: usize| (0..count).map(|it| format!("L{it}(u8) ")).collect::<String>();
    let error = parse(&text(&many(LABELS_MAX), "")).unwrap_err();
    assert_eq!(error.fault.to_string(), "nothing uses the label `L0`: remove it");
    let steps = (0..=LABELS_MAX).map(|it| format!("each o{it}: L{it} by All;\n"));
    let steps: String = steps.collect();
    let found = LABELS_MAX + 1;
    breaks(&many(found), &steps, 0, Broken::Labels { found });

    let pauses: String = (0..=STEPS_MAX).map(|it| format!("pause a{it:x}: 1;")).collect();
    let error = parse(&format!("session s {{{pauses}}}")).unwrap_err();
    assert!(error.to_string().ends_with("more than 512 steps: split the session"), "{error}");

    let deep = |levels: usize| {
        let open: String = (0..levels).map(|it| format!("sub a{it} {{ session s {{")).collect();
        format!("session s {{{open}{}}}", "} };".repeat(levels))
    };
    let fault = |levels| parse(&deep(levels)).unwrap_err().fault;
    assert_eq!(fault(NESTING_MAX - 1), TextFault::NotCanonical);
    assert!(matches!(fault(NESTING_MAX), TextFault::IllFormed(it) if it.broken == Broken::Nesting));

    let long = " ".repeat(TEXT_BYTES_MAX + 1);
    assert_eq!(parse(&long).unwrap_err().fault, TextFault::TooLong { found: long.len() });
    let long: String = (0..400).map(|it| format!("pause a{it}: 1234567;\n")).collect();
    let mut built = parse("session s {\n}\n").unwrap();
    built.body = (0..400)
        .map(|it| aura_protocol_core::session_type::Step::Pause {
            op: format!("a{it}"),
            epochs: 1_234_567,
        })
        .collect();
    let error = built.check().unwrap_err().broken;
    assert_eq!(error, Broken::Text { found: long.len() + 4 * 400 + "session s {\n}\n".len() });
}

proptest! {
    /// INV-ST1: a well-formed type has one text, which parses back to it.
    #[test]
    fn a_type_has_one_text(seed: u64, change: u64) {
        for session in [sample::sample(seed), sample::mutate(change, &sample::sample(seed))] {
            let text = session.to_string();
            prop_assert_eq!(parse(&text).unwrap(), session);
        }
    }

    /// INV-ST2: whatever the text, parsing ends, and only well-formed types come out.
    #[test]
    fn any_text_is_parsed_or_refused(seed: u64, at: prop::sample::Index, with: String) {
        let mut text = sample::sample(seed).to_string();
        let at = at.index(text.len());
        text.replace_range(at..(at + with.len()).min(text.len()), &with);
        if let Ok(session) = parse(&text) {
            prop_assert!(session.check().is_ok());
            prop_assert_eq!(session.to_string(), text);
        }
    }
}

#[test]
fn samples_are_well_formed_and_varied() {
    let mut kinds = std::collections::BTreeSet::new();
    let mut changed = 0;
    for seed in 0..300 {
        let session = sample::sample(seed);
        assert_eq!(session.check(), Ok(()), "seed {seed}");
        let mutant = sample::mutate(seed, &session);
        assert_eq!(mutant.check(), Ok(()), "mutant of seed {seed}");
        changed += usize::from(mutant != session);
        let words = [
            "write",
            "each",
            "gather",
            "scatter",
            "decide",
            "certified",
            "unless",
            "choice",
            "rec",
            "continue",
            "stop",
            "sub",
            "finally",
            "pause",
            "roles",
            "ttl",
            "among",
        ];
        let text = session.to_string();
        kinds.extend(words.into_iter().filter(|it| text.contains(it)));
    }
    assert_eq!(kinds.len(), 17, "{kinds:?}");
    assert!(290 < changed, "{changed} mutants differ");
}
