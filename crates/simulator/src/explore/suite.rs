//! Every shipped choreography at its smallest interesting sizes, and the broken ones that must fail.
//!
//! A new choreography is one line in [`suite`].

use aura_choreography::{Dev, DeviceSet, Ended, Event, Label, Reason, Script, Stop};
use aura_coordination::choreography::{
    Report as Word,
    dkd::Dkd as ShippedDkd,
    dkg::Dkg,
    locking::Locking as ShippedLocking,
    recovery::{
        Recovery,
        script::{VETO, recovery},
    },
    resharing::{Resharing, script::resharing},
    sign::Sign,
    upgrade::script::{Prepared, Terms, Upgrade},
};
use aura_protocol_core::{DeviceId, Digest, encode};

use super::{ExploreError, Model, Property, Reduction, Report, Verdict};
use crate::protocols::{
    derive,
    dkd::{Dkd, derivation},
    dkd_certified::{DkdCertified, certified},
    dkd_naive::DkdNaive,
    dkd_no_ttl::DkdNoTtl,
    dkg, grant,
    locking::Locking,
    recover, reshare, sign,
    tour::Tour,
};

/// What must come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Everything holds.
    Holds,
    /// Two devices finish with different results.
    Disagrees,
    /// One finishes, another learns an abort.
    Divides,
    /// Somebody waits for ever.
    Blocks,
}

impl Expected {
    /// Whether a verdict is this.
    #[must_use]
    pub const fn is(self, verdict: &Verdict) -> bool {
        match verdict {
            Verdict::Holds => matches!(self, Self::Holds),
            Verdict::Capped => false,
            Verdict::Violated { property, .. } => match property {
                Property::Agreement => matches!(self, Self::Disagrees),
                Property::Decision => matches!(self, Self::Divides),
                Property::Progress => matches!(self, Self::Blocks),
                Property::Invariant(_) => false,
            },
        }
    }
}

/// One model of the suite.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name: the choreography, the quorum, and what goes wrong.
    pub name: String,
    /// What must come out.
    pub expected: Expected,
    /// What is explored.
    pub model: Result<Model<'static>, ExploreError>,
}

impl Case {
    /// Explores it.
    ///
    /// # Errors
    /// As [`Model::explore`].
    pub fn run(&self) -> Result<Report, ExploreError> {
        self.model.clone().and_then(|it| it.explore())
    }
}

/// A choreography, and how so many devices run it with this quorum.
struct Subject {
    name: &'static str,
    model: fn(u8, u8) -> Model<'static>,
}

