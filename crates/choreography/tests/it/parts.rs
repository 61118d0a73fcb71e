//! Sessions as parts of others: roles, rounds, and what is said whatever happens.

use aura_choreography::{
    Dev, Exit, Members, Opening, Payload, Reason, Steps as _, Stop, choreography, session,
};
use aura_protocol_core::encode;
use borsh::{BorshDeserialize, BorshSerialize};

use crate::table::Table;

session! {
    pub mod locking;
    ttl 15;
    roles { Coord: one, Member: many }
    msg { Ask(u8), Retry(()), Grant(u64), Denied(Reason) }
    rec again within 30;
    each ask: Ask by Member;
    choice more: on Ask[all] within 10 {
        Retry => continue again,
        Grant => {}
    } | Denied;
}

session! {
    pub mod outer;
    ttl 40;
    roles { Lead: one, Old: many }
    msg { Hello(u8), Release(Released), Total(u64), Abort(Reason) }
    each hello: Hello;
    sub lock: locking { Coord: Lead, Member: Old } finally release: Release;
    decide total: on Hello[all] within 20 => Total | Abort;
}

/// What is said of a lock, whatever happens.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Payload)]
pub struct Released {
    /// Whether the work was done.
    pub done: bool,
    /// Why not, if all know.
    pub why: Option<Reason>,
}

impl From<Exit> for Released {
    fn from(exit: Exit) -> Self {
        let why = if let Exit::Aborted(reason) = &exit { Some(reason.clone()) } else { None };
        Self { done: exit == Exit::Finished, why }
    }
}

fn assign(opening: &Opening<'_>) -> Result<outer::Roles, Reason> {
    let old = Members::of((1..3).map(Dev).collect());
    Ok(outer::Roles { all: opening.all(), lead: Dev(1), old })
}

/// Gets a lock after as many tries as its first parameter says, and sums.
async fn lock(s: locking::Start, tries: u8) -> Result<locking::Finished<u64>, Stop> {
    let (mut state, mut tried) = (s, 0);
    loop {
        let (mut s, _) = state.ask(|me| Ok((me.id().0, ()))).await?;
        s.log(|me| format!("{:?}", me.session())).await;
        let choose = |_: &_, asked: &[_]| match tried {
            it if it < tries => Ok((locking::MoreChoice::Retry(()), ())),
            100 => Err(Reason::Insufficient),
            _ => Ok((locking::MoreChoice::Grant(asked.len() as u64), ())),
        };
        match s.more(choose).await?.0 {
            locking::More::Retry(s, _) => state = s,
            locking::More::Grant(s, count) => return Ok(s.finish(count)),
        }
        tried += 1;
    }
}

/// Locks, and sums.
#[choreography(pub Outer, roles = assign)]
async fn run(s: outer::Start) -> Result<outer::Finished<u64>, Stop> {
    let ways = s.params::<(u8, bool)>()?;
    let (tries, fails) = *ways;
    let (mut s, _) = s.hello(|me| Ok((me.id().0, ()))).await?;
    s.log(|me| format!("{:?}", me.session())).await;
    let (s, locks) = s.lock(|s| lock(s, tries)).await?;
    let (s, total, _) = s
        .total(|_, it| match fails {
            true => Err(Reason::VerificationFailed),
            false => Ok((it.iter().map(|it| u64::from(it.1)).sum(), ())),
        })
        .await?;
    Ok(s.finish(total.zip(locks).map(|(total, locks)| total * 10 + locks)))
}

static OUTER: Outer = Outer;

fn table(tries: u8, fails: bool) -> Table {
    Table::with_params(&OUTER, 4, &encode(&(tries, fails)))
}

/// What a device said finally.
fn released(table: &Table, dev: u8) -> Vec<Released> {
    let own = table.said.iter().filter(|it| it.author == Dev(dev) && it.label == outer::RELEASE);
    own.map(|it| borsh::from_slice(it.body.bytes()).unwrap()).collect()
}

