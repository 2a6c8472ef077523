//! Whole training steps on different machines: tiling never changes a byte, narrow accumulators do.

use wagesim::compiler::compile;
use wagesim::data::Images;
use wagesim::machine::Fast;
use wagesim::network;
use wagesim::spec::{Machine, Setting};
use wagesim::train::Trainer;

const NET: &str = r#"
name = "small"
[[layer]]
conv = 8
kernel = 5
pool = 2
[[layer]]
conv = 16
kernel = 3
pad = "same"
pool = 2
[[layer]]
fc = 32
[[layer]]
fc = 10
[recipe]
batch = 8
epochs = 1
learning_rate = 8
seed = 3
"#;

fn images() -> Images {
    let byte = |i: u32| u8::try_from(i.wrapping_mul(2_654_435_761) >> 24).unwrap();
    let labels = (0..8).map(|i| i % 10).collect();
    Images { shape: [28, 28, 1], pixels: (0..8 * 784).map(byte).collect(), labels }
}

/// The kept weights after three steps under these settings.
fn weights(settings: &[&str]) -> Vec<u8> {
    let settings: Vec<Setting> = settings.iter().map(|s| Setting::parse(s).unwrap()).collect();
    let machine = Machine::from_toml("", "test", &settings).unwrap();
    let (network, recipe, _) = network::load(NET, "small.toml", &[]).unwrap();
    let program = compile(&network, &recipe, &machine, NET).unwrap();
    let memory = &machine.memory;
    let sizes = [memory.operand, memory.weight, memory.accumulator, memory.mask]
        .map(|m| usize::try_from(m.bytes()).unwrap());
    let mut trainer = Trainer::new(&program, sizes, recipe.seed, Box::new(Fast::new())).unwrap();
    let images = images();
    for step in 1..=3 {
        trainer.step(&images, &[0, 1, 2, 3, 4, 5, 6, 7], step, 3, &mut []).unwrap();
    }
    let dram = &trainer.state.memories[4];
    program.tensors.iter().filter(|t| t.kept).flat_map(|t| dram[t.range()].to_vec()).collect()
}

fn sized(kib: u32, rules: &[&str]) -> Vec<u8> {
    let sizes: Vec<String> = ["operand", "weight", "accumulator", "mask"]
        .iter()
        .map(|m| format!("memory.{m}.kib={kib}"))
        .collect();
    weights(&sizes.iter().map(String::as_str).chain(rules.iter().copied()).collect::<Vec<_>>())
}

#[test]
fn small_and_large_scratchpads_compute_the_same_bytes() {
    let large = sized(1024, &[]);
    assert_ne!(large, vec![0; large.len()]);
    assert_eq!(sized(4, &[]), large);
    assert_eq!(sized(16, &["array.rows=3", "array.columns=5"]), large);
}

#[test]
fn what_stays_in_the_array_changes_no_byte_that_columns_do_not_change() {
    // A column of rows sums a chunk: the same register as a chunk of that length anywhere.
    let rules = ["accumulators.overflow=wrap", "accumulators.bits=9", "accumulators.outer_bits=14"];
    let of = |more: &[&str]| sized(64, &[&rules, more].concat());
    let stationary = of(&["array.dataflow=weight-stationary", "array.rows=16"]);
    assert_eq!(of(&["accumulators.chunk=16"]), stationary);
    assert_ne!(of(&["accumulators.chunk=8"]), stationary);
    assert_eq!(sized(64, &["array.dataflow=weight-stationary"]), sized(64, &[]));
}

#[test]
fn one_layers_accumulators_change_that_layer() {
    let narrow = |key: &str| sized(64, &[&format!("{key}.bits=9"), &format!("{key}.overflow=wrap")]);
    let wide = sized(64, &[]);
    let first = narrow("accumulators.forward.layer.1");
    assert_ne!(first, wide);
    assert_ne!(narrow("accumulators.forward.layer.2"), first);
    assert_ne!(narrow("accumulators.gradient.layer.0"), wide);
}

#[test]
fn tiling_keeps_the_order_of_saturating_joins() {
    let rules = [
        "accumulators.overflow=saturate",
        "accumulators.forward.bits=10",
        "accumulators.error.bits=8",
        "accumulators.gradient.bits=12",
        "accumulators.gradient.tree=4",
    ];
    let large = sized(1024, &rules);
    assert_ne!(large, sized(1024, &[]), "the registers are narrow enough to matter");
    assert_eq!(sized(4, &rules), large);
}

#[test]
fn tiling_keeps_chunks_whole() {
    let rules = [
        "accumulators.overflow=wrap",
        "accumulators.bits=9",
        "accumulators.chunk=32",
        "accumulators.outer_bits=14",
    ];
    let large = sized(1024, &rules);
    assert_ne!(large, sized(1024, &[]));
    assert_eq!(sized(16, &rules), large);
}
