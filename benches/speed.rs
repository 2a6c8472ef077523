//! `cargo bench`: whole training steps of the LeNet with all default observers, and single matrix instructions.
//!
//! Prints medians; `docs/performance.md` tells how to read them. `cargo bench -- WORD` measures the lines that hold the word.

use std::path::Path;
use std::time::Instant;

use wagesim::compiler::compile;
use wagesim::data::{DataSet, mnist};
use wagesim::isa::Instr;
use wagesim::machine::{Engine, Fast, Observer, Outcome, State};
use wagesim::network::load;
use wagesim::observe::{Cost, Ledger};
use wagesim::program::{Phase, Plan, Program, Step};
use wagesim::spec::{Machine, Setting};
use wagesim::timing::Schedule;
use wagesim::train::{Run, Trainer};

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Steps a measurement has, and how often it is made.
const STEPS: u32 = 12;
const REPEATS: u32 = 5;

fn program(sets: &[&str]) -> (Program, Machine, wagesim::network::Recipe) {
    let text = include_str!("../programs/lenet5-mnist.toml");
    let settings: Vec<Setting> = sets.iter().map(|s| Setting::parse(s).unwrap()).collect();
    let routed = wagesim::network::route(&settings).unwrap();
    let (network, recipe, _) = load(text, "lenet5-mnist.toml", &routed.program).unwrap();
    let machine = Machine::from_toml("", "default machine", &routed.machine).unwrap();
    (compile(&network, &recipe, &machine, text).unwrap(), machine, recipe)
}

/// Images a second of whole training steps.
fn training(data: &DataSet, sets: &[&str]) -> f64 {
    let (program, machine, recipe) = program(sets);
    let mut run = Run::new(&program, &machine, &recipe, data, Box::new(Fast::new())).unwrap();
    run.step(&mut []).unwrap();
    let seconds = (0..REPEATS).map(|_| {
        let began = Instant::now();
        (0..STEPS).for_each(|_| run.step(&mut []).unwrap());
        began.elapsed().as_secs_f64()
    });
    f64::from(STEPS * recipe.batch) / median(seconds.collect())
}

/// Keeps the state after the costliest matrix instruction of each phase and layer.
struct Sample<'a> {
    machine: &'a Machine,
    found: Vec<(Phase, u32, u64, Step, State)>,
}

impl Observer for Sample<'_> {
    fn executed(&mut self, _: &Plan, step: &Step, _: &Outcome, state: &State) {
        if let (Instr::MTaps(_) | Instr::MPositions(_), Some(layer)) = (&step.instr, step.layer) {
            let products = Cost::of(step, self.machine).products;
            let known = self.found.iter_mut().find(|f| (f.0, f.1) == (step.phase, layer));
            match known {
                Some(found) if found.2 < products => {
                    (found.2, found.3, found.4) = (products, *step, state.clone())
                }
                Some(_) => {}
                None => self.found.push((step.phase, layer, products, *step, state.clone())),
            }
        }
    }
}

fn matrices(data: &DataSet) {
    let (program, machine, recipe) = program(&[]);
    let mut run = Run::new(&program, &machine, &recipe, data, Box::new(Fast::new())).unwrap();
    let mut sample = Sample { machine: &machine, found: Vec::new() };
    run.step(&mut [&mut sample]).unwrap();
    println!("\n{:<10} {:>5} {:>14} {:>12} {:>10}", "phase", "layer", "products", "µs", "GMAC/s");
    for (phase, layer, products, step, mut state) in sample.found {
        let mut engine = Fast::new();
        let seconds = (0..41).map(|_| {
            let began = Instant::now();
            engine.execute(&step, &mut state).unwrap();
            began.elapsed().as_secs_f64()
        });
        let seconds = median(seconds.collect());
        #[expect(clippy::cast_precision_loss, reason = "a rate to be read")]
        let rate = products as f64 / seconds / 1e9;
        println!("{:<10} {layer:>5} {products:>14} {:>12.1} {rate:>10.1}", phase.name(), seconds * 1e6);
    }
}

/// What timing takes: the schedules, once, and what a ledger adds to each step, beside an epoch without either.
fn timing(data: &DataSet) {
    let (program, machine, recipe) = program(&[]);
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
    for step in 1..=8 * STEPS {
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

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let data = mnist(Some(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist"))).unwrap();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.contains(w.as_str()));
    const NARROW: &str = "accumulators.forward.bits=16";
    let lines: [(&str, &[&str]); 4] = [
        ("lenet, 32 bits", &[]),
        (
            "lenet, 16-bit wrap",
            &[
                NARROW,
                "accumulators.error.bits=16",
                "accumulators.forward.overflow=wrap",
                "accumulators.error.overflow=wrap",
            ],
        ),
        (
            "lenet, 16-bit saturate",
            &[
                NARROW,
                "accumulators.error.bits=16",
                "accumulators.forward.overflow=saturate",
                "accumulators.error.overflow=saturate",
            ],
        ),
        (
            "lenet, 12-bit saturate, gradient 18",
            &["accumulators.bits=12", "accumulators.gradient.bits=18", "accumulators.overflow=saturate"],
        ),
    ];
    println!("{} threads", rayon::current_num_threads());
    println!("{:<40} {:>12}", "training", "images/s");
    for (name, sets) in lines.iter().filter(|(name, _)| is_wanted(name)) {
        println!("{name:<40} {:>12.0}", training(&data, sets));
    }
    if is_wanted("matrix") {
        matrices(&data);
    }
    if is_wanted("timing") {
        timing(&data);
    }
}
