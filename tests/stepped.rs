//! The stepped engine: the reference engine's state and outcomes on random programs, and cycles worked out by hand.

mod random;

use proptest::prelude::*;
use proptest::test_runner::Config;
use random::{Case, random_case};
use wagesim::compiler::compile;
use wagesim::isa::Memory;
use wagesim::machine::{Engine, Reference, State, Timing, Trace, run_stepped};
use wagesim::network::load;
use wagesim::program::{Plan, Program};
use wagesim::spec::{Drain, Machine, Setting};
use wagesim::timing::{Duration, Schedule, Times};

/// Executes a case on both.
fn agree(seed: u64) -> Result<bool, TestCaseError> {
    let Case { plan, machine, mut state } = random_case(seed);
    let mut expected = state.clone();
    let mut reference = Reference::new();
    let outcomes: Result<Vec<_>, _> =
        plan.steps.iter().map(|step| reference.execute(step, &mut expected)).collect();
    let trace = match (run_stepped(&plan, &machine, &mut state), outcomes) {
        (Ok(trace), Ok(outcomes)) => {
            for (step, (found, expected)) in plan.steps.iter().zip(trace.outcomes.iter().zip(&outcomes)) {
                prop_assert_eq!(found, expected, "seed {}, {} with {:?}", seed, step.instr, step.rule);
            }
            trace
        }
        (found, expected) => {
            prop_assert_eq!(found.err(), expected.err(), "seed {}", seed);
            return Ok(false);
        }
    };
    for memory in Memory::ALL {
        let (a, b) = (state.memory(memory), expected.memory(memory));
        let first = a.iter().zip(b).position(|(a, b)| a != b);
        prop_assert_eq!(first, None, "seed {}: {} differs", seed, memory.name());
    }
    prop_assert_eq!((state.scales, state.counters), (expected.scales, expected.counters), "seed {}", seed);
    for timing in &trace.timings {
        let &Timing { issued, started, unit_free, read, ended } = timing;
        prop_assert!(issued < started && started < unit_free && started < read, "seed {}", seed);
        prop_assert!(unit_free <= ended && read <= ended && ended <= trace.cycles, "seed {}", seed);
    }
    in_time(&plan, &machine, &trace).map_err(|what| TestCaseError::fail(format!("seed {seed}: {what}")))?;
    Ok(true)
}

/// Holds the cycles in which registers moved to the schedule's formulas.
fn in_time(plan: &Plan, machine: &Machine, trace: &Trace) -> Result<(), String> {
    let schedule = Schedule::of(plan, machine);
    for (i, (step, found)) in plan.steps.iter().zip(&trace.timings).enumerate() {
        let Timing { issued, started, unit_free, read, ended } = *found;
        let expected = schedule.times[i];
        let same = Times { issued, started, unit_free, ended } == expected;
        let duration = Duration::of(step, machine);
        if !same || read - started != duration.reading_cycles {
            return Err(format!(
                "instruction {i}, {}: {found:?}, the schedule says {expected:?}, {duration:?}, on {machine:?}",
                step.instr
            ));
        }
    }
    match trace.cycles == schedule.cycles {
        true => Ok(()),
        false => Err(format!("{} cycles, the schedule says {}", trace.cycles, schedule.cycles)),
    }
}