/// Where the parameters are one byte, the quorum.
fn by_quorum(script: &'static dyn Script, quorum: u8, devices: u8) -> Model<'static> {
    Model::new(script, devices).params(vec![quorum])
}

impl Subject {
    fn case(
        &self,
        (quorum, devices): (u8, u8),
        what: &str,
        expected: Expected,
        make: impl FnOnce(Model<'static>) -> Result<Model<'static>, ExploreError>,
    ) -> Case {
        let name = format!("{} {quorum}-of-{devices}{what}", self.name);
        Case { name, expected, model: make((self.model)(quorum, devices)) }
    }

    /// With no crash, one, and so on up to `crashes`.
    fn crashes(&self, sizes: &[(u8, u8)], crashes: u8) -> Vec<Case> {
        let mut cases = Vec::new();
        for size in sizes {
            for count in 0..=crashes {
                let what = format!(", {count} crashes");
                cases.push(self.case(*size, &what, Expected::Holds, |it| Ok(it.crashes(count))));
            }
        }
        cases
    }

    /// One device says nothing, beside a crash of another.
    fn silence(&self, size: (u8, u8), dev: u8) -> Case {
        let what = format!(", device {dev} silent, 1 crash");
        self.case(size, &what, Expected::Holds, |it| Ok(it.silent(Dev(dev)).crashes(1)))
    }

    /// One device says whatever it might say, and whatever looks like it.
    fn lies(&self, size: (u8, u8), dev: u8, expected: Expected) -> Case {
        self.case(size, &format!(", device {dev} lies"), expected, |it| it.lying(Dev(dev)))
    }
}

const DKD: Subject = Subject { name: "dkd", model: |m, n| by_quorum(&Dkd, m, n) };
const CERTIFIED: Subject =
    Subject { name: "dkd-certified", model: |m, n| by_quorum(&DkdCertified, m, n) };
const NAIVE: Subject = Subject { name: "dkd-naive", model: |m, n| by_quorum(&DkdNaive, m, n) };
const NO_TTL: Subject = Subject { name: "dkd-no-ttl", model: |m, n| by_quorum(&DkdNoTtl, m, n) };
const LOCKING: Subject = Subject { name: "locking", model: |m, n| by_quorum(&Locking, m, n) };
const UPGRADE: Subject = Subject { name: "upgrade", model: upgrade };
const DKG: Subject = Subject { name: "dkg", model: generation };
const SIGN: Subject = Subject {
    name: "sign",
    model: |m, n| {
        Model::new(&Sign, n).params(sign::params(n, m)).host(|_, call| sign::answer(call))
    },
};
const DERIVE: Subject = Subject {
    name: "derive",
    model: |m, n| {
        Model::new(&ShippedDkd, n).params(derive::params(n, m)).host(|_, call| derive::answer(call))
    },
};
const GRANT: Subject = Subject {
    name: "grant",
    model: |m, n| {
        Model::new(&ShippedLocking, n)
            .params(grant::params(n, m))
            .host(|_, call| grant::answer(call))
    },
};
const RESHARE: Subject = Subject { name: "reshare", model: resharing_model };
const RECOVER: Subject = Subject { name: "recover", model: |_, n| recovery_model(n, 0) };
const RECOVER_AGAIN: Subject =
    Subject { name: "recover-again", model: |_, n| recovery_model(n, 1) };
const TOUR: Subject = Subject { name: "tour", model: |m, n| by_quorum(&Tour, m, n) };

/// An upgrade of so many devices, the first of which proposes, and the control chain as the last
/// participant, which is a quorum of them and does not crash.
fn upgrade(quorum: u8, devices: u8) -> Model<'static> {
    let terms = Terms { proposal: Digest::ZERO, quorum };
    let model = Model::new(&Upgrade, devices + 1).params(encode(&terms)).steady(Dev(devices));
    let rehearsed = || vec![encode(&Prepared::Rehearsed)];
    (0..=devices).fold(model, |model, dev| model.signals(Dev(dev), rehearsed()))
}

/// A key generation with symbolic keys.
fn generation(threshold: u8, devices: u8) -> Model<'static> {
    let model = Model::new(&Dkg, devices).params(dkg::params(devices, threshold));
    model.host(|_, call| dkg::answer(call))
}

/// Most states of a model whose parts are explored by themselves: 1 GB of them.
const STATES_MAX: usize = 5_000_000;

/// The receiver that deals nothing complains about the other one, and is content with what it is shown.
fn complaining(model: Model<'static>) -> Result<Model<'static>, ExploreError> {
    let words = model.words(Dev(2))?;
    let checks = words.into_iter().filter(|it| it.label == resharing::CHECK);
    let model = model.lying_where(Dev(2), |it| it == resharing::CHECK)?;
    let complaint = Word::Complain(DeviceSet::one(Dev(1)));
    let model = model.may_say(Dev(2), resharing::CHECK, &complaint);
    Ok(checks.fold(model, |it, check| it.may_write(Event { label: resharing::RECHECK, ..check })))
}

/// A resharing with symbolic keys: all but the last hold shares, all but the first will.
fn resharing_model(threshold: u8, devices: u8) -> Model<'static> {
    let ids: Vec<DeviceId> = (0..devices).map(|it| DeviceId::from_bytes([it; 32])).collect();
    let terms = reshare::terms(&ids, threshold, reshare::no_sharings());
    Model::new(&Resharing, devices).params(encode(&terms)).host(|_, call| reshare::answer(call))
}

/// A recovery with symbolic keys: the first half guards, and the second half is new. Somebody objected so
/// often before.
fn recovery_model(devices: u8, round: u32) -> Model<'static> {
    let ids: Vec<DeviceId> = (0..devices).map(|it| DeviceId::from_bytes([it; 32])).collect();
    let terms = recover::terms(&ids, round);
    Model::new(&Recovery, devices).params(encode(&terms)).host(|_, call| recover::answer(call))
}

