//! `cargo bench --bench profile`: where a training step's time goes, instruction by instruction, and what several threads
//! bring.
//!
//! Every instruction of a plan is timed at several steps and its least time taken: what else the processor did meanwhile
//! falls out, so the sums are those of a quiet machine, caches as they are between instructions.
//! `cargo bench --bench profile -- NETWORK THREADS STEPS`, all optional: `lenet` or `vgg`, the most threads, the steps.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wagesim::compiler::compile;
use wagesim::data::{DataSet, Images, mnist};
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

/// As many images of these bytes as the network takes, of no meaning.
fn noise(shape: [usize; 3], count: usize) -> Images {
    let mut word = 1u64;
    let mut byte = || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        word.to_be_bytes()[0]
    };
    let pixels = (0..shape.iter().product::<usize>() * count).map(|_| byte()).collect();
    Images::held(shape, pixels, (0..count).map(|i| u16::try_from(i % 10).unwrap()).collect())
}

fn measured(text: &str, data: &DataSet, threads: usize, steps: u32) -> (Least, Duration) {
    let (network, recipe, _) = load(text, "program", &[]).unwrap();
    let machine = Machine::from_toml("", "default machine", &[]).unwrap();
    let program = compile(&network, &recipe, &machine, text).unwrap();
    let (least, beside) = (Arc::default(), Arc::default());
    let fast = Fast::with(Extension::chosen(), threads);
    let engine = Timed { fast, least: Arc::clone(&least), beside: Arc::clone(&beside) };
    let mut run = Run::new(&program, &machine, &recipe, data, Box::new(engine)).unwrap();
    (0..steps).for_each(|_| run.step(&mut []).unwrap());
    (std::mem::take(&mut *least.lock().unwrap()), *beside.lock().unwrap())
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let word = |i: usize| wanted.get(i).map(String::as_str);
    let number = |i: usize| word(i).map(|n| n.parse().expect("a number of threads, then of steps"));
    let most = number(1).unwrap_or_else(rayon::current_num_threads);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (text, data, steps) = if word(0).unwrap_or("lenet") == "lenet" {
        (include_str!("../programs/lenet5-mnist.toml"), mnist(Some(&root.join("data/mnist"))).unwrap(), 60)
    } else {
        let shape = [32, 32, 3];
        let data = DataSet { train: noise(shape, 1280), test: noise(shape, 128) };
        (include_str!("../programs/vgg7-cifar10.toml"), data, 8)
    };
    let steps = number(2).map_or(steps, |n| u32::try_from(n).unwrap());
    let runs: Vec<_> = (1..=most).map(|threads| measured(text, &data, threads, steps)).collect();
    let mut kinds: BTreeMap<(&str, &str), (u32, Vec<Duration>)> = BTreeMap::new();
    for (number, (least, beside)) in runs.iter().enumerate() {
        for (instr, phase, took) in least {
            let matrix = matches!(instr, Instr::MTaps(_) | Instr::MPositions(_));
            let phase = if matrix { phase.name() } else { "" };
            let (count, times) = kinds.entry((instr.spec().mnemonic, phase)).or_default();
            *count += u32::from(number == 0);
            times.resize(most, Duration::ZERO);
            times[number] += *took;
        }
        let (_, times) = kinds.entry(("observers", "")).or_default();
        times.resize(most, Duration::ZERO);
        times[number] += *beside;
    }
    let ms = |time: &Duration| format!("{:>10.3}", time.as_secs_f64() * 1e3);
    let row = |times: &[Duration]| times.iter().map(ms).collect::<Vec<_>>().join(" ");
    println!("{:<14} {:<10} {:>7}   ms a step with 1 thread, 2, …", "instruction", "phase", "count");
    for ((name, phase), (count, times)) in &kinds {
        println!("{name:<14} {phase:<10} {count:>7} {}", row(times));
    }
    let all: Vec<Duration> = (0..most).map(|n| kinds.values().map(|(_, times)| times[n]).sum()).collect();
    println!("{:<14} {:<10} {:>7} {}", "all", "", "", row(&all));
}
