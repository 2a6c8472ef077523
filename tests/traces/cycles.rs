//! Traces of the stepped engine: waveforms read back by an independent reader, streams of memories, held to the report.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use wagesim::isa::{Instr, Memory};
use wagesim::machine::{Stepped, View, Watch};
use wagesim::observe::{Component, Cost, Event};
use wagesim::program::Step;
use wellen::SignalRef;

use crate::common::{SMALL, estimate, here, ok, refused};
use crate::random::{Case, random_case};

/// A small array, so that every cycle of every element is soon simulated.
const TINY: [&str; 4] = ["--set", "array.rows=4", "--set", "array.columns=3"];

/// A product of 16 rows of 64 hundreds in registers that do not hold it.
fn overflowing(dir: &Path) {
    let text = std::fs::read_to_string(here("programs/requantise-product.s")).unwrap();
    let narrow = text.replace("overflow=trap", "overflow=saturate").replace("bits=32", "bits=13");
    std::fs::write(dir.join("p.s"), narrow).unwrap();
    let (a, b) = (vec![100u8; 16 * 64], vec![1u8; 64 * 32]);
    let view = |shape: [usize; 2], data| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::I8, shape.to_vec(), data).unwrap()
    };
    let tensors = [("a", view([16, 64], &a)), ("b", view([64, 32], &b))];
    std::fs::write(dir.join("in.safetensors"), safetensors::serialize(tensors, None).unwrap()).unwrap();
}

/// Every change of every signal: time and characters, by full name.
fn changes(path: &Path) -> BTreeMap<String, Vec<(u64, String)>> {
    let mut wave = wellen::simple::read(path).unwrap();
    let tree = wave.hierarchy();
    let named: Vec<(String, SignalRef)> =
        tree.all_vars().map(|v| (tree[v].full_name(tree), tree[v].signal_ref())).collect();
    let signals: Vec<SignalRef> = named.iter().map(|n| n.1).collect();
    wave.load_signals(&signals);
    let times = wave.time_table().to_vec();
    let read = |signal| {
        let changes = wave.get_signal(signal).unwrap().iter_changes();
        changes
            .map(|(at, value)| (times[usize::try_from(at).unwrap()], value.to_bit_string().unwrap()))
            .collect()
    };
    named.into_iter().map(|(name, signal)| (name, read(signal))).collect()
}