/// One device's rehearsal fails.
fn refusing(model: Model<'static>, dev: u8) -> Model<'static> {
    let (code, reason) = ("DigestMismatch".to_string(), "another digest".to_string());
    model.signals(Dev(dev), vec![encode(&Prepared::Refused { code, reason })])
}

/// All models.
#[must_use]
pub fn suite() -> Vec<Case> {
    use Expected::{Blocks, Disagrees, Divides, Holds};
    let mut cases = Vec::new();
    cases.extend(DKD.crashes(&[(2, 3), (3, 4), (3, 5), (4, 6)], 2));
    cases.extend([DKD.silence((2, 3), 0), DKD.silence((2, 3), 1), DKD.lies((2, 3), 1, Holds)]);
    cases.extend([DKD.lies((3, 4), 1, Holds), DKD.lies((2, 3), 0, Divides)]);
    cases.push(every_step(&DKD, (4, 6), 2));
    cases.extend(CERTIFIED.crashes(&[(2, 3), (3, 4), (3, 5), (4, 5)], 1));
    cases.extend([CERTIFIED.silence((3, 4), 0), CERTIFIED.lies((3, 4), 1, Holds)]);
    let what = ", two-faced coordinator";
    cases.push(DKD.case((3, 4), what, Disagrees, |it| Ok(two_faced(it))));
    cases.push(CERTIFIED.case((3, 4), what, Holds, |it| Ok(two_faced_voter(it))));
    cases.extend(LOCKING.crashes(&[(2, 3), (3, 4), (3, 5)], 2));
    cases.extend([LOCKING.silence((2, 3), 0), LOCKING.lies((3, 4), 1, Holds)]);
    cases.extend(TOUR.crashes(&[(2, 3), (3, 4)], 1));
    cases.push(NAIVE.case((2, 3), "", Disagrees, Ok));
    cases.extend(UPGRADE.crashes(&[(2, 3), (3, 4), (4, 5)], 2));
    cases.push(UPGRADE.case((2, 3), ", one silent", Holds, |it| Ok(it.silent(Dev(1)))));
    cases.extend([UPGRADE.lies((2, 3), 1, Holds), UPGRADE.lies((3, 4), 2, Holds)]);
    cases.push(UPGRADE.case((3, 4), ", one refuses", Holds, |it| Ok(refusing(it, 1))));
    cases.push(UPGRADE.case((2, 3), ", two refuse", Holds, |it| Ok(refusing(refusing(it, 1), 2))));
    cases.extend(DKG.crashes(&[(2, 2), (2, 3)], 1));
    cases.extend([DKG.silence((2, 3), 1), blames(&DKG, (2, 3), 1, Holds)]);
    cases.extend([blames(&DKG, (2, 2), 1, Holds), blames(&DKG, (2, 3), 0, Divides)]);
    for shipped in [&SIGN, &DERIVE, &GRANT] {
        cases.extend(shipped.crashes(&[(2, 3), (3, 4)], 1));
        cases.extend([shipped.silence((2, 3), 1), blames(shipped, (2, 3), 1, Holds)]);
        cases.push(blames(shipped, (2, 3), 0, Divides));
    }
    cases.extend(RESHARE.crashes(&[(2, 3)], 2));
    cases.extend(RESHARE.crashes(&[(2, 4)], 1));
    cases.extend([RESHARE.silence((2, 3), 1), RESHARE.silence((2, 3), 2)]);
    let (dealer, receiver) = (DeviceSet::one(Dev(1)), DeviceSet::one(Dev(2)));
    cases.push(RESHARE.case((2, 3), ", a dealer lies", Holds, |it| {
        let it = it.lying_where(Dev(1), |it| it == resharing::DEAL || it == resharing::CHECK)?;
        Ok(it.states_max(STATES_MAX).invariant(fair(dealer)))
    }));
    cases.push(RESHARE.case((2, 3), ", a receiver complains", Holds, |it| {
        Ok(complaining(it)?.states_max(STATES_MAX).invariant(fair(receiver)))
    }));
    cases.extend(RECOVER.crashes(&[(2, 3), (2, 4)], 1));
    cases.extend(RECOVER_AGAIN.crashes(&[(2, 3)], 1));
    cases.push(RECOVER.silence((2, 4), 1));
    cases.push(RECOVER.case((2, 4), ", anybody objects", Holds, |it| {
        Ok((0..4).fold(it, |it, dev| it.signals(Dev(dev), vec![VETO.to_vec()])))
    }));
    cases.push(RECOVER.case((2, 4), ", a guardian lies", Holds, |it| {
        let lies = |it| it == recovery::APPROVE || it == recovery::RIPE;
        let it = it.lying_where(Dev(1), lies)?.may_say(Dev(1), recovery::VETO, &());
        Ok(it.states_max(STATES_MAX).invariant(fair(DeviceSet::one(Dev(1)))))
    }));
    cases.push(NO_TTL.case((2, 3), ", 1 crash", Blocks, |it| Ok(it.crashes(1))));
    cases
}

/// One device lies, and no other is ever blamed.
fn blames(subject: &Subject, size: (u8, u8), dev: u8, expected: Expected) -> Case {
    subject.case(size, &format!(", device {dev} lies"), expected, |it| {
        // A decider's own word may blame whom it likes.
        let it = it.lying(Dev(dev))?;
        Ok(if dev == 0 { it } else { it.invariant(fair(DeviceSet::one(Dev(dev)))) })
    })
}

/// Nobody else is blamed.
fn fair(guilty: DeviceSet) -> impl Fn(&[Option<Ended>]) -> Result<(), String> {
    move |ended: &[Option<Ended>]| {
        let blamed = ended.iter().flatten().find_map(|it| match it {
            Err(Stop::Aborted(reason) | Stop::Failed(reason)) => {
                (!reason.culprits().is_subset(guilty)).then(|| reason.to_string())
            }
            _ => None,
        });
        blamed.map_or(Ok(()), Err)
    }
}

/// Without leaving out anything.
fn every_step(subject: &Subject, size: (u8, u8), crashes: u8) -> Case {
    let what = format!(", {crashes} crashes, every step");
    let make = |it: Model<'static>| Ok(it.crashes(crashes).reduction(Reduction::None));
    subject.case(size, &what, Expected::Holds, make)
}

/// A coordinator that tells two devices different keys.
fn two_faced(model: Model<'static>) -> Model<'static> {
    let zero = Dev(0);
    model
        .may_say(zero, derivation::INIT, &1_u64)
        .may_say(zero, derivation::FREEZE, &DeviceSet::all(4))
        .may_say(zero, derivation::FINALIZE, &1_u64)
        .may_say(zero, derivation::FINALIZE, &2_u64)
}

/// The same, where decisions are certified: it votes for both.
fn two_faced_voter(model: Model<'static>) -> Model<'static> {
    let zero = Dev(0);
    let vote = |text| certified::GLOBAL.parse_label(text).map_or(Label(u16::MAX), |it| it.0);
    let (freeze, finalize) = (vote("FreezeVote"), vote("FinalizeVote"));
    two_faced(model)
        .may_say(zero, freeze, &Ok::<_, Reason>(DeviceSet::all(4)))
        .may_say(zero, finalize, &Ok::<_, Reason>(1_u64))
        .may_say(zero, finalize, &Ok::<_, Reason>(2_u64))
        .may_say(zero, finalize, &Err::<u64, _>(Reason::Timeout))
}

/// Explores the models whose names contain `filter`, and reports each with whether it came out as it
/// must. Says whether all did, and there were any.
pub fn run_suite(
    filter: &str,
    mut report: impl FnMut(&Case, &Result<Report, ExploreError>, bool),
) -> bool {
    let (mut all, mut any) = (true, false);
    for case in suite().iter().filter(|it| it.name.contains(filter)) {
        let result = case.run();
        let fits = result.as_ref().is_ok_and(|it| case.expected.is(&it.verdict));
        report(case, &result, fits);
        all &= fits;
        any = true;
    }
    all && any
}
