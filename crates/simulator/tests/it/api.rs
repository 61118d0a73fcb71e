//! The interface for whoever writes futures.

use std::sync::Arc;

use aura_choreography::Stop;
use aura_protocol_core::Outcome;
use aura_simulator::{
    Simulation,
    plan::Fault,
    protocols::locking::Locking,
    runners::ProtocolExecutor,
    simulation::{Participant, ParticipantId},
};
use tokio::sync::RwLock;

async fn account(seed: u64, names: &[&str]) -> (Simulation, Vec<ParticipantId>, Vec<Participant>) {
    let mut simulation = Simulation::new(seed);
    let (_, devices) = simulation.add_account_with_devices(names).await;
    let ids: Vec<_> = devices.iter().map(|it| it.0).collect();
    let participants = ids.iter().map(|it| simulation.get_participant(*it).unwrap()).collect();
    (simulation, ids, participants)
}

fn executor(simulation: Simulation) -> ProtocolExecutor {
    ProtocolExecutor::new(Arc::new(RwLock::new(simulation)))
}

#[tokio::test]
async fn participants_agree_and_a_seed_is_one_history() {
    let mut keys = vec![];
    for seed in [42, 42, 43] {
        let (simulation, _, participants) = account(seed, &["alice", "bob", "carol", "dan"]).await;
        assert_eq!(participants[1].name(), "bob");
        let futures = participants.iter().map(|it| it.execute_dkd_protocol());
        let derived = executor(simulation).run_many(futures).await;
        let key = derived[0].clone().unwrap();
        assert!(derived.iter().all(|it| *it == Ok(key)), "{derived:?}");
        keys.push(key);
    }
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test]
async fn any_script_runs_and_sessions_run_side_by_side() {
    static LOCKING: Locking = Locking;
    let (simulation, _, participants) = account(7, &["alice", "bob", "carol"]).await;
    let executor = executor(simulation);
    let locks = participants.iter().map(|it| it.execute(&LOCKING));
    let keys = participants.iter().map(|it| it.execute_dkd_protocol());
    let (locks, keys): (Vec<_>, Vec<_>) = (locks.collect(), keys.collect());
    let holders = executor.run_many(locks).await;
    let derived = executor.run_many(keys).await;
    assert!(matches!(&holders[0], Ok(Outcome::Completed { result, .. }) if result.len() == 1));
    assert!(
        holders.iter().all(|it| *it == holders[0]) && derived.iter().all(|it| *it == derived[0])
    );
}

/// Who does not take part is missed like a device that is off; a fault is felt.
#[tokio::test]
async fn absence_and_faults_are_felt() {
    let (mut simulation, ids, participants) = account(1, &["alice", "bob", "carol"]).await;
    simulation.inject(ids[0], Fault::Latency { by: 2 });
    let two = participants[..2].iter().map(|it| it.execute_dkd_protocol());
    let derived = executor(simulation).run_many(two).await;
    assert!(derived[0].is_ok() && derived[0] == derived[1], "{derived:?}");
    let (simulation, _, participants) = account(1, &["alice", "bob", "carol"]).await;
    let alone = executor(simulation).run(participants[0].execute_dkd_protocol()).await;
    assert!(matches!(alone, Err(Stop::Aborted(_))), "{alone:?}");
}

/// A device that would wait for ever is told so, and for what.
#[tokio::test]
async fn a_deadlock_is_an_answer() {
    static PATIENT: aura_simulator::protocols::dkd_no_ttl::DkdNoTtl =
        aura_simulator::protocols::dkd_no_ttl::DkdNoTtl;
    let (simulation, _, participants) = account(1, &["alice", "bob", "carol"]).await;
    let without = participants[1..].iter().map(|it| it.execute(&PATIENT));
    let ended = executor(simulation).run_many(without).await;
    let text = format!("{:?}", ended[0]);
    assert!(text.contains("deadlock: waits since epoch 0 for 1 times Init of devices 0"), "{text}");
}
