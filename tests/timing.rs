//! The schedule of whole programs: no cycle is left over, and more of the machine does not slow it down without a reason.

use std::path::Path;

use wagesim::compiler::compile;
use wagesim::isa::Unit;
use wagesim::network::load;
use wagesim::program::{Plan, Program};
use wagesim::spec::{Machine, Setting};
use wagesim::timing::{Account, Duration, Schedule, Wait};

fn plan(machine: &Machine) -> Plan {
    let text = include_str!("../programs/lenet5-mnist.toml");
    let batch = Setting::parse("recipe.batch=8").unwrap();
    let (network, recipe, _) = load(text, "lenet5-mnist.toml", &[batch]).unwrap();
    Plan::new(&compile(&network, &recipe, machine, text).unwrap(), "train").unwrap()
}

fn machine(sets: &[&str]) -> Machine {
    let sets: Vec<Setting> = sets.iter().map(|s| Setting::parse(s).unwrap()).collect();
    Machine::from_toml("", "test", &sets).unwrap()
}

/// Machines of every kind of choice that time depends on.
const MACHINES: [&[&str]; 7] = [
    &[],
    &["array.drain=serial"],
    &["array.drain=ignore", "array.rows=7", "array.columns=3"],
    &["array.dataflow=weight-stationary"],
    &["dram.channels=2", "dram.bytes_per_cycle=4", "control.queue_depth=1"],
    &["memory.operand.ports=1", "memory.weight.ports=1", "memory.accumulator.ports=1", "memory.mask.ports=1"],
    &["memory.operand.kib=4", "memory.weight.kib=4", "memory.accumulator.kib=4", "memory.mask.kib=4"],
];

/// Busy and waits are the schedule's cycles for every unit, and busy is what its instructions take.
fn adds_up(plan: &Plan, machine: &Machine, what: &str) {
    let schedule = Schedule::of(plan, machine);
    let mut sum = Account::default();
    schedule.accounts.values().for_each(|account| sum.add(account, 1));
    assert_eq!(sum.cycles, schedule.cycles, "{what}");
    for (unit, cycles) in sum.units() {
        assert_eq!(cycles.total(), schedule.cycles, "{what}, {unit:?}");
        let steps = plan.steps.iter().filter(|s| s.instr.unit() == unit);
        let busy: u64 = steps.map(|s| Duration::of(s, machine).occupancy_cycles).sum();
        assert_eq!(cycles.busy, busy, "{what}, {unit:?}");
    }
}

#[test]
fn every_cycle_of_every_unit_has_a_name() {
    for sets in MACHINES {
        let machine = machine(sets);
        adds_up(&plan(&machine), &machine, &format!("{sets:?}"));
    }
}

/// Every entry of a shipped program, batches of 1; how many there are.
fn entries_add_up(path: &Path, machine: &Machine) -> usize {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).unwrap();
    let program = match path.extension().and_then(|e| e.to_str()) {
        Some("s") => Program::from_text(&text, &name).unwrap(),
        _ => {
            let one = Setting::parse("recipe.batch=1").unwrap();
            let (network, recipe, _) = load(&text, &name, &[one]).unwrap();
            compile(&network, &recipe, machine, &text).unwrap()
        }
    };
    for entry in program.entries.keys() {
        adds_up(&Plan::new(&program, entry).unwrap(), machine, &format!("{name}, {entry}"));
    }
    program.entries.len()
}

#[test]
fn every_cycle_has_a_name_in_every_shipped_program() {
    let machine = machine(&[]);
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/programs")).unwrap();
    let files: Vec<_> = folder.map(|file| file.unwrap().path()).filter(|path| path.is_file()).collect();
    let entries: usize = std::thread::scope(|scope| {
        let checks: Vec<_> =
            files.iter().map(|path| scope.spawn(|| entries_add_up(path, &machine))).collect();
        checks.into_iter().map(|check| check.join().unwrap()).sum()
    });
    assert!(entries > 20, "{entries} entries");
}

