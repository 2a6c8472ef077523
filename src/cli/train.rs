//! `wagesim train`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use clap::Args;

use super::begin;
use super::load::{self, Choice, DATA_PATH, EngineChoice, Inputs};
use super::progress::Display;
use super::trace::{Entry, File, Order, Tracing};
use super::{Failure, failed, given, print, show, stop_on_ctrl_c, stopped};
use crate::data;
use crate::machine::Observer;
use crate::network::{self, Recipe};
use crate::observe::TensorDump;
use crate::report::{self, Host, Report};
use crate::spec::Setting;
use crate::trace::Timetable;
use crate::train::{Checkpoint, CheckpointError, Epoch, Run, RunDirectory};

/// Train a network, every operation an instruction
///
/// Compiles the network for the machine, executes the program on real data, evaluates after each epoch. The run directory
/// gets the exact inputs, a checkpoint after each epoch, `report.json` and plots. Ctrl-C stops between two steps and
/// keeps a checkpoint; `--resume` goes on, and nothing in the end tells that the run was stopped.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wagesim train                                          the LeNet on MNIST, a few epochs
  wagesim train programs/lenet5-mnist.toml --epochs 5    the authors' recipe
  wagesim train --set accumulators.forward.bits=14 --set accumulators.forward.overflow=saturate
  wagesim train --trace '--timeline t.json --log t.jsonl.zst --digest --steps 100..101'
  wagesim train --resume --out runs/quick                go on where that run stopped

Exit codes: 0 done, 1 a run that failed, 2 what was given is wrong, 130 stopped by Ctrl-C.")]
pub(super) struct Train {
    #[command(flatten)]
    choice: Choice,
    /// Folder of the data set's files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Epochs, in place of the recipe's
    #[arg(long)]
    epochs: Option<u32>,
    /// Stop after so many steps, and evaluate
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,
    /// Seed, in place of the recipe's
    #[arg(long)]
    seed: Option<u64>,
    /// Run directory; `runs/NAME` if left out
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the run in the run directory
    #[arg(long)]
    resume: bool,
    /// Write the checkpoint every N steps as well, not only at the end of an epoch
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    checkpoint_steps: Option<u32>,
    /// Keep the last K checkpoints in `checkpoints/`, beside the one that is gone on from
    #[arg(long, value_name = "K", default_value_t = 0)]
    keep: usize,
    /// Begin with the weights of another run's checkpoint of the same network, on any machine
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "resume")]
    start_from: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineChoice,
    /// Worker threads, at most 256; all cores if left out
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Print the report as JSON in place of text
    #[arg(long)]
    json: bool,
    /// Trace chosen steps, counted from 1 over the run: options of `wagesim trace` as one text (again for another window)
    #[arg(long, value_name = "OPTIONS", value_parser = Order::typed, allow_hyphen_values = true)]
    trace: Vec<Order>,
    /// Write every tensor of chosen steps into a folder, for `tests/outside/recompute.py`
    #[arg(long, value_name = "DIR")]
    dump_tensors: Option<PathBuf>,
    /// The steps to write, counted from 1 over the run
    #[arg(long, value_delimiter = ',', default_value = "1", value_name = "LIST", requires = "dump_tensors",
        value_parser = clap::value_parser!(u32).range(1..))]
    dump_steps: Vec<u32>,
}

impl Train {
    /// The options that stand for settings.
    fn settings(&self) -> Vec<String> {
        let epochs = self.epochs.map(|n| format!("recipe.epochs={n}"));
        let seed = self.seed.map(|n| format!("recipe.seed={n}"));
        epochs.into_iter().chain(seed).collect()
    }