#[test]
fn a_part_has_roles_and_labels_of_its_own() {
    let table = table(0, false).run();
    // 0 + 1 + 2 + 3, and the two old.
    assert_eq!(table.agreed::<u64>(&[0, 1, 2, 3]), 62);
    assert_eq!(table.said_by(0), ["Hello", "Release"]);
    assert_eq!(table.said_by(1), ["Hello", "lock/Ask", "lock/Grant", "Total", "Release"]);
    assert_eq!(table.said_by(2), ["Hello", "lock/Ask", "Release"]);
    assert_eq!(outer::LABELS, 8);
    assert!(
        outer::accepts(aura_choreography::Label(6), &[0; 8])
            == locking::accepts(locking::GRANT, &[0; 8])
    );
}

#[test]
fn a_part_is_a_session_of_its_own() {
    let table = table(0, false).run();
    let of = |dev: u8| -> Vec<_> {
        table.logs.iter().filter(|it| it.0 == Dev(dev)).map(|it| it.1.clone()).collect()
    };
    let ids = of(0);
    assert_ne!(ids[0], ids[1]);
    assert!((1..4).all(|it| of(it) == ids), "the same one everywhere");
}

#[test]
fn rounds_of_a_part_stay_there() {
    let table = table(2, false).run();
    // `Total` rests on what was said before the part went round.
    assert_eq!(table.agreed::<u64>(&[0, 1, 2, 3]), 62);
    let said = ["Hello", "lock/Ask", "lock/Ask#1", "lock/Ask#2", "Release"];
    assert_eq!(table.said_by(2), said);
}

#[test]
fn what_is_said_finally_is_said_on_every_way_out() {
    let finished = table(0, false).run();
    let aborted = table(0, true).run();
    // Nobody hears device 3, so the lead gives up; and some never learn of that.
    let left = table(0, false).with_liar(3, |_, _| Vec::new());
    let left = left.with_deaf(&[0, 2], outer::ABORT).run();
    for dev in [0, 1, 2] {
        assert_eq!(released(&finished, dev), [Released { done: true, why: None }]);
        let why = Some(Reason::VerificationFailed);
        assert_eq!(released(&aborted, dev), [Released { done: false, why }]);
    }
    let late = Some(Reason::Timeout);
    assert_eq!(released(&left, 1), [Released { done: false, why: late }]);
    assert!(matches!(left.end(2), Err(Stop::Stalled { .. })));
    assert_eq!(released(&left, 2), [Released { done: false, why: None }]);
}

#[test]
fn nothing_is_said_finally_of_what_did_not_begin() {
    let table = table(100, false).run();
    for dev in 0..4 {
        assert_eq!(table.end(dev), Err(Stop::Aborted(Reason::Insufficient)));
        assert_eq!(released(&table, dev), []);
    }
}

session! {
    pub mod repeated;
    msg { Once(u8), More(()), End(()), Abort(Reason) }
    rec round within 90;
    each once: Once;
    sub lock: locking;
    sub other: locking { Member: All };
    choice on: on Once[all] within 20 {
        More => continue round,
        End => {}
    } | Abort;
}

/// Runs its parts again and again.
#[choreography(pub Repeated)]
async fn repeat(s: repeated::Start) -> Result<repeated::Finished<u64>, Stop> {
    let (mut state, mut rounds) = (s, 0);
    loop {
        let (s, _) = state.once(|_| Ok((0, ()))).await?;
        let (s, first) = s.lock(|s| lock(s, 1)).await?;
        let (s, second) = s.other(|s| lock(s, 2)).await?;
        let choose = |_: &_, _: &_| {
            let more = rounds < 2;
            let way = if more { repeated::OnChoice::More(()) } else { repeated::OnChoice::End(()) };
            Ok((way, ()))
        };
        match s.on(choose).await?.0 {
            repeated::On::More(s, _) => state = s,
            repeated::On::End(s, _) => {
                return Ok(s.finish(first.zip(second).map(|(a, b)| a * 10 + b)));
            }
        }
        rounds += 1;
    }
}

static REPEATED: Repeated = Repeated;

#[test]
fn a_part_can_run_again() {
    let table = Table::new(&REPEATED, 3).run();
    assert_eq!(table.agreed::<u64>(&[0, 1, 2]), 33);
    let mut said = table.said_by(1);
    assert_eq!(said.len(), 3 * (1 + 2 + 3));
    said.sort();
    said.dedup();
    // No label is used twice in one round.
    assert_eq!(said.len(), 3 * (1 + 2 + 3));
}
