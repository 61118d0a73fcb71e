//! What is written for small texts, in full; and limits that a text written by hand never meets.

use std::fmt::Write as _;

use proc_macro2::TokenStream;

use crate::{choreography, expand, payload};

/// Formatted as a file.
fn pretty(tokens: TokenStream) -> String {
    prettyplease::unparse(&syn::parse2(tokens).unwrap())
}

fn tokens(text: &str) -> TokenStream {
    text.parse().unwrap()
}

/// Compares what is written for a text with what was written before.
fn golden(name: &str, text: &str) {
    let written = pretty(expand::session(tokens(text)).unwrap());
    check(name, text, &written);
}

fn check(name: &str, text: &str, written: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../tests/golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(text);
    settings.bind(|| insta::assert_snapshot!(name, written));
}

#[test]
fn each_and_decide() {
    golden(
        "each_and_decide",
        "/// Adds.
        pub mod sum;
        ttl 60;
        msg { /// A part.
            Part(u64), Chosen(DeviceSet), Sum(u64), Abort(Reason) }
        each part: Part;
        decide chosen: on Part[threshold] within 50 => Chosen | Abort;
        gather parts: Part[among Chosen];
        decide certified sum: on Part[2] within 50 => Sum | Abort;",
    );
}

#[test]
fn decline_and_subset() {
    golden(
        "decline_and_subset",
        "pub mod ready;
        ttl 9;
        msg { Ready(u8), Decline(Reason), Chosen(DeviceSet), Share(u8), Abort(Reason) }
        each ready: Ready | Decline;
        decide chosen: on Ready[threshold] within 5 => Chosen | Abort;
        each share: Share among Chosen;
        gather shares: Share[among Chosen] within 5;",
    );
}

#[test]
fn choice_and_rounds() {
    golden(
        "choice_and_rounds",
        "mod rounds;
        msg { Vote(u8), Again(u8), Slow(()), Quit(u8), Extra(u8), Abort(Reason) }
        rec round within 200;
        each vote: Vote;
        choice route: on Vote[all] within 20 {
            Again => continue round,
            Slow => { each extra: Extra; pause cool: 5; }
            Quit => stop,
        } | Abort;",
    );
}

#[test]
fn scatter_and_roles() {
    golden(
        "scatter_and_roles",
        "pub mod deals;
        roles { Coord: one, Old: many, New: many }
        msg { Open(u8), Sealed(u16) }
        write open: Open;
        /// Deals.
        scatter deal: Old -> New: Sealed;
        gather mine: Sealed[all] within 30;",
    );
}

#[test]
fn part_and_last_word() {
    golden(
        "part_and_last_word",
        "crate = sdk::choreography;
        pub(crate) mod outer;
        roles { Lead: one, Old: many }
        msg { Release(Released) }
        sub lock: locking { Coord: Lead, All: Old } finally release: Release;
        sub again: locking;",
    );
}

#[test]
fn veto() {
    golden(
        "veto",
        "pub mod cooling;
        msg { Ready(u8), Go(u8), Abort(Reason), Veto(String) }
        each ready: Ready;
        decide go by Opener: on Ready[all] within 50 => Go | Abort unless Veto;",
    );
}

#[test]
fn functions_and_payloads() {
    let text = "pub async fn derive(s: dkd::Start) -> Result<dkd::Finished<u64>, Stop> { end(s) }";
    let arguments = "pub(crate) Dkd, roles = assign, crate = sdk::choreography";
    let written = choreography::expand(tokens(arguments), tokens(text)).unwrap();
    check("function", text, &pretty(written));
    let text = "enum Several<T> { None, One(u64), Two(u8, T), Named { r#type: Vec<u8> } }";
    check("payload", text, &pretty(payload::expand(tokens(text)).unwrap()));
}

/// What is wrong with a text.
fn errors(text: &str) -> Vec<String> {
    let error = expand::session(tokens(text)).unwrap_err();
    error.into_iter().map(|it| it.to_string()).collect()
}

/// A text with so many messages, each said in a step of its own.
fn long(messages: usize, rest: &str) -> String {
    let mut text = "mod long; msg {".to_string();
    (0..messages).for_each(|it| write!(text, "M{it}(u8),").unwrap());
    text.push('}');
    (0..messages).for_each(|it| write!(text, "each m{it}: M{it};").unwrap());
    text + rest
}

#[test]
fn a_session_has_limits() {
    assert!(expand::session(tokens(&long(128, ""))).is_ok());
    assert_eq!(errors(&long(129, "")), ["a session has at most 128 messages, votes included"]);
    let pauses = |count: usize| (0..count).map(|it| format!("pause p{it}: 1;")).collect::<String>();
    assert!(expand::session(tokens(&long(12, &pauses(500)))).is_ok());
    assert_eq!(errors(&long(12, &pauses(501))), ["a session has at most 512 steps: use a `sub`"]);
    let nested = |depth: usize| {
        let labels: String = (0..depth).map(|it| format!("M{it}(u8),")).collect();
        let inner = (0..depth).fold("pause rest: 1;".to_string(), |inner, it| {
            format!("choice c{it} {{ M{it} => {{ {inner} }} }};")
        });
        format!("mod deep; msg {{ {labels} }} {inner}")
    };
    assert!(expand::session(tokens(&nested(14))).is_ok());
    let deep = ["branches are nested deeper than 15: make a `sub` of them"];
    assert_eq!(errors(&nested(15)), deep);
}

#[test]
fn long_names_are_refused() {
    let text = |length: usize| format!("mod {}; pause rest: 1;", "n".repeat(length));
    assert!(expand::session(tokens(&text(64))).is_ok());
    assert_eq!(errors(&text(65)), ["a name is at most 64 of the letters `A-Z a-z 0-9 _`"]);
}