#[test]
fn spans_follow_each_other_without_a_gap() {
    let machine = machine(&[]);
    let plan = plan(&machine);
    let mut ends = std::collections::BTreeMap::new();
    let schedule = Schedule::watched(&plan, &machine, &mut |span| {
        assert_eq!(ends.insert(span.unit, span.to).unwrap_or(0), span.from);
    });
    assert!(ends.len() == 4 && ends.values().all(|&end| end == schedule.cycles));
}

#[test]
fn a_unit_executes_its_instructions_in_order_one_at_a_time() {
    let machine = machine(&[]);
    let plan = plan(&machine);
    let times = Schedule::of(&plan, &machine).times;
    let mut free = std::collections::BTreeMap::new();
    for (step, times) in plan.steps.iter().zip(&times) {
        assert!(times.issued < times.started && times.started < times.ended);
        assert!(free.insert(step.instr.unit(), times.unit_free).unwrap_or(0) <= times.started);
    }
}

/// A product of two 2×4 by 4×2 matrices, a ReLU and a store, on a machine of 2×2.
const PRODUCT: &str = "
main:
mode dst=m0 bits=32 overflow=trap outer_bits=32
load dst=operand[0] src=dram[0] bytes=8
load dst=weight[0] src=dram[64] bytes=8
m.taps out=accumulator[0] out_format=32 left=operand[0] left_format=8 right=weight[0] right_format=8 mode=m0 images=2 channels=4 rows=2 columns=2 length=4 image_stride=4 right_stride_2=2 out_stride=2
v.relu dst=accumulator[0] src=accumulator[0] format=32 count=4
store dst=dram[128] src=accumulator[0] bytes=16
halt
.program {\"dram_bytes\":256}
";

#[test]
fn a_short_program_takes_the_cycles_the_page_says() {
    let machine = machine(&[
        "array.rows=2",
        "array.columns=2",
        "vector.lanes=2",
        "dram.bytes_per_cycle=4",
        "dram.burst_bytes=4",
        "dram.latency_cycles=10",
    ]);
    let plan = Plan::new(&Program::from_text(PRODUCT, "product.s").unwrap(), "main").unwrap();
    let schedule = Schedule::of(&plan, &machine);
    // `mode` takes cycle 0. Two beats of a load enter in cycles 2 and 3, the other's in 4 and 5; ten cycles later
    // they are there. One fold streams 4 products; the last sum leaves after 2·2 + 2 + 4 − 2 cycles.
    let times: Vec<_> = schedule.times.iter().map(|t| (t.issued, t.started, t.unit_free, t.ended)).collect();
    assert_eq!(times, [(1, 2, 4, 14), (2, 4, 6, 16), (3, 16, 20, 24), (4, 24, 26, 29), (5, 29, 33, 43)]);
    assert_eq!(schedule.cycles, 43);
    let mut sum = Account::default();
    schedule.accounts.values().for_each(|account| sum.add(account, 1));
    let waits = |unit| sum.unit(unit).waits.clone().into_iter().collect::<Vec<_>>();
    assert_eq!(waits(Unit::Array), [(Wait::Operand, 12), (Wait::Control, 4), (Wait::Finished, 23)]);
    let vector = [(Wait::Dependency, 15), (Wait::Drain, 4), (Wait::Control, 5), (Wait::Finished, 17)];
    assert_eq!(waits(Unit::Vector), vector);
}

/// Each product takes the tiling of its own shortest schedule; what that leaves for its neighbours to wait for may be a
/// little more. Beyond that more of the machine is no slower.
#[test]
fn more_of_the_machine_does_not_take_longer() {
    let step = |sets: &[&str]| {
        let machine = machine(sets);
        Schedule::of(&plan(&machine), &machine).cycles
    };
    let least = step(&[]);
    for more in [
        "dram.bytes_per_cycle=64",
        "dram.channels=2",
        "memory.operand.kib=512",
        "memory.weight.kib=256",
        "memory.accumulator.kib=256",
        "memory.mask.kib=64",
        "memory.operand.ports=4",
        "memory.weight.ports=4",
        "memory.accumulator.ports=6",
        "memory.mask.ports=4",
        "array.rows=64",
        "array.columns=64",
        "vector.lanes=64",
        "control.queue_depth=32",
    ] {
        let cycles = step(&[more]);
        assert!(100 * cycles <= 102 * least, "{more}: {cycles} cycles, {least} without");
    }
}
