//! A script that is made at run time.

use std::collections::BTreeMap;

use aura_choreography::{
    Cast, Completed, Cx, Dev, DeviceSet, Exit, GlobalType, Label, Members, Opening, Reason,
    Running, Script, rt,
};
use aura_protocol_core::{decode, session_type::SessionType};

use super::{
    global,
    known::{Carries, Known, Labelled},
    said::Said,
    walk::{Walk, walk},
};

/// A session type as a script. Its parameters are who plays which role.
pub struct Interpreted {
    known: &'static Known,
    pub(super) labels: Vec<Labelled>,
}

/// Who plays what, by the roles' names: the parameters of an interpreted session.
pub(super) type Roles = BTreeMap<String, DeviceSet>;

pub(super) fn roles(params: &[u8]) -> Roles {
    decode(params, params.len()).unwrap_or_default()
}

impl Interpreted {
    /// The script of a well-formed type. It is never freed: the runtime takes static scripts only.
    #[must_use]
    pub fn new(session: &SessionType) -> &'static Self {
        let global: &'static GlobalType = Box::leak(Box::new(global::leak(session)));
        let known: &'static Known = Box::leak(Box::new(Known::new(global)));
        let mut labels = Vec::new();
        known.labels("", &mut labels);
        Box::leak(Box::new(Self { known, labels }))
    }

    fn labelled(&self, label: Label) -> Option<&Labelled> {
        self.labels.get(usize::from(label.0))
    }

    /// This version's label for what another version says under one of its own; none if this one
    /// cannot read it.
    pub(super) fn translate(&self, from: &Self, label: Label) -> Option<Label> {
        let said = from.labelled(label)?;
        let alike = |it: &Labelled| it.name == said.name && it.layout == said.layout;
        let found = self.labels.iter().position(alike)?;
        u16::try_from(found).ok().map(Label)
    }

    /// Whether this version and another both know a label of this name, alike.
    pub(super) fn shares(&self, other: &Self, name: &str) -> bool {
        let layout =
            |it: &Self| it.labels.iter().find(|it| it.name == name).map(|it| it.layout.clone());
        layout(self).is_some() && layout(self) == layout(other)
    }

    pub(super) fn name(&self, label: Label) -> &str {
        self.labelled(label).map_or("", |it| it.name.as_str())
    }
}

impl Script for Interpreted {
    fn global(&self) -> &GlobalType {
        self.known.global
    }

    fn run(&self, cx: Cx) -> Running {
        let known = self.known;
        Box::pin(async move {
            let cx = cx.with_ttl(known.global.ttl);
            rt::start(
                cx,
                |cx| Walk::new(cx, known),
                |it| async move { walk(it, known.global.steps).await.map(|it| it.0.learned()) },
            )
            .await
        })
    }

    fn accepts(&self, label: Label, body: &[u8]) -> bool {
        let Some(label) = self.labelled(label) else { return false };
        let fits = |said: Said| said.layout == label.layout;
        match label.carries {
            Carries::Said => decode::<Said>(body, body.len()).is_ok_and(fits),
            Carries::Addressed => {
                decode::<(Dev, Said)>(body, body.len()).is_ok_and(|it| fits(it.1))
            }
            Carries::Reason => rt::is::<Reason>(body),
            Carries::Vote => decode::<Result<Said, Reason>>(body, body.len()).is_ok(),
            Carries::Exit => rt::is::<Exit>(body),
        }
    }

    fn is_addressed(&self, label: Label) -> bool {
        self.labelled(label).is_some_and(|it| it.carries == Carries::Addressed)
    }

    fn cast(&self, opening: &Opening<'_>) -> Result<Cast, Reason> {
        let roles = roles(opening.params);
        let members = |it: &aura_choreography::global::RoleType| {
            roles.get(it.name).map(|it| Members::of(*it)).ok_or(Reason::Insufficient)
        };
        let declared = self.known.global.roles.iter().map(members).collect::<Result<_, _>>()?;
        Ok(Cast { all: opening.all(), roles: declared })
    }
}

impl Walk {
    /// What the session ends with: all decisions that it went by.
    fn learned(self) -> Completed {
        Completed::of(&self.learned)
    }
}