#[test]
fn a_waveform_reads_back_the_same_from_both_forms_and_counts_the_overflows() {
    let dir = tempfile::tempdir().unwrap();
    overflowing(dir.path());
    let common = ["trace", "p.s", "--input", "in.safetensors", "--pe", "all"];
    for name in ["w.vcd", "w.fst"] {
        ok(dir.path(), &[&common[..], &TINY, &["--waveform", name]].concat());
    }
    let (vcd, fst) = (changes(&dir.path().join("w.vcd")), changes(&dir.path().join("w.fst")));
    assert_eq!(vcd.keys().collect::<Vec<_>>(), fst.keys().collect::<Vec<_>>());
    for (name, seen) in &vcd {
        assert_eq!(seen, &fst[name], "{name}");
    }
    let run = ok(dir.path(), &[&["run", "p.s", "--input", "in.safetensors", "--json"][..], &TINY].concat());
    let run: Value = serde_json::from_str(&run).unwrap();
    let last = |name: &str| vcd[name].last().unwrap().1.clone();
    let joins = u64::from_str_radix(&last("wagesim.array.overflowed_joins"), 2).unwrap();
    assert_eq!(joins, run["saturated_joins"].as_u64().unwrap());
    assert!(joins > 0 && vcd["wagesim.array.overflow"].iter().any(|(_, bit)| bit == "1"));
    // A strobe of an element is a cycle, two units of time (ns); elements strobe as often as joins leave their range.
    let end = 2 * run["cycles"].as_u64().unwrap();
    let strobed = |changes: &Vec<(u64, String)>| -> u64 {
        let ends = changes.iter().skip(1).map(|change| change.0).chain([end]);
        changes
            .iter()
            .zip(ends)
            .filter(|(change, _)| change.1 == "1")
            .map(|(change, end)| end - change.0)
            .sum()
    };
    let elements =
        vcd.iter().filter(|(name, _)| name.starts_with("wagesim.pe_") && name.ends_with("overflow"));
    assert_eq!(elements.map(|(_, changes)| strobed(changes)).sum::<u64>() / 2, joins);
    // The clock rises once a cycle of 2 ns, and the last cycle ends the program.
    let rises = vcd["wagesim.clock"].iter().filter(|(_, bit)| bit == "1").count() as u64;
    assert_eq!(rises, run["cycles"].as_u64().unwrap());
    // Sums of 13 bits stand in registers of 13 bits: 0, 100, 200 … held at 4095.
    let sums: Vec<i64> = vcd["wagesim.pe_1_2.sum"]
        .iter()
        .filter(|(_, bits)| !bits.contains('x'))
        .map(|(_, bits)| i64::from_str_radix(bits, 2).unwrap())
        .collect();
    assert!(vcd["wagesim.pe_1_2.sum"].iter().all(|(_, bits)| bits.len() == 13));
    assert!(
        sums.starts_with(&[100, 200, 300]) && sums.contains(&4000) && sums.iter().max() == Some(&4095),
        "{sums:?}"
    );
    let busy = vcd["wagesim.load.busy"].iter().any(|(_, bit)| bit == "1");
    assert!(
        busy && vcd.contains_key("wagesim.vector.read_lanes") && vcd.contains_key("wagesim.control.issue")
    );
}

#[test]
fn a_waveform_has_the_cycles_of_its_window_and_ends_at_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    overflowing(dir.path());
    let common = ["trace", "p.s", "--input", "in.safetensors", "--waveform"];
    ok(dir.path(), &[&common[..], &["w.vcd", "--cycles", "200..299"], &TINY].concat());
    let seen = changes(&dir.path().join("w.vcd"));
    let rises: Vec<u64> =
        seen["wagesim.clock"].iter().filter(|(_, bit)| bit == "1").map(|(at, _)| *at).collect();
    // One more cycle says that nothing is traced from there on.
    assert_eq!((rises[1], rises.len(), *rises.last().unwrap()), (400, 102, 600));
    for name in ["l.vcd", "l.fst"] {
        ok(dir.path(), &[&common[..], &[name, "--max-size", "20K"], &TINY].concat());
        let bytes = std::fs::metadata(dir.path().join(name)).unwrap().len();
        assert!(bytes <= 20 << 10, "{name}: {bytes}");
        assert!(!changes(&dir.path().join(name))["wagesim.clock"].is_empty());
    }
    let error = refused(dir.path(), 2, &[&common[..], &["w.vcd", "--pe", "4,0"], &TINY].concat());
    assert!(error.contains("4 rows and 3 columns"), "{error}");
}

/// Rows of a table: cycles that go up, each with its addresses.
fn table(path: &Path) -> Vec<(u64, Vec<u64>)> {
    let text = std::fs::read_to_string(path).unwrap();
    let (mut rows, mut width): (Vec<(u64, Vec<u64>)>, _) = (Vec::new(), None);
    for line in text.lines() {
        let numbers: Vec<i64> = line.split(',').map(|n| n.parse().unwrap()).collect();
        let (&cycle, addresses) = numbers.split_first().unwrap();
        // A table is as wide in every row, -1 for no access and behind all accesses.
        assert_eq!(*width.get_or_insert(addresses.len()), addresses.len(), "{line}");
        let used = addresses.iter().take_while(|&&address| address >= 0);
        let used: Vec<u64> = used.map(|address| address.cast_unsigned()).collect();
        assert!(!used.is_empty() && addresses[used.len()..].iter().all(|&none| none == -1), "{line}");
        match rows.last_mut().filter(|row| row.0 == cycle.cast_unsigned()) {
            Some(row) => row.1.extend(used),
            None => {
                assert!(rows.last().is_none_or(|row| row.0 < cycle.cast_unsigned()), "{line}");
                rows.push((cycle.cast_unsigned(), used));
            }
        }
    }
    rows
}

