//! Who counts as ready (INV-D2, INV-D3).

use aura_distribution::consent::confirmed;
use aura_journal::{
    Event,
    control::{Configuration, EntryBody, Verdict},
    event::Receipt,
};
use aura_protocol_core::Digest;
use proptest::prelude::*;

use crate::{
    account::{Account, QUORUM, VOTERS, device},
    publisher::Publisher,
};

/// An account in which 2.0.0 is proposed and rehearsed by this device, and nobody is ready.
fn rehearsed() -> (Account, Digest) {
    let publisher = Publisher::of("1.0.0 2.0.0");
    let mut account = Account::with(&publisher, "1.0.0", ">=1");
    let proposal = account.propose(&publisher, "2.0.0", |_| {});
    account.rehearse(proposal);
    (account, proposal)
}

fn ready(account: &Account, proposal: Digest) -> usize {
    let known = &account.ledger.state().proposals[&proposal];
    confirmed(&account.ledger, known, &account.rehearsals[&proposal])
}

fn waits(ready: usize) -> String {
    format!("wait: {ready} of {QUORUM} devices are ready")
}

/// INV-D2: fewer than m confirmed receipts are not enough, m are.
#[test]
fn a_vote_takes_a_quorum_of_receipts() {
    let (mut account, proposal) = rehearsed();
    let value = account.activation(proposal);
    for count in 0..QUORUM {
        account.check(&value, &waits(count));
        account.ready(proposal, [count]);
    }
    account.check(&value, "accept");
    account.ready(proposal, QUORUM..VOTERS);
    account.check(&value, "accept");
}

/// INV-D3: whoever copies a receipt shows that it is not its own.
#[test]
fn a_copied_receipt_does_not_count() {
    let (mut account, proposal) = rehearsed();
    account.ready(proposal, 0..QUORUM - 1);
    let receipt = account.receipt(proposal, 0);
    account.write(QUORUM, Event::SignalReady { proposal, receipt });
    account.check(&account.activation(proposal), &waits(QUORUM - 1));
    // With its own it counts, and counts once.
    account.ready(proposal, [QUORUM, QUORUM]);
    account.check(&account.activation(proposal), "accept");
    assert_eq!(ready(&account, proposal), QUORUM);
}

/// INV-D3: nor does a receipt for another proposal of the same release.
#[test]
fn a_receipt_is_of_one_proposal() {
    let (mut account, first) = rehearsed();
    let publisher = Publisher::of("1.0.0 2.0.0");
    let second = account.propose(&publisher, "2.0.0", |it| it.grace_seconds = 1);
    account.rehearse(second);
    for device in 0..VOTERS {
        let receipt = account.receipt(first, device);
        account.write(device, Event::SignalReady { proposal: second, receipt });
    }
    account.check(&account.activation(second), &waits(0));
}

/// INV-D2: a device that takes no part in votes does not make a quorum.
#[test]
fn a_reader_does_not_count() {
    let (mut account, proposal) = rehearsed();
    account.ready(proposal, 0..QUORUM - 1);
    account.ready(proposal, [VOTERS]);
    assert!(account.ledger.state().proposals[&proposal].ready.len() == QUORUM);
    account.check(&account.activation(proposal), &waits(QUORUM - 1));
}

/// INV-D2: one that has left does not count any more, and m is that of the present configuration.
#[test]
fn only_the_present_voters_count() {
    let (mut account, proposal) = rehearsed();
    account.ready(proposal, 0..QUORUM);
    account.check(&account.activation(proposal), "accept");
    let rest = account.devices.iter().skip(1).map(|it| it.entry.clone());
    let config = Configuration::with_defaults(rest);
    assert_eq!(config.m, 2);
    account.decide(EntryBody::Reconfigure(config.into()));
    assert_eq!(ready(&account, proposal), QUORUM - 1);
    account.check(&account.activation(proposal), "accept");

    let (mut account, proposal) = rehearsed();
    account.ready(proposal, 0..QUORUM);
    let more = account.devices.iter().map(|it| it.entry.clone());
    let config = Configuration::with_defaults(more.chain([device(50).entry]));
    assert_eq!(config.m, 4);
    account.decide(EntryBody::Reconfigure(config.into()));
    let waits = "wait: 3 of 4 devices are ready";
    account.check(&account.activation(proposal), waits);
}

/// How a device answers a proposal.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Silent,
    Honest,
    /// With the receipt of the device of this number.
    Copied(usize),
    /// With another root than all honest ones.
    Elsewhere,
    /// Honestly at first, and then not at all.
    Declined,
}

fn arb_answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        1 => Just(Answer::Silent),
        4 => Just(Answer::Honest),
        1 => (0..VOTERS).prop_map(Answer::Copied),
        1 => Just(Answer::Elsewhere),
        1 => Just(Answer::Declined),
    ]
}

fn answer(account: &mut Account, proposal: Digest, device: usize, answer: Answer) {
    match answer {
        Answer::Silent => {}
        Answer::Honest => account.ready(proposal, [device]),
        Answer::Copied(other) => {
            let receipt = account.receipt(proposal, other);
            account.write(device, Event::SignalReady { proposal, receipt });
        }
        Answer::Elsewhere => {
            let receipt = account.receipt(proposal, device);
            let receipt = Receipt { post_root: Digest::ZERO, ..receipt };
            account.write(device, Event::SignalReady { proposal, receipt });
        }
        Answer::Declined => {
            account.ready(proposal, [device]);
            let (code, reason) = ("OutOfFuel".to_owned(), "it loops".to_owned());
            account.write(device, Event::DeclineUpgrade { proposal, code, reason });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// INV-D2, INV-D3: whatever the devices say, a device votes exactly if m voters have shown that
    /// they got the same as it did.
    #[test]
    fn exactly_the_honest_voters_count(
        answers in prop::collection::vec(arb_answer(), VOTERS + 1..=VOTERS + 1)
    ) {
        let (mut account, proposal) = rehearsed();
        for (device, said) in answers.iter().enumerate() {
            answer(&mut account, proposal, device, *said);
        }
        let honest = answers.iter().take(VOTERS).enumerate();
        let honest = honest
            .filter(|(device, it)| **it == Answer::Honest || **it == Answer::Copied(*device))
            .count();
        prop_assert_eq!(ready(&account, proposal), honest);
        let accepted = account.verdict(&account.activation(proposal)) == Verdict::Accept;
        prop_assert_eq!(accepted, QUORUM <= honest);
    }
}
