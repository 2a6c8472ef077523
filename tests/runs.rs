//! Runs: the same inputs give the same bytes, whatever the threads and however often they were stopped.

use std::path::Path;

use wagesim::compiler::compile;
use wagesim::data::{DataSet, mnist};
use wagesim::machine::{Engine, Fast, Reference};
use wagesim::network::{Recipe, load};
use wagesim::observe::Preset;
use wagesim::program::Program;
use wagesim::report::{Host, Report, report};
use wagesim::spec::{Machine, Setting};
use wagesim::train::{Checkpoint, CheckpointError, Run};

struct Inputs {
    program: Program,
    machine: Machine,
    recipe: Recipe,
    data: DataSet,
}

/// The LeNet on a few digits: two epochs of three steps.
fn inputs(sets: &[&str]) -> Inputs {
    inputs_on(&Machine::default(), sets)
}

fn inputs_on(machine: &Machine, sets: &[&str]) -> Inputs {
    let text = include_str!("../programs/quick.toml");
    let all = ["recipe.batch=8", "recipe.epochs=2"];
    let settings: Vec<Setting> = all.iter().chain(sets).map(|s| Setting::parse(s).unwrap()).collect();
    let (network, recipe, _) = load(text, "quick.toml", &settings).unwrap();
    let machine = machine.clone();
    let program = compile(&network, &recipe, &machine, text).unwrap();
    let whole = mnist(Some(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist"))).unwrap();
    let data = DataSet { train: whole.train.first(26), test: whole.test.first(12) };
    Inputs { program, machine, recipe, data }
}

fn begin(i: &Inputs) -> Run<'_> {
    Run::new(&i.program, &i.machine, &i.recipe, &i.data, Box::new(Fast::new())).unwrap()
}

/// Goes on until `last` steps are done, closing epochs on the way.
fn go(run: &mut Run<'_>, last: u32) {
    loop {
        if run.epoch_is_full() {
            run.close_epoch().unwrap();
        }
        if run.step_count() >= last {
            return;
        }
        run.step(&mut []).unwrap();
    }
}

fn end(run: &Run<'_>, i: &Inputs) -> (Vec<u8>, Report) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint.safetensors");
    run.checkpoint().save(&path).unwrap();
    let host = Host {
        training_seconds: 0.0,
        evaluation_seconds: 0.0,
        steps: 0,
        images_per_second: 0.0,
        threads: 0,
        engine: String::new(),
    };
    let preset = Preset::named("horowitz45").unwrap();
    (std::fs::read(path).unwrap(), report(run, run.epochs(), &i.machine, &preset, host))
}

fn undisturbed(i: &Inputs) -> (Vec<u8>, Report) {
    let mut run = begin(i);
    go(&mut run, 6);
    assert!(run.is_done());
    end(&run, i)
}

#[test]
fn a_run_stopped_anywhere_and_resumed_ends_the_same() {
    let i = inputs(&[]);
    let (bytes, whole) = undisturbed(&i);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint.safetensors");
    let first = begin(&i);
    first.checkpoint().save(&path).unwrap();
    for stop in [1, 3, 5, 6] {
        let mut run = begin(&i);
        run.resume(&Checkpoint::load(&path).unwrap()).unwrap();
        go(&mut run, stop);
        run.checkpoint().save(&path).unwrap();
        if stop == 6 {
            let (resumed_bytes, resumed) = end(&run, &i);
            assert!(resumed == whole, "reports differ");
            assert!(resumed_bytes == bytes, "checkpoints differ");
        }
    }
    assert_eq!(whole.totals.images, 48);
    assert_eq!(whole.evaluation.images, 24);
    // The last of two batches of 8 holds 4 images and 4 blanks.
    assert_eq!(whole.evaluation.executed_images, 32);
    assert_eq!(whole.evaluation.products % 32, 0);
    assert_eq!(whole.evaluation.products / 32, whole.phases[1].products / 48);
    assert_eq!(whole.epochs.len(), 2);
}

#[test]
fn the_report_is_the_golden_one() {
    let (bytes, report) = undisturbed(&inputs(&[]));
    let mut value = serde_json::to_value(&report).unwrap();
    value.as_object_mut().unwrap().remove("host");
    value["checkpoint_bytes"] = bytes.len().into();
    let text = serde_json::to_string_pretty(&value).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces/quick-48-images.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let first = text.lines().zip(golden.lines()).find(|(a, b)| a != b);
    assert!(first.is_none() && text == golden, "{} differs: {first:?}", path.display());
}

#[test]
fn one_thread_and_two_give_the_same_bytes() {
    let i = inputs(&[]);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| undisturbed(&i))
    };
    let (one, two) = (with(1), with(2));
    assert!(one.1 == two.1, "reports differ");
    assert!(one.0 == two.0, "checkpoints differ");
}

