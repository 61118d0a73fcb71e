//! The control chain: what it takes, and what it refuses.

use aura_crypto::{PublicKey, Signature};
use aura_journal::control::{
    Appended, Certificate, CertificateError, CertifiedEntry, ChainError, ConfigError,
    Configuration, ControlChain, Entry, EntryBody, Phase, Role, Vote,
};
use aura_protocol_core::{AccountId, Digest, decode, encode};

use crate::control_fixture::{
    Device, certificate, certified, chain_of, decide, device, devices, founded, genesis,
    reconfigure, value,
};

/// A chain of five devices, four of which decide, and an entry for it with the votes of `voters`.
fn five(voters: std::ops::Range<usize>) -> (Vec<Device>, ControlChain, CertifiedEntry) {
    let devices = devices(5);
    let chain = chain_of(&devices);
    let entry = certified(&chain, value(1), &devices[voters]);
    (devices, chain, entry)
}

#[test]
fn a_chain_tells_what_it_holds() {
    let devices = devices(5);
    let mut chain = founded(&devices[0]);
    assert_eq!(chain.account(), genesis(&devices[0]).account());
    assert_eq!((chain.name(), chain.height(), chain.config_index()), ("home", 0, 0));
    assert_eq!(chain.head_at(0), Some(chain.head()));
    decide(&mut chain, reconfigure(&devices), &devices[..1]);
    decide(&mut chain, value(1), &devices[1..]);
    assert_eq!((chain.height(), chain.config_index(), chain.config().m), (2, 1, 4));
    assert_eq!(chain.config_at(0).unwrap().m, 1);
    assert_eq!(chain.config_at(1), Some(chain.config()));
    assert_eq!(chain.config_at(2), None);
    assert_eq!(chain.next_slot().parent, chain.head());
    assert_eq!(chain.head_at(2), Some(chain.head()));
    assert_eq!(chain.head_at(3), None);

    let again = ControlChain::from_entries(chain.entries().iter().cloned()).unwrap();
    assert_eq!(again.entries(), chain.entries());
    assert_eq!(again.next_slot(), chain.next_slot());
}

/// INV-J1: entries before it, another account's, and another decision's child are refused.
#[test]
fn only_consecutive_entries_are_taken() {
    let (devices, mut chain, first) = five(0..4);
    let mut ahead = chain.clone();
    assert_eq!(ahead.append(first.clone()), Ok(Appended::New));
    let second = certified(&ahead, value(2), &devices[1..]);
    assert_eq!(chain.append(second.clone()), Err(ChainError::Gap { need: 2, got: 3 }));

    let mut other = chain.clone();
    decide(&mut other, value(9), &devices[..4]);
    assert_eq!(other.append(second.clone()), Err(ChainError::WrongParent { k: 3 }));

    let mut stranger = chain_of(&[device("a"), device("b")]);
    assert!(matches!(stranger.append(first.clone()), Err(ChainError::WrongAccount { .. })));

    assert_eq!(chain.append(first.clone()), Ok(Appended::New));
    assert_eq!(chain.append(first), Ok(Appended::Duplicate));
    assert_eq!(chain.append(second), Ok(Appended::New));

    let mut entries = chain.entries().to_vec();
    entries.remove(1);
    assert!(matches!(ControlChain::from_entries(entries), Err(ChainError::Gap { .. })));
    let headless = chain.entries().iter().skip(1).cloned();
    assert!(matches!(ControlChain::from_entries(headless), Err(ChainError::NoGenesis)));
    assert!(matches!(ControlChain::from_entries([]), Err(ChainError::NoGenesis)));
}

#[track_caller]
fn refused(
    chain: &ControlChain,
    entry: &CertifiedEntry,
    change: impl FnOnce(&mut CertifiedEntry),
) -> ChainError {
    let mut changed = entry.clone();
    change(&mut changed);
    let mut tried = chain.clone();
    let error = tried.append(changed).unwrap_err();
    assert_eq!(tried.next_slot(), chain.next_slot(), "a refused entry changed the chain");
    assert_eq!(tried.entries(), chain.entries());
    error
}

