//! `cargo bench`: what the processor multiplies at best, matrix instructions of a training step under every extension beside
//! it, and whole training steps with all default observers.
//!
//! Some minutes. `cargo bench --bench speed -- WORD` measures the lines that hold the word (`matrix`, `step/lenet`);
//! `-- --save-baseline NAME` and `-- --baseline NAME` compare two versions, as Criterion does. At the end stands a table, in the
//! units that `docs/performance.md` speaks of.

mod noise;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, measurement::WallTime};
use wagesim::compiler::compile;
use wagesim::data::{DataSet, mnist};
use wagesim::isa::Instr;
use wagesim::machine::{Engine, Extension, Fast, Observer, Outcome, State};
use wagesim::network::load;
use wagesim::observe::Cost;
use wagesim::program::{Phase, Plan, Program, Step};
use wagesim::spec::{Machine, Setting};
use wagesim::train::Run;

/// What is trained, from which pictures.
struct Workload {
    name: &'static str,
    text: &'static str,
    data: fn() -> DataSet,
}

const LENET: Workload =
    Workload { name: "lenet", text: include_str!("../programs/lenet5-mnist.toml"), data: digits };
const VGG: Workload =
    Workload { name: "vgg", text: include_str!("../programs/vgg7-cifar10.toml"), data: noise::pictures };

/// Accumulators of the LeNet; the VGG has the first alone.
const ACCUMULATORS: [(&str, &[&str]); 4] = [
    ("wide", &[]),
    (
        "16-bit wrap",
        &[
            "accumulators.forward.bits=16",
            "accumulators.error.bits=16",
            "accumulators.forward.overflow=wrap",
            "accumulators.error.overflow=wrap",
        ],
    ),
    (
        "16-bit saturate",
        &[
            "accumulators.forward.bits=16",
            "accumulators.error.bits=16",
            "accumulators.forward.overflow=saturate",
            "accumulators.error.overflow=saturate",
        ],
    ),
    (
        "12-bit saturate",
        &["accumulators.bits=12", "accumulators.gradient.bits=18", "accumulators.overflow=saturate"],
    ),
];

fn digits() -> DataSet {
    mnist(Some(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist"))).unwrap()
}

/// A program and what it runs on.
struct Prepared {
    program: Program,
    machine: Machine,
    recipe: wagesim::network::Recipe,
    data: DataSet,
}

impl Prepared {
    fn new(workload: &Workload, sets: &[&str]) -> Prepared {
        let settings: Vec<Setting> = sets.iter().map(|s| Setting::parse(s).unwrap()).collect();
        let routed = wagesim::network::route(&settings).unwrap();
        let (network, recipe, _) = load(workload.text, workload.name, &routed.program).unwrap();
        let machine = Machine::from_toml("", "default machine", &routed.machine).unwrap();
        let program = compile(&network, &recipe, &machine, workload.text).unwrap();
        Prepared { program, machine, recipe, data: (workload.data)() }
    }

    /// A run whose first step, in which accumulators are recounted, is behind it.
    fn begun(&self, observer: &mut dyn Observer) -> Run<'_> {
        let engine = Box::new(Fast::new());
        let mut run = Run::new(&self.program, &self.machine, &self.recipe, &self.data, engine).unwrap();
        run.step(&mut [observer]).unwrap();
        run
    }
}

fn is_matrix(step: &Step) -> bool {
    matches!(step.instr, Instr::MTaps(_) | Instr::MPositions(_))
}

/// Counts a step's products.
struct Products<'a>(&'a Machine, u64);

impl Observer for Products<'_> {
    fn executed(&mut self, plan: &Plan, step: usize, _: &Outcome, _: &State) {
        let step = &plan.steps[step];
        self.1 += if is_matrix(step) { Cost::of(step, self.0).products } else { 0 };
    }
}

/// The costliest matrix instruction of a phase and layer, and the state it leaves.
struct Tile {
    phase: Phase,
    layer: u32,
    products: u64,
    step: Step,
    state: State,
}

/// Keeps the costliest of each phase and layer.
struct Sample<'a>(&'a Machine, Vec<Tile>);

impl Observer for Sample<'_> {
    fn executed(&mut self, plan: &Plan, step: usize, _: &Outcome, state: &State) {
        let step = &plan.steps[step];
        let Some(layer) = step.layer.filter(|_| is_matrix(step)) else { return };
        let products = Cost::of(step, self.0).products;
        let tile = Tile { phase: step.phase, layer, products, step: *step, state: state.clone() };
        match self.1.iter_mut().find(|known| (known.phase, known.layer) == (tile.phase, layer)) {
            Some(known) if known.products < products => *known = tile,
            Some(_) => {}
            None => self.1.push(tile),
        }
    }
}

/// A measured line of the table at the end.
struct Line {
    id: [String; 3],
    images: u64,
    products: u64,
    threads: usize,
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Enough for instructions of microseconds.
fn is_short(group: &mut Group<'_>) {
    group
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20);
}

