//! The same call gives the same bytes for the same fuel: again, after a reload, and in parallel.

use std::sync::Arc;

use aura_protocol_core::{
    Digest,
    abi::{Envelope, Op, Reply},
    encode,
    lifecycle::chain_trace,
    limits::STEP_FUEL_MAX,
};
use aura_testkit::hostile;
use aura_wasm_host::ModuleHost;

use crate::{counter, guest, reference, signal};

/// INV-H3. Attack 22: a module that counts its calls in a global cannot tell: every call is the first.
#[test]
fn a_hidden_counter_always_reads_one() {
    let host = ModuleHost::in_memory();
    let bytes = hostile::hidden_counter("sneaky", "1.0.0");
    host.prepare(&bytes, &reference(&bytes)).unwrap();
    let mut traces = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let (reply, fuel) = host.call(Digest::of(&bytes), &signal(b""), STEP_FUEL_MAX).unwrap();
        let Reply::Stepped { state, .. } = &reply else { panic!("{reply:?}") };
        assert_eq!(state, &[1]);
        traces.insert(chain_trace(Digest::ZERO, &encode(&reply), fuel));
    }
    assert_eq!(traces.len(), 1);
}

/// INV-H3, INV-S3
#[test]
fn fuel_is_the_same_again_and_after_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = guest("counter-2-0-0");
    let host = ModuleHost::open(dir.path(), [7; 32]).unwrap();
    host.prepare(&bytes, &reference(&bytes)).unwrap();
    let first = counter::trace(&host, Digest::of(&bytes));
    assert_eq!(counter::trace(&host, Digest::of(&bytes)), first);
    drop(host);
    let reloaded = ModuleHost::open(dir.path(), [7; 32]).unwrap();
    assert_eq!(counter::trace(&reloaded, Digest::of(&bytes)), first);
    let elsewhere = ModuleHost::in_memory();
    elsewhere.prepare(&bytes, &reference(&bytes)).unwrap();
    assert_eq!(counter::trace(&elsewhere, Digest::of(&bytes)), first);
}

/// INV-H5
#[test]
fn one_host_serves_many_threads() {
    let dir = tempfile::tempdir().unwrap();
    let host = Arc::new(ModuleHost::open(dir.path(), [1; 32]).unwrap());
    let guests: Arc<Vec<Vec<u8>>> =
        Arc::new(["counter-1-0-0", "counter-2-0-0"].map(guest).to_vec());
    let threads: Vec<_> = (0..8)
        .map(|thread: usize| {
            let (host, guests) = (Arc::clone(&host), Arc::clone(&guests));
            std::thread::spawn(move || {
                let bytes = &guests[thread % 2];
                host.prepare(bytes, &reference(bytes)).unwrap();
                (0..5).map(|_| counter::trace(&host, Digest::of(bytes))).collect::<Vec<_>>()
            })
        })
        .collect();
    let traces: Vec<Vec<Digest>> = threads.into_iter().map(|it| it.join().unwrap()).collect();
    for (thread, found) in traces.iter().enumerate() {
        assert_eq!(found, &traces[thread % 2]);
        assert!(found.iter().all(|it| it == &found[0]));
    }
    assert_ne!(traces[0], traces[1]);
}

#[test]
fn a_call_takes_no_more_than_it_may() {
    let host = ModuleHost::in_memory();
    let bytes = guest("counter-1-0-0");
    host.prepare(&bytes, &reference(&bytes)).unwrap();
    let too_long = signal(&vec![0; aura_wasm_host::limits::CALL_BYTES_MAX]);
    let error = host.call(Digest::of(&bytes), &too_long, STEP_FUEL_MAX).unwrap_err();
    assert!(matches!(error, aura_wasm_host::CallError::InputTooLong { .. }), "{error:?}");
    // The longest that is allowed arrives; the counter does not like it, and says so.
    let longest = signal(&vec![b'1'; aura_wasm_host::limits::CALL_BYTES_MAX - 100]);
    let (reply, _) = host.call(Digest::of(&bytes), &longest, STEP_FUEL_MAX).unwrap();
    assert!(matches!(reply, Reply::Failed(_)), "{reply:?}");
    let (reply, _) =
        host.call(Digest::of(&bytes), &Envelope::new(Op::Describe), STEP_FUEL_MAX).unwrap();
    assert!(matches!(reply, Reply::Described(_)));
}
