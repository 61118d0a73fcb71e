//! Which device plays what in a comparison, and what the two versions call things.

use alloc::{
    borrow::ToOwned,
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{ALL, Arity, OPENER, SessionType, Side, Step, code::Label, code::Labels, vote_label};
use crate::quorum::default_threshold;

/// A set of devices, one bit each.
pub(super) type Devices = u8;

/// Devices in a comparison: the least number with a threshold that one device can miss.
pub(super) const COUNT: usize = 3;
/// All of them.
pub(super) const DEVICES: Devices = (1 << COUNT) - 1;

/// The threshold of a group of devices.
pub(super) fn threshold(devices: Devices) -> u32 {
    let count = usize::try_from(devices.count_ones()).unwrap_or_default();
    u32::try_from(default_threshold(count)).unwrap_or(u32::MAX)
}

/// The devices of a set, in order.
pub(super) fn members(devices: Devices) -> impl Iterator<Item = usize> {
    (0..COUNT).filter(move |it| devices >> it & 1 == 1)
}

/// Who plays which role.
#[derive(Debug, Clone)]
pub(super) struct Spread {
    pub(super) roles: BTreeMap<String, Devices>,
}

impl Spread {
    /// The arrangements of a comparison. In the first, the opener plays every role of one device, and
    /// everyone every role of many. Where that hides who does something, there are three more, in which
    /// roles of one device fall to different devices and roles of many to different pairs of devices,
    /// each turned by one device from the one before.
    pub(super) fn all(old: &SessionType, new: &SessionType) -> Vec<Self> {
        let declared: BTreeSet<(&str, Arity)> = [old, new]
            .iter()
            .flat_map(|it| &it.roles)
            .map(|it| (it.name.as_str(), it.arity))
            .collect();
        let of = |arity| declared.iter().filter(move |it| it.1 == arity).map(|it| it.0);
        let fixed = [(OPENER.to_string(), 1), (ALL.to_string(), DEVICES)];
        let new_spread = |roles: Vec<(&str, Devices)>| {
            let declared = roles.into_iter().map(|(name, devices)| (name.to_string(), devices));
            // A name that is `one` in one version and `many` in the other stays with the opener.
            Self { roles: declared.chain(fixed.clone()).collect() }
        };
        let plain = of(Arity::Many).map(|it| (it, DEVICES)).chain(of(Arity::One).map(|it| (it, 1)));
        let mut spreads = alloc::vec![new_spread(plain.collect())];
        let several = 1 < of(Arity::Many).count();
        let turns = if several || of(Arity::One).next().is_some() { 0..COUNT } else { 0..0 };
        for turn in turns {
            let pairs = of(Arity::Many).enumerate().map(|(index, name)| {
                let without = (index + turn) % COUNT;
                (name, if several { DEVICES & !(1 << without) } else { DEVICES })
            });
            let ones = of(Arity::One)
                .enumerate()
                .map(|(index, name)| (name, 1 << ((index + turn + 1) % COUNT)));
            spreads.push(new_spread(pairs.chain(ones).collect()));
        }
        spreads
    }

    /// No arrangement: who plays what does not matter.
    pub(super) const fn unknown() -> Self {
        Self { roles: BTreeMap::new() }
    }

    /// The devices that play a role.
    pub(super) fn members(&self, role: &str) -> Devices {
        self.roles.get(role).copied().unwrap_or_default()
    }

    /// The first device that plays a role.
    pub(super) fn one(&self, role: &str) -> usize {
        members(self.members(role)).next().unwrap_or_default()
    }
}

/// The labels of both versions, and which of them a device of one can read from the other.
#[derive(Debug)]
pub(super) struct Names {
    names: Vec<String>,
    labels: BTreeMap<String, Label>,
    known: [Labels; 2],
    alike: Labels,
}

impl Names {
    pub(super) fn new(old: &SessionType, new: &SessionType) -> Self {
        let (mut of_old, mut of_new) = (BTreeMap::new(), BTreeMap::new());
        layouts(old, "", &mut of_old);
        layouts(new, "", &mut of_new);
        let all: BTreeSet<&String> = of_old.keys().chain(of_new.keys()).collect();
        let names: Vec<String> = all.into_iter().cloned().collect();
        let labels: BTreeMap<String, Label> = names.iter().cloned().zip(0..Label::MAX).collect();
        let mut known = [Labels::default(); 2];
        let mut alike = Labels::default();
        for (name, label) in &labels {
            let layouts = [of_old.get(name), of_new.get(name)];
            for (known, layout) in known.iter_mut().zip(layouts) {
                layout.iter().for_each(|_| known.insert(*label));
            }
            if let [Some(one), Some(other)] = layouts
                && one == other
            {
                alike.insert(*label);
            }
        }
        Self { names, labels, known, alike }
    }

    /// The labels of one projection, none of which another version could read otherwise.
    pub(super) fn of(labels: BTreeSet<String>) -> Self {
        let names: Vec<String> = labels.into_iter().collect();
        let labels = names.iter().cloned().zip(0..Label::MAX).collect();
        Self { names, labels, known: [Labels::default(); 2], alike: Labels::default() }
    }

    pub(super) fn label(&self, name: &str) -> Label {
        self.labels.get(name).copied().unwrap_or(Label::MAX)
    }

    pub(super) fn name(&self, label: Label) -> String {
        self.names.get(usize::from(label)).map_or_else(String::new, ToOwned::to_owned)
    }

    pub(super) fn knows(&self, side: Side, label: Label) -> bool {
        match side {
            Side::Old => self.known[0].contains(label),
            Side::New => self.known[1].contains(label),
        }
    }

    /// Whether a device of one version can read what a device of another sends.
    pub(super) fn reads(&self, reader: Side, writer: Side, label: Label) -> bool {
        reader == writer || self.alike.contains(label)
    }
}

/// The layout of every label, those of sub-sessions and votes included.
fn layouts(session: &SessionType, prefix: &str, into: &mut BTreeMap<String, String>) {
    for label in &session.labels {
        into.insert(format!("{prefix}{}", label.name), label.layout.clone());
    }
    layouts_of_steps(&session.body, prefix, into);
}

fn layouts_of_steps(steps: &[Step], prefix: &str, into: &mut BTreeMap<String, String>) {
    for step in steps {
        match step {
            Step::Decide { certified: true, yes, .. } => {
                // A vote repeats the decision; no declared label has this layout.
                into.insert(
                    format!("{prefix}{}", vote_label(yes)),
                    "vote of a decision".to_string(),
                );
            }
            Step::Choice { branches, .. } => {
                branches.iter().for_each(|it| layouts_of_steps(&it.body, prefix, into));
            }
            Step::Sub { op, session, .. } => layouts(session, &format!("{prefix}{op}/"), into),
            _ => {}
        }
    }
}
