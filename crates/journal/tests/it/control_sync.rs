//! Synchronisation: two ledgers become equal, in bounded messages, wherever they are cut off.

use aura_journal::{
    Event, Ledger, PeerTag,
    control::{Appended, ChainError, ControlChain},
    sync::{ANSWER_BYTES_MAX, Frontier, Hello, SyncMessage, answer, hello},
};
use aura_protocol_core::{AccountId, DeviceId, Digest, limits::FRAME_BYTES_MAX};
use proptest::prelude::*;

use crate::control_fixture::{Device, chain_of, decide, device, devices, founded, value};

const PEER: PeerTag = PeerTag([9; 32]);

/// A unit that says little in `bytes` bytes.
fn note(bytes: usize) -> Event {
    let (proposal, reason) = (Digest::ZERO, "x".repeat(bytes));
    Event::DeclineUpgrade { proposal, code: "Test".to_owned(), reason }
}

fn write(ledger: &mut Ledger, by: &Device, bytes: usize) {
    ledger.author(by.id(), &by.unit_key, None, note(bytes)).unwrap();
}

/// Takes what a peer sent. Whether anything was new.
fn apply(ledger: &mut Ledger, message: SyncMessage) -> bool {
    let before = (ledger.chain().height(), ledger.len());
    match message {
        SyncMessage::Entries(entries) => {
            for entry in entries {
                let _: Appended = ledger.import_entry(entry).unwrap();
            }
        }
        SyncMessage::Units(units) => {
            for bytes in units {
                let _outcome = ledger.import(PEER, &bytes).unwrap();
            }
        }
        SyncMessage::More => (),
        other => panic!("an answer holds no {other:?}"),
    }
    before != (ledger.chain().height(), ledger.len())
}

/// One hello of `to`, of whose answer by `from` only the first `cut` messages arrive.
fn pull(to: &mut Ledger, from: &Ledger, cut: usize) -> bool {
    let mut any_new = false;
    for message in answer(from, &hello(to)).into_iter().take(cut) {
        let bytes = message.to_bytes();
        assert!(bytes.len() <= FRAME_BYTES_MAX);
        any_new |= apply(to, SyncMessage::from_bytes(&bytes).unwrap());
    }
    any_new
}

/// Two ledgers of one account, each with decisions or units that the other lacks.
fn apart(devices: &[Device], left_units: &[u16], right_units: &[u16]) -> (Ledger, Ledger) {
    let mut left = Ledger::new(chain_of(devices));
    let founded = founded(&devices[0]);
    let mut right = Ledger::new(founded);
    let behind = pull(&mut right, &left, usize::MAX);
    assert!(behind);
    let mut ahead: ControlChain = left.chain().clone();
    decide(&mut ahead, value(1), &devices[1..]);
    assert_eq!(left.import_entry(ahead.entries()[2].clone()), Ok(Appended::New));
    for (at, bytes) in left_units.iter().enumerate() {
        write(&mut left, &devices[at % 2], usize::from(*bytes));
    }
    for bytes in right_units {
        write(&mut right, &devices[2], usize::from(*bytes));
    }
    (left, right)
}

#[track_caller]
fn same(left: &Ledger, right: &Ledger) {
    assert_eq!(left.frontier(), right.frontier());
    assert_eq!(left.chain().entries(), right.chain().entries());
    assert_eq!(left.heads(), right.heads());
    assert_eq!(left.state(), right.state());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// INV-J13
    #[test]
    fn any_two_ledgers_become_equal(
        left_units in prop::collection::vec(0u16..60_000, 0..60),
        right_units in prop::collection::vec(0u16..60_000, 0..60),
        cuts in prop::collection::vec(1usize..3, 1..8),
    ) {
        let devices = devices(3);
        let (mut left, mut right) = apart(&devices, &left_units, &right_units);
        let mut cuts = cuts.into_iter().cycle();
        while {
            let cut = cuts.next().unwrap_or(1);
            let to_right = pull(&mut right, &left, cut);
            let to_left = pull(&mut left, &right, cut);
            to_right || to_left
        } {}
        same(&left, &right);
        prop_assert_eq!(left.len(), left_units.len() + right_units.len());
        prop_assert!(answer(&left, &hello(&right)).is_empty());
    }

    /// A peer's bytes never panic the decoder.
    #[test]
    fn any_bytes_decode_or_not(bytes in prop::collection::vec(any::<u8>(), 0..512), tag in 0u8..5) {
        let bytes = [&[tag], bytes.as_slice()].concat();
        if let Ok(message) = SyncMessage::from_bytes(&bytes) {
            prop_assert_eq!(message.to_bytes(), bytes);
        }
    }
}