fn cases() -> u32 {
    std::env::var("STEPPED_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1000)
}

proptest! {
    #![proptest_config(Config { cases: cases(), failure_persistence: None, max_shrink_iters: 0, ..Config::default() })]

    #[test]
    fn states_are_the_reference_engine_s_and_durations_the_page_s(seed in any::<u64>()) {
        agree(seed)?;
    }
}

#[test]
fn most_random_programs_run_to_their_end() {
    let whole = (1..200u64).filter(|&seed| agree(seed).unwrap()).count();
    assert!(whole > 120, "{whole} of 199");
}

/// Executes entries of a program on both engines, one after another in the same state, its DRAM filled where `filled` says.
fn both_agree(
    program: &Program,
    machine: &Machine,
    entries: &[&str],
    filled: std::ops::Range<usize>,
    what: &str,
) {
    let bytes = machine.memory.bytes();
    let [operand, weight, accumulator, mask] = bytes;
    let sizes = [operand, weight, accumulator, mask, program.dram_bytes];
    let mut state = State::new(sizes.map(|n| usize::try_from(n).unwrap()), 1);
    program.fill_dram(1, state.memory_mut(Memory::Dram));
    for (n, byte) in (0u64..).zip(&mut state.memory_mut(Memory::Dram)[filled]) {
        *byte = u8::try_from(n * n % 251).unwrap();
    }
    let mut expected = state.clone();
    for entry in entries {
        let begun = std::time::Instant::now();
        let plan = Plan::new(program, entry).unwrap();
        plan.verify(&[bytes[0], bytes[1], bytes[2], bytes[3], program.dram_bytes]).unwrap();
        let trace = run_stepped(&plan, machine, &mut state).unwrap();
        let stepped = begun.elapsed();
        in_time(&plan, machine, &trace).unwrap_or_else(|e| panic!("{what}, {entry}: {e}"));
        let mut reference = Reference::new();
        for (step, found) in plan.steps.iter().zip(&trace.outcomes) {
            let outcome = reference.execute(step, &mut expected).unwrap();
            assert_eq!(*found, outcome, "{what}, {entry}: {}", step.instr);
        }
        assert!(state == expected, "{what}, {entry}");
        println!(
            "{what}, {entry}: {} instructions, {} cycles, the stepped engine {:.1} s, all {:.1} s",
            plan.steps.len(),
            trace.cycles,
            stepped.as_secs_f64(),
            begun.elapsed().as_secs_f64()
        );
    }
}

/// A network that the repository ships, compiled for a machine with these settings.
fn shipped(path: &str, batch: u32, sets: &[String]) -> (Program, Machine) {
    let text = std::fs::read_to_string(path).unwrap();
    let batch = Setting::parse(&format!("recipe.batch={batch}")).unwrap();
    let (network, recipe, _) = load(&text, path, &[batch]).unwrap();
    let sets: Vec<Setting> = sets.iter().map(|set| Setting::parse(set).unwrap()).collect();
    let machine = Machine::from_toml("", "machine.toml", &sets).unwrap();
    (compile(&network, &recipe, &machine, &text).unwrap(), machine)
}

#[test]
fn shipped_networks_end_in_the_reference_engine_s_state() {
    for (name, batch, rows, columns) in [
        ("quick", 2, 6, 5),
        ("lenet5-mnist", 1, 9, 16),
        ("lenet5-mnist-paper", 1, 16, 7),
        ("lenet5-mnist-2017", 1, 12, 12),
    ] {
        let path = format!("{}/programs/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let sets = [format!("array.rows={rows}"), format!("array.columns={columns}")];
        let (program, machine) = shipped(&path, batch, &sets);
        let input = program.tensor("input").unwrap().range();
        both_agree(&program, &machine, &["quantise", "train"], input, name);
    }
}

/// `cargo test --test stepped -- --ignored --nocapture every_shipped`
#[test]
#[ignore = "minutes: the VGG-like nets and AlexNet on the default machine"]
fn every_shipped_network_takes_the_schedule_s_cycles_on_the_default_machine() {
    let mut paths: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/programs"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 7, "{paths:?}");
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (program, machine) = shipped(&path.display().to_string(), 1, &[]);
        let input = program.tensor("input").unwrap().range();
        both_agree(&program, &machine, &["quantise", "train", "evaluate"], input, &name);
    }
}

#[test]
fn programs_written_by_hand_end_in_the_reference_engine_s_state() {
    let mut seen = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/programs")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|e| e == "s") {
            let name = path.display().to_string();
            let program = Program::from_text(&std::fs::read_to_string(&path).unwrap(), &name).unwrap();
            let entries: Vec<&str> = program.entries.keys().map(String::as_str).collect();
            for sets in
                ["", "array.rows = 6\narray.columns = 5\n", "array.drain = \"serial\"\ndram.channels = 2\n"]
            {
                let machine = Machine::from_toml(sets, "machine.toml", &[]).unwrap();
                both_agree(&program, &machine, &entries, 0..0, &name);
                seen += 1;
            }
        }
    }
    assert!(seen >= 12, "{seen} programs on machines");
}

