//! INV-X5: who waits is woken by what it waits for, once, and costs nobody else anything.

use std::{collections::BTreeSet, sync::Arc};

use aura_coordination::execution::{
    Filter, News, SessionEvent, WaitList, WakeCondition, Woken, time::Wait,
};
use aura_protocol_core::{DeviceId, Digest, Epoch, SessionId};
use proptest::prelude::*;

fn event(session: u8, author: u8, label: &str) -> News {
    News::Event(SessionEvent {
        unit: Digest::of(&[session, author]),
        session: SessionId::from_bytes([session; 32]),
        author: DeviceId::from_bytes([author; 32]),
        label: label.to_owned(),
        payload: vec![author],
    })
}

fn of_session(session: u8) -> Filter {
    Filter { session: Some(SessionId::from_bytes([session; 32])), ..Filter::default() }
}

fn wait(conditions: Vec<WakeCondition>) -> Wait {
    Wait { conditions, predicate: None }
}

fn woken(list: &mut WaitList, news: &News) -> Vec<Woken> {
    list.news(news).into_iter().map(|(_, woken)| woken).collect()
}

#[test]
fn an_event_and_a_deadline_both_wake() {
    for (news, expected) in [
        (event(1, 1, "add"), Woken::Met(0)),
        (News::Epoch(Epoch(5)), Woken::TimedOut),
        (News::Epoch(Epoch(6)), Woken::TimedOut),
    ] {
        let mut list = WaitList::default();
        let matching = WakeCondition::EventMatching(of_session(1));
        list.add(wait(vec![matching, WakeCondition::TimeoutAt(Epoch(5))]), &[]).unwrap();
        assert_eq!(woken(&mut list, &event(2, 1, "add")), []);
        assert_eq!(woken(&mut list, &News::Epoch(Epoch(4))), []);
        assert_eq!(woken(&mut list, &news), [expected]);
        assert_eq!(woken(&mut list, &news), [], "once");
        assert!(list.is_empty());
    }
}

#[test]
fn an_event_that_is_there_wins_over_a_deadline_that_has_passed() {
    for known in
        [[News::Epoch(Epoch(9)), event(1, 1, "add")], [event(1, 1, "add"), News::Epoch(Epoch(9))]]
    {
        let mut list = WaitList::default();
        let matching = WakeCondition::EventMatching(of_session(1));
        let conditions = vec![WakeCondition::TimeoutAt(Epoch(5)), matching];
        assert_eq!(list.add(wait(conditions), &known), Err(Woken::Met(1)));
        let late = wait(vec![WakeCondition::TimeoutAt(Epoch(5)), WakeCondition::NewEvents]);
        assert_eq!(list.add(late, &known), Err(Woken::TimedOut), "known events are not new");
    }
}

/// A device counts once, however often it writes, and what was known counts together with what comes.
#[test]
fn thresholds_count_devices() {
    let mut list = WaitList::default();
    let labels = Some(BTreeSet::from(["vote".to_owned()]));
    let authors = Some((1..4).map(|it| DeviceId::from_bytes([it; 32])).collect());
    let filter = Filter { labels, authors, ..of_session(1) };
    let condition = WakeCondition::ThresholdEvents { filter, count: 3 };
    list.add(wait(vec![condition]), &[event(1, 1, "vote")]).unwrap();
    for news in [
        event(1, 1, "vote"),
        event(1, 2, "vote"),
        event(1, 2, "vote"),
        event(1, 3, "veto"),
        event(1, 9, "vote"),
        event(2, 3, "vote"),
    ] {
        assert_eq!(woken(&mut list, &news), [], "{news:?}");
    }
    assert_eq!(woken(&mut list, &event(1, 3, "vote")), [Woken::Met(0)]);
}

