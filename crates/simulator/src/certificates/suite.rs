//! The models of the rule with what must come out of each, the broken ones included.

use aura_journal::control::ChainError;
use thiserror::Error;

use super::{Finding, Fleet, ParentRule, Parents, RecordPer, Rule, SlotModel};

/// Why a model could not be explored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// So many devices with such a quorum are no account.
    #[error("the model's account is refused; change its size")]
    Account(#[from] ChainError),
    /// It has more states than are kept in memory.
    #[error("too many states; explore fewer devices")]
    TooManyStates,
}

/// What must come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Must {
    /// No run certifies two values.
    Hold,
    /// One does.
    Conflict,
    /// None does, but devices with the same past stand before different slots for ever.
    Part,
}

/// One model.
#[derive(Debug, Clone)]
pub struct CertificateCase {
    /// Its name.
    pub name: String,
    /// What must come out.
    pub must: Must,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Slot(SlotModel),
    Parents(Parents),
}

impl CertificateCase {
    /// Explores it: how many states, what was found, and whether that is what must be.
    ///
    /// # Errors
    /// [`CertificateError`] when it cannot be explored.
    pub fn run(&self) -> Result<(usize, Finding, bool), CertificateError> {
        let (states, finding) = match self.what {
            What::Slot(model) => model.explore()?,
            What::Parents(model) => model.explore()?,
        };
        let fits = matches!(
            (self.must, &finding),
            (Must::Hold, Finding::Holds)
                | (Must::Part, Finding::Parts)
                | (Must::Conflict, Finding::Conflict(_))
        );
        Ok((states, finding, fits))
    }
}

fn slot((devices, m, equivocators): (u8, u8, u8), rule: Rule, must: Must) -> CertificateCase {
    let what = match rule {
        Rule::Kept => "",
        Rule::RestoredAbstain => ", restored devices abstain",
        Rule::RestoredVote => ", restored devices vote",
        Rule::NoLock => ", no lock",
        Rule::SendsFirst => ", sends before it writes",
    };
    let name = format!("certificate {m}-of-{devices}, {equivocators} equivocate{what}");
    let model = SlotModel { fleet: Fleet { devices, m, equivocators }, rule, every_state: false };
    CertificateCase { name, must, what: What::Slot(model) }
}

fn parents(parent: ParentRule, record: RecordPer, must: Must) -> CertificateCase {
    let named = match parent {
        ParentRule::Decision => "decision",
        ParentRule::Certificate => "certificate",
    };
    let kept = match record {
        RecordPer::Height => "height",
        RecordPer::Slot => "slot",
    };
    let name = format!("certificate 2-of-3, parent is the {named}, one record a {kept}");
    CertificateCase { name, must, what: What::Parents(Parents { parent, record }) }
}

/// Without leaving out anything.
fn every_state(devices: u8, m: u8) -> CertificateCase {
    let name = format!("certificate {m}-of-{devices}, 0 equivocate, every state");
    let fleet = Fleet { devices, m, equivocators: 0 };
    let model = SlotModel { fleet, rule: Rule::Kept, every_state: true };
    CertificateCase { name, must: Must::Hold, what: What::Slot(model) }
}

/// All of them.
#[must_use]
pub fn certificate_suite() -> Vec<CertificateCase> {
    use Must::{Conflict, Hold, Part};
    let kept = [(3, 2, 0), (4, 3, 0), (4, 3, 1), (5, 4, 2), (7, 6, 4)];
    let broken = [(3, 2, 1), (4, 3, 2), (5, 4, 3), (7, 6, 5)];
    let mut cases: Vec<_> = kept.map(|it| slot(it, Rule::Kept, Hold)).into();
    cases.extend(broken.map(|it| slot(it, Rule::Kept, Conflict)));
    let honest = [(3, 2, 0), (4, 3, 0)];
    cases.extend(honest.map(|it| slot(it, Rule::NoLock, Conflict)));
    // One device that votes twice is as bad as one equivocator more.
    let one_short = [(3, 2, 0), (4, 3, 1)];
    cases.extend(one_short.map(|it| slot(it, Rule::SendsFirst, Conflict)));
    cases.extend(one_short.map(|it| slot(it, Rule::RestoredVote, Conflict)));
    cases.push(slot((3, 2, 0), Rule::RestoredAbstain, Hold));
    cases.push(slot((4, 3, 1), Rule::RestoredAbstain, Hold));
    cases.push(every_state(3, 2));
    cases.push(parents(ParentRule::Decision, RecordPer::Height, Hold));
    cases.push(parents(ParentRule::Decision, RecordPer::Slot, Hold));
    cases.push(parents(ParentRule::Certificate, RecordPer::Height, Part));
    cases.push(parents(ParentRule::Certificate, RecordPer::Slot, Conflict));
    cases
}

/// Explores those whose names contain `filter`, and reports each with whether it came out as it must.
/// Says whether all did, and how many there were.
pub fn run_certificate_suite(
    filter: &str,
    mut report: impl FnMut(&CertificateCase, &Result<(usize, Finding, bool), CertificateError>),
) -> (bool, usize) {
    let (mut all, mut count) = (true, 0);
    for case in certificate_suite().iter().filter(|it| it.name.contains(filter)) {
        let result = case.run();
        all &= result.as_ref().is_ok_and(|(_, _, fits)| *fits);
        report(case, &result);
        count += 1;
    }
    (all, count)
}