/// A machine whose cycles can be counted by hand.
fn tiny(rows: u32, columns: u32) -> Machine {
    let mut machine = Machine::default();
    (machine.array.rows, machine.array.columns, machine.vector.lanes) = (rows, columns, 4);
    machine.dram.bytes_per_cycle = 4;
    machine.dram.burst_bytes = 8;
    machine.dram.latency_cycles = 10;
    machine
}

/// When each instruction of a program did what, and its cycles.
fn times(machine: &Machine, code: &str) -> (Vec<Timing>, u64) {
    let text = format!(
        ".tensor {{\"name\":\"d\",\"bits\":8,\"signed\":true,\"shape\":[4096]}}\nmain:\n{code}\nhalt\n"
    );
    let program = Program::from_text(&text, "test.s").unwrap();
    let plan = Plan::new(&program, "main").unwrap();
    plan.verify(&[4096, 4096, 4096, 4096, program.dram_bytes]).unwrap();
    let mut state = State::new([4096; 5], 1);
    let trace = run_stepped(&plan, machine, &mut state).unwrap();
    (trace.timings, trace.cycles)
}

/// Issued, started, unit free, read, ended.
fn at(timing: Timing) -> [u64; 5] {
    [timing.issued, timing.started, timing.unit_free, timing.read, timing.ended]
}

/// A dense product: rows by columns, K reduced, and what else the line says.
fn product(rows: u32, columns: u32, k: u32, more: &str) -> String {
    format!(
        "m.taps out=accumulator[0] out_format=32 left=operand[0] left_format=8 right=weight[0] right_format=8 mode=m0 \
         images={rows} channels={k} rows={rows} columns={columns} length={k} image_stride={k} pixel_stride={k} \
         right_stride_2={columns} out_stride={columns} {more}"
    )
}

const MODE: &str = "mode dst=m0 bits=32 overflow=wrap outer_bits=32\n";

fn weight_stationary(rows: u32) -> String {
    format!("mode dst=m0 bits=32 overflow=wrap chunk={rows} outer_bits=32 weight_stationary=1\n")
}

/// Times of the products of a machine after `MODE` was executed in cycle 0.
fn products(machine: &Machine, mode: &str, lines: &[String]) -> Vec<[u64; 5]> {
    times(machine, &format!("{mode}{}", lines.join("\n"))).0.into_iter().map(at).collect()
}

#[test]
fn an_entry_of_control_alone_takes_a_cycle_an_instruction() {
    assert_eq!(times(&tiny(1, 1), "nop\nnop").1, 3);
}

#[test]
fn a_vector_instruction_passes_four_stages() {
    // Put into its queue in cycle 0, starts in 1. Ten elements are beats of 4, 4, 2, read in 1, 2, 3; the last is
    // worked on in 4 and 5 and written in 6. `halt` was executed in 1.
    let (timings, cycles) = times(&tiny(1, 1), "v.relu dst=operand[0] src=accumulator[0] format=8 count=10");
    assert_eq!(at(timings[0]), [0, 1, 4, 4, 7]);
    assert_eq!(cycles, 7);
}

#[test]
fn squares_pass_their_multiplier_one_a_cycle() {
    let (timings, _) = times(&tiny(1, 1), "v.sumsq dst=c0 src=accumulator[0] src_format=8 count=10");
    assert_eq!(at(timings[0]), [0, 1, 11, 11, 14]);
}

#[test]
fn a_register_instruction_is_one_beat() {
    let (timings, _) = times(&tiny(1, 1), "x.set dst=x1 value=3\nx.sub dst=x2 a=x1 b=x1");
    assert_eq!(at(timings[0]), [0, 1, 2, 2, 5]);
    // What it reads is written in cycle 4.
    assert_eq!(at(timings[1]), [1, 5, 6, 6, 9]);
}

#[test]
fn a_load_moves_whole_bursts_through_the_pipe() {
    // 9 bytes are 2 bursts of 8: beats of 4 in cycles 1 to 4; the last leaves the pipe 10 cycles later.
    let (timings, _) = times(&tiny(1, 1), "load dst=operand[0] src=dram[0] bytes=9");
    assert_eq!(at(timings[0]), [0, 1, 5, 5, 15]);
    // Two rows apart are two runs of a burst each, two that follow each other one of a burst together.
    let apart = "load dst=operand[0] src=dram[0] rows=2 bytes=4 src_row=100 dst_row=4";
    assert_eq!(at(times(&tiny(1, 1), apart).0[0])[2], 5);
    let together = "load dst=operand[0] src=dram[0] rows=2 bytes=4 src_row=4 dst_row=4";
    assert_eq!(at(times(&tiny(1, 1), together).0[0])[2], 3);
}

