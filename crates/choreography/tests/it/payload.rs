//! Layouts of messages.

use std::collections::BTreeMap;

use aura_choreography::{DeviceSet, Layout, Payload, Shape};
use borsh::{BorshDeserialize, BorshSerialize};

/// Named fields.
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize, Payload)]
struct Named<T> {
    ok: T,
    r#type: BTreeMap<u16, Option<DeviceSet>>,
}

/// Fields by place.
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize, Payload)]
struct Placed(u8, [u8; 32]);

/// Nothing.
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize, Payload)]
struct Empty;

/// One of several.
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize, Payload)]
enum Several {
    None,
    One(u64),
    Two(u8, String),
    Named { of: Named<bool> },
}

/// What a layout looks like in a type's text.
fn text(layout: &Layout) -> String {
    let parts: Vec<_> = layout
        .parts
        .iter()
        .map(
            |(name, part)| {
                if name.is_empty() { text(part) } else { format!("{name}:{}", text(part)) }
            },
        )
        .collect();
    let (open, close) = match layout.shape {
        Shape::Leaf => return layout.head.to_string(),
        Shape::Generic => ("<", ">"),
        Shape::Fields => ("{", "}"),
        Shape::Variants => ("[", "]"),
    };
    format!("{}{open}{}{close}", layout.head, parts.join(","))
}

#[test]
fn a_layout_says_how_it_is_encoded() {
    let named = "Named{ok:bool,type:map<u16,option<devices>>}";
    assert_eq!(text(&<Named<bool>>::LAYOUT), named);
    assert_eq!(text(&Placed::LAYOUT), "Placed{u8,bytes32}");
    assert_eq!(text(&Empty::LAYOUT), "Empty{}");
    let several = format!("Several[None:unit,One:u64,Two:{{u8,string}},Named:{{of:{named}}}]");
    assert_eq!(text(&Several::LAYOUT), several);
    assert_ne!(Named::<u8>::LAYOUT, Named::<bool>::LAYOUT);
}
