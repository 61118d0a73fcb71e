//! What a survey finds: each rule once, so that the list is no longer than there are rules, whatever a
//! module is made of.

use crate::refused::Refused;

/// Refusals, each of another rule; of one that is broken more than once, the worst.
#[derive(Debug, Default)]
pub(super) struct Findings {
    refusals: Vec<Refused>,
    ends_malformed: bool,
}

impl Findings {
    /// Takes one in.
    pub(super) fn note(&mut self, refused: Refused) {
        self.ends_malformed = matches!(refused, Refused::Malformed { .. });
        match self.refusals.iter_mut().find(|it| it.is_same_rule(&refused)) {
            Some(known) if known.found() < refused.found() => *known = refused,
            Some(_) => {}
            None => self.refusals.push(refused),
        }
    }

    /// Whether what was found last is that the bytes are no module.
    pub(super) const fn ends_malformed(&self) -> bool {
        self.ends_malformed
    }

    /// All of them, in the order in which their rules were broken first.
    pub(super) fn into_refusals(self) -> Vec<Refused> {
        self.refusals
    }
}

impl Extend<Refused> for Findings {
    fn extend<I: IntoIterator<Item = Refused>>(&mut self, refusals: I) {
        refusals.into_iter().for_each(|it| self.note(it));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// INV-H9
    #[test]
    fn a_rule_is_kept_once_however_often_it_is_broken() {
        let mut findings = Findings::default();
        for found in [600, 9_000, 700].repeat(10_000) {
            findings.note(Refused::LimitExceeded { rule: "locals", found, limit: 512 });
            findings.note(Refused::FeatureNotAllowed { feature: "floats" });
            assert!(findings.refusals.len() <= 2);
        }
        assert!(!findings.ends_malformed());
        findings.note(Refused::Malformed { reason: "at byte 9".to_owned() });
        assert!(findings.ends_malformed());
        findings.note(Refused::Malformed { reason: "at byte 10".to_owned() });
        let expected = [
            Refused::LimitExceeded { rule: "locals", found: 9_000, limit: 512 },
            Refused::FeatureNotAllowed { feature: "floats" },
            Refused::Malformed { reason: "at byte 9".to_owned() },
        ];
        assert_eq!(findings.into_refusals(), expected);
    }
}
