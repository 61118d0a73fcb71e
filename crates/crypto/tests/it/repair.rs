//! Repair: a lost share comes back as it was, and a wrong piece is noticed.

use std::collections::BTreeMap;

use aura_crypto::{
    Derivation, Fault, KeyShare, Message as _, SessionKey, ShareIndex, SharingError, Signing,
    Suite,
    repair::{self, RepairError, RepairPlan, Split, Sum},
};

use super::world::{self, Group, indices, ix, rng, session};

struct Run<S: Suite> {
    group: Group<S>,
    plan: RepairPlan,
    keys: BTreeMap<ShareIndex, SessionKey>,
    target: SessionKey,
    splits: BTreeMap<ShareIndex, Split<S>>,
}

fn run<S: Suite>() -> Run<S> {
    let mut rng = rng(1);
    let group = world::generate::<S>(3, &indices([1, 2, 3, 4, 50]), &mut rng);
    let helpers = indices([1, 3, 4]);
    let keys: BTreeMap<_, _> =
        helpers.iter().map(|it| (*it, SessionKey::generate(&mut rng))).collect();
    let target = SessionKey::generate(&mut rng);
    let plan = RepairPlan {
        session: session(6),
        sharing: group.sharing.id(),
        helpers: keys.iter().map(|it| (*it.0, it.1.public())).collect(),
        target: ix(50),
        target_key: target.public(),
    };
    let split = |it: &ShareIndex| {
        (*it, repair::split(&plan, &group.shares[it], &group.sharing, &mut rng).unwrap())
    };
    let splits = helpers.iter().map(split).collect();
    Run { group, plan, keys, target, splits }
}

impl<S: Suite> Run<S> {
    fn sum(&self, me: u16) -> Result<Sum, RepairError> {
        let me = (ix(me), &self.keys[&ix(me)]);
        repair::add_up(&self.plan, &self.group.sharing, &self.splits, me, &mut rng(2))
    }

    fn sums(&self) -> BTreeMap<ShareIndex, Sum> {
        [1, 3, 4].map(|it| (ix(it), self.sum(it).unwrap())).into()
    }

    fn restore(&self, sums: &BTreeMap<ShareIndex, Sum>) -> Result<KeyShare<S>, RepairError> {
        repair::restore(&self.plan, &self.group.sharing, &self.splits, sums, &self.target)
    }
}

fn check_lost_share<S: Suite>() {
    let run = run::<S>();
    let restored = run.restore(&run.sums()).unwrap();
    let lost = &run.group.shares[&ix(50)];
    assert_eq!(restored.danger_bytes(), lost.danger_bytes());
}

#[test]
fn a_lost_share_comes_back() {
    check_lost_share::<Signing>();
    check_lost_share::<Derivation>();
}

/// Trap 6: the usual library takes any sum for the lost share. Here each sum, and the whole, has to fit.
#[test]
fn wrong_sums_are_noticed() {
    let run = run::<Signing>();
    let mut sums = run.sums();
    let mut bytes = sums[&ix(3)].to_bytes();
    bytes[60] ^= 1;
    sums.insert(ix(3), Sum::from_bytes(&bytes).unwrap());
    assert_eq!(run.restore(&sums).map(|_| ()), Err(RepairError::Unusable(ix(3))));
    let missing: BTreeMap<_, _> = run.sums().into_iter().skip(1).collect();
    assert_eq!(run.restore(&missing).map(|_| ()), Err(RepairError::Missing(ix(1))));
    // A sum that opens, but is another number: sealed with everything that the helper has.
    let plan =
        aura_crypto::Label::RepairPlan.digest(&[&[0], &aura_protocol_core::encode(&run.plan)]);
    let info = aura_crypto::Label::RepairSigma.digest(&[plan.as_bytes()]);
    let aad = (ix(3), ix(50));
    let sealed = super::forge::seal(run.target.public(), info, &aad, &[5; 31], &mut rng(3));
    let forged = [vec![3, 0], aura_protocol_core::encode(&sealed)].concat();
    let mut sums = run.sums();
    sums.insert(ix(3), Sum::from_bytes(&forged).unwrap());
    assert_eq!(run.restore(&sums).map(|_| ()), Err(RepairError::Unusable(ix(3))));
}

/// The public points of a split show whether a helper split its own share.
#[test]
fn lying_helpers_are_named() {
    let mut honest = run::<Signing>();
    let other = world::generate::<Signing>(3, &honest.group.holders(), &mut rng(9));
    let mut plan = honest.plan.clone();
    plan.sharing = other.sharing.id();
    let split = repair::split(&plan, &other.shares[&ix(3)], &other.sharing, &mut rng(4)).unwrap();
    honest.splits.insert(ix(3), split);
    let blame = RepairError::Blame(Fault::WrongConstant.of(ix(3)));
    assert_eq!(honest.sum(1), Err(blame.clone()));
    assert_eq!(honest.restore(&BTreeMap::new()).map(|_| ()), Err(blame));
    let mut torsion = run::<Signing>();
    let mut bytes = torsion.splits[&ix(4)].to_bytes();
    super::forge::add_torsion(&mut bytes[8..40]);
    torsion.splits.insert(ix(4), Split::from_bytes(&bytes).unwrap());
    assert_eq!(torsion.sum(1), Err(Fault::Torsion.of(ix(4)).into()));
}

#[test]
fn the_plan_is_checked() {
    let run = run::<Signing>();
    let mut own = rng(5);
    let mut refused = |change: &dyn Fn(&mut RepairPlan)| {
        let mut plan = run.plan.clone();
        change(&mut plan);
        let share = &run.group.shares[&ix(1)];
        repair::split(&plan, share, &run.group.sharing, &mut own).map(|_| ()).unwrap_err()
    };
    assert!(matches!(refused(&|it| it.target = ix(3)), RepairError::Plan(_)));
    assert!(matches!(refused(&|it| _ = it.helpers.remove(&ix(3))), RepairError::Plan(_)));
    let stranger = refused(&|it| it.target = ix(9));
    assert_eq!(stranger, SharingError::NotAHolder(ix(9)).into());
    let other = world::generate::<Signing>(3, &run.group.holders(), &mut rng(6));
    let refused = refused(&|it| it.sharing = other.sharing.id());
    assert!(matches!(refused, RepairError::Plan(_)));
}