    /// The inputs and the directory of the run, new or to go on with.
    fn open(&self) -> Result<(Inputs, RunDirectory), Failure> {
        let settings = self.settings();
        if !self.resume {
            let inputs = self.choice.load(&settings)?;
            let directory = RunDirectory::create(self.out.as_deref(), &inputs.network.name).map_err(given)?;
            return Ok((inputs, directory));
        }
        // What the user names again must be what the run was begun with.
        let named = self.choice.is_made() || self.out.is_none();
        let wanted = named.then(|| self.choice.load(&settings)).transpose()?;
        let name = wanted.as_ref().map_or("", |w| w.network.name.as_str());
        let directory = RunDirectory::existing(self.out.as_deref(), name).map_err(given)?;
        let mut inputs = load::kept(&directory, &settings)?;
        let named = wanted.as_ref().and_then(|w| w.recipe.data_path.clone());
        inputs.recipe.data_path = named.or(inputs.recipe.data_path);
        let other = wanted.and_then(|wanted| {
            if wanted.machine != inputs.machine {
                Some("machine")
            } else if wanted.program.code != inputs.program.code || !same_recipe(&wanted, &inputs) {
                Some("program or recipe")
            } else {
                None
            }
        });
        match other {
            None => Ok((inputs, directory)),
            Some(part) => {
                let path = directory.path().display();
                Err(given(anyhow!(
                    "the run in {path} was begun with another {part}; give what it was begun with, or `--resume --out {path}` alone"
                )))
            }
        }
    }

    /// Proves that a dump can be written and that its steps will be done.
    fn check_dump(&self, done: u32, last: u32) -> Result<(), Failure> {
        let Some(dir) = &self.dump_tensors else { return Ok(()) };
        if let Some(step) = self.dump_steps.iter().find(|&&s| s <= done || s > last) {
            let what = match last > done {
                true => format!("this command does steps {} to {last}; name some of them", done + 1),
                false => "this command does no step".to_owned(),
            };
            return Err(given(anyhow!("--dump-steps {step}: {what}")));
        }
        let path = dir.display();
        if dir.is_file() {
            return Err(given(anyhow!("--dump-tensors {path}: a file stands there; name a folder")));
        }
        std::fs::create_dir_all(dir)
            .map_err(|e| given(anyhow!("--dump-tensors {path}: {e}; name another folder")))
    }

    /// Writes what makes the run again; `data` is the folder its images were read from.
    fn keep(&self, inputs: &Inputs, directory: &RunDirectory, data: &Path) -> Result<(), Failure> {
        let source = inputs.program.training.as_ref().map_or("", |t| t.source.as_str());
        let settings = ["machine=\"machine.toml\"".to_owned(), format!("name=\"{}\"", inputs.network.name)];
        let settings: Result<Vec<Setting>, _> =
            settings.iter().chain(&self.settings()).map(|s| Setting::parse(s)).collect();
        let mut settings = settings.map_err(given)?;
        let value = toml::Value::String(data.display().to_string());
        settings.push(Setting { key: DATA_PATH.to_owned(), value });
        let text = network::applied(source, "program", &settings).map_err(given)?;
        directory.write(&directory.source(), text.as_bytes()).map_err(failed)?;
        directory.write(&directory.machine(), inputs.machine.to_toml().as_bytes()).map_err(failed)?;
        let program = inputs.program.to_bytes().map_err(|e| failed(anyhow!(e)))?;
        directory.write(&directory.program(), &program).map_err(failed)
    }