/// INV-J12: more than an answer holds comes in several, none of which is larger than it may be.
#[test]
fn a_long_answer_is_cut() {
    let devices = devices(3);
    let units = ANSWER_BYTES_MAX / 60_000 + 40;
    let sizes = vec![60_000; units];
    let (left, mut right) = apart(&devices, &sizes, &[]);
    let messages = answer(&left, &hello(&right));
    assert_eq!(messages.last(), Some(&SyncMessage::More));
    let bytes: Vec<_> = messages.iter().map(|it| it.to_bytes().len()).collect();
    assert!(bytes.iter().all(|it| *it <= FRAME_BYTES_MAX));
    assert!(bytes.iter().sum::<usize>() <= ANSWER_BYTES_MAX + 64 * messages.len());
    assert!(pull(&mut right, &left, usize::MAX));
    assert!(right.len() < left.len());
    assert!(pull(&mut right, &left, usize::MAX));
    same(&left, &right);
}

/// The units' own bytes are nearly all that is sent (`02-ledger`, section 7).
#[test]
fn framing_costs_little() {
    let (left, right) = apart(&devices(3), &[250; 400], &[]);
    let sent: usize =
        answer(&left, &hello(&right)).iter().map(|it| it.to_bytes().len()).sum::<usize>();
    let sent_back = SyncMessage::Hello(hello(&right)).to_bytes().len();
    let units: usize =
        left.arrivals().iter().filter_map(|it| left.unit_bytes(it)).map(<[u8]>::len).sum();
    assert!((sent + sent_back) * 100 <= units * 105, "{sent} + {sent_back} for {units}");
}

#[test]
fn another_account_gets_no_answer() {
    let (left, _) = apart(&devices(3), &[10], &[]);
    let stranger = Ledger::new(founded(&device("stranger")));
    assert!(answer(&left, &hello(&stranger)).is_empty());
}

/// Where two chains differ, the answer holds the evidence.
#[test]
fn a_forked_chain_is_shown_the_conflict() {
    let devices = devices(3);
    let chain = chain_of(&devices);
    let mut forks = [value(1), value(2)].map(|value| {
        let mut fork = chain.clone();
        decide(&mut fork, value, &devices[..2]);
        Ledger::new(fork)
    });
    let [left, right] = &mut forks;
    let messages = answer(left, &hello(right));
    let [SyncMessage::Entries(entries)] = messages.as_slice() else { panic!("{messages:?}") };
    let results: Vec<_> = entries.iter().map(|it| right.import_entry(it.clone())).collect();
    assert_eq!(
        results,
        [Ok(Appended::Duplicate), Ok(Appended::Duplicate), Err(ChainError::Conflict { k: 2 })]
    );
}

/// A hello that lies about itself costs its sender's peer a bounded answer, and no panic.
#[test]
fn a_lying_hello_does_no_harm() {
    let (left, right) = apart(&devices(3), &[10; 5], &[]);
    let author = left.frontier().chains.keys().next().copied().unwrap();
    let odd =
        [(author, (u64::MAX, Digest::ZERO)), (DeviceId::from_bytes([1; 32]), (5, Digest::ZERO))];
    let lies = [
        Hello { k: u64::MAX, ..hello(&right) },
        Hello { frontier: Frontier { chains: odd.into(), ..Frontier::default() }, ..hello(&right) },
        Hello { account: AccountId::from_bytes([1; 32]), ..hello(&right) },
    ];
    for lie in lies {
        let bytes = SyncMessage::Hello(lie.clone()).to_bytes();
        assert_eq!(SyncMessage::from_bytes(&bytes), Ok(SyncMessage::Hello(lie.clone())));
        assert!(answer(&left, &lie).len() <= 2);
    }
}
