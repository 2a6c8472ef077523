//! `cargo bench --bench profile`: where a training step's time goes, instruction by instruction, on one thread.
//!
//! Every instruction of a plan is timed at several steps and its least time taken: what else the processor did meanwhile
//! falls out, so the sums are those of a quiet machine, caches as they are between instructions.
//! `cargo bench --bench profile -- NETWORK STEPS KEY=VALUE...`, all optional: `lenet` or `vgg`, the steps, settings of the
//! machine as `accumulators.bits=12`.

mod noise;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wagesim::compiler::compile;
use wagesim::data::{DataSet, mnist};
use wagesim::machine::{Engine, Extension, Fast, Fault, Observer, Outcome, State};
use wagesim::network::load;
use wagesim::program::{Phase, Plan, Step};
use wagesim::spec::{Machine, Setting};
use wagesim::train::Run;

/// Mnemonic, phase and layer of an instruction of the training entry, and the least time it took.
type Least = Vec<(&'static str, Phase, Option<u32>, Duration)>;

/// Kinds that take less than this part of a step are told together.
const FEW: u32 = 300;

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
                Some(known) => known.3 = known.3.min(took),
                None => least.push((step.instr.spec().mnemonic, step.phase, step.layer, took)),
            }
            let began = Instant::now();
            for observer in observers.iter_mut() {
                observer.executed(plan, index, &outcome, state);
            }
            beside += began.elapsed();
        }
        observers.iter_mut().for_each(|observer| observer.finished(plan));
        let mut known = self.beside.lock().unwrap();
        *known = if known.is_zero() { beside } else { beside.min(*known) };
        Ok(())
    }
}

fn measured(text: &str, data: &DataSet, steps: u32, settings: &[Setting]) -> (Least, Duration) {
    let (network, recipe, _) = load(text, "program", &[]).unwrap();
    let machine = Machine::from_toml("", "default machine", settings).unwrap();
    let program = compile(&network, &recipe, &machine, text).unwrap();
    let (least, beside) = (Arc::default(), Arc::default());
    let fast = Fast::with(Extension::chosen(), 1);
    let engine = Timed { fast, least: Arc::clone(&least), beside: Arc::clone(&beside) };
    let mut run = Run::new(&program, &machine, &recipe, data, Box::new(engine)).unwrap();
    (0..steps).for_each(|_| run.step(&mut []).unwrap());
    (std::mem::take(&mut *least.lock().unwrap()), *beside.lock().unwrap())
}

fn main() {
    let words = std::env::args().skip(1).filter(|a| !a.starts_with('-'));
    let (settings, wanted): (Vec<String>, Vec<String>) = words.partition(|word| word.contains('='));
    let settings: Vec<Setting> = settings.iter().map(|s| Setting::parse(s).unwrap()).collect();
    let word = |i: usize| wanted.get(i).map(String::as_str);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (text, data, steps) = if word(0).unwrap_or("lenet") == "lenet" {
        (include_str!("../programs/lenet5-mnist.toml"), mnist(Some(&root.join("data/mnist"))).unwrap(), 60)
    } else {
        (include_str!("../programs/vgg7-cifar10.toml"), noise::pictures(), 8)
    };
    let steps = word(1).map_or(steps, |n| n.parse().expect("a number of steps"));
    let (least, beside) = measured(text, &data, steps, &settings);
    let mut kinds: BTreeMap<(&str, String), (u32, Duration)> = BTreeMap::new();
    for (name, phase, layer, took) in least {
        let layer = layer.map_or(String::new(), |layer| format!(" {layer}"));
        let (count, time) = kinds.entry((name, phase.name().to_owned() + &layer)).or_default();
        (*count, *time) = (*count + 1, *time + took);
    }
    kinds.insert(("observers", String::new()), (0, beside));
    let all: Duration = kinds.values().map(|(_, time)| *time).sum();
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, (_, time))| std::cmp::Reverse(*time));
    // The least of them together.
    let few = kinds.partition_point(|(_, (_, time))| *time > all / FEW);
    let others = kinds
        .split_off(few)
        .into_iter()
        .fold((0, Duration::ZERO), |sum, (_, (count, time))| (sum.0 + count, sum.1 + time));
    kinds.push((("others", String::new()), others));
    kinds.push((("all", String::new()), (0, all)));
    println!("{:<14} {:<12} {:>7}   ms a step", "instruction", "phase, layer", "count");
    for ((name, phase), (count, time)) in &kinds {
        println!("{name:<14} {phase:<12} {count:>7} {:>10.3}", time.as_secs_f64() * 1e3);
    }
}
