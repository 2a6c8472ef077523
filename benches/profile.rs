//! `cargo bench --bench profile`: where a training step's time goes, instruction by instruction, on one thread.
//!
//! Every instruction of a plan is timed at several steps and its least time taken: what else the processor did meanwhile
//! falls out, so the sums are those of a quiet machine, caches as they are between instructions.
//! `cargo bench --bench profile -- NETWORK STEPS`, both optional: `lenet` or `vgg`, the steps.

mod noise;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wagesim::compiler::compile;
use wagesim::data::{DataSet, mnist};
use wagesim::isa::Instr;
use wagesim::machine::{Engine, Extension, Fast, Fault, Observer, Outcome, State};
use wagesim::network::load;
use wagesim::program::{Phase, Plan, Step};
use wagesim::spec::Machine;
use wagesim::train::Run;

/// An instruction of the training entry and the least time it took.
type Least = Vec<(Instr, Phase, Duration)>;

/// An engine whose instructions are timed.
struct Timed {
    fast: Fast,
    least: Arc<Mutex<Least>>,
    /// The least time of everything else in a step: observers, above all.
    beside: Arc<Mutex<Duration>>,
}

impl Engine for Timed {
    fn name(&self) -> &'static str {
        "timed"
    }

    fn execute(&mut self, step: &Step, state: &mut State) -> Result<Outcome, Fault> {
        self.fast.execute(step, state)
    }

    fn run(
        &mut self,
        plan: &Plan,
        state: &mut State,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), Fault> {
        let mut least = self.least.lock().unwrap();
        let mut beside = Duration::ZERO;
        for (index, step) in plan.steps.iter().enumerate() {
            let began = Instant::now();
            let outcome = self.fast.execute(step, state)?;
            let took = began.elapsed();
            match least.get_mut(index) {
                Some(known) => known.2 = known.2.min(took),
                None => least.push((step.instr, step.phase, took)),
            }
            let began = Instant::now();
            for observer in observers.iter_mut() {
                observer.executed(plan, step, &outcome, state);
            }
            beside += began.elapsed();
        }
        observers.iter_mut().for_each(|observer| observer.finished(plan));
        let mut known = self.beside.lock().unwrap();
        *known = if known.is_zero() { beside } else { beside.min(*known) };
        Ok(())
    }
}

fn measured(text: &str, data: &DataSet, steps: u32) -> (Least, Duration) {
    let (network, recipe, _) = load(text, "program", &[]).unwrap();
    let machine = Machine::from_toml("", "default machine", &[]).unwrap();
    let program = compile(&network, &recipe, &machine, text).unwrap();
    let (least, beside) = (Arc::default(), Arc::default());
    let fast = Fast::with(Extension::chosen(), 1);
    let engine = Timed { fast, least: Arc::clone(&least), beside: Arc::clone(&beside) };
    let mut run = Run::new(&program, &machine, &recipe, data, Box::new(engine)).unwrap();
    (0..steps).for_each(|_| run.step(&mut []).unwrap());
    (std::mem::take(&mut *least.lock().unwrap()), *beside.lock().unwrap())
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let word = |i: usize| wanted.get(i).map(String::as_str);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (text, data, steps) = if word(0).unwrap_or("lenet") == "lenet" {
        (include_str!("../programs/lenet5-mnist.toml"), mnist(Some(&root.join("data/mnist"))).unwrap(), 60)
    } else {
        (include_str!("../programs/vgg7-cifar10.toml"), noise::pictures(), 8)
    };
    let steps = word(1).map_or(steps, |n| n.parse().expect("a number of steps"));
    let (least, beside) = measured(text, &data, steps);
    let mut kinds: BTreeMap<(&str, &str), (u32, Duration)> = BTreeMap::new();
    for (instr, phase, took) in least {
        let matrix = matches!(instr, Instr::MTaps(_) | Instr::MPositions(_));
        let phase = if matrix { phase.name() } else { "" };
        let (count, time) = kinds.entry((instr.spec().mnemonic, phase)).or_default();
        (*count, *time) = (*count + 1, *time + took);
    }
    kinds.insert(("observers", ""), (0, beside));
    let ms = |time: Duration| format!("{:>10.3}", time.as_secs_f64() * 1e3);
    println!("{:<14} {:<10} {:>7}   ms a step", "instruction", "phase", "count");
    for ((name, phase), (count, time)) in &kinds {
        println!("{name:<14} {phase:<10} {count:>7} {}", ms(*time));
    }
    let all = kinds.values().map(|(_, time)| *time).sum();
    println!("{:<14} {:<10} {:>7} {}", "all", "", "", ms(all));
}
