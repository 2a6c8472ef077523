//! Whole training steps on different machines: tiling never changes a byte, narrow accumulators do.

use wagesim::compiler::compile;
use wagesim::data::{Images, mnist};
use wagesim::machine::Fast;
use wagesim::network;
use wagesim::program::Plan;
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
    Images::held([28, 28, 1], (0..8 * 784).map(byte).collect(), labels)
}

fn machine(settings: &[&str]) -> Machine {
    let settings: Vec<Setting> = settings.iter().map(|s| Setting::parse(s).unwrap()).collect();
    Machine::from_toml("", "test", &settings).unwrap()
}

/// The kept weights after three steps under these settings.
fn weights(settings: &[&str]) -> Vec<u8> {
    trained(NET, &[], &images(), &machine(settings))
}

/// The kept weights after three steps of a network on a machine, each on all images.
fn trained(net: &str, sets: &[&str], images: &Images, machine: &Machine) -> Vec<u8> {
    let sets: Vec<Setting> = sets.iter().map(|s| Setting::parse(s).unwrap()).collect();
    let (network, recipe, _) = network::load(net, "net.toml", &sets).unwrap();
    let program = compile(&network, &recipe, machine, net).unwrap();
    let sizes = machine.memory.bytes().map(|n| usize::try_from(n).unwrap());
    let mut trainer = Trainer::new(&program, sizes, recipe.seed, Box::new(Fast::new())).unwrap();
    let all: Vec<u32> = (0..recipe.batch).collect();
    for step in 1..=3 {
        trainer.step(&images.batch(&all, None).unwrap(), step, 3, &mut []).unwrap();
    }
    let dram = &trainer.state.memories[4];
    program.tensors.iter().filter(|t| t.kept).flat_map(|t| dram[t.range()].to_vec()).collect()
}

