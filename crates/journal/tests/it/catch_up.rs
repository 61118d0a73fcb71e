//! A device that was away for ten thousand units, over a connection that breaks again and again.

use aura_journal::{
    Event, Ledger,
    event::SessionMessage,
    sync::{SyncMessage, answer, hello},
};

use crate::{medium::draw, support::*};

const UNITS: usize = 10_000;
/// Most frames that come through before the connection breaks.
const FRAMES_MAX: usize = 4;
/// How many more bytes all messages may have than the units that they bring, in percent.
const OVERHEAD_PERCENT: usize = 5;

fn full() -> Ledger {
    let (devices, chain) = account(5);
    let mut ledger = Ledger::new(chain);
    for nth in 0..UNITS {
        let payload = vec![nth.to_le_bytes()[0]; 250];
        let message = SessionMessage { label: "Say".to_owned(), payload };
        write(&mut ledger, &devices[nth % devices.len()], Event::SessionMessage(message));
    }
    ledger
}

/// What came before the connection broke is kept, so that nothing comes twice: all bytes of all
/// connections, hellos included, are at most 1.05 times the units'.
#[test]
fn an_interrupted_catch_up_goes_on_where_it_was() {
    let full = full();
    let (_, chain) = account(5);
    let mut behind = Ledger::new(chain);
    let (mut bytes, mut connections) = (0, 0);
    while behind.len() < full.len() {
        let said = SyncMessage::Hello(hello(&behind)).to_bytes();
        bytes += said.len();
        let SyncMessage::Hello(said) = SyncMessage::from_bytes(&said).unwrap() else { panic!() };
        let frames = 1 + draw(41, connections) % FRAMES_MAX;
        connections += 1;
        let had = behind.len();
        for message in answer(&full, &said).iter().take(frames) {
            let frame = message.to_bytes();
            bytes += frame.len();
            if let SyncMessage::Units(units) = SyncMessage::from_bytes(&frame).unwrap() {
                for outcome in behind.import_all(PEER, units.iter().map(Vec::as_slice)) {
                    let _applied = outcome.unwrap();
                }
            }
        }
        assert!(had < behind.len(), "a connection brought nothing");
    }
    assert!(1 < connections, "it was never interrupted");
    assert_eq!((behind.heads(), behind.state()), (full.heads(), full.state()));
    let units: usize = full.arrivals().iter().map(|it| full.unit_bytes(it).unwrap().len()).sum();
    assert!(bytes * 100 <= units * (100 + OVERHEAD_PERCENT), "{bytes} bytes for {units}");
}