fn ceilings(criterion: &mut Criterion, lines: &mut Vec<Line>) {
    let mut group = criterion.benchmark_group("ceiling");
    is_short(&mut group);
    const ROUNDS: u64 = 2000;
    for extension in Extension::available() {
        let Some(products) = extension.peak_products(ROUNDS) else { continue };
        group.throughput(Throughput::Elements(products));
        let id = BenchmarkId::new(extension.name(), "registers");
        group.bench_function(id, |bencher| bencher.iter(|| extension.peak_products(ROUNDS)));
        let id = ["ceiling", extension.name(), "registers"].map(str::to_owned);
        lines.push(Line { id, images: 0, products, threads: 1 });
    }
}

/// Each kind of matrix instruction on one thread, frames, packing and counts included.
fn matrices(criterion: &mut Criterion, lines: &mut Vec<Line>) {
    let prepared = Prepared::new(&LENET, &[]);
    let mut sample = Sample(&prepared.machine, Vec::new());
    drop(prepared.begun(&mut sample));
    let mut group = criterion.benchmark_group("matrix");
    is_short(&mut group);
    for extension in Extension::available().rev() {
        let mut engine = Fast::with(extension, 1);
        for Tile { phase, layer, products, step, state } in &mut sample.1 {
            let name = format!("{} {layer}", phase.name());
            group.throughput(Throughput::Elements(*products));
            let id = BenchmarkId::new(extension.name(), &name);
            let mut is_measured = false;
            group.bench_function(id, |bencher| {
                is_measured = true;
                bencher.iter(|| engine.execute(step, state).unwrap());
            });
            if is_measured {
                let id = ["matrix".to_owned(), extension.name().to_owned(), name];
                lines.push(Line { id, images: 0, products: *products, threads: 1 });
            }
        }
    }
}

fn training(
    criterion: &mut Criterion,
    workload: &Workload,
    (name, sets): (&str, &[&str]),
    lines: &mut Vec<Line>,
) {
    let mut group = criterion.benchmark_group("step");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(5));
    // Made only where the line is measured.
    let (prepared, products) = (OnceCell::new(), OnceCell::new());
    let mut run = None;
    let id = BenchmarkId::new(workload.name, name);
    group.bench_function(id, |bencher| {
        let prepared = prepared.get_or_init(|| Prepared::new(workload, sets));
        let run = run.get_or_insert_with(|| {
            let mut counter = Products(&prepared.machine, 0);
            let run = prepared.begun(&mut counter);
            products.get_or_init(|| counter.1);
            run
        });
        bencher.iter(|| run.step(&mut []).unwrap());
    });
    if let (Some(prepared), Some(&products)) = (prepared.get(), products.get()) {
        let id = ["step", workload.name, name].map(str::to_owned);
        let images = prepared.recipe.batch.into();
        lines.push(Line { id, images, products, threads: rayon::current_num_threads() });
    }
}

/// The median of what was measured just now, in seconds.
fn median(home: &Path, id: &[String; 3]) -> Option<f64> {
    let file = id.iter().fold(home.to_owned(), |path, part| path.join(part)).join("new/estimates.json");
    let estimates: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    Some(estimates["median"]["point_estimate"].as_f64()? / 1e9)
}

#[expect(clippy::cast_precision_loss, reason = "rates to be read")]
fn table(home: &Path, lines: &[Line]) {
    let rate = |line: &Line| Some(line.products as f64 / median(home, &line.id)? / 1e9);
    let ceilings = lines.iter().filter(|line| line.id[0] == "ceiling");
    let ceiling = ceilings.filter_map(rate).fold(0.0, f64::max);
    println!("\n{:<44} {:>12} {:>10} {:>9} {:>11}", "median", "time", "images/s", "GMAC/s", "of ceiling");
    for line in lines {
        let name = line.id.join("/");
        let (Some(seconds), Some(rate)) = (median(home, &line.id), rate(line)) else { continue };
        let images =
            if line.images > 0 { format!("{:.0}", line.images as f64 / seconds) } else { String::new() };
        let of_ceiling = format!("{:.0} %", 100.0 * rate / ceiling / line.threads as f64);
        let of_ceiling = if ceiling > 0.0 { of_ceiling } else { String::new() };
        println!("{name:<44} {:>9.1} µs {images:>10} {rate:>9.1} {of_ceiling:>11}", seconds * 1e6);
    }
    println!(
        "The ceiling is the best extension's, times the threads ({}) for steps.",
        rayon::current_num_threads()
    );
}

fn main() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("criterion");
    let home = std::env::var_os("CRITERION_HOME").map_or(target, PathBuf::from);
    let plain = || Criterion::default().nresamples(2000).output_directory(&home);
    let mut criterion = plain().configure_from_args();
    let word = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let mut lines = Vec::new();
    // Whatever else is wanted: the rest is told in its parts.
    ceilings(&mut plain(), &mut lines);
    if word.is_none_or(|word| word.contains("matrix")) {
        matrices(&mut criterion, &mut lines);
    }
    for accumulators in ACCUMULATORS {
        training(&mut criterion, &LENET, accumulators, &mut lines);
    }
    training(&mut criterion, &VGG, ACCUMULATORS[0], &mut lines);
    criterion.final_summary();
    table(&home, &lines);
}