/// KiB of the operand, weight, accumulator and mask memory; rows and columns; what stays; more settings.
type Machine16 = ([u32; 4], [u32; 2], &'static str, &'static [&'static str]);

/// The LeNet's machines, from 16 KiB to 4 MiB.
const SIXTEEN: [Machine16; 16] = [
    ([6, 4, 5, 1], [1, 1], "output", &[]),
    ([6, 4, 5, 1], [8, 8], "weight", &[]),
    ([8, 8, 12, 4], [4, 4], "output", &["control.queue_depth=1"]),
    ([16, 8, 8, 4], [3, 5], "output", &["dram.channels=2"]),
    ([16, 16, 16, 8], [16, 16], "weight", &[]),
    ([32, 8, 16, 4], [64, 1], "output", &["array.drain=serial"]),
    ([32, 32, 32, 8], [1, 64], "weight", &["memory.operand.ports=1"]),
    ([64, 16, 64, 8], [16, 64], "output", &["array.gradient.dataflow=weight-stationary"]),
    ([64, 64, 64, 16], [7, 9], "weight", &["array.error.dataflow=output-stationary"]),
    ([128, 32, 64, 32], [32, 16], "output", &["dram.bytes_per_cycle=1"]),
    ([256, 128, 128, 32], [32, 32], "output", &[]),
    ([256, 128, 128, 32], [32, 32], "weight", &["array.drain=ignore"]),
    ([512, 64, 256, 64], [64, 64], "output", &["vector.lanes=1"]),
    ([512, 512, 256, 64], [64, 64], "weight", &["vector.lanes=256"]),
    ([1024, 512, 1024, 256], [48, 24], "output", &["accumulators.packing=words"]),
    ([2048, 512, 1280, 256], [64, 64], "output", &["dram.latency_cycles=0", "dram.burst_bytes=1"]),
];

fn digits(count: usize) -> Images {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist");
    mnist(Some(std::path::Path::new(folder))).unwrap().train.first(count)
}

#[test]
fn sixteen_machines_compute_the_same_bytes_for_the_lenet() {
    let (net, images) = (include_str!("../programs/lenet5-mnist.toml"), digits(32));
    let machines = SIXTEEN.map(|(kib, [rows, columns], stays, more)| {
        let [operand, weight, accumulator, mask] = kib;
        let sets = [
            format!("memory.operand.kib={operand}"),
            format!("memory.weight.kib={weight}"),
            format!("memory.accumulator.kib={accumulator}"),
            format!("memory.mask.kib={mask}"),
            format!("array.rows={rows}"),
            format!("array.columns={columns}"),
            format!("array.dataflow={stays}-stationary"),
        ];
        machine(&sets.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>())
    });
    let weights = |machine: &Machine| trained(net, &["recipe.batch=32"], &images, machine);
    let first = weights(&machines[0]);
    for machine in &machines[1..] {
        assert!(weights(machine) == first, "{}", machine.short_name());
    }
}

/// Small memories, odd batches and widths: what the compiler makes of them is proved to stay in its memories, or refused
/// with what does not fit.
#[test]
fn what_is_compiled_for_any_machine_is_proved() {
    let mut seed = 1u32;
    let mut of = |choices: &[u32]| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        choices[usize::try_from(seed >> 16).unwrap() % choices.len()]
    };
    let mut refused = 0;
    for case in 0..60 {
        let kib = [1, 2, 3, 4, 6, 8, 12, 16, 32, 64];
        let memories =
            ["operand", "weight", "accumulator", "mask"].map(|m| format!("memory.{m}.kib={}", of(&kib)));
        let order = format!("accumulators.order={}", ["kernel", "channels:4", "channels:3"][case % 3]);
        let mut settings: Vec<&str> = memories.iter().map(String::as_str).collect();
        settings.push(&order);
        let machine = machine(&settings);
        let sets = [
            format!("recipe.batch={}", of(&[1, 7, 8, 100, 120])),
            format!("wage.bits.W={}", of(&[2, 3, 4, 8])),
        ];
        let sets: Vec<Setting> = sets.iter().map(|s| Setting::parse(s).unwrap()).collect();
        let (network, recipe, _) = network::load(NET, "net.toml", &sets).unwrap();
        match compile(&network, &recipe, &machine, NET) {
            Err(_) => refused += 1,
            Ok(program) => {
                let [a, b, c, d] = machine.memory.bytes();
                for entry in program.entries.keys() {
                    let plan = Plan::new(&program, entry).unwrap();
                    let proved = plan.verify(&[a, b, c, d, program.dram_bytes]);
                    assert!(proved.is_ok(), "{settings:?} {sets:?}: {proved:?}");
                }
            }
        }
    }
    assert!(refused < 40, "{refused} of 60 refused");
}

#[test]
fn a_piece_amid_a_padded_map_is_as_large_as_its_windows_reach() {
    let net = r#"
        name = "padded"
        layer = [{ conv = 64, kernel = 3, stride = 4 }, { conv = 24, kernel = 3, pad = "same" }, { fc = 10 }]
        recipe = { batch = 8, epochs = 1, learning_rate = 8, seed = 1 }
    "#;
    let machine = machine(&["memory.operand.kib=1", "memory.weight.kib=1"]);
    let (network, recipe, _) = network::load(net, "padded.toml", &[]).unwrap();
    let program = compile(&network, &recipe, &machine, net).unwrap();
    let sizes = [1024, 1024, 128 * 1024, 32 * 1024, program.dram_bytes];
    assert_eq!(Plan::new(&program, "train").unwrap().verify(&sizes), Ok(()));
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
    assert_eq!(sized(64, &["accumulators.bits=64"]), sized(64, &[]), "the widest register");
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

const NARROW: [&str; 4] = [
    "accumulators.overflow=saturate",
    "accumulators.forward.bits=9",
    "accumulators.error.bits=8",
    "accumulators.gradient.bits=12",
];

fn in_order(kib: u32, order: &str, more: &[&str]) -> Vec<u8> {
    let order = format!("accumulators.order={order}");
    sized(kib, &[&NARROW, more, &[order.as_str()]].concat())
}

#[test]
fn blocks_of_channels_are_another_order_whatever_the_tiling() {
    let kernel = in_order(1024, "kernel", &[]);
    let blocks = in_order(1024, "channels:4", &[]);
    assert_ne!(blocks, kernel, "the registers are narrow enough to matter");
    assert_eq!(in_order(4, "channels:4", &[]), blocks);
    let odd = in_order(1024, "channels:3", &[]);
    assert!(odd != blocks && odd != kernel);
    assert_eq!(in_order(4, "channels:3", &[]), odd);
}

#[test]
fn a_block_of_all_channels_is_the_kernels_order() {
    // A dense layer's inputs are channels too.
    assert_eq!(in_order(64, "channels:1000", &[]), in_order(64, "kernel", &[]));
}

#[test]
fn trees_and_chunks_run_on_across_blocks() {
    let groups = ["accumulators.tree=3", "accumulators.chunk=5", "accumulators.outer_bits=10"];
    for order in ["channels:4", "channels:3"] {
        let large = in_order(1024, order, &groups);
        assert_ne!(large, in_order(1024, "kernel", &groups));
        assert_eq!(in_order(4, order, &groups), large, "{order}");
    }
}

/// Convolutions of so many channels that a KiB does not hold a row of their windows.
const DEEP: &str = r#"
name = "deep"
[[layer]]
conv = 64
kernel = 3
stride = 4
[[layer]]
conv = 24
kernel = 3
[[layer]]
fc = 10
[recipe]
batch = 8
epochs = 1
learning_rate = 8
seed = 3
"#;

#[test]
fn pieces_of_a_reduction_in_blocks_join_in_its_order() {
    let cramped = ["memory.operand.kib=1", "memory.weight.kib=1"];
    for (order, groups) in [
        ("kernel", &[][..]),
        ("channels:16", &[]),
        ("channels:16", &["accumulators.forward.tree=3", "accumulators.forward.chunk=5"]),
        ("channels:7", &["accumulators.forward.tree=4"]),
    ] {
        let order = format!("accumulators.order={order}");
        let rules = [&NARROW, groups, &[order.as_str()]].concat();
        let cramped = machine(&[&rules, &cramped[..]].concat());
        let (network, recipe, _) = network::load(DEEP, "deep.toml", &[]).unwrap();
        let text = compile(&network, &recipe, &cramped, DEEP).unwrap().to_text();
        let pieces = text.lines().filter(|l| l.contains("m.taps") && l.contains(" first_k=")).count();
        assert!(pieces > 4, "{order}: {pieces} pieces");
        let weights = |machine: &Machine| trained(DEEP, &[], &images(), machine);
        assert!(weights(&cramped) == weights(&machine(&rules)), "{order} with {groups:?}");
    }
}

#[test]
fn overlapping_pools_are_routed_in_blocks_of_channels_where_memories_are_small() {
    let net = r#"
        name = "overlapping"
        layer = [{ conv = 16, kernel = 3, stride = 2, pool = 3, pool_stride = 2 }, { conv = 8, kernel = 3, pad = "same", pool = 3, pool_stride = 1 }, { fc = 10 }]
        recipe = { batch = 8, epochs = 1, learning_rate = 8, seed = 5 }
    "#;
    let small =
        ["memory.operand.kib=2", "memory.weight.kib=2", "memory.accumulator.kib=2", "memory.mask.kib=1"];
    let listing = |settings: &[&str]| {
        let (network, recipe, _) = network::load(net, "net.toml", &[]).unwrap();
        compile(&network, &recipe, &machine(settings), net).unwrap().to_text()
    };
    let blocks = |text: &str| text.lines().any(|l| l.contains("v.unpool") && !l.contains("channels=16"));
    assert!(blocks(&listing(&small)));
    let weights = |settings: &[&str]| trained(net, &[], &images(), &machine(settings));
    assert!(weights(&small) == weights(&[]));
}
