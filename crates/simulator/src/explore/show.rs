//! Events as people read them.

use std::fmt::Write;

use aura_choreography::{
    Dev, DeviceSet, Event, Exit, GlobalType, Label, Layout, Reason, Shape,
    global::{Branch, Step},
};
use borsh::BorshDeserialize;

/// Bytes of a long string of bytes that are shown.
const BYTES_SHOWN: usize = 4;
/// Elements of a long list that are shown.
const ELEMENTS_SHOWN: u32 = 8;

/// An event without its author: `Commit(0x5c0f1e2d…)`.
pub(super) fn say(global: &GlobalType, event: &Event) -> String {
    let label = global.label_text(event.label, event.round);
    let Some((layout, addressed)) = layout_of(global, &label) else {
        return format!("{label}({:?})", event.body);
    };
    let mut bytes = event.body.bytes();
    let to = if addressed { Dev::deserialize(&mut bytes).ok() } else { None };
    let mut text = String::new();
    let whole = value(layout, &mut bytes, &mut text).filter(|()| bytes.is_empty());
    if whole.is_none() {
        text = hex(event.body.bytes());
    }
    match to {
        Some(to) => format!("{label}({text}) to {to}"),
        None if layout.head == "unit" => label,
        None => format!("{label}({text})"),
    }
}

/// A label's layout, and whether its events are addressed.
fn layout_of(global: &GlobalType, label: &str) -> Option<(&'static Layout, bool)> {
    let path = label.split('#').next().unwrap_or(label);
    match path.split_once('/') {
        Some((part, inner)) => {
            let inside = |it: &'static Step| match it {
                Step::Sub { op, session, .. } if *op == part => Some(*session),
                _ => None,
            };
            layout_of(find(global.steps, &inside)?, inner)
        }
        None => {
            let scattered = |it: &'static Step| {
                matches!(it, Step::Scatter { label, .. } if *label == path).then_some(())
            };
            let layout = global.labels.iter().find(|it| it.name == path)?.layout;
            Some((layout, find(global.steps, &scattered).is_some()))
        }
    }
}

fn find<T>(steps: &'static [Step], wanted: &dyn Fn(&'static Step) -> Option<T>) -> Option<T> {
    steps.iter().find_map(|step| {
        let deeper = |it: &'static Branch| find(it.steps, wanted);
        wanted(step).or_else(|| match step {
            Step::Choice { branches, .. } => branches.iter().find_map(deeper),
            _ => None,
        })
    })
}

fn value(layout: &'static Layout, bytes: &mut &[u8], text: &mut String) -> Option<()> {
    match layout.shape {
        Shape::Leaf => leaf(layout.head, bytes, text),
        Shape::Generic => generic(layout, bytes, text),
        Shape::Fields => parts(layout, bytes, text, "{", "}"),
        Shape::Variants => {
            let tag = u8::deserialize(bytes).ok()?;
            let (name, part) = layout.parts.get(usize::from(tag))?;
            text.push_str(name);
            value(part, bytes, text)
        }
    }
}

fn parts(
    layout: &'static Layout,
    bytes: &mut &[u8],
    text: &mut String,
    open: &str,
    close: &str,
) -> Option<()> {
    text.push_str(open);
    for (at, (name, part)) in layout.parts.iter().enumerate() {
        text.push_str(if at == 0 { "" } else { ", " });
        if !name.is_empty() {
            write!(text, "{name}: ").ok()?;
        }
        value(part, bytes, text)?;
    }
    text.push_str(close);
    Some(())
}

fn generic(layout: &'static Layout, bytes: &mut &[u8], text: &mut String) -> Option<()> {
    let part = |at: usize| layout.parts.get(at).map(|it| it.1);
    match layout.head {
        "vec" | "set" | "map" => {
            let count = u32::deserialize(bytes).ok()?;
            text.push('[');
            for at in 0..count {
                let mut unseen = String::new();
                let text = if at < ELEMENTS_SHOWN { &mut *text } else { &mut unseen };
                text.push_str(if at == 0 { "" } else { ", " });
                value(part(0)?, bytes, text)?;
                if layout.head == "map" {
                    text.push_str(": ");
                    value(part(1)?, bytes, text)?;
                }
            }
            text.push_str(if ELEMENTS_SHOWN < count { ", …]" } else { "]" });
            Some(())
        }
        "option" => match u8::deserialize(bytes).ok()? {
            0 => {
                text.push_str("none");
                Some(())
            }
            _ => value(part(0)?, bytes, text),
        },
        "result" => {
            let works = u8::deserialize(bytes).ok()? == 1;
            text.push_str(if works { "" } else { "no: " });
            value(part(usize::from(!works))?, bytes, text)
        }
        _ => parts(layout, bytes, text, "(", ")"),
    }
}

fn leaf(head: &str, bytes: &mut &[u8], text: &mut String) -> Option<()> {
    let shown = match head {
        "unit" => "()".to_string(),
        "bool" => bool::deserialize(bytes).ok()?.to_string(),
        "u8" => u8::deserialize(bytes).ok()?.to_string(),
        "u16" => u16::deserialize(bytes).ok()?.to_string(),
        "u32" => u32::deserialize(bytes).ok()?.to_string(),
        "u64" | "epoch" | "time" => number(u64::deserialize(bytes).ok()?),
        "i64" => i64::deserialize(bytes).ok()?.to_string(),
        "string" => format!("{:?}", String::deserialize(bytes).ok()?),
        "device" => Dev::deserialize(bytes).ok()?.to_string(),
        "devices" => format!("{{{}}}", DeviceSet::deserialize(bytes).ok()?),
        "Reason" => Reason::deserialize(bytes).ok()?.to_string(),
        "exit" => format!("{:?}", Exit::deserialize(bytes).ok()?),
        "digest" | "account" | "app" | "device-id" | "session" => hex(take(bytes, 32)?),
        other => hex(take(bytes, other.strip_prefix("bytes")?.parse().ok()?)?),
    };
    text.push_str(&shown);
    Some(())
}

fn take<'b>(bytes: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn number(value: u64) -> String {
    if value < 1 << 32 { value.to_string() } else { format!("{:#x}…", value >> 40) }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::from("0x");
    for byte in bytes.iter().take(BYTES_SHOWN) {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push_str(if BYTES_SHOWN < bytes.len() { "…" } else { "" });
    text
}

/// Labels as people read them: `Freeze or Abort`.
pub(super) fn labels(
    global: &GlobalType,
    labels: impl Iterator<Item = Label>,
    round: u32,
) -> String {
    labels.map(|it| global.label_text(it, round)).collect::<Vec<_>>().join(" or ")
}
