//! `cargo bench --bench timing`: what timing takes: the schedules, once, and what a ledger adds to each step of the LeNet, beside
//! an epoch without either. Prints medians; `docs/performance.md` has them.

use std::path::Path;
use std::time::Instant;

use wagesim::compiler::compile;
use wagesim::data::mnist;
use wagesim::machine::{Fast, Observer};
use wagesim::network::load;
use wagesim::observe::Ledger;
use wagesim::program::Plan;
use wagesim::spec::Machine;
use wagesim::timing::Schedule;
use wagesim::train::Trainer;

/// Steps of a measurement, and how often schedules are made.
const STEPS: u32 = 96;
const REPEATS: u32 = 5;

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn main() {
    let text = include_str!("../programs/lenet5-mnist.toml");
    let (network, recipe, _) = load(text, "lenet5-mnist.toml", &[]).unwrap();
    let machine = Machine::from_toml("", "default machine", &[]).unwrap();
    let program = compile(&network, &recipe, &machine, text).unwrap();
    let data = mnist(Some(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist"))).unwrap();
    let sizes = machine.memory.bytes().map(|n| usize::try_from(n).unwrap());
    let mut trainer = Trainer::new(&program, sizes, 1, Box::new(Fast::new())).unwrap();
    let plans = trainer.plans();
    let all = [&plans.quantise, &plans.train, &plans.evaluate];
    let taken = |work: &dyn Fn(&Plan)| {
        let once = || {
            let began = Instant::now();
            all.iter().for_each(|plan| work(plan));
            began.elapsed().as_secs_f64()
        };
        median((0..REPEATS).map(|_| once()).collect())
    };
    let schedules = taken(&|plan| drop(Schedule::of(plan, &machine)));
    let counted = taken(&|plan| drop(Ledger::new(plan, &machine)));
    let mut ledger = Ledger::new(&plans.train, &machine);
    let batch = data.train.batch(&(0..recipe.batch).collect::<Vec<u32>>(), None).unwrap();
    let mut seconds = [Vec::new(), Vec::new()];
    // Steps with and without take turns, so that what else the host does falls on both.
    for step in 1..=STEPS {
        let with = step % 2 == 0;
        let observers: &mut [&mut dyn Observer] = if with { &mut [&mut ledger] } else { &mut [] };
        let began = Instant::now();
        trainer.step(&batch, step, recipe.lr_log2(1), observers).unwrap();
        seconds[usize::from(with)].push(began.elapsed().as_secs_f64());
    }
    let [without, with] = seconds.map(median);
    let steps = f64::from(u32::try_from(data.train.len()).unwrap() / recipe.batch);
    let epoch = steps * without;
    println!("\nan epoch of {steps} steps without timing: {epoch:.1} s, {:.2} ms a step", 1e3 * without);
    println!(
        "schedules of its plans, once: {:.1} ms, {:.3} % of it",
        1e3 * schedules,
        100.0 * schedules / epoch
    );
    println!("with all counts, once: {:.1} ms, {:.3} %", 1e3 * counted, 100.0 * counted / epoch);
    println!(
        "counting executions: {:.1} µs a step, {:.2} %",
        1e6 * (with - without),
        100.0 * (with / without - 1.0)
    );
}