#[test]
fn zeros_of_a_load_fill_the_room_beats_have() {
    // 8 bytes of DRAM take two beats and leave no room; 3 + 3 zeros before and after each of two rows: 12 more, 5 beats.
    let line = "load dst=operand[0] src=dram[0] rows=2 bytes=4 src_row=4 dst_row=10 pad_left=3 pad_right=3";
    assert_eq!(at(times(&tiny(1, 1), line).0[0]), [0, 1, 6, 6, 16]);
}

#[test]
fn a_store_reads_as_its_beats_enter_and_a_load_behind_it_waits_for_its_last() {
    let code = "store dst=dram[0] src=operand[0] bytes=8\nload dst=weight[0] src=dram[0] bytes=8";
    let (timings, _) = times(&tiny(1, 1), code);
    assert_eq!(at(timings[0]), [0, 1, 3, 3, 13]);
    assert_eq!(at(timings[1]), [1, 13, 15, 15, 25]);
}

#[test]
fn an_output_stationary_fold_is_skewed_and_moves_down() {
    // 2×3, T = 5: read in 2 to 6, the last product of the bottom row's last column in 2 + 4 + 1 + 2 = 9, two moves in 10, 11.
    // The next could start behind the last operand.
    let found = products(&tiny(2, 3), MODE, &[product(2, 3, 5, "")]);
    assert_eq!(found, [[1, 2, 7, 7, 12]]);
    // T = 1 on 4 rows: the first operand is in the bottom row in cycle 2 + 3.
    let found = products(&tiny(4, 1), MODE, &[product(4, 1, 1, "")]);
    assert_eq!(found, [[1, 2, 6, 3, 10]]);
}

#[test]
fn output_stationary_folds_follow_without_a_gap() {
    // Four folds of 2×2, T = 3, a fold each 3 cycles: 2, 5, 8, 11; the last product in 11 + 2 + 1 + 1, then two moves.
    let found = products(&tiny(2, 2), MODE, &[product(4, 4, 3, "")]);
    assert_eq!(found, [[1, 2, 14, 14, 18]]);
}

#[test]
fn values_to_go_on_from_enter_through_as_many_registers_as_rows() {
    let found = products(&tiny(3, 2), MODE, &[product(6, 2, 4, "accumulate=1")]);
    // Three moves in 2, 3, 4; folds begin in 5 and 9; last product 9 + 3 + 2 + 1, three moves: 16, 17, 18.
    assert_eq!(found, [[1, 2, 13, 13, 19]]);
}

#[test]
fn serial_and_ignored_drains() {
    let mut machine = tiny(3, 2);
    machine.array.drain = Drain::Serial;
    // A fold: three moves in, 4 operands, skew of 2 and 1, three moves out: 13.
    let found = products(&machine, MODE, &[product(6, 2, 4, "accumulate=1")]);
    assert_eq!(found, [[1, 2, 28, 28, 28]]);
    machine.array.drain = Drain::Ignore;
    // 4 operands, skew of 2 and 1.
    let found = products(&machine, MODE, &[product(6, 2, 4, "accumulate=1")]);
    assert_eq!(found, [[1, 2, 16, 16, 16]]);
}

#[test]
fn weight_stationary_folds_bring_weights_behind_the_wave() {
    // 2×2, K = 4 and N = 2: two folds; M = 5 rows. Weights in 2, 3, rows in 4 to 8; weights again in 7, 8, rows in 9
    // to 13; the last passes 2 rows and 2 columns: 13, 14, 15 and joins memory there.
    let found = products(&tiny(2, 2), &weight_stationary(2), &[product(5, 2, 4, "")]);
    assert_eq!(found, [[1, 2, 12, 14, 16]]);
    // One row of the product: a fold each 2 cycles, as weights take.
    let found = products(&tiny(2, 2), &weight_stationary(2), &[product(1, 2, 4, "")]);
    assert_eq!(found, [[1, 2, 6, 7, 9]]);
}

