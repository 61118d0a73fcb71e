//! How fast the symbolic key derivation is simulated among five devices with faults: the script, and
//! the machine that was written by hand. `cargo run --release -p aura-simulator --example yardstick`

use std::time::Instant;

use aura_simulator::{
    engine::{Engine, Level},
    level::Scripts,
    plan::{Plan, Shape},
    protocols::{dkd, dkd_machine::Machines},
};

fn main() {
    let seeds = std::env::args().nth(1).and_then(|it| it.parse().ok()).unwrap_or(200_000);
    let which = std::env::args().nth(2).unwrap_or_default();
    match dkd::PROTOCOL.shape(5) {
        Err(why) => eprintln!("{why}"),
        Ok(shape) => {
            if which != "machine" {
                run("script", Engine::new(Scripts::new(&dkd::PROTOCOL)), &shape, seeds);
            }
            if which != "script" {
                run("machine", Engine::new(Machines::default()), &shape, seeds);
            }
        }
    }
}

fn run<L: Level>(name: &str, mut engine: Engine<L>, shape: &Shape, seeds: u64) {
    let mut plan = Plan::default();
    let (mut events, mut failed) = (0, 0);
    let begin = Instant::now();
    for seed in 0..seeds {
        plan.redraw(seed, shape);
        let run = engine.run(&plan);
        events += u64::from(run.events);
        failed += u64::from(run.violation.is_some());
    }
    let seconds = begin.elapsed().as_secs_f64();
    let (per_run, each) = (seeds as f64 / seconds, seconds / events as f64 * 1e9);
    println!("{name}: {per_run:.0} runs/s, {each:.0} ns an event, {failed} of {seeds} failed");
}