#[test]
fn another_seed_gives_other_bytes() {
    let (a, b) = (inputs(&[]), inputs(&["recipe.seed=2"]));
    assert!(undisturbed(&a).0 != undisturbed(&b).0);
}

#[test]
fn a_report_reads_back_as_written() {
    let (_, written) = undisturbed(&inputs(&["recipe.epochs=1", "recipe.batch=13"]));
    let text = serde_json::to_string(&written).unwrap();
    assert!(serde_json::from_str::<Report>(&text).unwrap() == written, "reports differ");
}

#[test]
fn a_damaged_checkpoint_is_refused_wherever_it_was_damaged() {
    let i = inputs(&[]);
    let mut run = begin(&i);
    go(&mut run, 1);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint.safetensors");
    run.checkpoint().save(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let header = whole.iter().position(|&b| b == b'}').unwrap();
    for at in [0, 7, 20, header / 2, header, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let error = Checkpoint::load(&path).unwrap_err();
        assert!(error.to_string().contains("checkpoint.safetensors"), "byte {at}: {error}");
    }
    for length in [0, 5, header, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(matches!(Checkpoint::load(&path), Err(CheckpointError::Corrupt { .. })), "{length} bytes");
    }
}

#[test]
fn a_checkpoint_of_another_run_is_refused_and_changes_nothing() {
    let (i, other) = (inputs(&[]), inputs(&["recipe.seed=2"]));
    let mut run = begin(&i);
    go(&mut run, 1);
    let checkpoint = run.checkpoint();
    let mut fresh = begin(&other);
    let before = fresh.checkpoint();
    let error = fresh.resume(&checkpoint).unwrap_err().to_string();
    assert!(error.contains("seed"), "{error}");
    assert!(fresh.checkpoint() == before, "the run was changed");
}

#[test]
fn the_reference_engine_trains_to_the_same_bytes() {
    let narrow = ["recipe.batch=2", "recipe.epochs=1"];
    let i = inputs(&narrow);
    for machine in ["default", "narrow"] {
        let path = format!("{}/programs/machines/{machine}.toml", env!("CARGO_MANIFEST_DIR"));
        let machine = Machine::from_toml(&std::fs::read_to_string(&path).unwrap(), &path, &[]).unwrap();
        let text = include_str!("../programs/quick.toml");
        let settings: Vec<Setting> = narrow.iter().map(|s| Setting::parse(s).unwrap()).collect();
        let (network, recipe, _) = load(text, "quick.toml", &settings).unwrap();
        let program = compile(&network, &recipe, &machine, text).unwrap();
        let ended = |engine: Box<dyn Engine>| {
            let mut run = Run::new(&program, &machine, &recipe, &i.data, engine).unwrap();
            run.step(&mut []).unwrap();
            run.checkpoint()
        };
        let same = ended(Box::new(Fast::new())) == ended(Box::new(Reference::new()));
        assert!(same, "engines differ on {}", machine.name);
    }
}

#[test]
fn the_first_overflow_is_reported_whatever_the_threads_and_stops() {
    for overflow in ["wrap", "saturate"] {
        let sets = ["accumulators.bits=12".to_owned(), format!("accumulators.overflow={overflow}")];
        let sets: Vec<Setting> = sets.iter().map(|s| Setting::parse(s).unwrap()).collect();
        let i = inputs_on(&Machine::from_toml("", "m", &sets).unwrap(), &[]);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| undisturbed(&i)).1
        };
        let one = with(1);
        let first = one.totals.first_overflow.clone().unwrap();
        assert!(!first.layer.is_empty() && first.step >= 1, "{first:?}");
        let text = wagesim::report::table(&one);
        assert!(text.contains(&format!("first overflow in training, step {}", first.step)), "{text}");
        assert!(with(2) == one, "reports differ");
        let mut begun = begin(&i);
        go(&mut begun, 2);
        let mut resumed = begin(&i);
        resumed.resume(&begun.checkpoint()).unwrap();
        go(&mut resumed, 6);
        assert!(end(&resumed, &i).1 == one, "reports differ");
    }
}

#[test]
fn images_of_another_shape_are_an_error_and_no_panic() {
    let mut i = inputs(&[]);
    i.data.test.shape = [27, 28, 1];
    let error = Run::new(&i.program, &i.machine, &i.recipe, &i.data, Box::new(Fast::new())).err().unwrap();
    assert!(error.to_string().contains("test images are 27 × 28 × 1"), "{error}");
}