#[test]
fn the_left_edge_is_taken_until_weight_stationary_rows_are_read() {
    // Rows are read in 5 to 9. What keeps weights follows at its occupancy; sums that stay read left operands at once
    // and wait until the edge is free; sums that go on let first values enter and do not.
    let mut machine = tiny(3, 1);
    machine.memory.accumulator.ports = 3;
    let first = product(5, 1, 3, "");
    let other = |line: &str| line.replace("accumulator[0]", "accumulator[1000]");
    let mode = format!("{}{}", weight_stationary(3), MODE.replace("m0", "m1"));
    let second = |more| other(&product(3, 1, 2, more)).replace("m0", "m1");
    let found = products(&machine, &mode, &[first.clone(), other(&first)]);
    assert_eq!([found[0], found[1]], [[2, 3, 8, 11, 13], [3, 8, 13, 16, 18]]);
    assert_eq!(products(&machine, &mode, &[first.clone(), second("")])[1][1], 11);
    assert_eq!(products(&machine, &mode, &[first, second("accumulate=1")])[1][1], 8);
}

#[test]
fn a_shorter_reduction_waits_for_the_second_registers() {
    // 4×1. T = 6 begins in 2: its column moves down in 2 + 5 + 3 + 1 = 11 to 14. T = 1 could begin in 8; its sum of the top
    // row would come to the second register in 8, which is full until 11 begins. It begins in 11: at the end of that
    // cycle the register is empty.
    let other = product(4, 1, 1, "").replace("accumulator[0]", "accumulator[1000]");
    let found = products(&tiny(4, 1), MODE, &[product(4, 1, 6, ""), other]);
    assert_eq!([found[0], found[1]], [[1, 2, 8, 8, 15], [2, 11, 15, 12, 19]]);
}

#[test]
fn products_follow_each_other_as_the_page_says() {
    for (rows, columns) in [(1, 1), (1, 4), (2, 1), (3, 2), (5, 1), (4, 4)] {
        for (first, second) in (1..9).flat_map(|first| (1..9).map(move |second| (first, second))) {
            let machine = tiny(rows, columns);
            let apart =
                |line: String| line.replace("accumulator[0]", "accumulator[1000]").replace("m0", "m1");
            let starts = |flow: &str, lines: [String; 2]| {
                let mode = format!("{flow}{}", MODE.replace("m0", "m1"));
                let found = products(&machine, &mode, &lines);
                (found[0], found[1][1])
            };
            // T′ < min(T, R) waits.
            let (before, start) =
                starts(MODE, [product(rows, 2, first, ""), apart(product(2, columns, second, ""))]);
            assert_eq!(start, before[2] + u64::from(first.min(rows).saturating_sub(second)));
            // Behind rows that are still read at the left edge.
            let flow = weight_stationary(rows);
            let lines = |more| [product(first, 2, 3, ""), apart(product(2, columns, second, more))];
            let (before, start) = starts(&flow, lines(""));
            assert_eq!(start, before[3]);
            let (before, start) = starts(&flow, lines("accumulate=1"));
            assert_eq!(start, before[2]);
        }
    }
}

#[test]
fn a_vector_instruction_waits_for_the_product_it_reads() {
    let relu = "v.relu dst=accumulator[0] src=accumulator[0] format=32 count=6".to_owned();
    let found = products(&tiny(2, 3), MODE, &[product(2, 3, 5, ""), relu]);
    assert_eq!([found[0][4], found[1][1]], [12, 12]);
}

#[test]
fn a_load_overwrites_an_operand_when_it_was_read() {
    // The product reads in 2 to 6 and ends in 12; the other half of the buffer is free at once.
    let first = product(2, 3, 5, "");
    let over = "load dst=operand[8] src=dram[0] bytes=4".to_owned();
    let beside = "load dst=operand[10] src=dram[0] bytes=4".to_owned();
    assert_eq!(products(&tiny(2, 3), MODE, &[first.clone(), over])[1][1], 7);
    assert_eq!(products(&tiny(2, 3), MODE, &[first, beside])[1][1], 3);
}