    pub(super) fn run(&self) -> Result<(), Failure> {
        if let Some(threads) = self.threads {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global();
            pool.map_err(given)?;
        }
        let (inputs, directory) = self.open()?;
        let dir = self.data.clone().or_else(|| inputs.recipe.data_path.clone());
        let (data, folder) = data::read(inputs.recipe.data, dir.as_deref()).map_err(given)?;
        let engine = self.engine.on(&inputs.machine);
        let mut run =
            Run::new(&inputs.program, &inputs.machine, &inputs.recipe, &data, engine).map_err(stopped)?;
        if self.resume {
            let checkpoint = directory.kept_checkpoint().map_err(given)?;
            let checkpoint = Checkpoint::load(&checkpoint).map_err(given)?;
            run.resume(&checkpoint).map_err(|e| of_folder(e, &folder))?;
        }
        if let Some(path) = &self.start_from {
            let checkpoint = Checkpoint::load(path).map_err(given)?;
            let failed = |error| given(anyhow!("--start-from {}: {error}", path.display()));
            run.start_from(&checkpoint).map_err(failed)?;
        }
        let last = self.steps.map_or(run.steps(), |n| n.min(run.steps()));
        self.check_dump(run.step_count(), last)?;
        let stop = Arc::new(AtomicBool::new(false));
        let plan = begin::plan(&inputs.program, "train", &inputs.machine, directory.path())?;
        let entry = Entry::Run { done: run.step_count(), last };
        let windows: Result<Vec<_>, _> =
            self.trace.iter().map(|order| order.window(&inputs.program, &entry)).collect();
        let windows = windows?;
        let table = (!self.trace.is_empty())
            .then(|| Timetable::new(&inputs.program, &inputs.machine, &plan, &inputs.machine.energy));
        let mut tracing = match &table {
            Some(table) => {
                Tracing::open(&self.trace, &windows, table, &stop, &|| self.engine.in_order(&inputs.machine))?
            }
            None => Tracing::none(),
        };
        if !self.resume {
            // Before the program, whose file makes the directory a run: every run has a checkpoint.
            run.checkpoint().save(&directory.checkpoint()).map_err(failed)?;
        }
        self.keep(&inputs, &directory, &folder)?;

        stop_on_ctrl_c(&stop)?;
        let display = Display::new(&run, last, self.json);
        if !self.json {
            let (name, seed) = (&inputs.network.name, inputs.recipe.seed);
            let machine = inputs.machine.short_name();
            display.line(&format!("{name} on {machine}, seed {seed}, in {}", directory.path().display()))?;
            for risk in inputs.network.risks(&inputs.machine.accumulators, inputs.recipe.batch) {
                display.line(&format!("note: {risk}"))?;
            }
            if self.resume && run.step_count() == 0 {
                display.line("no step was kept before: it begins with step 1")?;
            }
        }
        let session = Session { train: self, inputs: &inputs, directory: &directory, display };
        let trained = session.train(&mut run, last, &stop, &mut tracing);
        let files = tracing.close();
        session.tell(&files)?;
        let (report, finished) = trained?;
        if !finished {
            let (path, step) = (directory.path().display(), run.step_count());
            eprintln!("stopped after step {step}; `wagesim train --resume --out {path}` goes on");
            return Err(Failure::Stopped);
        }
        if self.json {
            print(&(serde_json::to_string_pretty(&report).map_err(failed)? + "\n"))?;
        } else {
            let path = directory.path().display();
            print(&format!("\n{}\nreport and plots in {path}\n", report::table(&report)))?;
        }
        tracing.ended()
    }
}

/// Whether two recipes train alike; how many epochs does not matter, and data are told by their digest, not their folder.
fn same_recipe(a: &Inputs, b: &Inputs) -> bool {
    let epochs = a.recipe.epochs;
    let alike = |i: &Inputs| Recipe { epochs, data_path: None, ..i.recipe.clone() };
    alike(a) == alike(b)
}

/// Names the folder where it is the data that differ.
fn of_folder(error: CheckpointError, folder: &Path) -> Failure {
    match error {
        CheckpointError::OtherData { .. } => given(anyhow!("{}: {error}", folder.display())),
        error => given(error),
    }
}

/// One process's part of a run.
struct Session<'a> {
    train: &'a Train,
    inputs: &'a Inputs,
    directory: &'a RunDirectory,
    display: Display,
}

/// Wall times of this process.
#[derive(Default)]
struct Times {
    training: Duration,
    evaluation: Duration,
    steps: u32,
}

