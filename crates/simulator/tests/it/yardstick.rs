//! The script of the key derivation and the machine that was written by hand.

use aura_choreography::Dev;
use aura_simulator::{
    engine::{Engine, Node as _},
    level::Scripts,
    plan::Plan,
    protocols::{dkd, dkd_machine::Machines},
};

/// INV-Z9: the same inputs lead both to the same messages and the same ends, whatever goes wrong.
#[test]
fn a_script_does_what_the_machine_does() {
    let mut script = Engine::new(Scripts::new(&dkd::PROTOCOL));
    let mut machine = Engine::new(Machines::default());
    let shape = dkd::PROTOCOL.shape(5).unwrap();
    let mut finished = 0;
    for seed in 0..20_000 {
        let plan = Plan::from_seed(seed, &shape);
        let (one, other) = (script.run(&plan), machine.run(&plan));
        assert_eq!(one, other, "seed {seed}: {plan:?}");
        for dev in (0..5).map(Dev) {
            let ended = (
                script.node(dev).and_then(|it| it.ended()),
                machine.node(dev).and_then(|it| it.ended()),
            );
            assert_eq!(ended.0, ended.1, "seed {seed}, device {dev}: {plan:?}");
        }
        finished += one.outcomes.finished.len();
    }
    assert!(50_000 < finished, "most devices finish: {finished}");
}