#[test]
fn a_port_is_held_until_the_last_write() {
    let mut machine = tiny(1, 1);
    machine.memory.mask.ports = 1;
    let fill = "v.fill dst=mask[0] dst_format=8 value=1 count=10";
    let load = "load dst=mask[100] src=dram[0] bytes=8";
    // The fill writes until 6.
    let (timings, _) = times(&machine, &format!("{fill}\n{load}"));
    assert_eq!([timings[0].ended, timings[1].started], [7, 7]);
    // A unit that holds a port needs no other.
    let (timings, _) = times(&machine, &format!("{fill}\n{}", fill.replace("mask[0]", "mask[100]")));
    assert_eq!([timings[0].unit_free, timings[1].started], [4, 4]);
    // A memory that is only read is given back with the last read.
    let relu = "v.relu dst=operand[0] src=mask[0] format=8 count=10";
    let (timings, _) = times(&machine, &format!("{relu}\n{load}"));
    assert_eq!([timings[0].read, timings[0].ended, timings[1].started], [4, 7, 4]);
}

#[test]
fn no_younger_instruction_takes_the_port_an_older_one_waits_for() {
    let mut machine = tiny(1, 1);
    machine.memory.mask.ports = 1;
    let code = "v.fill dst=mask[0] dst_format=8 value=1 count=10\nload dst=mask[100] src=dram[0] bytes=8\n\
                v.fill dst=mask[200] dst_format=8 value=1 count=4";
    let (timings, _) = times(&machine, code);
    // The second fill's unit holds a port in 4, but the load claims it: it starts in 7, when the first has ended, and the
    // fill when the load has.
    assert_eq!(timings.iter().map(|t| t.started).collect::<Vec<_>>(), [1, 7, 19]);
}

#[test]
fn moves_share_one_channel_or_have_one_each() {
    let mut machine = tiny(1, 1);
    let code = "load dst=operand[0] src=dram[0] bytes=32\nstore dst=dram[1000] src=weight[0] bytes=8";
    assert_eq!(times(&machine, code).0[1].started, 9);
    machine.dram.channels = 2;
    assert_eq!(times(&machine, code).0[1].started, 2);
}

#[test]
fn control_waits_at_a_full_queue() {
    let mut machine = tiny(1, 1);
    machine.control.queue_depth = 1;
    let fill = "v.fill dst=mask[0] dst_format=8 value=1 count=16";
    let code = format!(
        "{fill}\n{}\n{}\nload dst=operand[0] src=dram[0] bytes=8",
        fill.replace("[0]", "[100]"),
        fill.replace("[0]", "[200]")
    );
    let (timings, _) = times(&machine, &code);
    // The first leaves its queue in 1, its place is free from 2 on; the second starts in 5, so the third is put there in 6
    // and the load in 7.
    let moments: Vec<_> = timings.iter().map(|t| (t.issued, t.started)).collect();
    assert_eq!(moments, [(0, 1), (2, 5), (6, 9), (7, 8)]);
}

#[test]
fn the_first_fault_in_program_order_stops_the_run() {
    let machine = tiny(2, 2);
    let text = ".tensor {\"name\":\"d\",\"bits\":8,\"signed\":true,\"shape\":[64]}\nmain:\n\
                mode dst=m0 bits=4 overflow=trap outer_bits=4\nv.fill dst=operand[0] dst_format=8 value=3 count=8\n\
                v.fill dst=weight[0] dst_format=8 value=3 count=8\n"
        .to_owned()
        + &product(2, 2, 2, "")
        + "\nhalt\n";
    let program = Program::from_text(&text, "test.s").unwrap();
    let plan = Plan::new(&program, "main").unwrap();
    let stopped = run_stepped(&plan, &machine, &mut State::new([4096; 5], 1)).unwrap_err();
    assert_eq!(stopped.to_string(), "instruction 3: the accumulator of row 0, column 0 overflowed");
}

#[test]
fn a_chunk_that_is_not_the_array_s_rows_is_refused() {
    let text = format!("main:\n{}{}\nhalt\n", weight_stationary(3), product(2, 2, 2, ""));
    let program = Program::from_text(&text, "test.s").unwrap();
    let plan = Plan::new(&program, "main").unwrap();
    let stopped = run_stepped(&plan, &tiny(2, 2), &mut State::new([4096; 5], 1)).unwrap_err();
    assert!(stopped.to_string().contains("chunk is 3"), "{stopped}");
}