#[test]
fn a_predicate_sees_the_whole_event() {
    let mut list = WaitList::default();
    let wait = Wait {
        conditions: vec![WakeCondition::NewEvents],
        predicate: Some(Arc::new(|it: &SessionEvent| it.payload == [7])),
    };
    list.add(wait, &[]).unwrap();
    assert_eq!(woken(&mut list, &event(1, 6, "add")), []);
    assert_eq!(woken(&mut list, &event(1, 7, "add")), [Woken::Met(0)]);
}

/// However many wait, an event touches those of its session, and an epoch those that it wakes.
#[test]
fn waking_costs_what_is_woken() {
    let mut list = WaitList::default();
    for session in 0..200 {
        let far = WakeCondition::TimeoutAt(Epoch(1000 + u64::from(session)));
        list.add(wait(vec![WakeCondition::EventMatching(of_session(session)), far]), &[]).unwrap();
    }
    assert_eq!(woken(&mut list, &event(7, 1, "add")), [Woken::Met(0)]);
    assert_eq!(list.touched(), 1);
    for epoch in 0..1000 {
        assert_eq!(woken(&mut list, &News::Epoch(Epoch(epoch))), []);
    }
    assert_eq!(list.touched(), 1);
    assert_eq!(woken(&mut list, &News::Epoch(Epoch(1001))), [Woken::TimedOut; 2]);
    assert_eq!((list.touched(), list.len()), (3, 197));
}

#[test]
fn a_wait_that_is_given_up_leaves_nothing() {
    let mut list = WaitList::default();
    let conditions = vec![WakeCondition::NewEvents, WakeCondition::EpochReached(Epoch(1))];
    let id = list.add(wait(conditions), &[]).unwrap();
    list.remove(id);
    assert_eq!(woken(&mut list, &event(1, 1, "add")), []);
    assert_eq!(woken(&mut list, &News::Epoch(Epoch(1))), []);
    assert_eq!((list.touched(), list.len()), (0, 0));
}

fn arb_news() -> impl Strategy<Value = News> {
    prop_oneof![
        (0u8..3, 0u8..4, 0usize..2).prop_map(|(session, author, label)| event(
            session,
            author,
            ["add", "vote"][label]
        )),
        (0u64..10).prop_map(|it| News::Epoch(Epoch(it))),
    ]
}

fn arb_condition() -> impl Strategy<Value = WakeCondition> {
    let filter =
        (prop::option::of(0u8..3), prop::option::of(0usize..2)).prop_map(|(one, label)| {
            let labels = label.map(|it| BTreeSet::from([["add", "vote"][it].to_owned()]));
            Filter { labels, ..one.map(of_session).unwrap_or_default() }
        });
    prop_oneof![
        (0u64..10).prop_map(|it| WakeCondition::EpochReached(Epoch(it))),
        (0u64..10).prop_map(|it| WakeCondition::TimeoutAt(Epoch(it))),
        filter.clone().prop_map(WakeCondition::EventMatching),
        (filter, 1usize..4)
            .prop_map(|(filter, count)| WakeCondition::ThresholdEvents { filter, count }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// INV-X5: whether something came before the wait began or after makes no difference, but that all
    /// that was there is weighed at once.
    #[test]
    fn before_or_after_makes_no_difference(
        news in prop::collection::vec(arb_news(), 0..20),
        conditions in prop::collection::vec(arb_condition(), 1..4),
        split in any::<prop::sample::Index>(),
    ) {
        let (before, after) = news.split_at(split.index(news.len() + 1));
        let mut list = WaitList::default();
        let woken_split = match list.add(wait(conditions.clone()), before) {
            Err(woken) => Some(woken),
            Ok(_) => after.iter().find_map(|it| list.news(it).first().map(|(_, woken)| *woken)),
        };
        let ended_at_all = (0..=news.len()).any(|it| {
            WaitList::default().add(wait(conditions.clone()), &news[..it]).is_err()
        });
        prop_assert_eq!(woken_split.is_some(), ended_at_all);
        if let Some(Woken::Met(index)) = woken_split {
            prop_assert!(!matches!(conditions[index], WakeCondition::TimeoutAt(_)));
        }
    }
}