/// INV-J2: every field.
#[test]
fn a_changed_field_is_refused() {
    let (_, chain, entry) = five(0..4);
    let bad_signature =
        |it| matches!(it, ChainError::Certificate(CertificateError::BadSignature { .. }));
    let account = AccountId::from_bytes([1; 32]);
    let error = refused(&chain, &entry, |it| it.slot.account = account);
    assert!(matches!(error, ChainError::WrongAccount { .. }));
    let error = refused(&chain, &entry, |it| it.slot.generation = 1);
    assert_eq!(error, ChainError::WrongGeneration { k: 2, expected: 0, found: 1 });
    let error = refused(&chain, &entry, |it| it.slot.config = 0);
    assert_eq!(error, ChainError::WrongConfig { k: 2, expected: 1, found: 0 });
    let error = refused(&chain, &entry, |it| it.slot.k = 3);
    assert_eq!(error, ChainError::Gap { need: 2, got: 3 });
    let error = refused(&chain, &entry, |it| it.slot.k = 1);
    assert_eq!(error, ChainError::WrongConfig { k: 1, expected: 0, found: 1 });
    let error = refused(&chain, &entry, |it| it.slot.parent = Digest::ZERO);
    assert_eq!(error, ChainError::WrongParent { k: 2 });
    assert!(bad_signature(refused(&chain, &entry, |it| it.value.past.push(Digest::ZERO))));
    assert!(bad_signature(refused(&chain, &entry, |it| it.value = value(2))));
    assert!(bad_signature(refused(&chain, &entry, |it| it.certificate.view = 1)));
    assert!(bad_signature(refused(&chain, &entry, |it| {
        *it.certificate.votes.values_mut().next_back().unwrap() = Signature([0; 64]);
    })));
}

/// INV-J2: every byte, before and after the entry is on the chain; nothing panics.
#[test]
fn a_changed_byte_is_refused() {
    let (_, chain, entry) = five(1..5);
    let bytes = encode(&entry);
    let mut longer = chain.clone();
    assert_eq!(longer.append(entry.clone()), Ok(Appended::New));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        if let Ok(changed) = decode::<CertifiedEntry>(&changed, bytes.len()) {
            assert!(chain.clone().append(changed.clone()).is_err(), "byte {at}");
            assert!(longer.append(changed).is_err(), "byte {at} of a decided entry");
        }
        assert!(decode::<CertifiedEntry>(&bytes[..at], bytes.len()).is_err());
    }
    let longer_bytes = [bytes.as_slice(), &[0]].concat();
    assert!(decode::<CertifiedEntry>(&longer_bytes, longer_bytes.len()).is_err());
}

/// INV-J14: m distinct voters' commits for this value at this slot, and nothing else, count.
#[test]
fn a_quorum_cannot_be_stuffed() {
    let (devices, chain, full) = five(0..4);
    assert!(chain.clone().append(full.clone()).is_ok());
    let few = certified(&chain, value(1), &devices[..3]);
    let error = refused(&chain, &few, |_| ());
    let too_few = CertificateError::TooFewVotes { found: 3, needed: 4 };
    assert_eq!(error, ChainError::Certificate(too_few));

    // A fourth vote by a stranger, by a device's unit key, for the other phase, slot or value.
    let slot = chain.next_slot();
    let hash = full.value.hash();
    let other_slot = aura_journal::control::Slot { k: 3, ..slot };
    let (stranger, fourth) = (device("stranger"), &devices[3]);
    for vote in [
        Vote::sign(slot, Phase::Commit, 0, hash, &stranger.vote_key),
        Vote::sign(slot, Phase::Commit, 0, hash, &fourth.unit_key),
        Vote::sign(slot, Phase::Prepare, 0, hash, &fourth.vote_key),
        Vote::sign(slot, Phase::Commit, 1, hash, &fourth.vote_key),
        Vote::sign(other_slot, Phase::Commit, 0, hash, &fourth.vote_key),
        Vote::sign(slot, Phase::Commit, 0, value(2).hash(), &fourth.vote_key),
    ] {
        let error = refused(&chain, &few, |it| {
            it.certificate.votes.insert(vote.key, vote.signature);
        });
        assert!(matches!(error, ChainError::Certificate(_)), "{vote:?}");
    }
    // One vote too many spoils a certificate that would do without it.
    let smuggled = refused(&chain, &full, |it| {
        it.certificate.votes.insert(stranger.vote_key.public(), Signature([0; 64]));
    });
    let key = Box::new(stranger.vote_key.public());
    assert_eq!(smuggled, ChainError::Certificate(CertificateError::NotAVoter { key }));
}