#[test]
fn the_bursts_of_dram_are_the_report_s_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let report = estimate(dir.path());
    ok(dir.path(), &[&["trace", "--memory", "m"][..], &SMALL].concat());
    let trace = std::fs::read_to_string(dir.path().join("m.dram.trace")).unwrap();
    let (mut bytes, mut addresses) = ([0; 2], [Vec::new(), Vec::new()]);
    for line in trace.lines() {
        let (what, address) = line.split_once(" 0x").unwrap();
        let place = ["LD", "ST"].iter().position(|w| *w == what).unwrap();
        addresses[place].push(u64::from_str_radix(address, 16).unwrap());
        bytes[place] += 64;
    }
    for (place, (file, total)) in
        [("m.dram_read.csv", "dram_read_bytes"), ("m.dram_write.csv", "dram_written_bytes")]
            .iter()
            .enumerate()
    {
        assert_eq!(bytes[place], report["totals"][total].as_u64().unwrap(), "{total}");
        let rows = table(&dir.path().join(file));
        assert!(rows.iter().all(|(_, bursts)| bursts.len() == 1), "a burst is two beats");
        let in_table: Vec<u64> = rows.into_iter().flat_map(|row| row.1).collect();
        assert_eq!(in_table, addresses[place], "{file}");
    }
}

#[test]
fn a_burst_has_its_place_in_the_dram_s_levels() {
    let dir = tempfile::tempdir().unwrap();
    let levels = ["--dram-levels", "1,2,4,4,512,128"];
    ok(dir.path(), &[&["trace", "--memory", "m"][..], &SMALL, &levels].concat());
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let (bytes, places) = (read("m.dram.trace"), read("m.dram_levels.trace"));
    assert!(bytes.lines().count() == places.lines().count() && bytes.lines().count() > 1000);
    for (byte, place) in bytes.lines().zip(places.lines()) {
        let (what, address) = byte.split_once(" 0x").unwrap();
        let (letter, place) = place.split_once(' ').unwrap();
        assert!([("LD", "R"), ("ST", "W")].contains(&(what, letter)), "{byte} {place}");
        let place: Vec<u64> = place.split(',').map(|n| n.parse().unwrap()).collect();
        let [channel, rank, group, bank, row, column] = place[..] else { panic!("{place:?}") };
        assert!(channel == 0 && rank < 2 && group < 4 && bank < 4 && row < 512 && column < 128);
        let burst = (((rank * 4 + group) * 4 + bank) * 512 + row) * 128 + column;
        assert_eq!(u64::from_str_radix(address, 16).unwrap() / 64, burst, "{byte}");
    }
    let few = [&["trace", "--memory", "m", "--dram-levels", "1,16,128"][..], &SMALL].concat();
    let error = crate::common::refused(dir.path(), 2, &few);
    assert!(error.contains("they hold 2048 bursts of 64 bytes"), "{error}");
}