impl Session<'_> {
    /// Trains up to step `last`, or until `stop`; the report, and whether it came to its end.
    fn train(
        &self,
        run: &mut Run<'_>,
        last: u32,
        stop: &AtomicBool,
        tracing: &mut Tracing<'_>,
    ) -> Result<(Report, bool), Failure> {
        let mut times = Times::default();
        loop {
            if run.epoch_is_full() {
                let epoch = timed(&mut times.evaluation, || run.close_epoch()).map_err(stopped)?;
                self.save(run, run.epochs(), &times)?;
                self.display.epoch(&epoch, self.rate(&times))?;
            }
            if run.step_count() >= last {
                break;
            }
            if stop.load(Ordering::SeqCst) {
                let report = self.save(run, run.epochs(), &times)?;
                return Ok((report, false));
            }
            self.trace(run, tracing)?;
            timed(&mut times.training, || self.step(run))?;
            times.steps += 1;
            self.display.step(run);
            let every = self.train.checkpoint_steps;
            if every.is_some_and(|n| run.step_count().is_multiple_of(n)) && !run.epoch_is_full() {
                self.save(run, run.epochs(), &times)?;
            }
        }
        let report = if run.epoch_is_open() {
            // An epoch cut short: the checkpoint is of its open state, so that a later run can fill it.
            self.save(run, run.epochs(), &times)?;
            let epoch = timed(&mut times.evaluation, || run.close_epoch()).map_err(stopped)?;
            self.display.epoch(&epoch, self.rate(&times))?;
            self.report(run, run.epochs(), &times)?
        } else {
            self.report(run, run.epochs(), &times)?
        };
        report::plots(&report, self.directory.path()).map_err(failed)?;
        show::write(&report::Page::run(&report).map_err(failed)?, self.directory.path())?;
        Ok((report, true))
    }

    /// Shows the next step to the traces that want it.
    fn trace(&self, run: &mut Run<'_>, tracing: &mut Tracing<'_>) -> Result<(), Failure> {
        let step = u64::from(run.step_count()) + 1;
        if !tracing.takes(step) {
            return Ok(());
        }
        let files = tracing.step(step, run.before().map_err(stopped)?);
        self.tell(&files)
    }

    fn tell(&self, files: &[File]) -> Result<(), Failure> {
        files.iter().try_for_each(|file| self.display.line(&file.to_string()))
    }

    fn step(&self, run: &mut Run<'_>) -> Result<(), Failure> {
        let step = run.step_count() + 1;
        let lr = run.lr_log2();
        let Some(dir) = self.train.dump_tensors.as_ref().filter(|_| self.train.dump_steps.contains(&step))
        else {
            return run.step(&mut []).map_err(stopped);
        };
        let mut dump = TensorDump::new(&self.inputs.program);
        run.step(&mut [&mut dump as &mut dyn Observer]).map_err(stopped)?;
        dump.write(dir, step, lr).with_context(|| dir.display().to_string()).map_err(failed)
    }

    /// Writes checkpoint and report.
    fn save(&self, run: &Run<'_>, epochs: &[Epoch], times: &Times) -> Result<Report, Failure> {
        run.checkpoint().save(&self.directory.checkpoint()).map_err(failed)?;
        if self.train.keep > 0 {
            self.directory.keep(run.step_count(), self.train.keep).map_err(failed)?;
        }
        self.report(run, epochs, times)
    }

    /// Training images a second of this process.
    fn rate(&self, times: &Times) -> f64 {
        let images = f64::from(times.steps) * f64::from(self.inputs.recipe.batch);
        images / times.training.as_secs_f64().max(1e-9)
    }

    fn report(&self, run: &Run<'_>, epochs: &[Epoch], times: &Times) -> Result<Report, Failure> {
        let host = Host {
            training_seconds: times.training.as_secs_f64(),
            evaluation_seconds: times.evaluation.as_secs_f64(),
            steps: times.steps,
            images_per_second: self.rate(times),
            threads: rayon::current_num_threads(),
            engine: run.engine_name().to_owned(),
        };
        let report = report::report(run, epochs, &self.inputs.machine, &self.inputs.machine.energy, host);
        let text = serde_json::to_string_pretty(&report).map_err(failed)?;
        self.directory.write(&self.directory.report(), (text + "\n").as_bytes()).map_err(failed)?;
        Ok(report)
    }
}

fn timed<T>(total: &mut Duration, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    *total += began.elapsed();
    done
}
