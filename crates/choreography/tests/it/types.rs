//! The declared types as data.

use aura_choreography::{GlobalType, Label};
use aura_protocol_core::session_type;

use crate::{
    addressed::deals, certified::certified, decline::ready, dkd::dkd, local::asking, parts,
    plain::plain, rounds, veto,
};

fn types() -> Vec<(&'static GlobalType, u16)> {
    vec![
        (&dkd::GLOBAL, dkd::LABELS),
        (&ready::GLOBAL, ready::LABELS),
        (&plain::GLOBAL, plain::LABELS),
        (&rounds::rounds::GLOBAL, rounds::rounds::LABELS),
        (&rounds::nested::GLOBAL, rounds::nested::LABELS),
        (&deals::GLOBAL, deals::LABELS),
        (&certified::GLOBAL, certified::LABELS),
        (&asking::GLOBAL, asking::LABELS),
        (&veto::cooling::GLOBAL, veto::cooling::LABELS),
        (&parts::outer::GLOBAL, parts::outer::LABELS),
        (&parts::repeated::GLOBAL, parts::repeated::LABELS),
    ]
}

#[test]
fn labels_have_one_text_each() {
    for (global, labels) in types() {
        assert_eq!(global.label_count(), labels, "{}", global.name);
        for label in (0..labels).map(Label) {
            for round in [0, 1, 12] {
                let text = global.label_text(label, round);
                assert_eq!(global.parse_label(&text), Some((label, round)), "{text}");
            }
            let first = global.label_text(label, 0);
            for other in ["#", "#0", "#01", "#+1", "#-1", "#1#1", "#4294967296", "/"] {
                assert_eq!(global.parse_label(&format!("{first}{other}")), None, "{other}");
            }
        }
        assert_eq!(global.label_text(Label(labels), 0), "");
    }
}

#[test]
fn labels_have_the_names_of_their_parts() {
    let names: Vec<_> = (0..parts::repeated::LABELS)
        .map(|it| parts::repeated::GLOBAL.label_text(Label(it), 0))
        .collect();
    let expected = [
        "Once",
        "More",
        "End",
        "Abort",
        "lock/Ask",
        "lock/Retry",
        "lock/Grant",
        "lock/Denied",
        "other/Ask",
        "other/Retry",
        "other/Grant",
        "other/Denied",
    ];
    assert_eq!(names, expected);
}

/// A type's text at compile time.
macro_rules! text {
    ($global:path) => {{
        const LEN: usize = $global.text_len();
        const TEXT: [u8; LEN] = $global.text();
        std::str::from_utf8(&TEXT).unwrap()
    }};
}

/// INV-CH5: what is written at compile time is what `protocol-core` reads, checks and prints.
#[test]
fn a_text_is_canonical() {
    let texts = [
        text!(dkd::GLOBAL),
        text!(ready::GLOBAL),
        text!(plain::GLOBAL),
        text!(rounds::rounds::GLOBAL),
        text!(rounds::nested::GLOBAL),
        text!(deals::GLOBAL),
        text!(certified::GLOBAL),
        text!(asking::GLOBAL),
        text!(veto::cooling::GLOBAL),
        text!(parts::outer::GLOBAL),
        text!(parts::repeated::GLOBAL),
    ];
    for text in texts {
        let read = session_type::parse(text).unwrap_or_else(|it| panic!("{it} in\n{text}"));
        assert_eq!(read.to_string(), text);
        assert_eq!(read.check(), Ok(()));
    }
}

/// A type is known before the program runs, so that it can be in a module's descriptor.
#[test]
fn a_type_has_a_text_at_compile_time() {
    let text = text!(parts::outer::GLOBAL);
    let expected = "\
session outer {
    ttl 40;
    roles {
        Lead: one,
        Old: many,
    }
    msg {
        Hello(u8),
        Release(Released{done:bool,why:option<REASON>}),
        Total(u64),
        Abort(REASON),
    }
    each hello: Hello by All;
    sub lock {
        map {
            Coord: Lead,
            Member: Old,
        }
        session locking {
            ttl 15;
            roles {
                Coord: one,
                Member: many,
            }
            msg {
                Ask(u8),
                Retry(unit),
                Grant(u64),
                Denied(REASON),
            }
            rec again within 30;
            each ask: Ask by Member;
            choice more by Coord: on Ask[all] within 10 {
                Retry => continue again,
                Grant => {}
            } | Denied;
        }
    } finally Release;
    decide total by Lead: on Hello[all] within 20 => Total | Abort;
}
";
    let reason = <aura_choreography::Reason as aura_choreography::Payload>::LAYOUT.head;
    assert_eq!(text, expected.replace("REASON", reason));
}