/// INV-J14: the same key twice, or in a second encoding, does not even decode.
#[test]
fn a_key_cannot_stand_twice() {
    let (_, _, entry) = five(0..3);
    let certificate = entry.certificate;
    let bytes = encode(&certificate);
    let (header, votes) = bytes.split_at(8 + 4);
    let mut twice = [&header[..8], &4u32.to_le_bytes(), votes].concat();
    twice.extend_from_slice(&votes[votes.len() - 96..]);
    assert!(decode::<Certificate>(&twice, twice.len()).is_err());

    // p + 1 is a second encoding of y = 1; what is refused is the encoding itself.
    let mut second = [0xff; 32];
    (second[0], second[31]) = (0xee, 0x7f);
    let mut other = bytes.clone();
    other[12..44].copy_from_slice(&second);
    assert!(decode::<Certificate>(&other, other.len()).is_err());
    assert!(PublicKey::from_bytes(&second).is_err());
}

#[test]
fn a_reader_does_not_vote() {
    let mut devices = devices(4);
    devices[3].entry.role = Role::Reader;
    let chain = chain_of(&devices);
    assert_eq!(chain.config().m, 2);
    let with_reader = certified(&chain, value(1), &devices[2..]);
    let error = refused(&chain, &with_reader, |_| ());
    assert!(matches!(error, ChainError::Certificate(CertificateError::NotAVoter { .. })));
}

/// INV-J1: from the slot after a `Reconfigure` on the new voters decide, and nobody else.
#[test]
fn a_reconfiguration_changes_who_decides() {
    let all = devices(6);
    let (old, new) = (&all[..5], &all[1..]);
    let mut chain = chain_of(old);
    let too_early = certified(&chain, reconfigure(new), new);
    assert!(chain.append(too_early).is_err(), "the new voters certified their own coming");
    decide(&mut chain, reconfigure(new), &old[..4]);
    assert_eq!(chain.config_index(), 2);
    let by_removed = certified(&chain, value(1), &old[..4]);
    assert!(chain.append(by_removed).is_err());
    let by_new = certified(&chain, value(1), &new[1..]);
    assert_eq!(chain.append(by_new), Ok(Appended::New));
    assert_eq!(chain.entries().last().unwrap().slot.config, 2);
}

/// INV-J3: two vote subsets for one decision lead to one next slot.
#[test]
fn the_next_slot_does_not_depend_on_who_voted() {
    let (devices, chain, some) = five(0..4);
    let others = certified(&chain, value(1), &devices[1..]);
    assert_ne!(some.certificate, others.certificate);
    let (mut left, mut right) = (chain.clone(), chain);
    assert_eq!(left.append(some), Ok(Appended::New));
    assert_eq!(right.append(others.clone()), Ok(Appended::New));
    assert_eq!(left.next_slot(), right.next_slot());
    // The other certificate of the same decision is nothing new.
    assert_eq!(left.append(others), Ok(Appended::Duplicate));
    let next = certified(&left, value(2), &devices[..4]);
    assert_eq!(right.append(next), Ok(Appended::New));
}

/// INV-J4
#[test]
fn a_second_certified_value_is_a_conflict() {
    let (devices, mut chain, first) = five(0..4);
    let second = certified(&chain, value(2), &devices[1..]);
    let false_alarm = certified(&chain, value(2), &devices[..3]);
    assert_eq!(chain.append(first), Ok(Appended::New));
    let head = chain.head();
    assert!(matches!(chain.append(false_alarm), Err(ChainError::Certificate(_))));
    assert_eq!(chain.append(second), Err(ChainError::Conflict { k: 2 }));
    assert_eq!(chain.head(), head);
}