#[test]
fn what_the_scratchpads_move_is_what_energy_counts() {
    let dir = tempfile::tempdir().unwrap();
    overflowing(dir.path());
    let text = ok(
        dir.path(),
        &[
            &["trace", "p.s", "--input", "in.safetensors", "--memory", "m", "--scratchpads", "--json"][..],
            &TINY,
        ]
        .concat(),
    );
    let files: Value = serde_json::from_str(&text).unwrap();
    let mut bits: BTreeMap<String, u64> = BTreeMap::new();
    for file in files.as_array().unwrap().iter().filter(|file| file["trace"] == "scratchpad") {
        let name = file["file"].as_str().unwrap();
        let rows = table(&dir.path().join(name));
        let accesses: usize = rows.iter().map(|row| row.1.len()).sum();
        assert_eq!(file["records"], accesses, "{name}");
        let memory = name.trim_start_matches("m.").split('_').next().unwrap();
        *bits.entry(memory.to_owned()).or_default() += file["moved_bits"].as_u64().unwrap();
    }
    // Left operands pass once for each of 11 folds of columns, right ones for each of 4 folds of rows; both are loaded, and
    // 8-bit results stored.
    assert_eq!(bits["operand"], 8 * (16 * 64 * (1 + 11) + 2 * 16 * 32));
    assert_eq!(bits["weight"], 8 * (64 * 32 * (1 + 4)));
    // Sums of 32 bits: written, looked at for the greatest, shifted, stored.
    assert_eq!(bits["accumulator"], 32 * 16 * 32 * 4);
}

/// Bits that each scratchpad moved.
#[derive(Default)]
struct Bits([u64; 4]);

impl Watch for Bits {
    fn cycle(&mut self, view: &View<'_>) -> bool {
        for access in view.accesses().iter().filter(|access| access.memory != Memory::Dram) {
            self.0[access.memory.index()] += u64::from(access.bits);
        }
        true
    }
}

#[test]
fn on_random_programs_the_scratchpads_move_what_energy_counts() {
    let mut compared = 0;
    for seed in 1..150 {
        let Case { plan, machine, mut state } = random_case(seed);
        // Values of a pool whose first output would lie outside are read by no lane; energy counts them.
        let outside = |step: &Step| match step.instr {
            Instr::VUnpool(i) => (i.in_rows - 1) * i.step >= i.height || (i.in_cols - 1) * i.step >= i.width,
            _ => false,
        };
        let mut bits = Bits::default();
        if plan.steps.iter().any(outside) {
            continue;
        }
        if Stepped::new(machine.clone()).watched(&plan, &mut state, &mut [], Some(&mut bits)).is_err() {
            continue;
        }
        let mut counted = [0; 4];
        for step in plan.steps.iter() {
            let cost = Cost::of(step, &machine);
            for (memory, counted) in Memory::SCRATCHPADS.into_iter().zip(&mut counted) {
                let kib = machine.memory.scratchpad(memory).unwrap().kib;
                let key = (Component::of(memory), Event::ScratchpadBit { kib });
                *counted += cost.events.get(&key).map_or(0, |&n| u64::try_from(n).unwrap());
            }
        }
        let instrs: Vec<String> = plan.steps.iter().map(|s| s.instr.to_string()).collect();
        assert_eq!(bits.0, counted, "seed {seed}: {}", instrs.join("\n"));
        compared += 1;
    }
    assert!(compared > 60, "{compared}");
}

#[test]
fn a_run_that_traps_leaves_whole_files() {
    let dir = tempfile::tempdir().unwrap();
    overflowing(dir.path());
    let text = std::fs::read_to_string(dir.path().join("p.s")).unwrap();
    std::fs::write(dir.path().join("p.s"), text.replace("overflow=saturate", "overflow=trap")).unwrap();
    for name in ["w.vcd", "w.fst"] {
        let common = ["trace", "p.s", "--input", "in.safetensors", "--waveform", name];
        let error = refused(dir.path(), 1, &[&common[..], &TINY].concat());
        assert!(error.contains("the accumulator of row 0, column 0 overflowed"), "{error}");
        let seen = changes(&dir.path().join(name));
        assert!(seen["wagesim.array.overflow"].iter().any(|(_, bit)| bit == "1"), "{name}");
    }
    let args = ["trace", "p.s", "--input", "in.safetensors", "--execute", "--log", "l.jsonl"];
    refused(dir.path(), 1, &args);
    let log = std::fs::read_to_string(dir.path().join("l.jsonl")).unwrap();
    assert!(log.ends_with("{\"end\":2,\"complete\":false}\n"), "{log}");
}