#[test]
fn one_key_certifies_only_where_one_vote_decides() {
    let publisher = device("publisher");
    let mut chain = founded(&publisher);
    let entry = chain.certify_alone(value(1), &publisher.vote_key).unwrap();
    assert_eq!(chain.append(entry), Ok(Appended::New));
    let stranger = device("stranger");
    let error = chain.certify_alone(value(2), &stranger.vote_key).unwrap_err();
    assert!(matches!(error, ChainError::Certificate(CertificateError::NotAVoter { .. })));

    let devices = devices(2);
    let error = chain_of(&devices).certify_alone(value(1), &devices[0].vote_key).unwrap_err();
    assert_eq!(error, ChainError::NotAlone { m: 2 });
}

#[test]
fn a_chain_is_founded_by_its_first_device() {
    let (first, other) = (device("first"), device("other"));
    let error = ControlChain::found(genesis(&first), &other.vote_key).unwrap_err();
    assert!(matches!(error, ChainError::Certificate(_)));
    let mut reader = device("first");
    reader.entry.role = Role::Reader;
    let error = ControlChain::found(genesis(&reader), &reader.vote_key).unwrap_err();
    assert_eq!(error, ChainError::Configuration(ConfigError::Size { found: 1 }));

    // A genesis that closes a past is none, even with the right vote.
    let mut first_entry = founded(&first).entries()[0].clone();
    first_entry.value.past.push(Digest::ZERO);
    first_entry.certificate = certificate(first_entry.slot, &first_entry.value, [&first]);
    let error = ControlChain::from_entries([first_entry]).unwrap_err();
    assert_eq!(error, ChainError::NoGenesis);
}

#[track_caller]
fn unfit(chain: &ControlChain, value: &Entry) -> ChainError {
    let error = chain.check_next(value).unwrap_err();
    let all = devices(5);
    assert_eq!(refused(chain, &certified(chain, value.clone(), &all), |_| ()), error);
    error
}

/// INV-J1: not even a quorum can put a value on the chain that breaks its rules.
#[test]
fn values_keep_to_the_rules() {
    let (devices, mut chain, _) = five(0..4);
    let second = chain.entries()[0].value.clone();
    assert_eq!(unfit(&chain, &second), ChainError::SecondGenesis);

    let (low, high) = (Digest::from_bytes([1; 32]), Digest::from_bytes([2; 32]));
    let with_past = |past: &[Digest]| Entry { past: past.to_vec(), ..value(1) };
    assert_eq!(chain.check_next(&with_past(&[low, high])), Ok(()));
    assert_eq!(unfit(&chain, &with_past(&[high, low])), ChainError::PastNotSorted);
    assert_eq!(unfit(&chain, &with_past(&[low, low])), ChainError::PastNotSorted);
    let many: Vec<_> = (0..3000u32).map(|it| Digest::of(&it.to_le_bytes())).collect();
    assert!(matches!(unfit(&chain, &with_past(&many)), ChainError::TooLarge { .. }));

    let mut config = Configuration::with_defaults(devices.iter().map(|it| it.entry.clone()));
    config.m = 2;
    let minority = Entry { past: vec![], body: EntryBody::Reconfigure(Box::new(config)) };
    let error = ConfigError::Threshold { m: 2, voters: 5 };
    assert_eq!(unfit(&chain, &minority), ChainError::Configuration(error));

    // A device that was removed stays removed.
    decide(&mut chain, reconfigure(&devices[..4]), &devices[..4]);
    let error = chain.check_next(&reconfigure(&devices)).unwrap_err();
    assert_eq!(error, ChainError::Readded { device: devices[4].id() });
    assert_eq!(error.code(), "DeviceReadded");
}

/// A frame full of keys costs its sender more than its reader: the count is checked before a key is.
#[test]
fn a_certificate_has_no_more_votes_than_an_account_has_devices() {
    let mut bytes = encode(&0u64);
    bytes.extend(encode(&129u32));
    let honest = aura_crypto::SecretKey::from_seed([1; 32]);
    for _ in 0..129 {
        bytes.extend(honest.public().as_bytes());
        bytes.extend([0; 64]);
    }
    let error = borsh::from_slice::<Certificate>(&bytes).unwrap_err();
    assert_eq!(error.to_string(), "more votes than devices");
}
